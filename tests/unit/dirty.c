/* SPDX-License-Identifier: MIT */
/* Dirty pages: the model knows each, so what is read is exact. */
#include "space_test.h"

#define PAGES UINT64_C(130) /* more than two words of bits */
#define PIECE (UINT64_C(64) << 20)

static struct vfc_device *device;
static struct vfc_iommu *iommu;
static uint8_t *memory;

static int64_t read_dirty(uint64_t iova, uint64_t bitmap[3])
{
	memset(bitmap, 0xa5, 3 * sizeof(*bitmap)); /* what was there is no answer */
	return vfc_iommu_dirty_read(iommu, iova, PAGES * PAGE, PAGE, bitmap);
}

static void exact(uint64_t iova)
{
	uint64_t bitmap[3];
	uint8_t data[PAGE] = {1};

	CHECK_EQ(read_dirty(iova, bitmap), 0);
	CHECK(dma_write(device, iova, data, 1));
	CHECK(dma_write(device, iova + 64 * PAGE - 1, data, 2)); /* across two pages, and words */
	CHECK(dma_write(device, iova + (PAGES - 1) * PAGE, data, PAGE));
	CHECK(dma_read(device, iova + 5 * PAGE, data, 1));
	CHECK_EQ(read_dirty(iova, bitmap), 4);
	CHECK_EQ(bitmap[0], UINT64_C(1) | UINT64_C(1) << 63);
	CHECK_EQ(bitmap[1], 1);
	CHECK_EQ(bitmap[2], UINT64_C(1) << 1);
	CHECK_EQ(read_dirty(iova, bitmap), 0); /* reading took them */
}

static void start_and_stop(uint64_t iova)
{
	uint64_t bitmap[3];

	refused(read_dirty(iova, bitmap), EINVAL, VFC_REASON_ARGUMENT);
	CHECK(strstr(vfc_error_last()->hint, "dirty_start"));
	CHECK_EQ(vfc_iommu_dirty_start(iommu), 0);
	exact(iova);
	CHECK(dma_write(device, iova, "x", 1));
	CHECK_EQ(vfc_iommu_dirty_stop(iommu), 0);
	CHECK_EQ(vfc_iommu_dirty_stop(iommu), 0);
	refused(read_dirty(iova, bitmap), EINVAL, VFC_REASON_ARGUMENT);
	CHECK(dma_write(device, iova + PAGE, "x", 1));
	CHECK_EQ(vfc_iommu_dirty_start(iommu), 0);
	CHECK_EQ(read_dirty(iova, bitmap), 0); /* what was before does not count */
	exact(iova);
}

static void bad_requests(uint64_t iova)
{
	uint64_t bitmap[3];

	refused(vfc_iommu_dirty_read(iommu, iova, PAGE, PAGE, bitmap), EINVAL, VFC_REASON_IOVA);
	refused(vfc_iommu_dirty_read(iommu, iova + PAGE, PAGES * PAGE, PAGE, bitmap), EINVAL,
		VFC_REASON_IOVA);
	refused(vfc_iommu_dirty_read(iommu, iova + PAGES * PAGE, PAGE, PAGE, bitmap), ENOENT,
		VFC_REASON_IOVA);
	refused(vfc_iommu_dirty_read(iommu, iova, PAGES * PAGE, 2 * PAGE, bitmap), EINVAL,
		VFC_REASON_ARGUMENT);
	refused(vfc_iommu_dirty_read(iommu, iova, PAGES * PAGE, 0, bitmap), EINVAL,
		VFC_REASON_ARGUMENT);
}

static int go_on(void *argument, uint64_t done, uint64_t length)
{
	(void)argument, (void)done, (void)length;
	return 0;
}

/* One mapping, in two pieces of the kernel's. */
static void pieces(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .progress = go_on};
	uint64_t length = PIECE + 3 * PAGE, words = (length / PAGE + 63) / 64, iova = 0;
	uint64_t *bitmap = calloc(words, sizeof(*bitmap));
	uint8_t *large = get_memory(length);

	CHECK(bitmap);
	CHECK_EQ(vfc_iommu_map(iommu, large, length, &opts, &iova), 0);
	CHECK(dma_write(device, iova + PIECE - 1, "xy", 2)); /* across the two */
	CHECK(dma_write(device, iova + length - 1, "z", 1));
	CHECK_EQ(vfc_iommu_dirty_read(iommu, iova, length, PAGE, bitmap), 3);
	CHECK_EQ(bitmap[words - 2], UINT64_C(1) << 63);
	CHECK_EQ(bitmap[words - 1], UINT64_C(5));
	CHECK_EQ(vfc_iommu_dirty_read(iommu, iova, length, PAGE, bitmap), 0);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, length), 0);
	CHECK_EQ(munmap(large, length), 0);
	free(bitmap);
}

static void without_a_device(void)
{
	struct vfc_iommu *empty = open_space(NULL);

	struct vfc_device *passing;

	refused(vfc_iommu_dirty_start(empty), ENODEV, VFC_REASON_NO_DEVICE);
	passing = open_in(empty);
	CHECK_EQ(vfc_iommu_dirty_start(empty), 0);
	CHECK_EQ(vfc_device_close(passing), 0);
	CHECK_EQ(vfc_iommu_dirty_stop(empty), 0); /* what is over may be ended */
	CHECK_EQ(vfc_iommu_dirty_stop(empty), 0);
	CHECK_EQ(vfc_iommu_close(empty), 0);
}

int main(void)
{
	uint64_t iova = 0;

	device = open_in(NULL);
	iommu = vfc_device_iommu(device);
	memory = get_memory(PAGES * PAGE);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGES * PAGE, NULL, &iova), 0);
	start_and_stop(iova);
	bad_requests(iova);
	pieces();
	without_a_device();
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGES * PAGE), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(munmap(memory, PAGES * PAGE), 0);
	return 0;
}
