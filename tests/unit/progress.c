/* SPDX-License-Identifier: MIT */
/* A mapping in the making: what others do to its space while its progress function is called. */
#include "iommu/space.h"
#include "space_test.h"

#define AT UINT64_C(0x40000000)

static uint8_t *memory; /* one page */

static int map_at(struct vfc_iommu *space, uint64_t iova)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};

	return vfc_iommu_map(space, memory, PAGE, &opts, &iova);
}

static int map_slowly(struct vfc_iommu *space, void *va, uint64_t iova, vfc_map_progress progress,
		      void *argument)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED,
				    .progress = progress, .progress_argument = argument};

	return vfc_iommu_map(space, va, PAGE, &opts, &iova);
}

/* The space cannot go away under it, not even with the device that it is of. */
static int close_device(void *argument, uint64_t done, uint64_t length)
{
	(void)done;
	(void)length;
	refused(vfc_device_close(argument), EBUSY, VFC_REASON_BUSY);
	return 0;
}

static int close_space(void *argument, uint64_t done, uint64_t length)
{
	struct vfc_device *device = argument;
	struct vfc_iommu *space = vfc_device_iommu(device);

	(void)done;
	(void)length;
	CHECK_EQ(vfc_device_close(device), 0);
	refused(vfc_iommu_close(space), EBUSY, VFC_REASON_BUSY);
	return 0;
}

static void closes(void)
{
	struct vfc_device *device = open_in(NULL);
	struct vfc_iommu *space;

	CHECK_EQ(map_slowly(vfc_device_iommu(device), memory, AT, close_device, device), 0);
	CHECK_EQ(live(device), 1);
	CHECK_EQ(vfc_device_close(device), 0);

	space = open_space(NULL);
	device = open_in(space);
	CHECK_EQ(map_slowly(space, memory, AT, close_space, device), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
}

/* Its buffer was unmapped, and somebody maps the same memory at the same place. */
static int free_buffer(void *argument, uint64_t done, uint64_t length)
{
	(void)done;
	(void)length;
	refused(vfc_dma_free(argument), EBUSY, VFC_REASON_BUSY);
	return 0;
}

static void frees(void)
{
	struct vfc_device *device = open_in(NULL);
	struct vfc_iommu *space = vfc_device_iommu(device);
	struct vfc_dma dma;

	CHECK_EQ(vfc_dma_alloc(space, PAGE, NULL, &dma), 0);
	CHECK_EQ(vfc_iommu_unmap_all(space), PAGE);
	CHECK_EQ(map_slowly(space, dma.va, dma.iova, free_buffer, &dma), 0);
	CHECK_EQ(live(device), 1);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(live(device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* What the kernel did not take back stays in the books, for which there is room then, too. */
#define STEP (2 * PAGE)
#define BEFORE 28 /* and the next one becomes the first of a leaf */

static int fill(void *argument, uint64_t done, uint64_t length)
{
	struct vfc_iommu *space = argument;
	uint64_t next = AT + (BEFORE + 1) * STEP;

	(void)done;
	(void)length;
	for (int i = 0; i < 4; i++, next += STEP)
		CHECK_EQ(map_at(space, next), 0);
	for (int i = 0; i < 4; i++) /* the leaf before is full */
		CHECK_EQ(map_at(space, AT + PAGE + (uint64_t)i * STEP), 0);
	for (int i = 0; tree_holds(&space->map.by_iova, RUN_LENGTH); i++, next += STEP) {
		CHECK(i < 5000);
		CHECK_EQ(map_at(space, next), 0);
	}
	return 1;
}

static int unmap_fails(struct transport_space *space, uint64_t iova, uint64_t length)
{
	(void)space;
	return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.iova = iova, .length = length), "as told");
}

static void keeps(void)
{
	struct vfc_device *device = open_in(NULL);
	struct vfc_iommu *space = vfc_device_iommu(device);
	const struct transport *real = space->ops;
	struct transport deaf = *real;
	uint64_t iova = AT + BEFORE * STEP;
	struct vfc_mapping found;

	for (uint64_t i = 0; i < BEFORE; i++)
		CHECK_EQ(map_at(space, AT + i * STEP), 0);
	deaf.unmap = unmap_fails;
	space->ops = &deaf;
	refused(map_slowly(space, memory, iova, fill, space), ECANCELED, VFC_REASON_NONE);
	space->ops = real;
	CHECK_EQ(vfc_iommu_find_iova(space, iova, &found), 0);
	CHECK(found.iova == iova && found.length == PAGE);
	CHECK(live(device) > BEFORE);
	CHECK(vfc_iommu_unmap_all(space) > 0);
	CHECK_EQ(live(device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

int main(void)
{
	memory = get_memory(PAGE);
	closes();
	frees();
	keeps();
	CHECK_EQ(munmap(memory, PAGE), 0);
	return 0;
}
