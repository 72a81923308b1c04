/* SPDX-License-Identifier: MIT */
/* Devices that go from one process to another, by inheritance or in a message. */
#include "share/handover.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "device/device.h"
#include "base/error.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"
#include "base/sized.h"

#define VARIABLE "VFIOCORE_FDS"

/* What is said with the two descriptors, first the space's. Both sides are one machine's. */
struct message {
	char magic[12];
	uint32_t ioas;
	char transport[16];
	char name[VFC_BUS_NAME];
};

static const char magic[12] = "vfiocore 1";

static int malformed_list(const char *list)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = VARIABLE),
			"\"%.100s\" is no list such as iommu=3,0000:01:00.0=4, which `vfio run` makes: "
			"unset it", list);
}

int handover_find(const char *name, int *fd)
{
	const char *list = secure_getenv(VARIABLE), *entry = list;
	size_t length = strlen(name);

	while (entry && *entry) {
		const char *number = strchr(entry, '=');
		char *end = NULL;
		long value = number ? strtol(number + 1, &end, 10) : -1;

		if (value < 0 || value > INT_MAX || end == number + 1 || (*end && *end != ','))
			return malformed_list(list);
		if ((size_t)(number - entry) == length && !strncmp(entry, name, length)) {
			*fd = (int)value;
			return 1;
		}
		entry = *end ? end + 1 : end;
	}
	return 0;
}

/* The space is one of its own. */
static int take_both(int space, int fd, const char *name, const struct vfc_iommu_opts *opts,
		     uint32_t flags, struct vfc_device **device)
{
	struct vfc_device_opts in = {.size = sizeof(in), .flags = flags};
	int rc = iommu_take(space, opts, &in.iommu);

	if (rc < 0)
		return rc;
	rc = device_take(fd, name, &in, device);
	if (rc < 0)
		vfc_iommu_close(in.iommu);
	else
		(*device)->own = in.iommu;
	return rc;
}

/* A failure of a name that is none is for the caller to find. */
static int find_device(const char *name, char canonical[VFC_PCI_NAME], int *fd)
{
	struct vfc_error before = *vfc_error_last();

	if (!secure_getenv(VARIABLE))
		return 0;
	if (pci_canonical(name, canonical) < 0) {
		vfc_error_restore(&before);
		return 0;
	}
	return handover_find(canonical, fd);
}

int handover_open(const char *name, const struct vfc_device_opts *opts, struct vfc_device **device)
{
	struct vfc_iommu *iommu = opts ? opts->iommu : NULL;
	char canonical[VFC_PCI_NAME];
	int fd, space, rc;

	if (iommu && !iommu_is_adopted(iommu))
		return 1;
	rc = find_device(name, canonical, &fd);
	if (rc <= 0)
		return rc < 0 ? rc : 1;
	if (iommu)
		return device_take(fd, canonical, opts, device);
	rc = handover_find(HANDOVER_IOMMU, &space);
	if (rc == 0)
		return malformed_list(secure_getenv(VARIABLE));
	return rc < 0 ? rc : take_both(space, fd, canonical, NULL, 0, device);
}

static int device_fd(struct vfc_device *device)
{
	int rc = device_present(device);

	if (rc < 0)
		return rc;
	if (!device->ops->device_fd || !device->ops->space_fd)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the transport %s hands no device over: cdev, group and compat do",
				device->ops->name);
	return device->ops->device_fd(device->transport);
}

int vfc_device_fd(struct vfc_device *device)
{
	return vfc_done(device_fd(device));
}

static int device_send(struct vfc_device *device, int socket)
{
	struct message message = {.ioas = 0};
	int fds[2], rc = fds[1] = device_fd(device);

	if (rc < 0)
		return rc;
	rc = fds[0] = vfc_iommu_fd(device->iommu, &message.ioas);
	if (rc < 0)
		return rc;
	memcpy(message.magic, magic, sizeof(magic));
	snprintf(message.transport, sizeof(message.transport), "%s", device->ops->name);
	memcpy(message.name, device->name, sizeof(message.name));
	/* Before the other side can map anything there; and when it fails, another thread may have sent it. */
	iommu_share(device->iommu);
	rc = sys_send_fds(socket, &message, sizeof(message), fds);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("sendmsg", device->name),
				"descriptor %d must be a connected Unix socket, with room", socket);
	device->shared = true;
	return 0;
}

int vfc_device_send(struct vfc_device *device, int socket)
{
	return vfc_done(device_send(device, socket));
}

static int wait_for(int socket, int64_t timeout)
{
	struct pollfd poll = {.fd = socket, .events = POLLIN};
	int rc = sys_poll(&poll, 1, timeout);

	if (rc == 0)
		return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, WHERE("poll"), "nobody has sent a device");
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("poll"), "%s", "") : 0;
}

/* Both descriptors are there when it succeeds, and none when it fails. */
static int get(int socket, struct message *message, int fds[2])
{
	unsigned count;
	bool whole;
	ssize_t n = sys_receive_fds(socket, message, sizeof(*message), fds, &count, &whole);

	if (n < 0)
		return vfc_fail((int)n, VFC_REASON_NONE, WHERE("recvmsg"),
				"descriptor %d must be a connected Unix socket", socket);
	if (n == sizeof(*message) && whole && count == 2 &&
	    !memcmp(message->magic, magic, sizeof(magic))) {
		message->transport[sizeof(message->transport) - 1] = '\0';
		message->name[sizeof(message->name) - 1] = '\0';
		return 0;
	}
	while (count)
		sys_close(fds[--count]);
	if (n == 0)
		return vfc_fail(ECONNRESET, VFC_REASON_NONE, WHERE("recvmsg"),
				"the other side closed the socket and has sent no device");
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("recvmsg"),
			"what came is not what vfc_device_send() of this version sends, with two "
			"descriptors: they were closed");
}

static int open_message(const struct message *message, const int fds[2],
			const struct vfc_device_opts *opts, struct vfc_device **device)
{
	const struct vfc_iommu_opts space = {
		.size = sizeof(space), .transport = message->transport, .ioas = message->ioas};
	struct vfc_device_opts in = {.size = sizeof(in), .flags = VFC_DEVICE_SHARED};

	if (!opts->iommu)
		return take_both(fds[0], fds[1], message->name, &space, in.flags, device);
	in.iommu = opts->iommu;
	return device_take(fds[1], message->name, &in, device);
}

static int device_receive(int socket, const struct vfc_device_opts *opts, int64_t timeout,
			  struct vfc_device **device)
{
	struct vfc_device_opts own;
	struct message message;
	int fds[2], rc;

	opts = OPTIONS(vfc_device_opts, opts, &own);
	if (!opts)
		return OPTIONS_REFUSED;
	rc = wait_for(socket, timeout);
	if (rc == 0)
		rc = get(socket, &message, fds);
	if (rc < 0)
		return rc;
	rc = open_message(&message, fds, opts, device);
	sys_close(fds[0]);
	sys_close(fds[1]);
	return rc;
}

int vfc_device_receive(int socket, const struct vfc_device_opts *opts, int64_t timeout,
		       struct vfc_device **device)
{
	return vfc_done(device_receive(socket, opts, timeout, device));
}
