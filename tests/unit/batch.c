/* SPDX-License-Identifier: MIT */
/* Many buffers at once: runs become one mapping, and it is all of them or none. */
#include "space_test.h"

#define BUFFERS 6

static struct vfc_device *device;
static struct vfc_iommu *iommu;
static uint8_t *memory; /* 16 pages */

static struct vfc_mapping at(size_t page, size_t pages)
{
	return (struct vfc_mapping){.va = memory + page * PAGE, .length = pages * PAGE};
}

static uint64_t entries(void)
{
	uint64_t n;

	live(device);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &n), 0);
	return n;
}

/* Two runs of neighbours, one that stands alone, and one that goes backwards. */
static void fill(struct vfc_mapping *vector)
{
	vector[0] = at(0, 1);
	vector[1] = at(1, 3);
	vector[2] = at(8, 1);
	vector[3] = at(5, 1); /* before the last: no run */
	vector[4] = at(6, 1);
	vector[5] = at(7, 1);
}

static void runs(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_WRITE,
				    .highest = 0xfffffff};
	struct vfc_mapping vector[BUFFERS], found;

	fill(vector);
	CHECK_EQ(vfc_iommu_map_batch(iommu, vector, BUFFERS, &opts), 0);
	CHECK_EQ(entries(), 3);
	CHECK_EQ(vector[1].iova, vector[0].iova + PAGE);
	CHECK_EQ(vector[4].iova, vector[3].iova + PAGE);
	CHECK_EQ(vector[5].iova, vector[4].iova + PAGE);
	for (size_t i = 0; i < BUFFERS; i++) {
		uint8_t mark = (uint8_t)(i + 1);

		CHECK(vector[i].iova && vector[i].iova + vector[i].length - 1 <= opts.highest);
		CHECK_EQ(vector[i].flags, VFC_MAP_WRITE);
		CHECK(dma_write(device, vector[i].iova + vector[i].length - 1, &mark, 1));
		CHECK_EQ(((uint8_t *)vector[i].va)[vector[i].length - 1], mark);
		CHECK(!dma_read(device, vector[i].iova, &mark, 1)); /* to be written only */
	}
	CHECK_EQ(vfc_iommu_find_iova(iommu, vector[1].iova, &found), 0);
	CHECK_EQ(found.length, 4 * PAGE);
	CHECK_EQ(vfc_iommu_unmap_batch(iommu, vector, BUFFERS), 0);
	CHECK_EQ(entries(), 0);
	CHECK_EQ(vfc_iommu_map_batch(iommu, NULL, 0, NULL), 0);
	CHECK_EQ(vfc_iommu_unmap_batch(iommu, NULL, 0), 0);
}

/* The same memory in two buffers has two IOVAs. */
static void twice_the_same(void)
{
	struct vfc_mapping vector[] = {at(0, 2), at(0, 2), at(2, 1)};

	CHECK_EQ(vfc_iommu_map_batch(iommu, vector, 3, NULL), 0);
	CHECK_EQ(entries(), 2);
	CHECK(vector[0].iova != vector[1].iova);
	CHECK_EQ(vector[2].iova, vector[1].iova + 2 * PAGE);
	CHECK_EQ(vfc_iommu_unmap_batch(iommu, vector, 3), 0);
}

/* The fourth buffer is bad: the three before it are mapped no more. */
static void none_of_them(void)
{
	struct vfc_mapping vector[BUFFERS];
	uint8_t *hole = get_memory(PAGE);
	char text[32];

	CHECK_EQ(munmap(hole, PAGE), 0);
	fill(vector);
	vector[3].va = hole;
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), EFAULT, VFC_REASON_BAD_MEMORY);
	snprintf(text, sizeof(text), "%p", (void *)hole);
	CHECK(strstr(vfc_error_last()->hint, text));
	CHECK_EQ(entries(), 0);

	fill(vector);
	vector[3].length = 0;
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), EINVAL, VFC_REASON_ARGUMENT);
	vector[3].length = 100;
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), EINVAL, VFC_REASON_ALIGNMENT);
	vector[3] = (struct vfc_mapping){.va = (void *)-PAGE, .length = 2 * PAGE};
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), EINVAL, VFC_REASON_BAD_MEMORY);
	CHECK_EQ(entries(), 0);

	fill(vector);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 2), 0); /* three are needed */
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), ENOSPC, VFC_REASON_ENTRY_LIMIT);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 65535), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, 6 * PAGE), 0);
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), ENOMEM, VFC_REASON_MEMLOCK);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, UINT64_MAX), 0);
	CHECK_EQ(entries(), 0);
}

