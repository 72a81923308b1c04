/* SPDX-License-Identifier: MIT */
/* Events: errors, requests, hot plug, sleep. A stream has them of all devices, in one order. */
#ifndef VFIOCORE_EVENT_H
#define VFIOCORE_EVENT_H

#include "abi.h"
#include "bus.h"
#include "device.h"

struct vfc_events;

enum vfc_event_kind {
	VFC_EVENT_ERROR = 1,   /* a watched device: an uncorrectable error, by AER */
	VFC_EVENT_REQUEST = 2, /* a watched device: the host wants it back; repeated until it has it */
	VFC_EVENT_GONE = 3,    /* a watched device: it answers with all ones, in config space too */
	VFC_EVENT_ADD = 4,     /* any PCI device: it is there now */
	VFC_EVENT_REMOVE = 5,  /* any PCI device: it is not there any more */
	VFC_EVENT_BIND = 6,    /* any PCI device: a driver has it now */
	VFC_EVENT_UNBIND = 7,  /* any PCI device: no driver has it any more */
	VFC_EVENT_CHANGE = 8,  /* any PCI device: the kernel says that something changed */
	VFC_EVENT_RESUME = 9,  /* the system slept, and goes on */
	VFC_EVENT_LOST = 10,   /* messages of the kernel were lost or could not be read: look for yourself */
};

enum vfc_watch_flags {
	/*
	 * Let go of the device when the host wants it: vfc_device_release() within
	 * vfc_events_wait().
	 */
	VFC_WATCH_RELEASE = 1 << 0,
};

struct vfc_events_opts {
	uint32_t size; /* sizeof(struct vfc_events_opts) */
	uint32_t reserved;
	int64_t interval; /* ns: how often watched devices are asked whether they are gone; 0: see GONE */
	uint64_t buffer;  /* bytes for messages that wait to be read; 0: 1 MiB */
};

struct vfc_event {
	uint32_t size; /* in: sizeof(struct vfc_event) */
	uint32_t kind; /* enum vfc_event_kind */
	uint64_t sequence; /* 1, 2, 3, ... in this stream */
	uint64_t time;     /* ns of CLOCK_BOOTTIME when the stream learned of it */
	uint64_t slept;    /* RESUME: ns */
	uint32_t uncorrectable; /* ERROR: AER Uncorrectable Error Status, also what was cleared since */
	uint32_t correctable;   /* ERROR: AER Correctable Error Status */
	uint32_t status;        /* ERROR: PCI Express Device Status */
	uint32_t released;      /* REQUEST: 1: the device was let go of, see VFC_WATCH_RELEASE */
	uint16_t vendor; /* ADD and the like: ids, where the kernel tells them */
	uint16_t device;
	uint32_t reserved;
	char name[VFC_BUS_NAME]; /* the device; "" where it is about none */
	char driver[32];  /* "" where it has none, or it is not known */
	char detail[256]; /* for humans */
};

VFC_BEGIN_DECLS

/*
 * vfc_events_open() - open a stream of events.
 * From then on the stream has what the kernel tells of all PCI devices, the system's sleep, and
 * events of watched devices. It needs no privilege. In a container with a user namespace of its own
 * the kernel does not tell of devices that come and go.
 * Errors: -EPROTONOSUPPORT (no netlink), -EMFILE, -ENOMEM, -EINVAL.
 * Source: netlink(7) NETLINK_KOBJECT_UEVENT, timerfd_create(2) TFD_TIMER_CANCEL_ON_SET.
 */
VFC_API int vfc_events_open(const struct vfc_events_opts *opts, struct vfc_events **events);

/* vfc_events_close() - close the stream; devices that it watched are not watched any more. */
VFC_API int vfc_events_close(struct vfc_events *events);

/*
 * vfc_events_watch() - add a device's errors and the host's requests for it to the stream.
 * Arms what the device has of ERR and REQ, and arms them again after vfc_device_reset(). The stream
 * learns that a device is gone when ERR or REQ fires, when a checked access (vfc_region_read() and
 * the like) finds out, and every opts.interval.
 * @flags: enum vfc_watch_flags. Closing the device unwatches it.
 * Errors: -EBUSY (a stream watches it, or a set of ERR or REQ is open), -EMFILE, the kernel's.
 * Thread-safe. Source: VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX.
 */
VFC_API int vfc_events_watch(struct vfc_events *events, struct vfc_device *device, uint32_t flags);

/*
 * vfc_events_unwatch() - the reverse. Errors: -ENOENT (this stream does not watch it). Thread-safe.
 */
VFC_API int vfc_events_unwatch(struct vfc_events *events, struct vfc_device *device);

/*
 * vfc_events_wait() - the next event.
 * What is waiting at several sources comes in the order in which the sources became ready.
 * @timeout: ns; 0: only look; negative: without end.
 * Errors: -ETIMEDOUT, -EINTR (a signal came), -EINVAL. One thread at a time.
 */
VFC_API int vfc_events_wait(struct vfc_events *events, int64_t timeout, struct vfc_event *event);

/*
 * vfc_events_fd() - a descriptor that can be read (poll, epoll) while something waits; the
 * stream's.
 */
VFC_API int vfc_events_fd(struct vfc_events *events);

VFC_END_DECLS
#endif
