/* SPDX-License-Identifier: MIT */
/* Waiting for an interrupt set: one vector, any, or all. */
#include <errno.h>
#include <vfiocore/irq.h>

#include "device/object.h"
#include "base/deadline.h"
#include "base/error.h"
#include "irq/irq.h"
#include "kernel/sys.h"
#include "base/sized.h"

static int not_fired(const struct vfc_irq *irq, int rc)
{
	return vfc_fail(rc == 0 ? ETIMEDOUT : rc, rc == 0 ? VFC_REASON_TIMEOUT : VFC_REASON_NONE,
			WHERE("ppoll", irq->device->name), "%s",
			rc == 0 ? "no interrupt came in that time" : "");
}

static bool is_member(const struct vector *vector)
{
	return __atomic_load_n(&vector->member, __ATOMIC_ACQUIRE);
}

static bool is_binding(const struct vector *vector)
{
	return __atomic_load_n(&vector->binding, __ATOMIC_SEQ_CST);
}

int irq_consume(struct vfc_irq *irq, uint32_t index, uint64_t *count, bool block)
{
	struct vector *vector = &irq->vectors[index];
	uint64_t fired;
	/*
	 * A plain read() is quicker. It will do if it may block, or if the eventfd does not block
	 * anyway.
	 */
	bool plain = block || __atomic_load_n(&vector->shared, __ATOMIC_ACQUIRE);
	ssize_t n = plain ? sys_read(vector->fd, &fired, sizeof(fired))
			  : sys_read_now(vector->fd, &fired, sizeof(fired));

	if (n == -EAGAIN)
		return 0;
	if (n == -EINTR)
		return vfc_fail(EINTR, VFC_REASON_NONE, WHERE("read", irq->device->name), "%s", "");
	if (n != sizeof(fired))
		return vfc_fail(n < 0 ? (int)n : EIO, VFC_REASON_NONE,
				WHERE("read", irq->device->name),
				"vector %u: its eventfd belongs to the set, was it closed elsewhere?",
				index);
	/*
	 * This was not an interrupt: a resize or a bind wakes the waiters. Put the count back, so
	 * that it wakes them one after another.
	 */
	if (!is_member(vector) || is_binding(vector)) {
		sys_eventfd_return(vector->fd, fired);
		return 0;
	}
	__atomic_add_fetch(&vector->fired, fired, __ATOMIC_RELAXED);
	__atomic_add_fetch(&vector->wakeups, 1, __ATOMIC_RELAXED);
	*count = fired;
	return 1;
}

/* Return: 1: it fired; 0: it is being bound to a virtual machine. */
static int sleep_one(struct vfc_irq *irq, uint32_t index, int64_t deadline, uint64_t *count)
{
	struct vector *vector = &irq->vectors[index];
	bool woken = false;

	/*
	 * Another thread may take what woke us. Wait again then, for the rest of the time. Without
	 * a deadline the read itself blocks if it can. Otherwise ppoll() does.
	 */
	while (!is_binding(vector)) {
		struct pollfd poll = {.fd = vector->fd, .events = POLLIN};
		int64_t left;
		int rc = irq_consume(irq, index, count, deadline == DEADLINE_NEVER);

		if (rc)
			return rc;
		if (is_binding(vector))
			break;
		if (!is_member(vector)) { /* a resize may have taken it back meanwhile */
			rc = irq_check(irq, index);
			if (rc < 0)
				return rc;
			continue;
		}
		if (woken)
			__atomic_add_fetch(&vector->spurious, 1, __ATOMIC_RELAXED);
		left = deadline_left(deadline);
		rc = left ? sys_poll(&poll, 1, left) : 0;
		if (rc <= 0)
			return not_fired(irq, rc);
		woken = true;
	}
	return 0;
}

/* Return: 1: it fired; 0: check again whether it still fires here. */
static int wait_one(struct vfc_irq *irq, uint32_t index, int64_t deadline, uint64_t *count)
{
	struct vector *vector = &irq->vectors[index];
	int rc;

	__atomic_add_fetch(&vector->sleepers, 1, __ATOMIC_SEQ_CST);
	rc = sleep_one(irq, index, deadline, count);
	__atomic_sub_fetch(&vector->sleepers, 1, __ATOMIC_SEQ_CST);
	if (rc == 0) { /* wait until it is bound, or binding has failed */
		pthread_mutex_lock(&irq->lock);
		pthread_mutex_unlock(&irq->lock);
	}
	return rc;
}

static int wait_for(struct vfc_irq *irq, uint32_t index, int64_t deadline, uint64_t *count)
{
	int rc;

	do {
		rc = irq_check_ours(irq, index);
		if (rc == 0)
			rc = wait_one(irq, index, deadline, count);
	} while (rc == 0);
	return rc < 0 ? rc : 0;
}

int vfc_irq_wait(struct vfc_irq *irq, uint32_t vector, int64_t timeout, uint64_t *count)
{
	uint64_t unused;

	return vfc_done(wait_for(irq, vector, deadline_in(timeout), count ? count : &unused));
}

