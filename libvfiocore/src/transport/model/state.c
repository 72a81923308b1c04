/* SPDX-License-Identifier: MIT */
/*
 * What every other file of the fake transport asks of a device: the fields of its config space,
 * whether it decodes and may do DMA, and whether it was given back. This file calls none of the
 * others.
 */
#include <errno.h>

#include "base/error.h"
#include "transport/model/fake.h"

#define COMMAND 4
#define COMMAND_MEMORY 2
#define COMMAND_MASTER 4

#define POWER_STATUS (FAKE_POWER_CAP + 4) /* PMCSR */
#define POWER_STATE 3                     /* its bits 1:0 */
#define D3HOT 3

void fake_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

void fake_put32(uint8_t *at, uint32_t value)
{
	fake_put16(at, (uint16_t)value);
	fake_put16(at + 2, (uint16_t)(value >> 16));
}

uint32_t fake_get32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static bool in_d3hot(const struct fake_device *device)
{
	return (device->config[POWER_STATUS] & POWER_STATE) == D3HOT;
}

bool fake_decodes(const struct fake_device *device)
{
	return device->config[COMMAND] & COMMAND_MEMORY && !in_d3hot(device);
}

bool fake_bus_master(const struct fake_device *device)
{
	return device->config[COMMAND] & COMMAND_MASTER;
}

int fake_released(const char *call)
{
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(call),
			"the device was given back to the host (vfc_device_release): close it");
}
