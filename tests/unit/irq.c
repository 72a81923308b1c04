/* SPDX-License-Identifier: MIT */
/* Interrupt sets on the fake device: the state machine, each misuse, and who waits meanwhile. */
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

static void up(uint32_t index, uint32_t count)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_irq_open(device, index, count, &irq), 0);
}

static void down(void)
{
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static void fire(uint32_t vector)
{
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_RAISE, vector), 0);
}

/* Interrupts that are there to be consumed. */
static uint64_t pending(uint32_t vector)
{
	uint64_t count = 0;
	int rc = vfc_irq_wait(irq, vector, 0, &count);

	CHECK(rc == 0 || rc == -ETIMEDOUT);
	return count;
}

static struct vfc_irq_stats stats_of(uint32_t vector)
{
	struct vfc_irq_stats stats = {.size = sizeof(stats)};

	CHECK_EQ(vfc_irq_stats(irq, vector, &stats), 0);
	return stats;
}

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
	CHECK_EQ(sys_poll(&poll, 1, SECOND), 1);
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

static void in_the_child(struct vfc_irq_thread *thread)
{
	struct vfc_irq_stats stats = {.size = sizeof(stats)};
	uint64_t counts[3] = {0};
	uint32_t vector;

	CHECK_EQ(vfc_irq_wait(irq, 0, SECOND, NULL), -ECHILD);
	CHECK_EQ(vfc_irq_wait_any(irq, SECOND, &vector, NULL), -ECHILD);
	CHECK_EQ(vfc_irq_wait_all(irq, SECOND, counts, 3), -ECHILD);
	CHECK_EQ(vfc_irq_fd(irq, 0), -ECHILD);
	CHECK_EQ(vfc_irq_take(irq, 0), -ECHILD);
	CHECK_EQ(vfc_irq_poll_fd(irq), -ECHILD);
	CHECK_EQ(vfc_irq_resize(irq, 1), -ECHILD);
	CHECK_EQ(vfc_irq_arm(irq, 0), -ECHILD);
	CHECK_EQ(vfc_irq_disarm(irq, 0), -ECHILD);
	CHECK_EQ(vfc_irq_rearm(irq), -ECHILD);
	CHECK_EQ(vfc_irq_trigger(irq, 0), -ECHILD);
	CHECK_EQ(vfc_irq_stats(irq, 0, &stats), -ECHILD);
	CHECK_EQ(vfc_irq_thread_start(irq, NULL, NULL, NULL, &thread), -ECHILD);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	CHECK_EQ(vfc_irq_close(irq), 0);
	_exit(0);
}

static void add_up(void *argument, uint32_t vector, uint64_t count)
{
	__atomic_add_fetch((uint64_t *)argument + vector, count, __ATOMIC_RELEASE);
}

static uint64_t sum(const uint64_t *counts, uint32_t vector)
{
	return __atomic_load_n(&counts[vector], __ATOMIC_ACQUIRE);
}

static struct vfc_irq_thread_stats served(struct vfc_irq_thread *thread)
{
	struct vfc_irq_thread_stats stats = {.size = sizeof(stats)};

	CHECK_EQ(vfc_irq_thread_stats(thread, &stats), 0);
	return stats;
}

