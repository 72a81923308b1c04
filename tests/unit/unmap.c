/* SPDX-License-Identifier: MIT */
/* Many mappings taken back at once: which, with how many calls of the kernel's, and all or nothing. */
#include "iommu/space.h"
#include "kernel/sys.h"
#include "space_test.h"
#include "sweep.h"

#define AT UINT64_C(0x40000000)

static struct vfc_device *device;
static struct vfc_iommu *iommu;
static uint8_t *memory; /* 64 pages */

/* The kernel's unmap, counted, and failing at @fail_at: with nothing done, or with part of it. */
static struct transport counting;
static unsigned calls, fail_at;
static uint64_t taken_first; /* bytes that a failing call takes all the same */

static int count_unmap(struct transport_space *space, uint64_t iova, uint64_t length)
{
	calls++;
	if (calls == fail_at) {
		if (taken_first)
			CHECK_EQ(transport_fake.unmap(space, iova, taken_first), 0);
		return vfc_fail(EBUSY, VFC_REASON_NONE, WHERE("the test", NULL, iova, length), "no");
	}
	return transport_fake.unmap(space, iova, length);
}

static void count_from_now(unsigned failing, uint64_t bytes)
{
	counting = transport_fake;
	counting.unmap = count_unmap;
	iommu->ops = &counting;
	calls = 0;
	fail_at = failing;
	taken_first = bytes;
}

static void map_at(uint64_t page, uint64_t pages)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};
	uint64_t iova = AT + page * PAGE;

	CHECK_EQ(vfc_iommu_map(iommu, memory + page * PAGE, pages * PAGE, &opts, &iova), 0);
}

static bool is_mapped(uint64_t page)
{
	struct vfc_mapping found;

	return vfc_iommu_find_iova(iommu, AT + page * PAGE, &found) == 0;
}

/* Two runs, of three mappings and of one: pages 2-3 4 5-7, 10. */
static void fill(void)
{
	map_at(2, 2);
	map_at(4, 1);
	map_at(5, 3);
	map_at(10, 1);
	CHECK_EQ(live(device), 4);
}

static int64_t unmap_pages(uint64_t page, uint64_t pages)
{
	return vfc_iommu_unmap_range(iommu, AT + page * PAGE, pages * PAGE);
}

static void ranges(void)
{
	fill();
	count_from_now(0, 0);
	CHECK_EQ(unmap_pages(0, 2), 0);
	CHECK_EQ(unmap_pages(8, 2), 0);
	CHECK_EQ(unmap_pages(11, 50), 0);
	CHECK_EQ(calls, 0);
	CHECK_EQ(unmap_pages(4, 1), PAGE); /* the middle one of the run */
	CHECK(is_mapped(3) && !is_mapped(4) && is_mapped(5));
	CHECK_EQ(calls, 1);
	CHECK_EQ(unmap_pages(4, 16), 4 * PAGE); /* from a gap to a gap */
	CHECK_EQ(calls, 3);
	CHECK_EQ(live(device), 1);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 2 * PAGE);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 0);
	CHECK_EQ(live(device), 0);
}

static void a_run_is_one_call(void)
{
	for (uint64_t i = 0; i < 64; i++)
		map_at(i, 1);
	count_from_now(0, 0);
	CHECK_EQ(unmap_pages(8, 48), 48 * PAGE);
	CHECK_EQ(calls, 1);
	CHECK_EQ(live(device), 16);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 16 * PAGE);
	CHECK_EQ(calls, 3);
	CHECK_EQ(live(device), 0);
}

static void whole_or_not_at_all(void)
{
	fill();
	count_from_now(0, 0);
	refused(unmap_pages(3, 4), EINVAL, VFC_REASON_IOVA);
	CHECK(strstr(vfc_error_last()->hint, "0x40003000, the first address of the range, is in the midst "
					     "of the mapping 0x40002000-0x40003fff"));
	refused(unmap_pages(2, 4), EINVAL, VFC_REASON_IOVA);
	CHECK(strstr(vfc_error_last()->hint, "0x40005fff, the last address of the range"));
	CHECK_EQ(vfc_error_last()->iova, AT + 5 * PAGE);
	CHECK_EQ(vfc_error_last()->length, 3 * PAGE);
	refused(unmap_pages(6, 1), EINVAL, VFC_REASON_IOVA);
	refused(vfc_iommu_unmap_range(iommu, AT + 2 * PAGE, 2 * PAGE - 1), EINVAL, VFC_REASON_IOVA);
	refused(vfc_iommu_unmap_range(iommu, AT + 2 * PAGE + 1, 2 * PAGE), EINVAL, VFC_REASON_IOVA);
	CHECK_EQ(calls, 0);
	CHECK_EQ(live(device), 4);
	/* The edges need no alignment where they are in a gap. */
	CHECK_EQ(vfc_iommu_unmap_range(iommu, AT + 2 * PAGE - 1, 6 * PAGE + 2), 6 * PAGE);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
}

