/* SPDX-License-Identifier: MIT */
/* Waiting for a register; see mmio.h. */
#include <vfiocore/mmio.h>

#include <errno.h>
#include <limits.h>

#include <vfiocore/barrier.h>

#include "base/error.h"
#include "kernel/sys.h"

#define PAUSE_FIRST 1000 /* ns */
#define PAUSE_MOST 1000000

static int gone(uint32_t mask, uint32_t value)
{
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = NULL),
			"a register reads as all ones, while its bits 0x%x were to become 0x%x: the device "
			"was pulled, sleeps in D3, or does not decode memory", mask, value);
}

static int late(uint32_t mask, uint32_t value, uint32_t now, int64_t timeout)
{
	return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, WHERE(.object = NULL),
			"a register is 0x%x after %lld us, and its bits 0x%x were to become 0x%x", now,
			(long long)(timeout / 1000), mask, value);
}

/*
 * Read the clock before the register. A thread that slept past the deadline then looks once more at
 * what the device did meanwhile.
 */
static int wait_for(const volatile void *address, uint32_t mask, uint32_t value, int64_t timeout)
{
	int64_t start = sys_now(), pause = PAUSE_FIRST;
	bool whole = mask == UINT32_MAX && value == UINT32_MAX;
	int reads = 0;

	for (;;) {
		bool last = timeout >= 0 && sys_now() - start >= timeout;
		uint32_t now = vfc_mmio_read32(address);

		reads += reads < INT_MAX;
		if (now == UINT32_MAX && !whole)
			return gone(mask, value);
		if ((now & mask) == value)
			return reads;
		if (last)
			return late(mask, value, now, timeout);
		sys_sleep(pause);
		pause = pause < PAUSE_MOST / 2 ? 2 * pause : PAUSE_MOST;
	}
}

int vfc_mmio_wait32(const volatile void *address, uint32_t mask, uint32_t value, int64_t timeout)
{
	int rc = wait_for(address, mask, value, timeout);

	vfc_from_register();
	return vfc_done(rc);
}