/* While a child lives, it has the eventfds and the epoll instances open, too. */
static void forked(void)
{
	struct vfc_irq_thread *thread;
	uint64_t counts[5] = {0};
	uint32_t vector;
	int status, stay[2];
	pid_t quick, slow;
	char byte;

	up(VFC_IRQ_MSIX, 3);
	CHECK_EQ(vfc_irq_wait_any(irq, 0, &vector, NULL), -ETIMEDOUT);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, NULL, &thread), 0);
	CHECK_EQ(pipe(stay), 0);
	quick = fork();
	if (!quick)
		in_the_child(thread);
	slow = fork();
	if (!slow) {
		close(stay[1]);
		_exit(read(stay[0], &byte, 1) != 0);
	}
	close(stay[0]);
	CHECK_EQ(waitpid(quick, &status, 0), quick);
	CHECK_EQ(status, 0);
	fire(2); /* armed still, and served still */
	CHECK_SOON(sum(counts, 2) == 1);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	fire(1);
	CHECK_EQ(vfc_irq_wait_any(irq, SECOND, &vector, NULL), 0);
	CHECK_EQ(vector, 1);
	fire(2);
	CHECK_EQ(vfc_irq_resize(irq, 2), 0);
	CHECK_EQ(vfc_irq_wait_any(irq, 5 * MS, &vector, NULL), -ETIMEDOUT);
	CHECK_EQ(vfc_irq_resize(irq, 3), 0);
	fire(2);
	CHECK_EQ(vfc_irq_wait_any(irq, SECOND, &vector, NULL), 0);
	CHECK_EQ(vector, 2);
	down();
	close(stay[1]);
	CHECK_EQ(waitpid(slow, &status, 0), slow);
	CHECK_EQ(status, 0);
}

/* The thread. */

static void thread_misuse(void)
{
	struct vfc_irq_thread_opts opts = {.size = 3};
	struct vfc_irq_thread_stats stats = {.size = 3};
	struct vfc_irq_thread *thread, *second;
	uint64_t counts[5] = {0};

	up(VFC_IRQ_MSIX, 5);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), -EINVAL);
	opts.size = sizeof(opts);
	opts.flags = 1 << 7;
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), -EINVAL);
	CHECK_EQ(vfc_irq_thread_start(irq, NULL, counts, NULL, &thread), -EINVAL);
	opts.flags = VFC_IRQ_THREAD_UNMASK;
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), -EOPNOTSUPP);
	opts.flags = VFC_IRQ_THREAD_PIN;
	opts.cpu = 1023;
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "CPU 1023"));
	opts.cpu = UINT32_MAX;
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), -EINVAL);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, NULL, &thread), 0);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, NULL, &second), -EBUSY);
	CHECK_EQ(vfc_irq_thread_stats(thread, &stats), -EINVAL);
	CHECK_EQ(vfc_irq_close(irq), -EBUSY);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	CHECK_EQ(vfc_irq_thread_stop(NULL), 0);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, NULL, &thread), 0);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	down();
}

static void thread_serves(void)
{
	struct vfc_irq_thread *thread;
	uint64_t counts[5] = {0};

	up(VFC_IRQ_MSIX, 2);
	fire(1); /* before there is a thread */
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, NULL, &thread), 0);
	CHECK_SOON(sum(counts, 1) == 1);
	CHECK_EQ(vfc_irq_resize(irq, 5), 0);
	for (int i = 0; i < 100; i++)
		for (uint32_t v = 0; v < 5; v++)
			fire(v);
	for (uint32_t v = 0; v < 5; v++)
		CHECK_SOON(sum(counts, v) == 100 + (v == 1));
	CHECK_EQ(vfc_irq_resize(irq, 1), 0);
	fire(0);
	CHECK_SOON(sum(counts, 0) == 101);
	CHECK_EQ(served(thread).throttled, 0);
	CHECK_EQ(served(thread).error, 0);
	CHECK(served(thread).calls <= 502);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	CHECK_EQ(sum(counts, 1), 101); /* the resize raised it, for those who wait, and not for us */
	fire(0);
	CHECK_EQ(pending(0), 1);
	down();
}

struct own_end {
	struct vfc_irq_thread *thread;
	sigset_t signals;
	int rc, cpu;
	bool done; /* atomic */
};

static void stop_myself(void *argument, uint32_t vector, uint64_t count)
{
	struct own_end *own = argument;

	(void)vector;
	(void)count;
	own->rc = vfc_irq_thread_stop(own->thread);
	own->cpu = sched_getcpu();
	pthread_sigmask(SIG_BLOCK, NULL, &own->signals);
	__atomic_store_n(&own->done, true, __ATOMIC_RELEASE);
}

