/* SPDX-License-Identifier: MIT */
/* Accesses of a device that does not answer to its BARs: an error, where a mapping would be a SIGBUS. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <vfiocore.h>

#include "device/object.h"
#include "device/region.h"
#include "kernel/sys.h"
#include "test.h"

#define COMMAND 4
#define MEMORY 2
#define PMCSR 0xcc
#define HUGE_PAGE (UINT64_C(2) << 20)

static struct vfc_device *device;

static uint64_t config(uint64_t offset)
{
	uint64_t value;

	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, offset, 2, &value), 0);
	return value;
}

static int status(void)
{
	uint64_t value;

	return vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value);
}

/* Whichever way the bit is written: as a word, as a byte, among others. */
static void write_command(int way, uint64_t value)
{
	uint8_t bytes[8];

	switch (way) {
	case 0:
		CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, COMMAND, 2, value), 0);
		break;
	case 1:
		CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, COMMAND, 1, value & 0xff), 0);
		break;
	case 2:
		CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, 0, 8, value << 32), 0);
		break;
	default:
		CHECK_EQ(vfc_region_read_block(device, VFC_REGION_CONFIG, 2, bytes, 8), 0);
		bytes[2] = value & 0xff;
		CHECK_EQ(vfc_region_write_block(device, VFC_REGION_CONFIG, 2, bytes, 8), 0);
	}
	CHECK_EQ(config(COMMAND) & MEMORY, value & MEMORY);
}

static void decoding_off(int way)
{
	uint64_t command = config(COMMAND);

	CHECK_EQ(status(), 0);
	CHECK(device->decodes);
	write_command(way, command & ~(uint64_t)MEMORY);
	CHECK_EQ(status(), -EIO);
	CHECK(strstr(vfc_error_last()->hint, "decoding"));
	CHECK_EQ(vfc_region_write(device, VFC_REGION_BAR0, 0x38, 4, 1), -EIO);
	CHECK_EQ(vfc_region_load(device, VFC_REGION_BAR0, 8, 4), -EIO);
	CHECK_EQ(vfc_device_bus_master(device, true), 0); /* keeps the rest of the register */
	CHECK_EQ(status(), -EIO);
	write_command(way, command);
	CHECK_EQ(status(), 0);
	CHECK(device->decodes);
}

/* By another descriptor of the same device: any write of ours to Command notices it. */
static void behind_our_back(void)
{
	const struct region *space = region_config(device);
	uint64_t command = config(COMMAND);
	uint8_t low = command & 0xff;

	write_command(1, command & ~(uint64_t)MEMORY);
	CHECK(!device->decodes);
	CHECK_EQ(device->ops->write(device->transport, space->position + COMMAND, &low, 1), 0);
	CHECK(!device->decodes);
	CHECK_EQ(vfc_device_bus_master(device, command & 4), 0);
	CHECK(device->decodes);
	CHECK_EQ(config(COMMAND), command);
}

/* D3hot: the mappings are left; D1 keeps answering. */
static void sleeping(void)
{
	CHECK_EQ(device->power, PMCSR);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, PMCSR, 2, 1), 0);
	CHECK(device->decodes);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, PMCSR, 1, 3), 0);
	CHECK(!device->decodes);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, PMCSR, 2, 0), 0);
	CHECK(device->decodes);
}

static uint64_t knob(uint32_t which)
{
	uint64_t value;

	CHECK_EQ(vfc_fake_get(device, which, &value), 0);
	return value;
}

static void power_states(void)
{
	struct vfc_nic *nic;

	CHECK_EQ(vfc_power_get(device), VFC_POWER_D0);
	CHECK_EQ(vfc_power_set(device, 4), -EINVAL);
	CHECK_EQ(vfc_power_set(device, VFC_POWER_D3HOT), 0);
	CHECK_EQ(vfc_power_get(device), VFC_POWER_D3HOT);
	CHECK_EQ(status(), -EIO);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, COMMAND, 2, config(COMMAND)), 0);
	CHECK_EQ(status(), -EIO); /* decoding is on, and it sleeps */
	CHECK_EQ(vfc_power_set(device, VFC_POWER_D0), 0);
	CHECK_EQ(status(), 0);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	CHECK_EQ(vfc_power_set(device, VFC_POWER_D3HOT), -EBUSY);
	CHECK_EQ(vfc_power_low_enter(device, -1), -EBUSY);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 1), 0);
	CHECK_EQ(vfc_power_get(device), -ENODEV);
	CHECK_EQ(vfc_power_set(device, VFC_POWER_D3HOT), -ENODEV);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 0), 0);
}

