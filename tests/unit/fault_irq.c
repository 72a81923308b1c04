/* SPDX-License-Identifier: MIT */
/* What tests/unit/fault.c does with each interrupt set of a device while calls fail. */
#include "fault_irq.h"

#include <errno.h>

#include "sweep.h"
#include "test.h"

#define SECOND INT64_C(1000000000)

static uint64_t fired(struct vfc_irq *irq, uint32_t vector)
{
	struct vfc_irq_stats stats = {.size = sizeof(stats)};

	CHECK_EQ(vfc_irq_stats(irq, vector, &stats), 0);
	CHECK_EQ(stats.armed, 1);
	return stats.fired;
}

/* The set has these vectors, all armed, and each of them fires: for us, or for its thread. */
static void as_it_was(struct vfc_irq *irq, uint32_t count)
{
	CHECK_EQ(vfc_irq_fd(irq, count), -EINVAL);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t before = fired(irq, i);

		CHECK_EQ(vfc_irq_trigger(irq, i), 0);
		CHECK_SOON(vfc_irq_wait(irq, i, 0, NULL) == 0 || fired(irq, i) > before);
	}
}

static void resize(struct vfc_irq *irq, uint32_t from, uint32_t to, int *rc)
{
	if (note(rc, vfc_irq_resize(irq, to)) == 0)
		return;
	as_it_was(irq, from);
	CHECK_EQ(vfc_irq_resize(irq, to), 0);
}

static void ignore(void *argument, uint32_t vector, uint64_t count)
{
	(void)argument;
	(void)vector;
	(void)count;
}

static void use_set(struct vfc_irq *irq, uint32_t count, int *rc)
{
	struct vfc_irq_thread *thread = NULL;
	uint64_t counts[2048] = {0};
	uint32_t vector;

	note(rc, vfc_irq_trigger(irq, 0));
	note(rc, vfc_irq_wait(irq, 0, SECOND, NULL));
	note(rc, vfc_irq_poll_fd(irq));
	note(rc, vfc_irq_thread_start(irq, ignore, NULL, NULL, &thread));
	if (count > 1) {
		resize(irq, 1, count, rc);
		resize(irq, count, 2, rc);
		resize(irq, 2, count, rc);
	}
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	note(rc, vfc_irq_rearm(irq));
	if (note(rc, vfc_irq_disarm(irq, 0)) == 0 && note(rc, vfc_irq_arm(irq, 0)) < 0)
		CHECK_EQ(vfc_irq_arm(irq, 0), 0);
	for (uint32_t i = 0; i < count; i++)
		note(rc, vfc_irq_trigger(irq, i));
	if (note(rc, vfc_irq_wait_all(irq, 0, counts, count)) < 0) /* the rest is not lost */
		vfc_irq_wait_all(irq, 0, counts, count);
	note(rc, vfc_irq_trigger(irq, count - 1));
	if (note(rc, vfc_irq_wait_any(irq, SECOND, &vector, NULL)) == 0 && *rc == 0)
		CHECK_EQ(vector, count - 1);
}

static void use_masks(struct vfc_irq *irq, int *rc)
{
	note(rc, vfc_irq_mask(irq));
	note(rc, vfc_irq_unmask_fd(irq));
	note(rc, vfc_irq_rearm(irq));
	note(rc, vfc_irq_unmask(irq));
}

void fault_interrupts(struct vfc_device *device, int *rc)
{
	struct vfc_irq *irq;

	for (uint32_t i = 0; i < 5; i++) {
		struct vfc_irq_info info = {.size = sizeof(info)};

		if (note(rc, vfc_irq_info(device, i, &info)) < 0 || !info.count)
			continue;
		if (note(rc, vfc_irq_open(device, i, 1, &irq)) < 0)
			continue;
		use_set(irq, info.count, rc);
		if (info.flags & VFC_IRQ_MASKABLE)
			use_masks(irq, rc);
		CHECK_EQ(vfc_irq_close(irq), 0);
	}
}
