/* SPDX-License-Identifier: MIT */
/* Handing a device from one process to another in a message. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/bus.h>
#include <vfiocore/device.h>
#include <vfiocore/handover.h>
#include <vfiocore/iommu.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/sized.h"
#include "device/device.h"
#include "iommu/iommu.h"
#include "kernel/sys.h"
#include "transport/transport.h"

/*
 * What goes with the two descriptors, of which the space's is the first. Sender and receiver run on
 * the same machine, so they agree on the layout.
 */
struct message {
	char magic[12];
	uint32_t ioas;
	char transport[16];
	char name[VFC_BUS_NAME];
};

static const char magic[12] = "vfiocore 1";

static int device_send(struct vfc_device *device, int socket)
{
	struct message message = {.ioas = 0};
	int fds[2], rc = fds[1] = vfc_device_fd(device);

	if (rc < 0)
		return rc;
	rc = fds[0] = vfc_iommu_fd(device->iommu, &message.ioas);
	if (rc < 0)
		return rc;
	memcpy(message.magic, magic, sizeof(magic));
	snprintf(message.transport, sizeof(message.transport), "%s", device->ops->name);
	memcpy(message.name, device->name, sizeof(message.name));
	/*
	 * Do this before the other side can map anything there. The space stays shared if sending
	 * fails, since another thread may have sent the device.
	 */
	iommu_share(device->iommu);
	rc = sys_send_fds(socket, &message, sizeof(message), fds);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("sendmsg", device->name),
				"descriptor %d must be a connected Unix socket, with room", socket);
	__atomic_store_n(&device->shared, true, __ATOMIC_RELAXED);
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
		return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, WHERE("poll"),
				"nobody has sent a device");
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("poll"), "%s", "") : 0;
}

/*
 * Receive a message. Both descriptors are open after a success, and none after a failure. Return 1
 * if another thread got the message.
 */
static int get(int socket, struct message *message, int fds[2])
{
	unsigned count;
	bool whole;
	ssize_t n = sys_receive_fds(socket, message, sizeof(*message), fds, &count, &whole);

	if (n == -EAGAIN)
		return 1;
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

/* If another thread was faster to get the message, the wait goes on. */
static int wait_and_get(int socket, int64_t timeout, struct message *message, int fds[2])
{
	int64_t deadline = deadline_in(timeout);
	int rc;

	do {
		rc = wait_for(socket, deadline_left(deadline));
		if (rc == 0)
			rc = get(socket, message, fds);
	} while (rc > 0);
	return rc;
}

/*
 * The sender must not be able to make the receiver work without an IOMMU or with a model. So it may
 * name only a transport that hands devices over.
 */
static int check_transport(const char *name)
{
	const struct transport *ops = NULL;
	bool known;

	error_quiet_begin();
	known = *name && transport_find(name, NULL, &ops) == 0;
	error_quiet_end();
	if (known && !strcmp(ops->name, name) && ops->space_fd && ops->device_fd)
		return 0;
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE("recvmsg"),
			"the sender names the transport \"%s\" for its device, by which none is "
			"handed over",
			known ? ops->name : "?");
}

static int open_message(const struct message *message, const int fds[2],
			const struct vfc_device_opts *opts, struct vfc_device **device)
{
	const struct vfc_iommu_opts space = {
		.size = sizeof(space), .transport = message->transport, .ioas = message->ioas};
	struct vfc_device_opts in = {
		.size = sizeof(in), .flags = VFC_DEVICE_SHARED, .iommu = opts->iommu};
	int rc;

	if (opts->iommu)
		return device_take(fds[1], message->name, &in, device);
	rc = check_transport(message->transport);
	return rc < 0 ? rc
		      : device_take_both(fds[0], fds[1], message->name, &space, in.flags, device);
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
	rc = wait_and_get(socket, timeout, &message, fds);
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
