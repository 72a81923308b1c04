/* SPDX-License-Identifier: MIT */
/*
 * Two processes map in one page table, each with books of its own, and the kernel alone sees both: here
 * a second space in the same IOAS is the other process, and a script is a kernel that refuses for ever.
 */
#include "transport_test.h"

#include <fcntl.h>
#include <unistd.h>

static uint8_t memory[8 * 4096] __attribute__((aligned(4096)));

static struct vfc_iommu *ours, *theirs;
static struct vfc_device *device, *other;

static int adopt(int fd, uint32_t ioas, struct vfc_iommu **space)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .ioas = ioas};

	return vfc_iommu_adopt(fd, &opts, space);
}

/* The device of each is attached to the IOAS that theirs made. */
static void start(void)
{
	uint32_t ioas = 0;
	int fd;

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	mock_add((struct mock_device){.name = SECOND, .group = 8, .cdev = true});
	theirs = open_space("cdev");
	fd = vfc_iommu_fd(theirs, &ioas);
	CHECK(fd >= 0);
	CHECK_EQ(adopt(dup(fd), ioas, &ours), 0);
	other = open_in(theirs, FIRST);
	device = open_in(ours, SECOND);
	mock.log[0] = '\0';
}

static void stop(void)
{
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(ours), 0);
	CHECK_EQ(vfc_device_close(other), 0);
	CHECK_EQ(vfc_iommu_close(theirs), 0);
	mock_end();
}

/* What the other has mapped is passed by, in steps that double, and no failure is left in the record. */
static void next_place(void)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_error before;
	uint64_t taken = 0x1000, iova = 0;

	start();
	CHECK_EQ(vfc_iommu_map(theirs, memory, 4 * PAGE, &fixed, &taken), 0);
	before = *vfc_error_last();
	CHECK_EQ(vfc_iommu_map(ours, memory, PAGE, NULL, &iova), 0);
	CHECK(!memcmp(&before, vfc_error_last(), sizeof(before)));
	/* 0x1000, 0x2000 and 0x4000 are taken; the step after that is four pages. */
	MOCK_EXPECT("map 1 1000+4000;map 1 8000+1000;");
	CHECK_EQ(iova, 0x8000);
	/* Who names a place gets that or none. */
	iova = 0x2000;
	REFUSED(vfc_iommu_map(ours, memory, PAGE, &fixed, &iova), EEXIST, VFC_REASON_IOVA, "already");
	/* A space that nobody shares never asks twice, and here it is the other's turn. */
	CHECK_EQ(vfc_iommu_unmap(theirs, taken, 4 * PAGE), 0);
	CHECK_EQ(vfc_iommu_map(ours, memory, PAGE, NULL, &iova), 0);
	stop();
}

/* A batch is placed run by run, each of them where the kernel finds it free. */
static void batches(void)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_mapping vector[3] = {{.va = memory, .length = PAGE},
					{.va = memory + PAGE, .length = PAGE},
					{.va = memory + 4 * PAGE, .length = PAGE}};
	uint64_t taken = 0x1000;

	start();
	CHECK_EQ(vfc_iommu_map(theirs, memory, 4 * PAGE, &fixed, &taken), 0);
	mock.log[0] = '\0';
	CHECK_EQ(vfc_iommu_map_batch(ours, vector, 3, NULL), 0);
	CHECK_EQ(vector[1].iova, vector[0].iova + PAGE);
	CHECK(vector[0].iova >= 0x5000 && vector[2].iova >= 0x5000);
	CHECK_EQ(mock.pinned, 7 * PAGE);
	CHECK_EQ(vfc_iommu_unmap_batch(ours, vector, 3), 0);
	CHECK_EQ(mock.pinned, 4 * PAGE);
	stop();
}

static unsigned tries;

static int all_taken(struct mock_file *file, unsigned long request, void *argument)
{
	(void)argument;
	if (file->kind != MOCK_IOMMUFD || request != IOMMU_IOAS_MAP)
		return MOCK_ASIDE;
	tries++;
	return -EEXIST;
}

/* There is an end, after both halves of the window were crossed. */
static void no_place(void)
{
	uint64_t iova = 0;

	start();
	mock.answer = all_taken;
	REFUSED(vfc_iommu_map(ours, memory, PAGE, NULL, &iova), ENOSPC, VFC_REASON_OUT_OF_IOVA,
		"another process has mapped what was tried");
	CHECK_EQ(tries, 129);
	/* Whose space nobody shares is told what the kernel said. */
	tries = 0;
	CHECK_EQ(vfc_device_close(other), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(ours), 0);
	CHECK_EQ(vfc_iommu_close(theirs), 0);
	theirs = open_space("cdev");
	other = open_in(theirs, FIRST);
	REFUSED(vfc_iommu_map(theirs, memory, PAGE, NULL, &iova), EEXIST, VFC_REASON_IOVA, "already");
	CHECK_EQ(tries, 1);
	mock.answer = NULL;
	CHECK_EQ(vfc_device_close(other), 0);
	CHECK_EQ(vfc_iommu_close(theirs), 0);
	mock_end();
}

/* Closing takes back what this process mapped, and nothing else. */
static void closing(void)
{
	uint64_t iova = 0;

	start();
	CHECK_EQ(vfc_iommu_map(theirs, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_map(ours, memory, 2 * PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(mock.pinned, 3 * PAGE);
	CHECK_EQ(vfc_iommu_close(ours), 0);
	CHECK_EQ(mock.pinned, PAGE);
	CHECK_EQ(vfc_device_close(other), 0);
	CHECK_EQ(vfc_iommu_close(theirs), 0);
	mock_end();
}

/* What a descriptor of a transport is for, and for what it is not. */
static void refusals(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "group", .ioas = 1};
	struct vfc_iommu *space;

	mock_start();
	REFUSED(vfc_iommu_open(&opts, &space), EINVAL, VFC_REASON_ARGUMENT, "opts->ioas is 1");
	opts = (struct vfc_iommu_opts){.size = sizeof(opts), .transport = "noiommu"};
	mock.types |= 1u << VFIO_NOIOMMU_IOMMU;
	CHECK_EQ(vfc_iommu_open(&opts, &space), 0); /* by its group: there is no node of the other kind */
	REFUSED(vfc_iommu_fd(space, NULL), EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		"the transport noiommu-group hands no address space over");
	CHECK_EQ(vfc_iommu_close(space), 0);
	space = open_space("cdev");
	opts = (struct vfc_iommu_opts){.size = sizeof(opts), .transport = "group", .beside = space};
	REFUSED(vfc_iommu_open(&opts, &theirs), EINVAL, VFC_REASON_ARGUMENT, "cannot be opened beside one");
	opts.transport = NULL;
	REFUSED(vfc_iommu_adopt(vfc_iommu_fd(space, NULL), &opts, &theirs), EINVAL, VFC_REASON_ARGUMENT,
		"opts->beside is of no use");
	opts = (struct vfc_iommu_opts){.size = sizeof(opts), .flags = 2};
	REFUSED(vfc_iommu_open(&opts, &theirs), EINVAL, VFC_REASON_ARGUMENT, "may be VFC_IOMMU_DIRTY");
	REFUSED(vfc_iommu_dirty_start(space), ENODEV, VFC_REASON_NO_DEVICE, "open one first");
	CHECK_EQ(vfc_iommu_close(space), 0);
	mock_end();
}

int main(void)
{
	next_place();
	batches();
	no_place();
	closing();
	refusals();
	return 0;
}