static void bad_ranges(void)
{
	fill();
	refused(unmap_pages(2, 0), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_iommu_unmap_range(iommu, AT, UINT64_MAX), EINVAL, VFC_REASON_ARGUMENT);
	CHECK_EQ(live(device), 4);
	CHECK_EQ(vfc_iommu_unmap_range(iommu, UINT64_MAX, 1), 0);
	CHECK_EQ(vfc_iommu_unmap_range(iommu, AT, UINT64_MAX - AT + 1), 7 * PAGE);
}

/* A kernel that fails on a run may work on each, or have taken some of it. */
static void a_run_that_fails(void)
{
	fill();
	count_from_now(1, 0);
	CHECK_EQ(unmap_pages(0, 9), 6 * PAGE);
	CHECK_EQ(calls, 4);
	CHECK_EQ(live(device), 1);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);

	fill();
	count_from_now(1, 3 * PAGE);
	CHECK_EQ(unmap_pages(0, 9), 6 * PAGE);
	CHECK_EQ(live(device), 1);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
}

/* One that fails for good is in the books, and so is what was not tried. */
static int fail_on_4(struct transport_space *space, uint64_t iova, uint64_t length)
{
	if (iova <= AT + 4 * PAGE && AT + 4 * PAGE < iova + length)
		return vfc_fail(EIO, VFC_REASON_MALFORMED, WHERE("the test", NULL, iova, length), "never");
	return transport_fake.unmap(space, iova, length);
}

static void one_that_fails(void)
{
	fill();
	count_from_now(0, 0);
	counting.unmap = fail_on_4;
	refused(unmap_pages(0, 20), EIO, VFC_REASON_MALFORMED);
	CHECK(!is_mapped(2) && is_mapped(4) && is_mapped(5) && is_mapped(10));
	CHECK_EQ(live(device), 3);
	refused(vfc_iommu_unmap_all(iommu), EIO, VFC_REASON_MALFORMED);
	counting.unmap = transport_fake.unmap;
	CHECK_EQ(vfc_iommu_unmap_all(iommu), 5 * PAGE);
	CHECK_EQ(live(device), 0);
}

/* Where nothing translates neighbours are so by chance. */
static void physical(void)
{
	fill();
	count_from_now(0, 0);
	iommu->physical = true;
	CHECK_EQ(unmap_pages(0, 9), 6 * PAGE);
	CHECK_EQ(calls, 3);
	iommu->physical = false;
	CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
}

static int while_it_is_made(void *argument, uint64_t done, uint64_t length)
{
	(void)argument, (void)done, (void)length;
	refused(unmap_pages(0, 30), EBUSY, VFC_REASON_BUSY);
	refused(vfc_iommu_unmap_all(iommu), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(unmap_pages(10, 1), PAGE); /* another one */
	return 0;
}

static void in_the_making(void)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED,
				    .progress = while_it_is_made};
	uint64_t iova = AT + 20 * PAGE;

	fill();
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &opts, &iova), 0);
	CHECK_EQ(live(device), 4);
	CHECK_EQ(unmap_pages(0, 30), 7 * PAGE);
}

/* A DMA buffer is still to be freed. */
static void buffers(void)
{
	struct vfc_dma dma;

	CHECK_EQ(vfc_dma_alloc(iommu, 3 * PAGE, NULL, &dma), 0);
	CHECK_EQ(vfc_iommu_unmap_range(iommu, dma.iova, dma.length), 3 * PAGE);
	((uint8_t *)dma.va)[0] = 1;
	CHECK_EQ(vfc_dma_free(&dma), 0);
}

static int map_and_unmap(void)
{
	struct vfc_mapping vector[] = {{.va = memory, .length = PAGE},
				       {.va = memory + 2 * PAGE, .length = PAGE},
				       {.va = memory + 4 * PAGE, .length = PAGE}};
	struct vfc_device *own;
	uint64_t entries;
	int rc = 0;

	if (note(&rc, vfc_device_open("fake:e1000e", NULL, &own)) < 0)
		return rc;
	if (note(&rc, vfc_iommu_map_batch(vfc_device_iommu(own), vector, 3, NULL)) == 0)
		note(&rc, (int)vfc_iommu_unmap_range(vfc_device_iommu(own), 1, UINT64_MAX));
	CHECK_EQ(vfc_device_iommu(own)->map.count, 0);
	CHECK_EQ(vfc_fake_get(own, VFC_FAKE_MAPPINGS, &entries), 0);
	CHECK_EQ(entries, 0);
	CHECK_EQ(vfc_device_close(own), 0);
	return rc;
}

int main(void)
{
	device = open_in(NULL);
	iommu = vfc_device_iommu(device);
	memory = get_memory(64 * PAGE);
	ranges();
	a_run_is_one_call();
	whole_or_not_at_all();
	bad_ranges();
	a_run_that_fails();
	one_that_fails();
	physical();
	in_the_making();
	buffers();
	CHECK_EQ(live(device), 0);
	iommu->ops = &transport_fake;
	CHECK_EQ(vfc_device_close(device), 0);
	sweep("unmap", map_and_unmap);
	CHECK_EQ(munmap(memory, 64 * PAGE), 0);
	return 0;
}
