/* SPDX-License-Identifier: MIT */
/*
 * Each system call of a life on each transport fails in turn: the failure is told, what was opened,
 * mapped, locked or pinned is given back, and the same again works.
 */
#include "transport_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sweep.h"

static uint8_t memory[4 * 4096] __attribute__((aligned(4096)));

static const char *transport;
static int file; /* a memfd */

static struct vfc_iommu *open_one(int *rc, uint32_t flags, struct vfc_iommu *beside)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = transport, .flags = flags,
				      .beside = beside};
	struct vfc_iommu *space = NULL;

	note(rc, vfc_iommu_open(&opts, &space));
	return space;
}

/* What failed once works the second time: one call fails in a run. */
static void unmap(struct vfc_iommu *space, uint64_t iova, uint64_t length, int *rc)
{
	if (note(rc, vfc_iommu_unmap(space, iova, length)) < 0)
		CHECK_EQ(vfc_iommu_unmap(space, iova, length), 0);
}

static void map_all(struct vfc_iommu *space, int *rc)
{
	uint64_t iova = 0, second = 0;

	if (note(rc, vfc_iommu_map(space, memory, 2 * PAGE, NULL, &iova)) < 0)
		return;
	if (note(rc, vfc_iommu_map_file(space, file, 0, PAGE, NULL, &second)) == 0)
		unmap(space, second, PAGE, rc);
	unmap(space, iova, 2 * PAGE, rc);
}

static void use(struct vfc_device *device, int *rc)
{
	struct vfc_reset_device devices[4];
	volatile void *bar;
	uint64_t value;

	note(rc, vfc_region_write(device, 7, 0x40, 4, 1));
	note(rc, vfc_region_read(device, 7, 0x40, 4, &value));
	note(rc, vfc_region_map(device, 0, 0, PAGE, &bar));
	note(rc, vfc_device_reset(device));
	note(rc, vfc_device_hot_reset_info(device, devices, 4));
	note(rc, vfc_device_hot_reset(device));
}

/* No descriptor, no page and no mapping of a BAR outlives the objects. */
static int live(void)
{
	struct vfc_iommu *space;
	struct vfc_device *first = NULL, *second = NULL;
	int rc = 0;

	mock.log[0] = '\0';
	space = open_one(&rc, 0, NULL);
	if (!space)
		return rc;
	if (note(&rc, try_open(space, FIRST, &first)) == 0) {
		note(&rc, try_open(space, SECOND, &second));
		map_all(space, &rc);
		use(first, &rc);
	}
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	MOCK_IDLE();
	return rc;
}

/* Mappings that live on while the devices go: closing takes them, too. */
static int left_open(void)
{
	struct vfc_iommu *space;
	struct vfc_device *device;
	uint64_t iova = 0;
	int rc = 0;

	mock.log[0] = '\0';
	space = open_one(&rc, 0, NULL);
	if (!space)
		return rc;
	if (note(&rc, try_open(space, FIRST, &device)) == 0) {
		note(&rc, vfc_iommu_map(space, memory, PAGE, NULL, &iova));
		if (note(&rc, vfc_device_release(device)) < 0)
			CHECK_EQ(vfc_device_release(device), 0);
		CHECK(!mock.devices[0].opened);
		CHECK_EQ(vfc_device_close(device), 0);
	}
	CHECK_EQ(vfc_iommu_close(space), 0);
	MOCK_IDLE();
	return rc;
}

/* In a space of the device's own. */
static int alone(void)
{
	struct vfc_device *device;
	int rc = 0;

	mock.log[0] = '\0';
	if (note(&rc, try_alone(transport, FIRST, &device)) == 0)
		CHECK_EQ(vfc_device_close(device), 0);
	MOCK_IDLE();
	return rc;
}

static void all(const char *name, bool noiommu, bool cdev)
{
	char what[60];

	mock_start();
	mock.types |= noiommu ? 1u << VFIO_NOIOMMU_IOMMU : 0;
	mock_add((struct mock_device){.name = FIRST, .group = 7, .noiommu = noiommu, .cdev = cdev,
				      .caps = 16});
	mock_add((struct mock_device){.name = SECOND, .group = 7, .noiommu = noiommu, .cdev = cdev});
	transport = name;
	snprintf(what, sizeof(what), "%s", name);
	sweep(what, live);
	snprintf(what, sizeof(what), "%s, released", name);
	sweep(what, left_open);
	snprintf(what, sizeof(what), "%s, alone", name);
	sweep(what, alone);
	mock_end();
}

static void adopt_and_close(struct vfc_iommu *space, int fd, int *rc)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};
	struct vfc_device *device;
	int passed = dup(fd);

	if (note(rc, vfc_device_adopt(passed, FIRST, &opts, &device)) < 0)
		CHECK_EQ(close(passed), 0);
	else
		CHECK_EQ(vfc_device_close(device), 0);
}

static int container, iommufd, passed_device;

static int adopted(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};
	struct vfc_iommu *space;
	int rc = 0, fd = dup(iommufd >= 0 ? iommufd : container);

	mock.log[0] = '\0';
	if (note(&rc, vfc_iommu_adopt(fd, &opts, &space)) < 0) {
		CHECK_EQ(close(fd), 0);
		return rc;
	}
	adopt_and_close(space, passed_device, &rc);
	CHECK_EQ(vfc_iommu_close(space), 0);
	return rc;
}

static void adoptions(void)
{
	struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind)};
	int group;

	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	iommufd = -1;
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open("/dev/vfio/7", O_RDWR | O_CLOEXEC);
	CHECK_EQ(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	CHECK_EQ(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	passed_device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST);
	sweep("adopted container", adopted);
	close(passed_device);
	close(group);
	close(container);

	bind.iommufd = iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	passed_device = open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	CHECK_EQ(ioctl(passed_device, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
	sweep("adopted iommufd", adopted);
	close(passed_device);
	close(iommufd);
	mock_end();
}

/* Page tables that note writes, a copy, a move and a PASID. */
static int tables(void)
{
	struct vfc_iommu *space, *beside = NULL;
	struct vfc_device *device = NULL;
	uint64_t iova = 0, copy = 0, bitmap = 0;
	int rc = 0;

	mock.log[0] = '\0';
	space = open_one(&rc, VFC_IOMMU_DIRTY, NULL);
	if (!space)
		return rc;
	beside = open_one(&rc, 0, space);
	if (beside && note(&rc, try_open(space, FIRST, &device)) == 0) {
		if (note(&rc, vfc_iommu_map(space, memory, PAGE, NULL, &iova)) == 0) {
			note(&rc, vfc_iommu_dirty_start(space));
			if (!rc)
				note(&rc, (int)vfc_iommu_dirty_read(space, iova, PAGE, PAGE, &bitmap));
			if (note(&rc, vfc_device_attach(device, beside)) == 0)
				note(&rc, vfc_iommu_copy(beside, space, iova, PAGE, NULL, &copy));
		}
		note(&rc, vfc_device_attach_pasid(device, 5, beside));
		note(&rc, vfc_device_detach(device));
	}
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(beside), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	MOCK_IDLE();
	return rc;
}

int main(void)
{
	file = memfd_create("unit", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(file, 4096), 0);
	all("group", false, true);
	all("group-v1", false, true);
	all("compat", false, true);
	all("cdev", false, true);
	all("noiommu-group", true, false);
	all("noiommu", true, true);
	adoptions();
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true});
	transport = "cdev";
	sweep("tables", tables);
	mock_end();
	close(file);
	return 0;
}
