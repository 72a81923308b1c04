/* SPDX-License-Identifier: MIT */
/* The fake transport answers as the kernel does: limits, windows, interrupt states, regions. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfiocore.h>

#include "device/device.h"
#include "kernel/sys.h"
#include "test.h"
#include "transport/model/fake.h"

#define PAGE 4096
#define SECOND INT64_C(1000000000)

static struct vfc_device *device;
static uint8_t *memory; /* 16 pages */

static uint64_t knob(uint32_t which)
{
	uint64_t value;

	CHECK_EQ(vfc_fake_get(device, which, &value), 0);
	return value;
}

static int map_at(void *va, uint64_t length, uint64_t iova)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};

	return vfc_iommu_map(vfc_device_iommu(device), va, length, &opts, &iova);
}

static int unmap(uint64_t iova, uint64_t length)
{
	return vfc_iommu_unmap(vfc_device_iommu(device), iova, length);
}

/* Past the library's own checks: the transport itself. */
static int raw_map(void *va, uint64_t iova, uint64_t length, uint32_t flags)
{
	struct fake_device *fake = (struct fake_device *)device->transport;

	return fake->base.ops->map(&fake->space->base,
				   &(struct transport_memory){.va = va, .fd = -1}, &iova, length,
				   flags);
}

static void mappings(void)
{
	const uint32_t both = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	CHECK_EQ(map_at(memory, 4 * PAGE, 0x100000), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 1);
	CHECK_EQ(knob(VFC_FAKE_PINNED), 4 * PAGE);
	for (uint64_t at = 0x100000 - PAGE; at <= 0x103000; at += PAGE)
		CHECK_EQ(map_at(memory, 2 * PAGE, at), -EEXIST);
	CHECK_EQ(raw_map(memory, 0x102000, PAGE, both), -EEXIST);
	CHECK_EQ(raw_map(memory, 0xfee00000, PAGE, both), -EINVAL);
	CHECK_EQ(raw_map(memory, UINT64_C(1) << 39, PAGE, both), -EINVAL);
	CHECK_EQ(raw_map(memory, 0x200800, PAGE, both), -EINVAL);
	CHECK_EQ(raw_map(memory, 0x200000, 0, both), -EINVAL);
	CHECK_EQ(raw_map(memory, UINT64_MAX - PAGE + 1, 2 * PAGE, both), -EINVAL);
	CHECK_EQ(unmap(0x100000, PAGE), -EINVAL);
	CHECK_EQ(unmap(0x101000, PAGE), -EINVAL);
	CHECK_EQ(unmap(0x200000, PAGE), -ENOENT);
	CHECK_EQ(unmap(0x100000, 4 * PAGE), 0);
	CHECK_EQ(unmap(0x100000, 4 * PAGE), -ENOENT);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(knob(VFC_FAKE_PINNED), 0);
}

static void bad_memory(void)
{
	uint8_t *two = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_READ};
	uint64_t iova;

	CHECK(two != MAP_FAILED);
	CHECK_EQ(map_at(two, 2 * PAGE, 0x100000), -EFAULT); /* not writable */
	CHECK_EQ(vfc_iommu_map(vfc_device_iommu(device), two, 2 * PAGE, &opts, &iova), 0);
	CHECK_EQ(unmap(iova, 2 * PAGE), 0);
	CHECK_EQ(munmap(two + PAGE, PAGE), 0);
	CHECK_EQ(map_at(two, 2 * PAGE, 0x100000), -EFAULT);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_BAD_MEMORY);
	CHECK_EQ(vfc_error_last()->iova, 0x100000);
	CHECK_EQ(munmap(two, PAGE), 0);
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
}

static void limits(void)
{
	CHECK_EQ(knob(VFC_FAKE_ENTRY_LIMIT), 65535);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 2), 0);
	CHECK_EQ(map_at(memory, PAGE, 0x1000), 0);
	CHECK_EQ(map_at(memory, PAGE, 0x2000), 0);
	CHECK_EQ(map_at(memory, PAGE, 0x3000), -ENOSPC);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ENTRY_LIMIT);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_ENTRY_LIMIT, 65535), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, 3 * PAGE), 0);
	CHECK_EQ(map_at(memory, 2 * PAGE, 0x3000), -ENOMEM);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_MEMLOCK);
	CHECK(strstr(vfc_error_last()->hint, "8 KiB"));
	CHECK_EQ(map_at(memory, PAGE, 0x3000), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_MEMLOCK_LIMIT, UINT64_MAX), 0);
	CHECK_EQ(vfc_iommu_unmap_all(vfc_device_iommu(device)), 3 * PAGE);
	CHECK_EQ(knob(VFC_FAKE_PINNED), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_FAULTS, 0), -EINVAL);
	CHECK_EQ(vfc_fake_set(device, 99, 0), -EINVAL);
}

