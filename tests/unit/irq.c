/* SPDX-License-Identifier: MIT */
/* Interrupt sets on the fake device: the state machine, each misuse, and who waits meanwhile. */
#include "device/device.h"
#include "base/error.h"
#include "irq/irq.h"
#include "irq_test.h"

static void misuse(void)
{
	struct vfc_irq_stats stats = {.size = 3};
	uint64_t counts[4] = {0};
	struct vfc_irq *second;

	up(VFC_IRQ_MSIX, 3);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_INTX, 1, &second), -EBUSY);
	CHECK_EQ(vfc_irq_wait(irq, 3, 0, NULL), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "vectors 0 to 2"));
	CHECK_EQ(vfc_irq_fd(irq, 3), -EINVAL);
	CHECK_EQ(vfc_irq_take(irq, 3), -EINVAL);
	CHECK_EQ(vfc_irq_trigger(irq, UINT32_MAX), -EINVAL);
	CHECK_EQ(vfc_irq_wait_all(irq, 0, counts, 4), -ETIMEDOUT);
	CHECK_EQ(vfc_irq_disarm(irq, 0), 0);
	CHECK_EQ(vfc_irq_disarm(irq, 1), 0);
	CHECK_EQ(vfc_irq_disarm(irq, 2), 0);
	CHECK_EQ(vfc_irq_wait_all(irq, 0, counts, 3), 0); /* none is armed */
	CHECK_EQ(vfc_irq_wait_all(irq, 0, counts, 4), -EINVAL);
	CHECK_EQ(vfc_irq_disarm(irq, 1), -EALREADY);
	CHECK(strstr(vfc_error_last()->hint, "vector 1 is disarmed already"));
	CHECK_EQ(vfc_irq_arm(irq, 1), 0);
	CHECK_EQ(vfc_irq_arm(irq, 1), -EALREADY);
	CHECK_EQ(vfc_irq_arm(irq, 3), -EINVAL);
	CHECK_EQ(vfc_irq_disarm(irq, 3), -EINVAL);
	CHECK_EQ(vfc_irq_resize(irq, 0), -EINVAL);
	CHECK_EQ(vfc_irq_resize(irq, 6), -EINVAL);
	CHECK_EQ(vfc_irq_resize(irq, 3), 0);
	CHECK_EQ(vfc_irq_mask(irq), -EOPNOTSUPP);
	CHECK_EQ(vfc_irq_unmask(irq), -EOPNOTSUPP);
	CHECK_EQ(vfc_irq_unmask_fd(irq), -EOPNOTSUPP);
	CHECK_EQ(vfc_irq_stats(irq, 0, &stats), -EINVAL);
	stats.size = sizeof(stats);
	CHECK_EQ(vfc_irq_stats(irq, 3, &stats), -EINVAL);
	CHECK_EQ(vfc_irq_close(NULL), 0);
	down();
}

static void closed_behind_our_back(void)
{
	up(VFC_IRQ_MSIX, 2);
	CHECK(vfc_irq_poll_fd(irq) >= 0);
	close(vfc_irq_fd(irq, 0));
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), -EBADF);
	CHECK(strstr(vfc_error_last()->hint, "vector 0"));
	fire(1);
	CHECK_EQ(pending(1), 1);
	CHECK_EQ(vfc_irq_disarm(irq, 0), 0);
	down();
}

static int set_irqs_fails(struct transport_device *transport, const struct vfio_irq_set *set)
{
	(void)transport;
	return vfc_fail(ENOSPC, VFC_REASON_NONE, WHERE("VFIO_DEVICE_SET_IRQS"), "from %u on", set->start);
}

/* Whoever waits for any vector, without a lock, may be about to read one that just came and went. */
static void grows_in_vain(void)
{
	const struct transport *real;
	struct transport refuses;
	int fd;

	up(VFC_IRQ_MSIX, 2);
	real = device->ops;
	refuses = *real;
	refuses.set_irqs = set_irqs_fails;
	device->ops = &refuses;
	CHECK_EQ(vfc_irq_resize(irq, 4), -ENOSPC);
	device->ops = real;
	fd = irq->vectors[3].fd;
	CHECK(fd >= 0);
	CHECK_EQ(vfc_irq_wait(irq, 2, 0, NULL), -EINVAL);
	CHECK_EQ(vfc_irq_resize(irq, 4), 0);
	CHECK_EQ(irq->vectors[3].fd, fd);
	fire(3);
	CHECK_EQ(pending(3), 1);
	down();
}

