/* SPDX-License-Identifier: MIT */
/*
 * A message is "ACTION@PATH" and a NUL, and then "KEY=VALUE" and a NUL for each variable.
 * Source: lib/kobject_uevent.c, drivers/pci/pci-driver.c (pci_uevent()), netlink(7).
 */
#include "pci/uevent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/pci.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

#define BUFFER (1024 * 1024)

/*
 * While we wait for a message about a device, look for the device this often, since a message may
 * be lost.
 */
#define LOOK_NS INT64_C(1000000000)

static const char *const actions[] = {
	[UEVENT_ADD] = "add",	    [UEVENT_REMOVE] = "remove", [UEVENT_BIND] = "bind",
	[UEVENT_UNBIND] = "unbind", [UEVENT_CHANGE] = "change",
};

struct fields {
	const char *action, *subsystem, *name, *driver, *id;
};

static int malformed(const char *why)
{
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("recvmsg", "uevent"), "%s", why);
}

/* Set @value if @line is the variable @key. False: the variable came before. */
static bool take(const char *line, const char *key, const char **value)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) || line[length] != '=')
		return true;
	if (*value)
		return false;
	*value = line + length + 1;
	return true;
}

static int split(const char *text, size_t length, struct fields *fields)
{
	const char *end = text + length, *line = text;

	if (!length || text[length - 1])
		return malformed("a message does not end with a NUL");
	if (!strchr(text, '@'))
		return malformed("a message does not begin with ACTION@PATH");
	for (line += strlen(line) + 1; line < end; line += strlen(line) + 1) {
		const char *equals = strchr(line, '=');

		if (!equals || equals == line)
			return malformed("a variable has no name");
		if (!take(line, "ACTION", &fields->action) ||
		    !take(line, "SUBSYSTEM", &fields->subsystem) ||
		    !take(line, "PCI_SLOT_NAME", &fields->name) ||
		    !take(line, "DRIVER", &fields->driver) || !take(line, "PCI_ID", &fields->id))
			return malformed("a variable comes twice");
	}
	return 0;
}

static bool find_action(const char *text, enum uevent_action *action)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		*action = (enum uevent_action)i;
		if (!strcmp(text, actions[i]))
			return true;
	}
	return false;
}

static bool parse_id(const char *text, struct uevent *event)
{
	unsigned vendor, device;
	int end = 0;

	if (text[strspn(text, "0123456789abcdefABCDEF:")] ||
	    sscanf(text, "%4x:%4x%n", &vendor, &device, &end) != 2 || !end || text[end])
		return false;
	event->vendor = (uint16_t)vendor;
	event->device = (uint16_t)device;
	return true;
}

int uevent_parse(const char *text, size_t length, struct uevent *event)
{
	struct fields fields = {0};
	size_t n;
	int rc = split(text, length, &fields);

	if (rc < 0)
		return rc;
	if (!fields.action || !fields.subsystem)
		return malformed("a message has no ACTION or no SUBSYSTEM");
	n = strlen(fields.action);
	if (strncmp(text, fields.action, n) || text[n] != '@')
		return malformed("a message has two actions");
	memset(event, 0, sizeof(*event));
	if (strcmp(fields.subsystem, "pci") || !find_action(fields.action, &event->action))
		return 0;
	if (!fields.name || strlen(fields.name) >= sizeof(event->name) ||
	    pci_canonical(fields.name, event->name) < 0 || strcmp(fields.name, event->name))
		return malformed("PCI_SLOT_NAME is missing, or no PCI address");
	if (fields.driver && strlen(fields.driver) >= sizeof(event->driver))
		return malformed("DRIVER is too long");
	if (fields.id && !parse_id(fields.id, event))
		return malformed("PCI_ID is not VENDOR:DEVICE");
	snprintf(event->driver, sizeof(event->driver), "%s", fields.driver ? fields.driver : "");
	return 1;
}

