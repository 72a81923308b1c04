/* SPDX-License-Identifier: MIT */
/* Waiting for a register: how it ends, and that a device which is gone is not taken for ready. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

#define MS INT64_C(1000000)

static uint32_t reg;

static void put(uint32_t value)
{
	vfc_mmio_write32(&reg, value);
}

static void *become_ready(void *unused)
{
	(void)unused;
	sys_sleep(20 * MS);
	put(0x90);
	return NULL;
}

/* @reg holds what is awaited: one read, whatever the time allowed. */
static void at_once(void)
{
	put(0x95);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0x80, 0x80, 0), 1);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0xff, 0x95, -1), 1);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0x0a, 0, 1), 1);
}

static void later(int64_t timeout)
{
	pthread_t thread;

	put(0x10);
	CHECK_EQ(pthread_create(&thread, NULL, become_ready, NULL), 0);
	CHECK(vfc_mmio_wait32(&reg, 0x80, 0x80, timeout) > 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void never(void)
{
	int64_t start = sys_now();

	put(0x10);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0x80, 0x80, 0), -ETIMEDOUT);
	CHECK(sys_now() - start < 1000 * MS);
	start = sys_now();
	CHECK_EQ(vfc_mmio_wait32(&reg, 0x80, 0x80, 30 * MS), -ETIMEDOUT);
	CHECK(sys_now() - start >= 30 * MS);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_TIMEOUT);
	CHECK(strstr(vfc_error_last()->hint, "0x10 "));
	CHECK(!strcmp(vfc_error_last()->operation, "vfc_mmio_wait32"));
}

/* All ones end the wait at once, also where nobody would notice by the bits. */
static void gone(void)
{
	int64_t start = sys_now();

	put(UINT32_MAX);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0x80, 0x80, 60000 * MS), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0x80, 0, 60000 * MS), -ENODEV);
	CHECK_EQ(vfc_mmio_wait32(&reg, 0, 0, 60000 * MS), -ENODEV);
	CHECK_EQ(vfc_mmio_wait32(&reg, UINT32_MAX, 0, -1), -ENODEV);
	CHECK(sys_now() - start < 30000 * MS);
	CHECK_EQ(vfc_mmio_wait32(&reg, UINT32_MAX, UINT32_MAX, 0), 1);
}

int main(void)
{
	at_once();
	later(-1);
	later(60000 * MS);
	never();
	gone();
	return 0;
}
