/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says about PCI devices over netlink. It is parsed as input that is not trusted.
 */
#ifndef VFC_PCI_UEVENT_H
#define VFC_PCI_UEVENT_H

#include <stddef.h>
#include <stdint.h>

#include <vfiocore/pci.h>

/* The kernel sends no longer message: 2 KiB of variables and a header (lib/kobject_uevent.c). */
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
 * Parse a message. Return: 1: @event is filled in; 0: the message is about another subsystem or an
 * action that we do not know; -EBADMSG with a record: it is not a message.
 */
int uevent_parse(const char *text, size_t length, struct uevent *event);

/*
 * Read one message. Return: as uevent_parse(), and 0 also if the kernel did not send the message;
 * -EAGAIN: there is no message; -ENOBUFS: some were lost; or another error of recvmsg(2).
 */
int uevent_receive(int fd, struct uevent *event);

/*
 * Open a socket for the kernel's messages, or return -errno with a record. @buffer: bytes; 0: 1
 * MiB.
 */
int uevent_open(size_t buffer);

#endif
