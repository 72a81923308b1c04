/* SPDX-License-Identifier: MIT */
/* Accesses of a device that does not answer to its BARs: an error, where a mapping would be a SIGBUS. */
#include <errno.h>
#include <string.h>
#include <vfiocore.h>

#include "device.h"
#include "test.h"

#define COMMAND 4
#define MEMORY 2
#define PMCSR 0xcc

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

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_error_last()->code, 0);
	for (int way = 0; way < 4; way++)
		decoding_off(way);
	sleeping();
	no_config_space();
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
