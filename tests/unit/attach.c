/* SPDX-License-Identifier: MIT */
/* Devices that go from one address space to another, under live mappings. */
#include "iommu/space.h"
#include "space_test.h"

static uint8_t *memory; /* 2 pages */

static int map_at(struct vfc_iommu *space, void *va, uint64_t iova)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};

	return vfc_iommu_map(space, va, PAGE, &opts, &iova);
}

static uint32_t devices(struct vfc_iommu *space)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	return info.devices;
}

/* One IOVA, two memories: DMA goes to that of the space the device is in, or nowhere. */
static void moves(void)
{
	struct vfc_iommu *first = open_space(NULL), *second = open_space(first);
	struct vfc_device *device = open_in(first), *stays = open_in(second);

	CHECK_EQ(map_at(first, memory, 0x10000), 0);
	CHECK_EQ(map_at(second, memory + PAGE, 0x10000), 0);
	CHECK(dma_write(device, 0x10000, "1", 1));
	CHECK_EQ(vfc_device_attach(device, second), 0);
	CHECK(vfc_device_iommu(device) == second);
	CHECK_EQ(devices(first), 0);
	CHECK_EQ(devices(second), 2);
	CHECK(dma_write(device, 0x10000, "2", 1));
	CHECK(memory[0] == '1' && memory[PAGE] == '2');
	CHECK_EQ(vfc_device_attach(device, second), 0); /* again: nothing */
	CHECK_EQ(devices(second), 2);

	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK(vfc_device_iommu(device) == second);
	CHECK_EQ(devices(second), 1);
	CHECK(!dma_write(device, 0x10000, "3", 1));
	CHECK(memory[0] == '1' && memory[PAGE] == '2');
	/* The mappings of a space that nobody is attached to stay, and can be taken back. */
	CHECK_EQ(map_at(first, memory, 0x20000), -ENODEV);
	CHECK_EQ(vfc_iommu_unmap(first, 0x10000, PAGE), 0);
	CHECK_EQ(vfc_device_attach(device, first), 0);
	CHECK(!dma_write(device, 0x10000, "4", 1));
	CHECK_EQ(map_at(first, memory, 0x20000), 0);
	CHECK(dma_write(device, 0x20000, "5", 1));
	CHECK_EQ(memory[0], '5');

	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_device_close(stays), 0);
	CHECK_EQ(vfc_iommu_close(first), 0);
	CHECK_EQ(vfc_iommu_close(second), 0);
}

static void refusals(void)
{
	struct vfc_iommu *here = open_space(NULL), *elsewhere = open_space(NULL);
	struct vfc_device *device = open_in(here);
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "group", .beside = here};
	struct vfc_iommu *none = NULL;
	struct vfc_nic *nic;
	uint32_t id;

	refused(vfc_device_attach(device, elsewhere), EINVAL, VFC_REASON_ARGUMENT);
	CHECK(strstr(vfc_error_last()->hint, "beside"));
	refused(vfc_device_attach(device, NULL), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_iommu_open(&opts, &none), EINVAL, VFC_REASON_ARGUMENT);
	CHECK(!none);
	opts.transport = NULL;
	opts.flags = VFC_IOMMU_PHYSICAL; /* not the caller's to choose */
	refused(vfc_iommu_open(&opts, &none), EINVAL, VFC_REASON_ARGUMENT);
	opts.size = 8;
	refused(vfc_iommu_open(&opts, &none), EINVAL, VFC_REASON_ARGUMENT);

	refused(vfc_device_attach_pasid(device, 1, here), EOPNOTSUPP, VFC_REASON_UNSUPPORTED);
	refused(vfc_device_attach_pasid(device, 0, here), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_device_attach_pasid(device, 1 << 20, here), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_device_attach_pasid(device, 1, NULL), EINVAL, VFC_REASON_ARGUMENT);
	refused(vfc_device_detach_pasid(device, 1), ENOENT, VFC_REASON_ARGUMENT);
	refused(vfc_device_iommufd_id(device, &id), EOPNOTSUPP, VFC_REASON_UNSUPPORTED);
	refused(vfc_iommu_iommufd(here, &id), EOPNOTSUPP, VFC_REASON_UNSUPPORTED);

	/* Its rings are in the space that it is in. */
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	refused(vfc_device_detach(device), EBUSY, VFC_REASON_BUSY);
	refused(vfc_device_attach(device, elsewhere), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(devices(here), 1);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(elsewhere), 0);
	CHECK_EQ(vfc_iommu_close(here), 0);
}

