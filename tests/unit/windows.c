/* SPDX-License-Identifier: MIT */
/* Devices that come late, with fewer addresses, and leave again: windows narrow, and widen. */
#include "iommu/space.h"
#include "space_test.h"

#define GIB UINT64_C(0x40000000)

static uint8_t *memory;

/* The device that cannot reach beyond 4 GiB has left. */
static void wide_again(struct vfc_iommu *space)
{
	struct vfc_map_opts at = {.size = sizeof(at), .flags = VFC_MAP_FIXED};
	struct vfc_iova_range windows[4];
	uint64_t high = 5 * GIB;

	CHECK_EQ(vfc_iommu_ranges(space, windows, 4), 2);
	CHECK_EQ(windows[1].last, (UINT64_C(1) << 39) - 1);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, &at, &high), 0);
	CHECK_EQ(vfc_iommu_unmap(space, high, PAGE), 0);
}

static void late_opens(struct vfc_iommu *space, struct vfc_device *first)
{
	struct vfc_device_opts in = {.size = sizeof(in), .iommu = space};
	struct vfc_map_opts at = {.size = sizeof(at), .flags = VFC_MAP_FIXED};
	struct vfc_iova_range windows[4];
	uint64_t low = 3 * GIB, high = 5 * GIB;
	struct vfc_device *second;

	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, &at, &low), 0);
	CHECK_EQ(vfc_iommu_map(space, memory, 2 * PAGE, &at, &high), 0);
	CHECK_EQ(vfc_fake_set(first, VFC_FAKE_HIGHEST, 0xffffffff), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_IOVA);
	CHECK_EQ(vfc_error_last()->iova, high);
	CHECK(strstr(vfc_error_last()->hint, "cannot use 0x100000000-0xffffffffffffffff (reserved), "
					     "where 0x140000000-0x140001fff is mapped"));
	CHECK_EQ(vfc_iommu_ranges(space, windows, 4), 2);
	CHECK_EQ(windows[1].last, (UINT64_C(1) << 39) - 1); /* nothing has changed */

	CHECK_EQ(vfc_iommu_unmap(space, high, 2 * PAGE), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), 0);
	CHECK_EQ(vfc_iommu_ranges(space, windows, 4), 2);
	CHECK_EQ(windows[1].last, 0xffffffff);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, &at, &high), -EINVAL);
	CHECK_EQ(vfc_iommu_unmap(space, low, PAGE), 0);
	CHECK_EQ(vfc_device_close(second), 0);
	wide_again(space);
}

/* The same, for a device that comes from another space. */
static void late_attach(struct vfc_iommu *space, struct vfc_device *first)
{
	struct vfc_iommu_opts beside = {.size = sizeof(beside), .beside = space};
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *second;
	uint64_t iova;

	CHECK_EQ(vfc_iommu_open(&beside, &in.iommu), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), 0);
	CHECK_EQ(vfc_iommu_map(space, memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_fake_set(first, VFC_FAKE_HIGHEST, iova - 1), 0);
	CHECK_EQ(vfc_device_attach(second, space), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "is mapped already"));
	CHECK(vfc_device_iommu(second) == in.iommu);
	CHECK_EQ(vfc_iommu_unmap(space, iova, PAGE), 0);
	CHECK_EQ(vfc_device_attach(second, space), 0);
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_iommu_close(in.iommu), 0);
}

static int no_info(struct transport_space *space, struct transport_space_info *info)
{
	(void)space, (void)info;
	return vfc_fail(EIO, VFC_REASON_NONE, NOWHERE, "no answer");
}

/* Each way to leave; and when the kernel does not answer, the windows stay narrow. */
static void windows_widen(struct vfc_iommu *space, struct vfc_device *first)
{
	struct vfc_iommu_opts beside = {.size = sizeof(beside), .beside = space};
	struct vfc_device_opts in = {.size = sizeof(in), .iommu = space};
	struct transport deaf = transport_fake;
	struct vfc_iova_range windows[4];
	struct vfc_iommu *other;
	struct vfc_device *second;

	CHECK_EQ(vfc_iommu_open(&beside, &other), 0);
	CHECK_EQ(vfc_fake_set(first, VFC_FAKE_HIGHEST, 0xffffffff), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), 0);
	CHECK_EQ(vfc_device_attach(second, other), 0);
	wide_again(space);
	CHECK_EQ(vfc_device_attach(second, space), 0);
	CHECK_EQ(vfc_device_detach(second), 0);
	wide_again(space);
	CHECK_EQ(vfc_device_attach(second, space), 0);
	CHECK_EQ(vfc_device_release(second), 0);
	wide_again(space);
	CHECK_EQ(vfc_device_close(second), 0);

	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &second), 0);
	deaf.space_info = no_info;
	space->ops = &deaf;
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(vfc_iommu_ranges(space, windows, 4), 2);
	CHECK_EQ(windows[1].last, 0xffffffff);
	space->ops = &transport_fake;
	CHECK_EQ(vfc_iommu_close(other), 0);
	CHECK_EQ(vfc_fake_set(first, VFC_FAKE_HIGHEST, FAKE_HIGHEST), 0);
}

int main(void)
{
	struct vfc_iommu *space = open_space(NULL);
	struct vfc_device *first = open_in(space);

	memory = get_memory(2 * PAGE);
	late_opens(space, first);
	late_attach(space, first);
	windows_widen(space, first);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	CHECK_EQ(munmap(memory, 2 * PAGE), 0);
	return 0;
}
