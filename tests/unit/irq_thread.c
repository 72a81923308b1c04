/* SPDX-License-Identifier: MIT */
/* The thread that serves an interrupt set, children of fork(), and everything at once. */
#include "irq_test.h"

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
	bool ready, done; /* atomic; ready: @thread is known (the sanitizer does not see through eventfds) */
};

static void stop_myself(void *argument, uint32_t vector, uint64_t count)
{
	struct own_end *own = argument;

	(void)vector;
	(void)count;
	CHECK(__atomic_load_n(&own->ready, __ATOMIC_ACQUIRE));
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
		own.ready = own.done = false;
		CHECK_EQ(vfc_irq_thread_start(irq, stop_myself, &own, &opts, &own.thread), 0);
		__atomic_store_n(&own.ready, true, __ATOMIC_RELEASE);
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
	/* On a busy machine the thread may not run often enough to be held back within that time. */
	while (sys_now() - start < 100 * MS || !served(thread).throttled) {
		fire(1);
		fired++;
	}
	CHECK_SOON(sum(counts, 1) == fired);
	took = sys_now() - start;
	CHECK(served(thread).calls <= (uint64_t)(took / (10 * MS)) + 1);
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

/* The next call that can fail is this thread's own: its wait for the next interrupt, with EINTR. */
static void interrupt_the_wait(void *argument, uint32_t vector, uint64_t count)
{
	add_up(argument, vector, count);
	sys_fault_arm(1);
}

/* A signal that interrupts the wait ends it, but not the thread, and is no error. */
static void thread_survives_eintr(void)
{
	struct vfc_irq_thread *thread;
	uint64_t counts[5] = {0};

	up(VFC_IRQ_MSIX, 1);
	CHECK_EQ(vfc_irq_thread_start(irq, interrupt_the_wait, counts, NULL, &thread), 0);
	for (uint64_t i = 1; i <= 20; i++) {
		fire(0);
		CHECK_SOON(sum(counts, 0) == i);
		CHECK_SOON(sys_fault_count() == 2); /* the wait that failed, and the next one */
	}
	sys_fault_arm(0);
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
	forked();
	thread_misuse();
	thread_serves();
	thread_is_as_asked();
	thread_is_limited();
	thread_unmasks(0);
	thread_unmasks(200);
	thread_survives_eintr();
	all_at_once();
	return 0;
}
