/* SPDX-License-Identifier: MIT */
/* The devices that an event stream watches: ERR, REQ, and whether they are gone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/bus.h>
#include <vfiocore/device.h>
#include <vfiocore/event.h>
#include <vfiocore/irq.h>
#include <vfiocore/pci.h>
#include <vfiocore/region.h>

#include "device/access.h"
#include "base/error.h"
#include "event/event.h"
#include "kernel/sys.h"
#include "device/names.h"
#include "pci/sysfs.h"

/* PCI Express Base 5.0, 7.5.3 and 7.8.4. */
#define CAP_EXPRESS 0x10
#define EXPRESS_STATUS 0x0a
#define EXTENDED_AER 0x01
#define AER_UNCORRECTABLE 0x04
#define AER_SEVERITY 0x0c
#define AER_CORRECTABLE 0x10

/*
 * A failure while an event is put together is told in the event. The thread's error record belongs
 * to the caller's own calls, so everything that is tried here is tried in a quiet section.
 */

/* Begin an event about a device. It has the device's name in sysfs, which uevents use too. */
static int event_of(struct vfc_events *events, struct vfc_event *event, uint32_t kind,
		    const struct watch *watch)
{
	struct vfc_bus_info info = {.size = sizeof(info)};

	event_new(events, event, kind);
	snprintf(event->name, sizeof(event->name), "%s",
		 watch->aer.name[0] ? watch->aer.name : watch->device->name);
	error_quiet_begin();
	if (vfc_bus_info(event->name, &info) == 0)
		memcpy(event->driver, info.driver, sizeof(event->driver));
	error_quiet_end();
	return 1;
}

/* A device in low power is not asked, because the access would wake it. */
static bool is_gone(struct vfc_device *device)
{
	bool gone;

	if (!(device->flags & VFC_DEVICE_PCI) || device_is_released(device) ||
	    __atomic_load_n(&device->low_power, __ATOMIC_RELAXED))
		return false;
	error_quiet_begin();
	gone = access_gone(device);
	error_quiet_end();
	return gone;
}

int watch_next_gone(struct vfc_events *events, struct vfc_event *event)
{
	for (struct watch *watch = events->watches; watch; watch = watch->next) {
		struct vfc_device *device = watch->device;
		bool was = watch->gone;

		if (!__atomic_exchange_n(&watch->suspect, false, __ATOMIC_RELAXED))
			continue;
		watch->gone = is_gone(device);
		if (!watch->gone || was)
			continue;
		/*
		 * Another device may be suspect too. Keep the descriptor readable, so that it is
		 * looked at.
		 */
		sys_eventfd_raise(events->fds[EVENT_KICK]);
		event_of(events, event, VFC_EVENT_GONE, watch);
		snprintf(event->detail, sizeof(event->detail),
			 "it answers with all ones, in config space too: pulled, or in reset");
		return 1;
	}
	return 0;
}

static void suspect(struct device_watcher *watcher)
{
	struct watch *watch = (struct watch *)watcher;
	struct vfc_events *events = watcher->owner;

	__atomic_store_n(&watch->suspect, true, __ATOMIC_RELAXED);
	sys_eventfd_raise(events->fds[EVENT_KICK]);
}

void watch_suspect_all(struct vfc_events *events)
{
	for (struct watch *watch = events->watches; watch; watch = watch->next)
		__atomic_store_n(&watch->suspect, true, __ATOMIC_RELAXED);
}

/* Read a status register. All ones are not a status: the device does not answer. It is 0 then. */
static uint32_t status_register(struct vfc_device *device, uint32_t offset, uint32_t width)
{
	uint64_t value = 0;
	int rc = 0;

	error_quiet_begin();
	if (offset)
		rc = vfc_region_read(device, VFC_REGION_CONFIG, offset, width, &value);
	error_quiet_end();
	return rc == 0 && value != UINT64_MAX >> (64 - 8 * width) ? (uint32_t)value : 0;
}