static void armed_and_disarmed(void)
{
	up(VFC_IRQ_MSIX, 3);
	CHECK_EQ(stats_of(1).armed, 1);
	fire(1);
	CHECK_EQ(vfc_irq_disarm(irq, 1), 0);
	CHECK_EQ(stats_of(1).armed, 0);
	fire(1);
	CHECK_EQ(vfc_irq_trigger(irq, 1), 0);
	fire(2);
	CHECK_EQ(pending(1), 1); /* what came before */
	CHECK_EQ(pending(1), 0);
	CHECK_EQ(pending(2), 1);
	CHECK_EQ(vfc_irq_arm(irq, 1), 0);
	fire(1); /* between arming and waiting */
	CHECK_EQ(vfc_irq_wait(irq, 1, -1, NULL), 0);
	CHECK_EQ(vfc_irq_disarm(irq, 1), 0);
	CHECK_EQ(vfc_irq_rearm(irq), 0); /* as they are marked */
	fire(1);
	CHECK_EQ(pending(1), 0);
	CHECK_EQ(vfc_device_reset(device), 0);
	CHECK_EQ(vfc_irq_rearm(irq), 0);
	fire(0);
	fire(1);
	CHECK_EQ(pending(0), 1);
	CHECK_EQ(pending(1), 0);
	down();
}

static void merged_and_counted(void)
{
	uint64_t sum = 0;

	up(VFC_IRQ_MSIX, 1);
	for (int i = 0; i < 1000; i++) {
		fire(0);
		if (i % 10 == 9)
			sum += pending(0);
	}
	CHECK_EQ(sum, 1000);
	CHECK_EQ(vfc_irq_take(irq, 0), 0);
	fire(0);
	fire(0);
	CHECK_EQ(vfc_irq_take(irq, 0), 2);
	CHECK(vfc_irq_fd(irq, 0) >= 0); /* it does not block from now on */
	CHECK_EQ(vfc_irq_take(irq, 0), 0);
	fire(0);
	CHECK_EQ(vfc_irq_take(irq, 0), 1);
	CHECK_EQ(stats_of(0).fired, 1003);
	CHECK_EQ(stats_of(0).wakeups, 102);
	CHECK_EQ(stats_of(0).spurious, 0);
	CHECK_EQ(vfc_irq_wait(irq, 0, 2 * MS, NULL), -ETIMEDOUT);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_TIMEOUT);
	CHECK_EQ(stats_of(0).wakeups, 102);
	down();
}

static void intx(void)
{
	int unmask;

	up(VFC_IRQ_INTX, 1);
	fire(0);
	fire(0);
	CHECK_EQ(pending(0), 1);
	CHECK_EQ(vfc_irq_unmask(irq), 0); /* the line is still up */
	CHECK_EQ(pending(0), 1);
	CHECK_EQ(vfc_irq_unmask(irq), 0);
	CHECK_EQ(pending(0), 0);
	CHECK_EQ(vfc_irq_mask(irq), 0);
	CHECK_EQ(vfc_irq_mask(irq), 0);
	fire(0);
	CHECK_EQ(pending(0), 0);
	unmask = vfc_irq_unmask_fd(irq);
	CHECK(unmask >= 0);
	CHECK_EQ(vfc_irq_unmask_fd(irq), unmask);
	sys_eventfd_raise(unmask);
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), 0);
	CHECK_EQ(vfc_irq_rearm(irq), 0); /* without a reset, the kernel has it still */
	sys_eventfd_raise(unmask);
	fire(0);
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), 0);
	CHECK_EQ(vfc_device_reset(device), 0);
	CHECK_EQ(vfc_irq_rearm(irq), 0);
	fire(0);
	fire(0);
	CHECK_EQ(pending(0), 1);
	sys_eventfd_raise(unmask);
	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), 0);
	CHECK_EQ(vfc_irq_resize(irq, 2), -EINVAL);
	down();
}