struct set {
	struct vfio_irq_set head;
	int32_t fds[8];
};

static int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count, int fd)
{
	struct transport_device *inner = device->transport;
	struct set set = {.head = {.argsz = sizeof(set), .flags = flags, .index = index,
				   .start = start, .count = count}};

	for (int i = 0; i < 8; i++)
		set.fds[i] = fd;
	return inner->ops->set_irqs(inner, (struct vfio_irq_set *)(void *)&set);
}

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK

static uint64_t fired(int fd)
{
	uint64_t count = 0;
	ssize_t n = read(fd, &count, sizeof(count));

	return n == sizeof(count) ? count : 0;
}

static void msix_states(int fd)
{
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 0, 0), -EINVAL); /* not on */
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 1, 0), -EINVAL);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 0, 6, fd), -EINVAL);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 5, 1, fd), -EINVAL);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 0, 1, -7), -EBADF);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 0, 2, fd), 0);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 2, 3, fd), 0); /* grows */
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSI, 0, 1, fd), -EINVAL);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_INTX, 0, 1, fd), -EINVAL);
	CHECK_EQ(set_irqs(NONE | MASK, VFC_IRQ_MSIX, 0, 1, 0), -ENOTTY);
	CHECK_EQ(set_irqs(NONE | UNMASK, VFC_IRQ_MSIX, 0, 1, 0), -ENOTTY);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 5, 0), 0);
	CHECK_EQ(fired(fd), 5);
	CHECK_EQ(set_irqs(BOOL | TRIGGER, VFC_IRQ_MSIX, 0, 1, 0), 0);
	CHECK_EQ(fired(fd), 0);
	CHECK_EQ(set_irqs(BOOL | TRIGGER, VFC_IRQ_MSIX, 0, 1, 1), 0);
	CHECK_EQ(fired(fd), 1);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 0, 1, -1), 0);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 1, 0), 0);
	CHECK_EQ(fired(fd), 0);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 0, 0), 0);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 1, 0), -EINVAL);
}

static void raise_line(void)
{
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RAISE, 0), 0);
}

/* INTx is masked, and its line down. */
static void unmask_by_eventfd(int fd)
{
	int unmask = sys_eventfd();

	CHECK(unmask >= 0);
	CHECK_EQ(set_irqs(EVENTFD | UNMASK, VFC_IRQ_INTX, 0, 1, unmask), 0);
	CHECK_EQ(set_irqs(EVENTFD | UNMASK, VFC_IRQ_INTX, 0, 1, unmask), -EBUSY);
	raise_line();
	CHECK_EQ(fired(fd), 0);
	sys_eventfd_raise(unmask);
	CHECK_SOON(fired(fd) == 1);
	CHECK_EQ(fired(unmask), 0); /* the kernel took it */
	CHECK_EQ(set_irqs(EVENTFD | UNMASK, VFC_IRQ_INTX, 0, 1, -1), 0);
	sys_close(unmask);
}

/* What Linux before 6.5 does. */
static void noresize_states(int fd)
{
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_NORESIZE, 1), 0);
	CHECK_EQ(knob(VFC_FAKE_NORESIZE), 1);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 1, 1, fd), 0);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 0, 2, fd), 0);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSIX, 2, 1, fd), -EINVAL);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSIX, 0, 0, 0), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_NORESIZE, 0), 0);
}

static void intx_states(int fd)
{
	CHECK_EQ(set_irqs(NONE | UNMASK, VFC_IRQ_INTX, 0, 1, 0), -EINVAL);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_INTX, 0, 1, fd), 0);
	raise_line();
	raise_line();
	CHECK_EQ(fired(fd), 1); /* masked when it fired */
	CHECK_EQ(set_irqs(BOOL | UNMASK, VFC_IRQ_INTX, 0, 1, 0), 0);
	CHECK_EQ(fired(fd), 0);
	CHECK_EQ(set_irqs(NONE | UNMASK, VFC_IRQ_INTX, 0, 1, 0), 0);
	CHECK_EQ(fired(fd), 1); /* the line was still up */
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_INTX, 0, 1, 0), 0);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_INTX, 0, 1, 0), 0);
	CHECK_EQ(fired(fd), 2); /* the loopback knows no mask */
	CHECK_EQ(set_irqs(EVENTFD | MASK, VFC_IRQ_INTX, 0, 1, fd), -ENOTTY);
	unmask_by_eventfd(fd);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_INTX, 0, 0, 0), 0);
}

