/* SPDX-License-Identifier: MIT */
/*
 * A thread that waits for a set and calls a function. It has an epoll instance of its own, which
 * the set updates like that of vfc_irq_poll_fd(). The thread stops watching a vector there until
 * the vector's turn comes. Others who wait for the set do not notice.
 */
#include <errno.h>
#include <stdlib.h>
#include <vfiocore/irq.h>

#include "device/object.h"
#include "base/error.h"
#include "irq/irq.h"
#include "kernel/sys.h"
#include "base/sized.h"

#define SECOND INT64_C(1000000000)
#define FLAGS (VFC_IRQ_THREAD_PIN | VFC_IRQ_THREAD_UNMASK)
#define STOP UINT32_MAX /* not the number of any vector */

struct turn {
	int64_t due; /* the vector is not called again before this time */
	bool held;   /* it has fired, and is not watched until @due */
};

struct vfc_irq_thread {
	struct vfc_irq *irq;
	void (*call)(void *argument, uint32_t vector, uint64_t count);
	void *argument;
	pthread_t thread;
	int epoll, stop;
	int64_t period; /* ns between two calls for one vector; 0: no limit */
	bool unmask;
	uint32_t held; /* number of turns that are held */
	int32_t error; /* atomic, and so are the counters */
	uint64_t calls, throttled;
	struct turn turns[];
};

static void note(struct vfc_irq_thread *thread, int rc)
{
	if (rc < 0)
		__atomic_store_n(&thread->error, rc, __ATOMIC_RELAXED);
}

static void hold(struct vfc_irq_thread *thread, uint32_t vector)
{
	/* A vector that left the set and came back is watched again, so it may be held already. */
	thread->held += !thread->turns[vector].held;
	thread->turns[vector].held = true;
	__atomic_add_fetch(&thread->throttled, 1, __ATOMIC_RELAXED);
	sys_epoll_change(thread->epoll, thread->irq->vectors[vector].fd, vector, false);
}

static void deliver(struct vfc_irq_thread *thread, uint32_t vector)
{
	uint64_t count;
	int rc = irq_consume(thread->irq, vector, &count, false);

	note(thread, rc);
	if (rc < 0) /* it stays readable, and would keep this thread busy */
		sys_epoll_remove(thread->epoll, thread->irq->vectors[vector].fd);
	if (rc <= 0)
		return;
	__atomic_add_fetch(&thread->calls, 1, __ATOMIC_RELAXED);
	thread->call(thread->argument, vector, count);
	/*
	 * After this it may fire at once. If its turn has not come yet, it fires once and is masked
	 * again.
	 */
	if (thread->unmask)
		note(thread, irq_unmask(thread->irq));
}

static void serve(struct vfc_irq_thread *thread, uint32_t vector)
{
	struct turn *turn = &thread->turns[vector];
	int64_t now;

	if (thread->period) {
		now = sys_now();
		if (now < turn->due) {
			hold(thread, vector);
			return;
		}
		turn->due = now + thread->period;
	}
	deliver(thread, vector);
}

/* Watch the vectors again whose turn has come. Return: ns until the next turn; -1: none is held. */
static int64_t let_go(struct vfc_irq_thread *thread)
{
	int64_t now, next = INT64_MAX;

	if (!thread->held)
		return -1;
	now = sys_now();
	for (uint32_t i = 0; i < thread->irq->capacity; i++) {
		struct turn *turn = &thread->turns[i];

		if (turn->held && turn->due <= now) {
			turn->held = false;
			thread->held--;
			sys_epoll_change(thread->epoll, thread->irq->vectors[i].fd, i, true);
		} else if (turn->held && turn->due - now < next) {
			next = turn->due - now;
		}
	}
	return thread->held ? next : -1;
}

static void *run(void *argument)
{
	struct vfc_irq_thread *thread = argument;
	uint64_t vector;
	int rc;

	for (;;) {
		rc = sys_epoll_wait(thread->epoll, &vector, let_go(thread));
		if (rc > 0 && vector == STOP)
			return NULL;
		if (rc > 0)
			serve(thread, (uint32_t)vector);
		if (rc < 0 && rc != -EINTR) {
			note(thread, rc);
			return NULL;
		}
	}
}

static int check_arguments(const struct vfc_irq *irq, bool call,
			   const struct vfc_irq_thread_opts *opts)
{
	if (!call)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "there is no function to call");
	if (opts->flags & ~(uint32_t)FLAGS)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"flags 0x%x are of enum vfc_irq_thread_flags", opts->flags);
	if (opts->flags & VFC_IRQ_THREAD_UNMASK && !(irq->flags & VFC_IRQ_MASKABLE))
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = irq->device->name),
				"only INTx is masked when it fires: leave VFC_IRQ_THREAD_UNMASK out");
	return 0;
}

