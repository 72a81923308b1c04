/* SPDX-License-Identifier: MIT */
/* The inside of an event stream: stream.c has its sources, watch.c its devices. */
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
	/* first, so that it converts to the watch; its owner is the stream */
	struct device_watcher watcher;
	struct watch *next;
	struct vfc_device *device;
	struct vfc_irq *err, *req; /* NULL: the device has no such interrupt */
	uint64_t tag;              /* the tag of err; that of req is one more */
	uint32_t flags;
	bool suspect; /* atomic: the device may be gone and must be asked */
	bool gone;    /* it is gone, and an event said so */
	struct aer aer;
};

struct vfc_events {
	uint32_t holders; /* atomic: the caller, and devices that are calling the stream */
	/* guards what follows except descriptors; taken before device locks */
	pthread_mutex_t lock;
	struct watch *watches;
	uint64_t tags;     /* tags given so far */
	uint64_t sequence; /* events given so far */
	int64_t asleep;    /* ns that the system has slept since it was started */
	int fds[EVENT_SOURCES];  /* -1: there is no such source */
	int epoll;
};

/* Fill in what every event has. Return: 1. */
int event_new(struct vfc_events *events, struct vfc_event *event, uint32_t kind);

/* The last one to let go frees the stream. */
void events_hold(struct vfc_events *events);
void events_put(struct vfc_events *events);

/* The caller holds the stream's lock. Return: 1: there is an event; 0: there is none. */
int watch_take(struct vfc_events *events, uint64_t tag, struct vfc_event *event);
int watch_next_gone(struct vfc_events *events, struct vfc_event *event);
void watch_suspect_all(struct vfc_events *events);
void watch_forget(struct vfc_events *events, struct watch **link);

#endif