int uevent_receive(int fd, struct uevent *event)
{
	char text[UEVENT_MAX];
	bool kernel;
	ssize_t n = sys_receive(fd, text, sizeof(text), &kernel);

	if (n == -ENOBUFS)
		return vfc_fail(ENOBUFS, VFC_REASON_NONE, WHERE("recvmsg", "uevent"),
				"more messages came than the socket could hold");
	if (n < 0)
		return vfc_fail((int)n, VFC_REASON_NONE, WHERE("recvmsg", "uevent"), "%s", "");
	if (!kernel)
		return 0;
	if ((size_t)n > sizeof(text))
		return malformed("a message is longer than any that the kernel sends");
	return uevent_parse(text, (size_t)n, event);
}

int uevent_open(size_t buffer)
{
	int fd = sys_uevents(buffer ? buffer : BUFFER);

	if (fd < 0)
		return vfc_fail(fd, VFC_REASON_NONE, WHERE("socket", "NETLINK_KOBJECT_UEVENT"), "%s",
				fd == -EPROTONOSUPPORT || fd == -EAFNOSUPPORT
					? "the kernel has no netlink (CONFIG_NET), or a filter of the "
					  "container forbids it"
					: "");
	return fd;
}

/* What vfc_pci_wait_for() looks for: an address, or an id. */
struct wanted {
	char name[VFC_PCI_NAME]; /* "": any */
	struct uevent id;
};

static bool matches(const struct wanted *wanted, const char *name)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	int rc;

	if (wanted->name[0] && strcmp(wanted->name, name))
		return false;
	error_quiet_begin();
	rc = vfc_pci_info(name, &info);
	error_quiet_end();
	return rc == 0 && (wanted->name[0] || (info.vendor == wanted->id.vendor &&
					       info.device == wanted->id.device));
}

static int look(const struct wanted *wanted, char name[VFC_PCI_NAME])
{
	char(*names)[VFC_PCI_NAME];
	int n, room = vfc_pci_list(NULL, 0), found = 0;

	if (room < 0)
		return room;
	names = sys_alloc((size_t)(room + 1) * sizeof(*names));
	if (!names)
		return vfc_no_memory();
	n = vfc_pci_list(names, (size_t)room);
	/* more devices may have come meanwhile */
	for (int i = 0; i < n && i < room && !found; i++) {
		found = matches(wanted, names[i]);
		if (found)
			memcpy(name, names[i], VFC_PCI_NAME);
	}
	free(names);
	return n < 0 ? n : found;
}

/* Messages tell when to look, and sysfs tells what is there. */
static int wait_for(const struct wanted *wanted, int fd, int64_t timeout, char name[VFC_PCI_NAME])
{
	int64_t deadline = deadline_in(timeout);
	struct pollfd poll = {.fd = fd, .events = POLLIN};
	struct uevent event;
	int64_t left;
	int rc;

	for (;;) {

		rc = look(wanted, name);
		if (rc)
			return rc < 0 ? rc : 0;
		left = deadline_left(deadline);
		if (left == 0)
			return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, NOWHERE,
					"no such device came in that time");
		event.action = UEVENT_CHANGE;
		rc = sys_poll(&poll, 1, left > 0 && left < LOOK_NS ? left : LOOK_NS);
		if (rc < 0)
			return vfc_fail(rc, VFC_REASON_NONE, WHERE("ppoll"), "%s", "");
		/* A message that is lost or misread does not matter, because we look anyway. */
		error_quiet_begin();
		while (rc >= 0 && !(rc == 1 && event.action == UEVENT_ADD))
			rc = uevent_receive(fd, &event);
		error_quiet_end();
	}
}

int vfc_pci_wait_for(const char *device, int64_t timeout, char name[VFC_PCI_NAME])
{
	struct wanted wanted = {.name = ""};
	int fd, rc = 0;

	if (!device || !parse_id(device, &wanted.id))
		rc = pci_canonical(device, wanted.name);
	if (rc < 0)
		return vfc_done(rc);
	fd = uevent_open(0);
	if (fd < 0)
		return vfc_done(fd);
	rc = wait_for(&wanted, fd, timeout, name);
	sys_close(fd);
	return vfc_done(rc);
}