static void discard(struct vfc_irq_thread *thread)
{
	sys_close(thread->stop);
	sys_close(thread->epoll);
	free(thread);
}

/* Make the thread's two descriptors. The caller holds the lock. */
static int watch(struct vfc_irq_thread *thread)
{
	int rc = thread->epoll = irq_watch_all(thread->irq);

	if (rc < 0)
		return rc;
	rc = thread->stop = sys_eventfd();
	if (rc >= 0)
		rc = sys_epoll_add(thread->epoll, thread->stop, STOP);
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("eventfd", thread->irq->device->name),
				 "the thread is stopped by one (ulimit -n)")
		      : 0;
}

static int start(struct vfc_irq_thread *thread, const struct vfc_irq_thread_opts *opts)
{
	struct vfc_irq *irq = thread->irq;
	bool pin = opts->flags & VFC_IRQ_THREAD_PIN;
	int rc;

	if (irq->thread_fd >= 0)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = irq->device->name),
				"a thread serves the set already");
	rc = watch(thread);
	if (rc < 0)
		return rc;
	rc = sys_thread(&thread->thread, run, thread, pin ? (int)(opts->cpu & INT32_MAX) : -1);
	if (rc == -EINVAL)
		return vfc_fail(rc, VFC_REASON_ARGUMENT, WHERE("pthread_create"),
				"this process may not run on CPU %u: taskset -p shows where it may",
				opts->cpu);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("pthread_create"),
				"ulimit -u, or the cgroup's pids.max");
	irq->thread_fd = thread->epoll;
	return 0;
}

static int thread_start(struct vfc_irq *irq, void (*call)(void *, uint32_t, uint64_t),
			void *argument, const struct vfc_irq_thread_opts *opts,
			struct vfc_irq_thread **out)
{
	struct vfc_irq_thread_opts own;
	struct vfc_irq_thread *thread;
	int rc = irq_check_process(irq);

	opts = OPTIONS(vfc_irq_thread_opts, opts, &own);
	if (rc == 0 && !opts)
		rc = OPTIONS_REFUSED;
	if (rc == 0)
		rc = check_arguments(irq, call, opts);
	if (rc < 0)
		return rc;
	thread = sys_alloc(sizeof(*thread) + irq->capacity * sizeof(*thread->turns));
	if (!thread)
		return vfc_no_memory();
	thread->irq = irq;
	thread->call = call;
	thread->argument = argument;
	thread->period = opts->rate ? SECOND / opts->rate : 0;
	thread->unmask = opts->flags & VFC_IRQ_THREAD_UNMASK;
	thread->epoll = thread->stop = -1;
	pthread_mutex_lock(&irq->lock);
	rc = start(thread, opts);
	pthread_mutex_unlock(&irq->lock);
	if (rc < 0) {
		discard(thread);
		return rc;
	}
	*out = thread;
	return 0;
}

int vfc_irq_thread_start(struct vfc_irq *irq,
			 void (*call)(void *argument, uint32_t vector, uint64_t count),
			 void *argument, const struct vfc_irq_thread_opts *opts,
			 struct vfc_irq_thread **thread)
{
	return vfc_done(thread_start(irq, call, argument, opts, thread));
}

int vfc_irq_thread_stop(struct vfc_irq_thread *thread)
{
	struct vfc_irq *irq;

	if (!thread)
		return 0;
	irq = thread->irq;
	/* a child of fork() has no such thread, only its descriptors */
	if (irq->pid == sys_pid()) {
		if (pthread_equal(pthread_self(), thread->thread))
			return vfc_done(vfc_fail(EDEADLK, VFC_REASON_BUSY,
						 WHERE(.object = irq->device->name),
						 "the thread cannot wait for its own end: stop it from "
						 "another one"));
		sys_eventfd_raise(thread->stop);
		pthread_join(thread->thread, NULL);
		pthread_mutex_lock(&irq->lock);
		irq->thread_fd = -1;
		pthread_mutex_unlock(&irq->lock);
	}
	discard(thread);
	return 0;
}

int vfc_irq_thread_stats(struct vfc_irq_thread *thread, struct vfc_irq_thread_stats *stats)
{
	struct vfc_irq_thread_stats now = {
		.error = __atomic_load_n(&thread->error, __ATOMIC_RELAXED),
		.calls = __atomic_load_n(&thread->calls, __ATOMIC_RELAXED),
		.throttled = __atomic_load_n(&thread->throttled, __ATOMIC_RELAXED),
	};
	int rc = ANSWER_CHECK(vfc_irq_thread_stats, stats);

	if (rc == 0)
		sized_answer(stats, &now, sizeof(now));
	return vfc_done(rc);
}