/* A detached device has a way back, so it holds the space that it was in. */
static void holders(void)
{
	struct vfc_iommu *space = open_space(NULL), *beside = open_space(space);
	struct vfc_device *device = open_in(space);

	CHECK_EQ(vfc_device_detach(device), 0);
	refused(vfc_iommu_close(space), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(vfc_device_attach(device, beside), 0);
	CHECK_EQ(vfc_iommu_close(space), 0); /* the first of the two, and it may be */
	refused(vfc_iommu_close(beside), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(beside), 0);
}

/* Away from the space that it opened for itself, which is closed with it all the same. */
static void from_its_own(void)
{
	struct vfc_device *device = open_in(NULL), *other;
	struct vfc_iommu *own = vfc_device_iommu(device), *beside = open_space(own);
	struct vfc_dma dma;

	CHECK_EQ(vfc_device_attach(device, beside), 0);
	other = open_in(own);
	refused(vfc_device_close(device), EBUSY, VFC_REASON_BUSY); /* somebody else is in there */
	CHECK_EQ(vfc_dma_alloc(own, PAGE, NULL, &dma), 0);
	CHECK_EQ(vfc_device_close(other), 0);
	refused(vfc_device_close(device), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_device_attach(device, own), 0);
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_device_close(device), 0); /* detached from its own */
	CHECK_EQ(vfc_iommu_close(beside), 0);
}

/* A transport's page tables are of a space, so whoever changes them has it locked. */
static struct vfc_iommu *home, *target;
static unsigned attached;

static bool is_locked(struct vfc_iommu *space)
{
	return __atomic_load_n(&space->lock.state, __ATOMIC_RELAXED) != 0;
}

static int attach_pasid(struct transport_device *device, uint32_t pasid, struct transport_space *to)
{
	(void)device;
	(void)pasid;
	CHECK(is_locked(target));
	if (to) /* the first one moves the device, too */
		CHECK(is_locked(home));
	attached += to ? 1 : -1u;
	return 0;
}

static void closed(struct transport_device *device)
{
	CHECK(is_locked(home));
	CHECK_EQ(attached, 0);
	transport_fake.close(device);
}

static void locks(void)
{
	const struct transport *real;
	struct transport knows_pasids;
	struct vfc_device *device;

	home = open_space(NULL);
	target = open_space(home);
	device = open_in(home);
	real = home->ops;
	knows_pasids = *real;
	knows_pasids.attach_pasid = attach_pasid;
	knows_pasids.close = closed;
	home->ops = target->ops = &knows_pasids;
	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		CHECK_EQ(vfc_device_attach_pasid(device, pasid, target), 0);
	CHECK_EQ(vfc_device_detach_pasid(device, 2), 0);
	CHECK_EQ(devices(target), 2);
	refused(vfc_iommu_close(target), EBUSY, VFC_REASON_BUSY);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(devices(target), 0);
	CHECK_EQ(vfc_iommu_close(home), 0);
	CHECK_EQ(vfc_iommu_close(target), 0);
}

/* It leaves its space, which it holds, and goes nowhere else. */
static void released(void)
{
	struct vfc_iommu *first = open_space(NULL), *second = open_space(first);
	struct vfc_device *device = open_in(first), *detached = open_in(first);

	CHECK_EQ(vfc_device_detach(detached), 0);
	CHECK_EQ(vfc_device_release(detached), 0);
	CHECK_EQ(map_at(first, memory, 0x10000), 0);
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(devices(first), 0);
	CHECK_EQ(vfc_iommu_unmap(first, 0x10000, PAGE), -ENOENT);
	refused(vfc_device_attach(device, second), ENODEV, VFC_REASON_GONE);
	refused(vfc_device_attach(detached, first), ENODEV, VFC_REASON_GONE);
	refused(vfc_device_attach_pasid(device, 1, second), ENODEV, VFC_REASON_GONE);
	CHECK_EQ(vfc_device_detach(device), 0);
	CHECK_EQ(vfc_iommu_close(first), -EBUSY); /* both hold the space that they were in last */
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_device_close(detached), 0);
	CHECK_EQ(vfc_iommu_close(first), 0);
	CHECK_EQ(vfc_iommu_close(second), 0);
}

int main(void)
{
	memory = get_memory(2 * PAGE);
	moves();
	released();
	refusals();
	holders();
	from_its_own();
	locks();
	CHECK_EQ(munmap(memory, 2 * PAGE), 0);
	return 0;
}