/* One type after the other; ERR and REQ beside them. */
static void types(void)
{
	static const uint32_t order[] = {VFC_IRQ_INTX, VFC_IRQ_MSI, VFC_IRQ_MSIX, VFC_IRQ_INTX};
	struct vfc_irq *side;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	for (uint32_t index = VFC_IRQ_ERR; index <= VFC_IRQ_REQ; index++) {
		CHECK_EQ(vfc_irq_open(device, index, 1, &side), 0);
		for (int i = 0; i < 4; i++) {
			CHECK_EQ(vfc_irq_open(device, order[i], 1, &irq), 0);
			fire(0);
			CHECK_EQ(pending(0), 1);
			CHECK_EQ(vfc_irq_close(irq), 0);
		}
		CHECK_EQ(vfc_irq_trigger(side, 0), 0);
		CHECK_EQ(vfc_irq_disarm(side, 0), 0);
		CHECK_EQ(vfc_irq_wait(side, 0, 0, NULL), 0);
		CHECK_EQ(vfc_irq_close(side), 0);
	}
	CHECK_EQ(vfc_device_close(device), 0);
}

static void any_takes_turns(void)
{
	uint32_t vector, seen[5] = {0};
	uint64_t count;

	up(VFC_IRQ_MSIX, 5);
	CHECK_EQ(vfc_irq_wait_any(irq, 0, &vector, NULL), -ETIMEDOUT);
	CHECK_EQ(vfc_irq_wait_any(irq, 2 * MS, &vector, NULL), -ETIMEDOUT);
	fire(3);
	fire(3);
	CHECK_EQ(vfc_irq_wait_any(irq, -1, &vector, &count), 0);
	CHECK_EQ(vector, 3);
	CHECK_EQ(count, 2);
	for (int i = 0; i < 500; i++) { /* all of them fire all the time */
		for (uint32_t v = 0; v < 5; v++)
			fire(v);
		CHECK_EQ(vfc_irq_wait_any(irq, SECOND, &vector, NULL), 0);
		seen[vector]++;
	}
	for (uint32_t v = 0; v < 5; v++)
		CHECK_EQ(seen[v], 100);
	down();
}

/* A descriptor that says what vfc_irq_wait_any() would find. */
static void poll_fd(void)
{
	struct pollfd poll = {.events = POLLIN};

	up(VFC_IRQ_MSIX, 2);
	poll.fd = vfc_irq_poll_fd(irq);
	CHECK_EQ(vfc_irq_poll_fd(irq), poll.fd);
	CHECK_EQ(sys_poll(&poll, 1, 0), 0);
	CHECK_EQ(vfc_irq_resize(irq, 4), 0);
	fire(3);
	CHECK_EQ(sys_poll(&poll, 1, 60 * SECOND), 1);
	CHECK_EQ(vfc_irq_resize(irq, 3), 0);
	CHECK_EQ(sys_poll(&poll, 1, 0), 0);
	down();
}

static void all(void)
{
	uint64_t counts[3] = {0};

	up(VFC_IRQ_MSIX, 3);
	fire(0);
	fire(0);
	fire(2);
	CHECK_EQ(vfc_irq_wait_all(irq, 2 * MS, counts, 3), -ETIMEDOUT);
	CHECK_EQ(counts[0], 2);
	fire(0); /* after its turn: stays for the next time */
	fire(1);
	CHECK_EQ(vfc_irq_wait_all(irq, SECOND, counts, 3), 0);
	CHECK_EQ(counts[0], 2);
	CHECK_EQ(counts[1], 1);
	CHECK_EQ(counts[2], 1);
	CHECK_EQ(pending(0), 1);
	memset(counts, 0, sizeof(counts));
	CHECK_EQ(vfc_irq_disarm(irq, 1), 0);
	fire(0);
	fire(2);
	CHECK_EQ(vfc_irq_wait_all(irq, SECOND, counts, 3), 0); /* without the one that is off */
	CHECK_EQ(counts[1], 0);
	down();
}

/* Threads that wait: for one vector, or any (vector 99). */

struct waiter {
	pthread_t thread;
	uint32_t vector;
	int64_t timeout;
	int rc;
	uint64_t count;
	bool done; /* atomic */
};

