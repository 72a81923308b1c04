/* SPDX-License-Identifier: MIT */
/* A set of the fake device's, which every function of these tests has open. */
#ifndef VFC_IRQ_TEST_H
#define VFC_IRQ_TEST_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

static struct vfc_device *device;
static struct vfc_irq *irq;

static inline void up(uint32_t index, uint32_t count)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_irq_open(device, index, count, &irq), 0);
}

static inline void down(void)
{
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static inline void fire(uint32_t vector)
{
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RAISE, vector), 0);
}

/* Interrupts that are there to be consumed. */
static inline uint64_t pending(uint32_t vector)
{
	uint64_t count = 0;
	int rc = vfc_irq_wait(irq, vector, 0, &count);

	CHECK(rc == 0 || rc == -ETIMEDOUT);
	return count;
}

static inline struct vfc_irq_stats stats_of(uint32_t vector)
{
	struct vfc_irq_stats stats = {.size = sizeof(stats)};

	CHECK_EQ(vfc_irq_stats(irq, vector, &stats), 0);
	return stats;
}

#endif
