/* SPDX-License-Identifier: MIT */
/*
 * One epoll descriptor covers all sources. These are the kernel's uevents, a timer that is
 * cancelled when the clock jumps, and ERR and REQ of each watched device. Two more say "ask whether
 * a device is gone": an eventfd that accesses raise, and a timer.
 *
 * A source that is ready is taken out of the epoll set and put back behind the others once it was
 * read. So what became ready first comes first, which level-triggered epoll alone does not do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/event.h>

#include "base/deadline.h"
#include "base/error.h"
#include "event/event.h"
#include "kernel/sys.h"
#include "pci/uevent.h"
#include "base/sized.h"

/* A real sleep is longer than this, and our measurement is more exact than this. */
#define SLEEP_MIN_NS 10000000
#define SAMPLES 5

/*
 * How many messages about things other than PCI are skipped before the deadline is checked again.
 */
#define PASSES 64

static int take_uevent(struct vfc_events *events, struct vfc_event *event)
{
	static const uint32_t kinds[] = {
		[UEVENT_ADD] = VFC_EVENT_ADD,	    [UEVENT_REMOVE] = VFC_EVENT_REMOVE,
		[UEVENT_BIND] = VFC_EVENT_BIND,	    [UEVENT_UNBIND] = VFC_EVENT_UNBIND,
		[UEVENT_CHANGE] = VFC_EVENT_CHANGE,
	};
	struct vfc_error before = *vfc_error_last();
	struct uevent uevent;
	int rc = uevent_receive(events->fds[EVENT_UEVENTS], &uevent);

	if (rc < 0) {
		bool none = rc == -EAGAIN || rc == -EINTR;

		if (!none) {
			event_new(events, event, VFC_EVENT_LOST);
			snprintf(event->detail, sizeof(event->detail), "%.250s", vfc_error_last()->hint);
		}
		vfc_error_restore(&before);
		return !none;
	}
	if (rc == 0)
		return 0;
	event_new(events, event, kinds[uevent.action]);
	snprintf(event->name, sizeof(event->name), "%s", uevent.name);
	memcpy(event->driver, uevent.driver, sizeof(event->driver));
	event->vendor = uevent.vendor;
	event->device = uevent.device;
	return 1;
}

/*
 * One clock counts sleep and the other does not, so their difference is the time asleep. Of several
 * samples take the one with the least time between its two readings of the clock.
 */
static int64_t time_asleep(void)
{
	int64_t best = INT64_MAX, asleep = 0;

	for (int i = 0; i < SAMPLES; i++) {
		int64_t before = sys_now(), boot = sys_boot_time(), apart = sys_now() - before;

		if (apart < best) {
			best = apart;
			asleep = boot - before;
		}
	}
	return asleep;
}

/* The clock jumped. Either the system slept, or somebody set the clock. */
static int take_clock(struct vfc_events *events, struct vfc_event *event)
{
	int64_t asleep = time_asleep(), slept = asleep - events->asleep;
	uint64_t expired;

	if (sys_read(events->fds[EVENT_CLOCK], &expired, sizeof(expired)) == -EAGAIN ||
	    slept < SLEEP_MIN_NS)
		return 0;
	events->asleep = asleep;
	event_new(events, event, VFC_EVENT_RESUME);
	event->slept = (uint64_t)slept;
	snprintf(event->detail, sizeof(event->detail),
		 "the system slept for %.3f s: devices may have lost their state", (double)slept / 1e9);
	return 1;
}

static int take_own(struct vfc_events *events, uint64_t tag, struct vfc_event *event)
{
	uint64_t count;

	switch (tag) {
	case EVENT_UEVENTS:
		return take_uevent(events, event);
	case EVENT_CLOCK:
		return take_clock(events, event);
	case EVENT_TIMER:
		watch_suspect_all(events);
		/* fallthrough */
	default: /* EVENT_KICK: the flag of each device says whether to ask it */
		sys_read(events->fds[tag], &count, sizeof(count));
		return 0;
	}
}

static int take(struct vfc_events *events, uint64_t tag, struct vfc_event *event)
{
	int rc;

	if (tag >= EVENT_SOURCES)
		return watch_take(events, tag, event);
	rc = take_own(events, tag, event);
	sys_epoll_again(events->epoll, events->fds[tag], tag);
	return rc;
}