static void *wait_for(void *argument)
{
	struct waiter *w = argument;

	w->rc = w->vector == 99 ? vfc_irq_wait_any(irq, w->timeout, &w->vector, &w->count)
				: vfc_irq_wait(irq, w->vector, w->timeout, &w->count);
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void begin(struct waiter *w, uint32_t vector)
{
	*w = (struct waiter){.vector = vector, .timeout = -1};
	CHECK_EQ(pthread_create(&w->thread, NULL, wait_for, w), 0);
}

static bool done(const struct waiter *w)
{
	return __atomic_load_n(&w->done, __ATOMIC_ACQUIRE);
}

static int end(struct waiter *w)
{
	CHECK_SOON(done(w));
	CHECK_EQ(pthread_join(w->thread, NULL), 0);
	return w->rc;
}

static void resized_while_others_wait(bool noresize)
{
	struct waiter kept, gone[2], any;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_NORESIZE, noresize), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), 0);
	begin(&any, 99);
	CHECK_EQ(vfc_irq_resize(irq, 5), 0);
	if (!noresize) { /* or it was raised once, for all were off for a moment */
		fire(4);
	}
	CHECK_EQ(end(&any), 0);
	CHECK_EQ(any.vector < 2, noresize);
	CHECK_EQ(any.count, 1);
	for (uint32_t v = 0; v < 5; v++)
		pending(v);

	begin(&kept, 0);
	begin(&gone[0], 3);
	begin(&gone[1], 3);
	begin(&any, 99);
	sys_sleep(5 * MS);
	CHECK_EQ(vfc_irq_resize(irq, 2), 0);
	CHECK_EQ(end(&gone[0]), -EINVAL);
	CHECK_EQ(end(&gone[1]), -EINVAL);
	CHECK(!done(&kept) && !done(&any));
	CHECK_EQ(vfc_irq_wait(irq, 3, 0, NULL), -EINVAL);
	fire(1);
	CHECK_EQ(end(&any), 0);
	CHECK_EQ(any.vector, 1);
	fire(0);
	CHECK_EQ(end(&kept), 0);

	CHECK_EQ(vfc_irq_resize(irq, 4), 0);
	if (noresize) {
		CHECK_EQ(pending(0), 1);
		CHECK_EQ(pending(1), 1);
	}
	CHECK_EQ(pending(3), 0); /* what woke those is not an interrupt */
	CHECK_EQ(stats_of(3).fired, 0);
	fire(3);
	CHECK_EQ(pending(3), 1);
	down();
}

/* Two wait for what comes once: the other was woken for nothing, and goes on waiting. */
static void spurious(void)
{
	struct waiter two[2];
	uint64_t woken = 0;

	up(VFC_IRQ_MSIX, 1);
	for (int i = 0; i < 200; i++) {
		begin(&two[0], 0);
		begin(&two[1], 0);
		sys_sleep(MS / 10);
		fire(0);
		CHECK_SOON(done(&two[0]) || done(&two[1]));
		fire(0);
		CHECK_EQ(end(&two[0]), 0);
		CHECK_EQ(end(&two[1]), 0);
		CHECK_EQ(two[0].count + two[1].count, 2);
		woken += 2;
	}
	CHECK_EQ(stats_of(0).fired, woken);
	CHECK_EQ(stats_of(0).wakeups, woken);
	CHECK(stats_of(0).spurious <= woken);
	down();
}

static void on_signal(int number)
{
	(void)number;
}

static void interrupted(void)
{
	struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
	struct waiter one, any;

	up(VFC_IRQ_MSIX, 1);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	begin(&one, 0);
	begin(&any, 99);
	sys_sleep(5 * MS);
	while (!done(&one)) {
		pthread_kill(one.thread, SIGUSR1);
		sys_sleep(MS);
	}
	while (!done(&any)) {
		pthread_kill(any.thread, SIGUSR1);
		sys_sleep(MS);
	}
	CHECK_EQ(end(&one), -EINTR);
	CHECK_EQ(end(&any), -EINTR);
	fire(0);
	CHECK_EQ(pending(0), 1);
	down();
}

int main(void)
{
	misuse();
	closed_behind_our_back();
	grows_in_vain();
	armed_and_disarmed();
	merged_and_counted();
	intx();
	types();
	any_takes_turns();
	poll_fd();
	all();
	resized_while_others_wait(false);
	resized_while_others_wait(true);
	spurious();
	interrupted();
	return 0;
}