/* No mapping is used until it is over, whatever config space says. */
static void low_power(void)
{
	struct vfc_events *events;
	struct vfc_event event = {.size = sizeof(event)};
	struct vfc_events_opts opts = {.size = sizeof(opts), .interval = 1000000};
	int fd = sys_eventfd();
	uint64_t woken = 0;

	CHECK(fd >= 0);
	CHECK_EQ(vfc_power_low_exit(device), 0); /* as in Linux */
	CHECK_EQ(vfc_power_low_enter(device, -1), 0);
	CHECK_EQ(vfc_power_low_enter(device, -1), -EINVAL);
	CHECK(!device->decodes);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_CONFIG, COMMAND, 2, config(COMMAND)), 0);
	CHECK(!device->decodes);
	CHECK_EQ(status(), 0); /* by the kernel */
	CHECK_EQ(knob(VFC_FAKE_LOW_POWER), 1);
	CHECK_EQ(vfc_power_low_exit(device), 0);
	CHECK(device->decodes);

	CHECK_EQ(vfc_events_open(&opts, &events), 0);
	CHECK_EQ(vfc_events_watch(events, device, 0), 0);
	CHECK_EQ(vfc_power_low_enter(device, fd), 0);
	for (int i = 0; i < 20; i++) /* that asks now and then whether it is gone */
		vfc_events_wait(events, 1000000, &event);
	CHECK_EQ(sys_read(fd, &woken, sizeof(woken)), -EAGAIN);
	CHECK_EQ(config(0), 0x8086);
	CHECK_EQ(sys_read(fd, &woken, sizeof(woken)), sizeof(woken));
	CHECK_EQ(woken, 1);
	CHECK_EQ(knob(VFC_FAKE_LOW_POWER), 0);
	CHECK(!device->decodes);
	CHECK_EQ(vfc_power_low_exit(device), 0);
	CHECK(device->decodes);
	CHECK_EQ(vfc_events_close(events), 0);
	sys_close(fd);
}

/* A config space that is not there must not be looked for where BAR 0 is. */
static void no_config_space(void)
{
	struct region *region = &device->regions[VFC_REGION_CONFIG], was = *region;

	memset(region, 0, sizeof(*region));
	CHECK_EQ(vfc_device_bus_master(device, true), -EOPNOTSUPP);
	CHECK_EQ(vfc_pci_caps(device, NULL, 0), -EINVAL);
	CHECK_EQ(status(), 0);
	*region = was;
}

/* BARs of GPUs may have more than RAM and swap: what stands in for one must not be charged as a whole. */
static void a_bar_larger_than_memory(void)
{
	struct region_area *area = &device->regions[VFC_REGION_BAR0].areas[0], was;
	struct sysinfo host;
	volatile uint32_t *bar;

	CHECK_EQ(status() < 0, 0); /* it is mapped */
	was = *area;
	CHECK_EQ(sysinfo(&host), 0);
	area->length = UINT64_C(64) << 30;
	while (area->length < (host.totalram + host.totalswap) * (uint64_t)host.mem_unit * 2)
		area->length *= 2;
	area->address = mmap(NULL, area->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(area->address != MAP_FAILED);
	bar = area->address;
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(*bar, UINT32_MAX);
	bar[area->length / sizeof(*bar) - 1] = 1; /* a stray write of another thread's does no harm */
	munmap(was.address, was.length);
}

static size_t huge_length;

/* Where mmap() would hardly put it by chance: a page behind a huge page's begin. */
static int map_askew(struct transport_device *transport, uint64_t position, size_t length,
		     int protection, void **address)
{
	uint8_t *room = mmap(NULL, length + 2 * HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)transport;
	(void)position;
	CHECK(room != MAP_FAILED);
	room += -(uintptr_t)room % HUGE_PAGE + 4096;
	*address = mmap(room, length, protection, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(*address == room);
	*(volatile uint32_t *)(void *)room = 0x12345678;
	huge_length = length;
	return 0;
}

/* A BAR that begins with what cannot be mapped: the rest lies as it would with all of it. */
static void huge_pages_for_a_bar(uint64_t offset)
{
	struct region *region = &device->regions[VFC_REGION_BAR0];
	struct region_area was = region->areas[0], *area = &region->areas[0];
	const struct transport *real = device->ops;
	struct transport askew = *real;
	uint64_t length = region->length;
	volatile void *address;

	askew.mmap = map_askew;
	device->ops = &askew;
	region->length = 4 * HUGE_PAGE;
	*area = (struct region_area){.offset = offset, .length = 3 * HUGE_PAGE};
	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, offset, 0, &address), 0);
	CHECK_EQ(huge_length, 3 * HUGE_PAGE);
	CHECK_EQ(((uintptr_t)address - offset) % HUGE_PAGE, 0);
	CHECK_EQ(*(const volatile uint32_t *)address, 0x12345678); /* it is what was mapped */
	((volatile uint8_t *)address)[area->length - 1] = 1;
	CHECK_EQ(munmap(area->address, area->length), 0);
	device->ops = real;
	region->length = length;
	*area = was;
}

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_error_last()->code, 0);
	for (int way = 0; way < 4; way++)
		decoding_off(way);
	behind_our_back();
	sleeping();
	power_states();
	low_power();
	no_config_space();
	huge_pages_for_a_bar(0);
	huge_pages_for_a_bar(4096);
	a_bar_larger_than_memory();
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