static void single_states(int fd, uint32_t index)
{
	CHECK_EQ(set_irqs(NONE | TRIGGER, index, 0, 1, 0), -EINVAL);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, index, 0, 1, fd), 0);
	CHECK_EQ(set_irqs(EVENTFD | TRIGGER, VFC_IRQ_MSI, 0, 1, fd), 0); /* beside it */
	CHECK_EQ(set_irqs(NONE | TRIGGER, index, 0, 1, 0), 0);
	CHECK_EQ(fired(fd), 1);
	CHECK_EQ(set_irqs(NONE | MASK, index, 0, 1, 0), -ENOTTY);
	CHECK_EQ(set_irqs(NONE | TRIGGER, VFC_IRQ_MSI, 0, 0, 0), 0);
	CHECK_EQ(set_irqs(NONE | TRIGGER, index, 0, 0, 0), 0);
}

static void irqs(void)
{
	int fd = sys_eventfd();

	CHECK(fd >= 0);
	CHECK_EQ(set_irqs(NONE | TRIGGER, 5, 0, 1, 0), -EINVAL);
	CHECK_EQ(set_irqs(NONE, VFC_IRQ_MSIX, 0, 1, 0), -EINVAL);
	CHECK_EQ(set_irqs(NONE | BOOL | TRIGGER, VFC_IRQ_MSIX, 0, 1, 0), -EINVAL);
	CHECK_EQ(set_irqs(1 << 9, VFC_IRQ_MSIX, 0, 1, 0), -EINVAL);
	msix_states(fd);
	intx_states(fd);
	noresize_states(fd);
	single_states(fd, VFC_IRQ_ERR);
	single_states(fd, VFC_IRQ_REQ);
	close(fd);
}

/* The device raises interrupts by itself: INTx is masked by each, MSI needs bus mastering. */
static void delivery(void)
{
	volatile uint8_t *bar;
	volatile void *map;
	struct vfc_irq *irq;

	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &map), 0);
	bar = map;
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_INTX, 1, &irq), 0);
	vfc_mmio_write32(bar + 0xd0, 4); /* IMS: link status change */
	vfc_mmio_write32(bar + 0xc8, 4); /* ICS */
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), 0);
	vfc_mmio_write32(bar + 0xc8, 4);
	CHECK_EQ(vfc_irq_wait(irq, 0, 2000000, NULL), -ETIMEDOUT);
	CHECK_EQ(vfc_irq_unmask(irq), 0);
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), 0);
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSI, 1, &irq), 0);
	vfc_mmio_write32(bar + 0xc8, 4);
	CHECK_EQ(vfc_irq_wait(irq, 0, 2000000, NULL), -ETIMEDOUT);
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), 0);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	CHECK_EQ(vfc_irq_close(irq), 0);
	vfc_mmio_write32(bar + 0xd8, 0xffffffff); /* IMC */
}

static uint64_t config(uint64_t offset, uint32_t width)
{
	uint64_t value;

	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, offset, width, &value), 0);
	return value;
}

static void config_space(void)
{
	static const struct vfc_pci_cap expected[] = {
		{.id = 0x01, .offset = 0xc8}, {.id = 0x05, .offset = 0xd0},
		{.id = 0x10, .offset = 0xe0}, {.id = 0x11, .offset = 0xa0},
		{.id = 0x01, .offset = 0x100, .version = 1, .extended = 1},
		{.id = 0x03, .offset = 0x140, .version = 1, .extended = 1},
	};
	struct vfc_pci_cap caps[8];

	CHECK_EQ(config(0, 4), 0x10d38086);
	CHECK_EQ(config(8, 4) >> 8, 0x020000);
	CHECK_EQ(config(0xa2, 2), 4); /* five vectors */
	CHECK_EQ(vfc_pci_caps(device, caps, 8), 6);
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(caps[i].id, expected[i].id);
		CHECK_EQ(caps[i].offset, expected[i].offset);
		CHECK_EQ(caps[i].extended, expected[i].extended);
		CHECK_EQ(caps[i].version, expected[i].version);
	}
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, 0, 4, 0), 0); /* read only */
	CHECK_EQ(config(0, 4), 0x10d38086);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, 0x1c, 4, 0xffffffff), 0);
	CHECK_EQ(config(0x1c, 4), 0xffffc000); /* BAR3's size */
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(config(4, 2), 7);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	CHECK_EQ(config(4, 2), 3);
}