/* Return: 1: an event; 0: nothing waits, or too many messages that are not events. */
static int look(struct vfc_events *events, struct vfc_event *event)
{
	uint64_t tag = 0;
	int rc = 0;

	for (int i = 0; rc == 0 && i < PASSES; i++) {
		rc = watch_next_gone(events, event);
		if (rc)
			break;
		rc = sys_epoll_wait(events->epoll, &tag, 0);
		if (rc < 0)
			return vfc_fail(rc, VFC_REASON_NONE, WHERE("epoll_wait"), "%s", "");
		if (rc == 0)
			return 0;
		rc = take(events, tag, event);
	}
	return rc;
}

static int events_wait(struct vfc_events *events, int64_t timeout, struct vfc_event *event)
{
	int64_t deadline = deadline_in(timeout);
	struct pollfd poll = {.fd = events->epoll, .events = POLLIN};
	int rc;

	for (;;) {
		pthread_mutex_lock(&events->lock);
		rc = look(events, event);
		pthread_mutex_unlock(&events->lock);
		if (rc)
			return rc < 0 ? rc : 0;
		if (deadline_passed(deadline))
			return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, WHERE("ppoll"),
					"nothing happened in that time");
		rc = sys_poll(&poll, 1, deadline_left(deadline));
		if (rc < 0)
			return vfc_fail(rc, VFC_REASON_NONE, WHERE("ppoll"), "%s", "");
	}
}

int vfc_events_wait(struct vfc_events *events, int64_t timeout, struct vfc_event *event)
{
	struct vfc_event next = {.size = sizeof(next)};
	int rc = ANSWER_CHECK(vfc_event, event);

	if (rc == 0)
		rc = events_wait(events, timeout, &next);
	if (rc == 0)
		sized_answer(event, &next, sizeof(next));
	return vfc_done(rc);
}

int vfc_events_fd(struct vfc_events *events)
{
	return events->epoll;
}

static int open_sources(struct vfc_events *events, const struct vfc_events_opts *opts)
{
	int rc = events->epoll = sys_epoll();

	if (rc >= 0)
		rc = events->fds[EVENT_KICK] = sys_eventfd();
	if (rc >= 0)
		rc = events->fds[EVENT_CLOCK] = sys_timer_clock_set();
	if (rc >= 0 && opts->interval)
		rc = events->fds[EVENT_TIMER] = sys_timer(opts->interval);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("epoll_create1"),
				"a stream of events needs up to five descriptors (ulimit -n)");
	events->asleep = time_asleep();
	rc = events->fds[EVENT_UEVENTS] = uevent_open(opts->buffer);
	for (uint64_t i = 0; rc >= 0 && i < EVENT_SOURCES; i++) {
		if (events->fds[i] < 0)
			continue;
		rc = sys_epoll_queue(events->epoll, events->fds[i], i);
		if (rc < 0)
			vfc_fail(rc, VFC_REASON_NONE, WHERE("epoll_ctl"), "%s", "");
	}
	return rc < 0 ? rc : 0;
}

static int events_open(const struct vfc_events_opts *opts, struct vfc_events **out)
{
	struct vfc_events_opts own;
	struct vfc_events *events;
	int rc;

	opts = OPTIONS(vfc_events_opts, opts, &own);
	if (!opts)
		return OPTIONS_REFUSED;
	if (opts->interval < 0 || opts->buffer > INT32_MAX)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"opts->interval cannot be negative, opts->buffer is below 2 GiB");
	events = sys_alloc(sizeof(*events));
	if (!events)
		return vfc_no_memory();
	pthread_mutex_init(&events->lock, NULL);
	events->holders = 1;
	events->epoll = -1;
	for (int i = 0; i < EVENT_SOURCES; i++)
		events->fds[i] = -1;
	rc = open_sources(events, opts);
	if (rc < 0) {
		events_put(events);
		return rc;
	}
	*out = events;
	return 0;
}

int vfc_events_open(const struct vfc_events_opts *opts, struct vfc_events **events)
{
	return vfc_done(events_open(opts, events));
}

int vfc_events_close(struct vfc_events *events)
{
	if (!events)
		return 0;
	pthread_mutex_lock(&events->lock);
	while (events->watches)
		watch_forget(events, &events->watches);
	pthread_mutex_unlock(&events->lock);
	events_put(events);
	return 0;
}