static int take_error(struct vfc_events *events, struct watch *watch, struct vfc_event *event)
{
	const struct aer *aer = &watch->aer;
	struct aer_status status = {0};

	if (aer->extended) {
		status.uncorrectable = status_register(watch->device, aer->extended + AER_UNCORRECTABLE, 4);
		status.fatal = status.uncorrectable &
			       status_register(watch->device, aer->extended + AER_SEVERITY, 4);
		status.correctable = status_register(watch->device, aer->extended + AER_CORRECTABLE, 4);
	}
	if (aer->express)
		status.device = status_register(watch->device, aer->express + EXPRESS_STATUS, 2) & 0xf;
	aer_count(&watch->aer, &status);
	event_of(events, event, VFC_EVENT_ERROR, watch);
	event->uncorrectable = status.uncorrectable;
	event->correctable = status.correctable;
	event->status = status.device;
	aer_text(&status, event->detail, sizeof(event->detail));
	if (!event->detail[0])
		snprintf(event->detail, sizeof(event->detail),
			 "the error's registers are clear already; the kernel log may tell more");
	device_suspect(watch->device);
	return 1;
}

static int take_request(struct vfc_events *events, struct watch *watch, struct vfc_event *event)
{
	struct vfc_error before = *vfc_error_last();
	char text[sizeof(event->detail)] = "the host wants the device back: close it";
	int rc = -1;

	if (watch->flags & VFC_WATCH_RELEASE) {
		rc = vfc_device_release(watch->device);
		snprintf(text, sizeof(text), "the host wanted the device back, and has it");
		if (rc < 0)
			snprintf(text, sizeof(text), "the device could not be given back: %.200s",
				 vfc_error_last()->hint);
		vfc_error_restore(&before);
	}
	event_of(events, event, VFC_EVENT_REQUEST, watch);
	event->released = rc == 0;
	memcpy(event->detail, text, sizeof(text));
	device_suspect(watch->device);
	return 1;
}

int watch_take(struct vfc_events *events, uint64_t tag, struct vfc_event *event)
{
	for (struct watch *watch = events->watches; watch; watch = watch->next) {
		struct vfc_irq *irq = tag == watch->tag ? watch->err : watch->req;
		bool fired;

		if (tag - watch->tag > 1)
			continue;
		error_quiet_begin();
		fired = vfc_irq_wait(irq, 0, 0, NULL) == 0;
		error_quiet_end();
		sys_epoll_again(events->epoll, vfc_irq_fd(irq, 0), tag);
		if (!fired)
			return 0;
		return irq == watch->err ? take_error(events, watch, event)
					 : take_request(events, watch, event);
	}
	return 0; /* the device was unwatched meanwhile */
}

/* Open the interrupt set and add it to the epoll set, or do neither. */
static int arm(struct vfc_events *events, struct vfc_device *device, int type, uint64_t tag,
	       struct vfc_irq **irq)
{
	struct vfc_irq_info info = {.size = sizeof(info)};
	uint32_t index = (uint32_t)type;
	int rc = type >= 0 ? vfc_irq_info(device, index, &info) : 0;

	*irq = NULL;
	if (rc < 0 || !info.count)
		return rc;
	rc = vfc_irq_open(device, index, 1, irq);
	if (rc < 0)
		return rc;
	rc = sys_epoll_queue(events->epoll, vfc_irq_fd(*irq, 0), tag);
	if (rc == 0)
		return 0;
	vfc_irq_close(*irq);
	*irq = NULL;
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("epoll_ctl", device->name), "%s", "");
}

static void disarm(struct vfc_events *events, struct vfc_irq *irq)
{
	if (irq)
		sys_epoll_remove(events->epoll, vfc_irq_fd(irq, 0));
	vfc_irq_close(irq);
}

/* Find the registers that report errors. One that cannot be found is not read. */
static void find_status(struct watch *watch)
{
	struct aer_status ignored = {0};
	struct vfc_pci_cap cap;
	char name[VFC_PCI_NAME];

	error_quiet_begin();
	if (vfc_pci_find_cap(watch->device, CAP_EXPRESS, false, 0, &cap) > 0)
		watch->aer.express = cap.offset;
	if (vfc_pci_find_cap(watch->device, EXTENDED_AER, true, 0, &cap) > 0)
		watch->aer.extended = cap.offset;
	if (pci_canonical(watch->device->name, name) == 0)
		memcpy(watch->aer.name, name, sizeof(name));
	aer_count(&watch->aer, &ignored);
	error_quiet_end();
}