static void thread_is_as_asked(void)
{
	struct vfc_irq_thread_opts opts = {.size = sizeof(opts), .flags = VFC_IRQ_THREAD_PIN};
	struct own_end own = {.rc = 0};
	cpu_set_t mine;

	CHECK_EQ(sched_getaffinity(0, sizeof(mine), &mine), 0);
	for (opts.cpu = 0; opts.cpu < CPU_SETSIZE; opts.cpu++) {
		if (!CPU_ISSET(opts.cpu, &mine))
			continue;
		up(VFC_IRQ_MSIX, 1);
		own.done = false;
		CHECK_EQ(vfc_irq_thread_start(irq, stop_myself, &own, &opts, &own.thread), 0);
		fire(0);
		CHECK_SOON(__atomic_load_n(&own.done, __ATOMIC_ACQUIRE));
		CHECK_EQ(own.rc, -EDEADLK);
		CHECK_EQ(own.cpu, opts.cpu);
		CHECK(sigismember(&own.signals, SIGINT) && sigismember(&own.signals, SIGUSR1));
		CHECK_EQ(vfc_irq_thread_stop(own.thread), 0);
		down();
	}
}

/* A storm is merged: as many calls as the rate allows, and not one interrupt lost. */
static void thread_is_limited(void)
{
	struct vfc_irq_thread_opts opts = {.size = sizeof(opts), .rate = 100};
	struct vfc_irq_thread *thread;
	uint64_t counts[5] = {0}, fired = 0;
	int64_t start, took;

	up(VFC_IRQ_MSIX, 2);
	start = sys_now();
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), 0);
	while (sys_now() - start < 100 * MS) {
		fire(1);
		fired++;
	}
	CHECK_SOON(sum(counts, 1) == fired);
	took = sys_now() - start;
	CHECK(served(thread).calls <= (uint64_t)(took / (10 * MS)) + 1);
	CHECK(served(thread).throttled >= 1);
	fire(0); /* each vector has its own turn */
	CHECK_SOON(sum(counts, 0) == 1);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	down();
}

static void thread_unmasks(uint32_t rate)
{
	struct vfc_irq_thread_opts opts = {
		.size = sizeof(opts), .flags = VFC_IRQ_THREAD_UNMASK, .rate = rate};
	struct vfc_irq_thread *thread;
	uint64_t counts[5] = {0};

	up(VFC_IRQ_INTX, 1);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, &opts, &thread), 0);
	for (uint64_t i = 1; i <= 20; i++) {
		fire(0);
		CHECK_SOON(sum(counts, 0) == i);
	}
	CHECK_EQ(served(thread).error, 0);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	down();
}

/* Arms, disarms and resizes while others wait and interrupts come: for the sanitizers. */
static void *churn(void *argument)
{
	const bool *stop = argument;

	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
		uint32_t vector;

		vfc_irq_wait_any(irq, MS / 10, &vector, NULL);
		vfc_irq_wait(irq, 3, MS / 10, NULL);
	}
	return NULL;
}

static void all_at_once(void)
{
	struct vfc_irq_thread *thread;
	uint64_t counts[5] = {0}, random = 7;
	pthread_t threads[2];
	bool stop = false;

	up(VFC_IRQ_MSIX, 5);
	CHECK_EQ(vfc_irq_thread_start(irq, add_up, counts, NULL, &thread), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, churn, &stop), 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t r = test_random(&random);
		uint32_t vector = (uint32_t)(r >> 8) % 5;

		switch (r % 4) {
		case 0:
			CHECK_EQ(vfc_irq_resize(irq, 1 + vector), 0);
			break;
		case 1:
			vfc_irq_arm(irq, vector);
			break;
		case 2:
			vfc_irq_disarm(irq, vector);
			break;
		default:
			fire(vector);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	down();
}

int main(void)
{
	misuse();
	closed_behind_our_back();
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
	forked();
	thread_misuse();
	thread_serves();
	thread_is_as_asked();
	thread_is_limited();
	thread_unmasks(0);
	thread_unmasks(200);
	all_at_once();
	return 0;
}
