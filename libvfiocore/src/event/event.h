/* SPDX-License-Identifier: MIT */
/* The inside of a stream of events: stream.c has its sources, watch.c its devices. */
#ifndef VFC_EVENT_H
#define VFC_EVENT_H

#include <pthread.h>
#include <stdbool.h>
#include <vfiocore/event.h>
#include <vfiocore/irq.h>

#include "device/object.h"
#include "pci/aer.h"

enum event_source { EVENT_UEVENTS, EVENT_CLOCK, EVENT_KICK, EVENT_TIMER, EVENT_SOURCES };

struct watch {
	struct device_watcher watcher; /* first: it is what the device calls with; its owner is the stream */
	struct watch *next;
	struct vfc_device *device;
	struct vfc_irq *err, *req; /* NULL: the device has none */
	uint64_t tag;              /* of err; that of req is one more */
	uint32_t flags;
	bool suspect; /* atomic: ask whether the device is gone */
	bool gone;    /* it is, and an event said so */
	struct aer aer;
};

struct vfc_events {
	uint32_t holders; /* atomic: the caller, and devices that are telling the stream of something */
	pthread_mutex_t lock; /* what follows, but not the descriptors; taken before a device's locks */
	struct watch *watches;
	uint64_t tags;     /* given so far */
	uint64_t sequence; /* likewise */
	int64_t asleep;    /* ns that the system has slept since it was started */
	int fds[EVENT_SOURCES];  /* -1: not there */
	int epoll;
};

/* Begin an event. Return: 1. */
int event_new(struct vfc_events *events, struct vfc_event *event, uint32_t kind);

/* The last to let go frees it. */
void events_hold(struct vfc_events *events);
void events_put(struct vfc_events *events);

/* With the stream's lock held. 1: there is an event; 0: it was none. */
int watch_take(struct vfc_events *events, uint64_t tag, struct vfc_event *event);
int watch_next_gone(struct vfc_events *events, struct vfc_event *event);
void watch_suspect_all(struct vfc_events *events);
void watch_forget(struct vfc_events *events, struct watch **link);

#endif