/* The kernel may have forgotten what was armed. Linux does not, but it does not promise this. */
static void was_reset(struct device_watcher *watcher)
{
	struct watch *watch = (struct watch *)watcher;

	error_quiet_begin();
	if (watch->err)
		vfc_irq_rearm(watch->err);
	if (watch->req)
		vfc_irq_rearm(watch->req);
	error_quiet_end();
}

static struct watch **find(struct vfc_events *events, const struct vfc_device *device)
{
	struct watch **link = &events->watches;

	while (*link && (*link)->device != device)
		link = &(*link)->next;
	return link;
}

static void closing(void *owner, struct vfc_device *device)
{
	struct vfc_events *events = owner;
	struct watch **link;

	pthread_mutex_lock(&events->lock);
	link = find(events, device);
	if (*link) /* else another thread has just unwatched it */
		watch_forget(events, link);
	pthread_mutex_unlock(&events->lock);
}

static void hold(void *owner)
{
	events_hold(owner);
}

static void put(void *owner)
{
	events_put(owner);
}

static const struct device_watcher_ops watcher_ops = {
	.hold = hold,
	.put = put,
	.closing = closing,
	.was_reset = was_reset,
	.suspect = suspect,
};

static int watched_already(const struct vfc_device *device)
{
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
			"a stream of events watches the device already: unwatch it there first");
}

static int check_watch(struct vfc_device *device, uint32_t flags)
{
	if (flags & ~(uint32_t)VFC_WATCH_RELEASE)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				"flags are 0x%x, and only VFC_WATCH_RELEASE exists", flags);
	return device_watched_by(device, &watcher_ops) ? watched_already(device) : 0;
}

static int arm_both(struct vfc_events *events, struct watch *watch)
{
	struct vfc_device *device = watch->device;
	int rc = arm(events, device, irq_error_index(device), watch->tag, &watch->err);

	if (rc < 0)
		return rc;
	rc = arm(events, device, irq_request_index(device), watch->tag + 1, &watch->req);
	if (rc < 0)
		disarm(events, watch->err);
	watch->watcher.children = (watch->err ? 1 : 0) + (watch->req ? 1 : 0);
	return rc;
}

/*
 * Other threads may call the watcher once device_watch() has run, so it must be complete by then.
 */
static int start(struct vfc_events *events, struct watch *watch)
{
	int rc = arm_both(events, watch);

	if (rc < 0)
		return rc;
	if (device_watch(watch->device, &watch->watcher) == 0)
		return 0;
	disarm(events, watch->err);
	disarm(events, watch->req);
	return watched_already(watch->device);
}

static int watch_locked(struct vfc_events *events, struct vfc_device *device, uint32_t flags)
{
	struct watch *watch = sys_alloc(sizeof(*watch));
	int rc;

	if (!watch)
		return vfc_no_memory();
	watch->watcher.ops = &watcher_ops;
	watch->watcher.owner = events;
	watch->device = device;
	watch->flags = flags;
	watch->tag = EVENT_SOURCES + events->tags;
	find_status(watch);
	rc = start(events, watch);
	if (rc < 0) {
		free(watch);
		return rc;
	}
	events->tags += 2;
	watch->next = events->watches;
	events->watches = watch;
	return 0;
}

int vfc_events_watch(struct vfc_events *events, struct vfc_device *device, uint32_t flags)
{
	int rc;

	pthread_mutex_lock(&events->lock);
	rc = check_watch(device, flags);
	if (rc == 0)
		rc = watch_locked(events, device, flags);
	pthread_mutex_unlock(&events->lock);
	return vfc_done(rc);
}

/*
 * Once the device has forgotten the watcher, no thread is in one of its functions and it can be
 * freed.
 */
void watch_forget(struct vfc_events *events, struct watch **link)
{
	struct watch *watch = *link;

	*link = watch->next;
	device_unwatch(watch->device, &watch->watcher);
	disarm(events, watch->err);
	disarm(events, watch->req);
	free(watch);
}

int vfc_events_unwatch(struct vfc_events *events, struct vfc_device *device)
{
	struct watch **link;
	int rc = 0;

	pthread_mutex_lock(&events->lock);
	link = find(events, device);
	if (*link)
		watch_forget(events, link);
	else
		rc = vfc_fail(ENOENT, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
			      "this stream does not watch the device");
	pthread_mutex_unlock(&events->lock);
	return vfc_done(rc);
}
