/* SPDX-License-Identifier: MIT */
/* What the kernel tells of PCI devices over netlink: parsed as what it is, input from elsewhere. */
#ifndef VFC_PCI_UEVENT_H
#define VFC_PCI_UEVENT_H

#include <stddef.h>
#include <stdint.h>

#include <vfiocore/pci.h>

/* No message of the kernel's is longer (lib/kobject_uevent.c: 2 KiB of variables and a header). */
#define UEVENT_MAX 8192

enum uevent_action { UEVENT_ADD, UEVENT_REMOVE, UEVENT_BIND, UEVENT_UNBIND, UEVENT_CHANGE };

struct uevent {
	enum uevent_action action;
	uint16_t vendor; /* 0: not told */
	uint16_t device;
	char name[VFC_PCI_NAME]; /* canonical */
	char driver[32];         /* "": not told */
};

/*
 * Return: 1, @event is filled in; 0: it is none of ours (another subsystem, an action that we do not
 * know); -EBADMSG with a record: it is no message at all.
 */
int uevent_parse(const char *text, size_t length, struct uevent *event);

/*
 * Read one message. Return: as uevent_parse(); 0 also for one that the kernel did not send; -EAGAIN:
 * there is none; -ENOBUFS: some were lost; else the system call's.
 */
int uevent_receive(int fd, struct uevent *event);

/* A socket that the kernel's messages come to; -errno with a record. @buffer: bytes; 0: 1 MiB. */
int uevent_open(size_t buffer);

#endif