static void regions(void)
{
	static const uint64_t lengths[] = {0x20000, 0x20000, 32, 0x4000, 0, 0, 0, 4096, 0};
	struct vfc_region_info info = {.size = sizeof(info)};
	volatile void *map, *again;
	uint64_t value;

	for (uint32_t i = 0; i < 9; i++) {
		CHECK_EQ(vfc_region_info(device, i, &info), 0);
		CHECK_EQ(info.length, lengths[i]);
	}
	CHECK_EQ(vfc_region_info(device, 9, &info), -EINVAL);
	CHECK_EQ(vfc_region_info(device, 3, &info), 0);
	CHECK_EQ(info.areas, 2);
	/* The table's page and that of the pending bits cannot be mapped, only accessed. */
	CHECK_EQ(vfc_region_map(device, 3, 0, PAGE, &map), -EINVAL);
	CHECK_EQ(vfc_region_map(device, 3, 0x1000, 2 * PAGE, &map), -EINVAL);
	CHECK_EQ(vfc_region_map(device, 3, 0x1000, PAGE, &map), 0);
	CHECK_EQ(vfc_region_map(device, 3, 0x3000, 0, &again), 0);
	CHECK(map != again);
	CHECK_EQ(vfc_region_write(device, 3, 0x10, 4, 0x12345678), 0);
	CHECK_EQ(vfc_region_read(device, 3, 0x10, 4, &value), 0);
	CHECK_EQ(value, 0x12345678);
	CHECK_EQ(vfc_region_write(device, 3, 0x3010, 2, 0xbeef), 0);
	CHECK_EQ(vfc_mmio_read16((volatile uint8_t *)again + 0x10), 0xbeef);
	CHECK_EQ(vfc_region_map(device, 2, 0, 0, &map), -EOPNOTSUPP);
	CHECK_EQ(vfc_region_write(device, 2, 4, 4, 0xcafe), 0);
	CHECK_EQ(vfc_region_read(device, 2, 4, 4, &value), 0);
	CHECK_EQ(value, 0xcafe);
}

/* Registers that the model serves: NVM, PHY, reset, link. */
static void registers(void)
{
	volatile void *map;
	volatile uint8_t *bar;

	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &map), 0);
	bar = map;
	CHECK_EQ(vfc_mmio_read32(bar + 0x5400), 0x12005452);
	CHECK_EQ(vfc_mmio_read32(bar + 0x5404), 0x80005634);
	vfc_mmio_write32(bar + 0x14, 1 | 2 << 2);
	CHECK_SOON(vfc_mmio_read32(bar + 0x14) & 2);
	CHECK_EQ(vfc_mmio_read32(bar + 0x14) >> 16, 0x5634);
	vfc_mmio_write32(bar + 0x20, 2 << 16 | 1 << 21 | 2 << 26);
	CHECK_SOON(vfc_mmio_read32(bar + 0x20) & 1 << 28);
	CHECK_EQ(vfc_mmio_read32(bar + 0x20) & 0xffff, 0x0141);
	vfc_mmio_write32(bar + 0x5400, 1);
	vfc_mmio_write32(bar, 1 << 26);
	CHECK_SOON(!(vfc_mmio_read32(bar) & 1 << 26));
	CHECK_EQ(vfc_mmio_read32(bar + 0x5400), 0x12005452);
	CHECK_SOON(vfc_mmio_read32(bar + 8) & 2);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_LINK, 0), 0);
	CHECK_SOON(!(vfc_mmio_read32(bar + 8) & 2));
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_LINK, 1), 0);
	CHECK_EQ(vfc_device_reset(device), 0);
	CHECK_EQ(knob(VFC_FAKE_RESETS), 1);
}

/* DMA ends before a reset; one that would hit others is refused, and they are named. */
static void resets(void)
{
	struct vfc_reset_device hit[2];

	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(vfc_device_reset(device), 0);
	CHECK_EQ(config(4, 2), 3);
	CHECK_EQ(vfc_device_hot_reset_info(device, NULL, 0), 1);
	CHECK_EQ(vfc_device_hot_reset_info(device, hit, 2), 1);
	CHECK_EQ(hit[0].owned, 1);
	CHECK_EQ(hit[0].id, 1);
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(vfc_device_hot_reset(device), 0);
	CHECK_EQ(config(4, 2), 3);
	CHECK_EQ(knob(VFC_FAKE_RESETS), 3);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_STRANGER, 1), 0);
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(vfc_device_hot_reset_info(device, hit, 2), 2);
	CHECK_EQ(hit[1].owned, 0);
	CHECK_EQ(vfc_device_hot_reset(device), -EBUSY);
	CHECK(strstr(vfc_error_last()->hint, "0000:00:00.1"));
	CHECK_EQ(config(4, 2), 7); /* nothing has changed */
	CHECK_EQ(knob(VFC_FAKE_RESETS), 3);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_STRANGER, 0), 0);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
}

static void pulled(void)
{
	struct vfc_nic *nic;
	uint64_t value;

	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 1), 0);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
	CHECK_EQ(vfc_device_reset(device), -EIO);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), -ENODEV);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 0), 0);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value), 0);
}

int main(void)
{
	memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_EQ(vfc_device_open("fake:e1001", NULL, &device), -ENODEV);
	CHECK(strstr(vfc_error_last()->hint, "fake:e1000e"));
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	mappings();
	bad_memory();
	limits();
	irqs();
	delivery();
	config_space();
	regions();
	registers();
	resets();
	pulled();
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(munmap(memory, 16 * PAGE), 0);
	return 0;
}