static int stop(void *argument, uint64_t done, uint64_t length)
{
	(void)argument, (void)done, (void)length;
	return 1;
}

static void bad_options(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};
	struct vfc_mapping vector[BUFFERS];

	fill(vector);
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, &opts), EINVAL, VFC_REASON_ARGUMENT);
	opts.flags = VFC_MAP_IDENTITY;
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, &opts), EINVAL, VFC_REASON_ARGUMENT);
	opts.flags = 0;
	opts.progress = stop;
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, &opts), EINVAL, VFC_REASON_ARGUMENT);
	opts.progress = NULL;
	opts.size = 4;
	refused(vfc_iommu_map_batch(iommu, vector, BUFFERS, &opts), EINVAL, VFC_REASON_ARGUMENT);
	CHECK_EQ(entries(), 0);
}

/* A vector that is not what was mapped, in one way after another, unmaps nothing. */
static void another_vector(void)
{
	struct vfc_mapping vector[BUFFERS], wrong[BUFFERS];

	fill(vector);
	CHECK_EQ(vfc_iommu_map_batch(iommu, vector, BUFFERS, NULL), 0);
	for (size_t i = 0; i < BUFFERS; i++) {
		memcpy(wrong, vector, sizeof(wrong));
		wrong[i].iova += 64 * PAGE;
		CHECK(vfc_iommu_unmap_batch(iommu, wrong, BUFFERS) < 0);
		memcpy(wrong, vector, sizeof(wrong));
		wrong[i].va = memory + 12 * PAGE;
		CHECK(vfc_iommu_unmap_batch(iommu, wrong, BUFFERS) < 0);
		memcpy(wrong, vector, sizeof(wrong));
		wrong[i].length += PAGE;
		CHECK(vfc_iommu_unmap_batch(iommu, wrong, BUFFERS) < 0);
		wrong[i].length = 0;
		CHECK(vfc_iommu_unmap_batch(iommu, wrong, BUFFERS) < 0);
		CHECK_EQ(entries(), 3);
	}
	memcpy(wrong, vector, sizeof(wrong));
	wrong[4].iova += PAGE; /* in the midst of a run */
	refused(vfc_iommu_unmap_batch(iommu, wrong, BUFFERS), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_iommu_unmap_batch(iommu, vector, BUFFERS - 1), EINVAL, VFC_REASON_IOVA);
	CHECK_EQ(entries(), 3);
	CHECK_EQ(vfc_iommu_unmap_batch(iommu, vector, BUFFERS), 0);
	refused(vfc_iommu_unmap_batch(iommu, vector, BUFFERS), ENOENT, VFC_REASON_IOVA);
}

/* A buffer that is given twice is refused before anything is unmapped; the order is free. */
static void given_twice(void)
{
	struct vfc_mapping vector[] = {at(0, 1), at(4, 2), at(8, 1)};
	struct vfc_mapping twice[] = {at(0, 1), at(4, 2), at(0, 1), at(8, 1)}, mixed[3];

	CHECK_EQ(vfc_iommu_map_batch(iommu, vector, 3, NULL), 0);
	twice[0] = twice[2] = vector[0];
	twice[1] = vector[1];
	twice[3] = vector[2];
	refused(vfc_iommu_unmap_batch(iommu, twice, 4), EINVAL, VFC_REASON_ARGUMENT);
	CHECK_EQ(entries(), 3);
	twice[1] = vector[0];
	refused(vfc_iommu_unmap_batch(iommu, twice, 2), EINVAL, VFC_REASON_ARGUMENT);
	CHECK_EQ(entries(), 3);
	mixed[0] = vector[2];
	mixed[1] = vector[0];
	mixed[2] = vector[1];
	CHECK_EQ(vfc_iommu_unmap_batch(iommu, mixed, 3), 0);
	CHECK_EQ(entries(), 0);
}

static void without_a_device(void)
{
	struct vfc_iommu *empty = open_space(NULL);
	struct vfc_mapping vector[] = {at(0, 1)};

	refused(vfc_iommu_map_batch(empty, vector, 1, NULL), ENODEV, VFC_REASON_NO_DEVICE);
	CHECK_EQ(vfc_iommu_close(empty), 0);
}

int main(void)
{
	device = open_in(NULL);
	iommu = vfc_device_iommu(device);
	memory = get_memory(16 * PAGE);
	runs();
	twice_the_same();
	none_of_them();
	bad_options();
	another_vector();
	given_twice();
	without_a_device();
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(munmap(memory, 16 * PAGE), 0);
	return 0;
}
