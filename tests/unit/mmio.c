/* SPDX-License-Identifier: MIT */
/* Each access reads or writes exactly its own bytes, in device order. */
#include <string.h>
#include <vfiocore.h>

#include "test.h"

#define FILL 0xa5

static uint8_t memory[64] __attribute__((aligned(64)));

/* Little-endian value of the bytes at @at. */
static uint64_t wire(unsigned at, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)memory[at + i] << 8 * i;
	return value;
}

static void store(unsigned at, unsigned width, uint64_t value)
{
	switch (width) {
	case 1:
		vfc_mmio_write8(memory + at, (uint8_t)value);
		break;
	case 2:
		vfc_mmio_write16(memory + at, (uint16_t)value);
		break;
	case 4:
		vfc_mmio_write32(memory + at, (uint32_t)value);
		break;
	default:
		vfc_mmio_write64(memory + at, value);
	}
}

static uint64_t load(unsigned at, unsigned width)
{
	switch (width) {
	case 1:
		return vfc_mmio_read8(memory + at);
	case 2:
		return vfc_mmio_read16(memory + at);
	case 4:
		return vfc_mmio_read32(memory + at);
	default:
		return vfc_mmio_read64(memory + at);
	}
}

static void one(unsigned at, unsigned width)
{
	uint64_t value = UINT64_C(0x8182838485868788) >> (64 - 8 * width);

	memset(memory, FILL, sizeof(memory));
	store(at, width, value);
	CHECK_EQ(wire(at, width), value);
	CHECK_EQ(load(at, width), value);
	for (unsigned i = 0; i < sizeof(memory); i++)
		if (i < at || i >= at + width)
			CHECK_EQ(memory[i], FILL);
}

static void pool(void)
{
	uint32_t stack[4];
	struct vfc_pool pool = {.chunk = 128, .chunks = 4, .stack = stack};

	pool.memory.va = memory;
	pool.memory.iova = 0x10000;
	CHECK_EQ(vfc_pool_get(&pool), -1);
	vfc_pool_put(&pool, 3);
	vfc_pool_put(&pool, 1);
	CHECK_EQ(vfc_pool_get(&pool), 1);
	CHECK_EQ(vfc_pool_get(&pool), 3);
	CHECK_EQ(vfc_pool_get(&pool), -1);
	CHECK_EQ(vfc_pool_iova(&pool, 6), 0x10180);
	CHECK(vfc_pool_va(&pool, 6) == memory + 0x180);
}

int main(void)
{
	for (unsigned width = 1; width <= 8; width *= 2)
		for (unsigned at = 0; at + width <= sizeof(memory); at += width)
			one(at, width);
	vfc_to_device();
	vfc_from_device();
	vfc_flush_wc();
	pool();
	return 0;
}