int64_t vfc_irq_take(struct vfc_irq *irq, uint32_t vector)
{
	uint64_t count = 0;
	int rc = irq_check_ours(irq, vector);

	if (rc == 0)
		rc = irq_consume(irq, vector, &count, false);
	if (rc < 0)
		return vfc_done(rc);
	return count < INT64_MAX ? (int64_t)count : INT64_MAX;
}

int irq_watch_all(struct vfc_irq *irq)
{
	int fd = sys_epoll(), rc = fd < 0 ? fd : 0;

	for (uint32_t i = 0; rc == 0 && i < irq->count; i++)
		rc = sys_epoll_add(fd, irq->vectors[i].fd, i);
	if (rc == 0)
		return fd;
	sys_close(fd);
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("epoll", irq->device->name),
			"no descriptor, or no memory for it (ulimit -n), or the eventfd of a vector was "
			"closed elsewhere");
}

static int poll_fd(struct vfc_irq *irq)
{
	int fd = irq_check_process(irq);

	if (fd < 0)
		return fd;
	fd = __atomic_load_n(&irq->poll_fd, __ATOMIC_ACQUIRE);
	if (fd >= 0)
		return fd;
	pthread_mutex_lock(&irq->lock);
	fd = irq->poll_fd < 0 ? irq_watch_all(irq) : irq->poll_fd;
	if (fd >= 0)
		__atomic_store_n(&irq->poll_fd, fd, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&irq->lock);
	return fd;
}

int vfc_irq_poll_fd(struct vfc_irq *irq)
{
	return vfc_done(poll_fd(irq));
}

static int wait_any(struct vfc_irq *irq, int64_t deadline, uint32_t *vector, uint64_t *count)
{
	int fd = poll_fd(irq), rc;
	uint64_t ready = 0;

	if (fd < 0)
		return fd;
	/* epoll returns the ready vectors in turn, so that none starves. */
	for (;;) {
		int64_t left = deadline_left(deadline);

		rc = sys_epoll_wait(fd, &ready, left);
		if (rc < 0 || (rc == 0 && left == 0))
			return not_fired(irq, rc);
		if (rc == 0)
			continue;
		*vector = (uint32_t)ready;
		rc = irq_consume(irq, *vector, count, false);
		if (rc)
			return rc < 0 ? rc : 0;
		__atomic_add_fetch(&irq->vectors[*vector].spurious, 1, __ATOMIC_RELAXED);
	}
}

int vfc_irq_wait_any(struct vfc_irq *irq, int64_t timeout, uint32_t *vector, uint64_t *count)
{
	uint64_t unused;

	return vfc_done(wait_any(irq, deadline_in(timeout), vector, count ? count : &unused));
}

static bool fires_here(const struct vector *vector)
{
	return __atomic_load_n(&vector->armed, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&vector->kvm, __ATOMIC_ACQUIRE);
}

static int wait_all(struct vfc_irq *irq, int64_t deadline, uint64_t *counts, uint32_t count)
{
	int rc = irq_check_process(irq);

	/* Waiting for one vector after the other takes as long as waiting for all at once. */
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		rc = irq_check(irq, i);
		while (rc == 0 && !counts[i] && fires_here(&irq->vectors[i]))
			rc = wait_one(irq, i, deadline, &counts[i]);
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

int vfc_irq_wait_all(struct vfc_irq *irq, int64_t timeout, uint64_t *counts, uint32_t count)
{
	return vfc_done(wait_all(irq, deadline_in(timeout), counts, count));
}

/*
 * The descriptor is for event loops, which must not block. It stops blocking when it is handed out.
 */
static int share_fd(struct vfc_irq *irq, uint32_t index)
{
	struct vector *vector = &irq->vectors[index];
	int rc = irq_check(irq, index);

	if (rc < 0)
		return rc;
	if (!__atomic_load_n(&vector->shared, __ATOMIC_ACQUIRE)) {
		rc = sys_nonblock(vector->fd);
		if (rc < 0)
			return vfc_fail(rc, VFC_REASON_NONE, WHERE("fcntl", irq->device->name),
					"vector %u: its eventfd was closed elsewhere", index);
		__atomic_store_n(&vector->shared, true, __ATOMIC_RELEASE);
	}
	return vector->fd;
}

int vfc_irq_fd(struct vfc_irq *irq, uint32_t vector)
{
	return vfc_done(share_fd(irq, vector));
}

int vfc_irq_stats(struct vfc_irq *irq, uint32_t vector, struct vfc_irq_stats *stats)
{
	struct vfc_irq_stats now = {0};
	int rc = irq_check(irq, vector);

	if (rc == 0)
		rc = ANSWER_CHECK(vfc_irq_stats, stats);
	if (rc < 0)
		return vfc_done(rc);
	now.armed = __atomic_load_n(&irq->vectors[vector].armed, __ATOMIC_RELAXED);
	now.fired = __atomic_load_n(&irq->vectors[vector].fired, __ATOMIC_RELAXED);
	now.wakeups = __atomic_load_n(&irq->vectors[vector].wakeups, __ATOMIC_RELAXED);
	now.spurious = __atomic_load_n(&irq->vectors[vector].spurious, __ATOMIC_RELAXED);
	sized_answer(stats, &now, sizeof(now));
	return 0;
}
