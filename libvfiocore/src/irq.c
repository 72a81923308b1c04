/* SPDX-License-Identifier: MIT */
/* Source: VFIO_DEVICE_SET_IRQS in include/uapi/linux/vfio.h, drivers/vfio/pci/vfio_pci_intrs.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "device.h"
#include "error.h"
#include "kernel/sys.h"

/* PCI allows 2048 MSI-X vectors (PCI Local Bus 3.0, 6.8.2.3). */
#define VECTORS_MAX 2048

struct vfc_irq {
	struct vfc_device *device;
	uint32_t index;
	uint32_t count;
	int32_t fds[];
};

static int irq_info(struct vfc_device *device, uint32_t index, struct vfio_irq_info *info)
{
	struct vfc_error before = *vfc_error_last();
	int rc;

	if (index >= device->irq_count || index >= 32)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"there is no interrupt type %u, the device has types 0 to %u", index,
				device->irq_count - 1);
	rc = device->ops->irq_info(device->transport, index, info);
	if (rc != -EINVAL)
		return rc;
	/* Below num_irqs and yet unknown: ERR on conventional PCI (vfio_pci_core.c). */
	vfc_error_restore(&before);
	*info = (struct vfio_irq_info){.index = index};
	return 0;
}

int vfc_irq_info(struct vfc_device *device, uint32_t index, struct vfc_irq_info *info)
{
	struct vfio_irq_info kernel;
	int rc;

	if (info->size < sizeof(*info))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "info->size is %u, set it to sizeof(struct vfc_irq_info)",
					 info->size));
	rc = irq_info(device, index, &kernel);
	if (rc == 0) {
		info->index = index;
		info->flags = kernel.flags & (VFC_IRQ_EVENTFD | VFC_IRQ_MASKABLE |
					      VFC_IRQ_AUTOMASKED | VFC_IRQ_NORESIZE);
		info->count = kernel.count;
	}
	return vfc_done(rc);
}

static int set_irqs(struct vfc_device *device, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};

	return device->ops->set_irqs(device->transport, &set);
}

static int arm(struct vfc_irq *irq)
{
	size_t size = sizeof(struct vfio_irq_set) + irq->count * sizeof(*irq->fds);
	struct vfio_irq_set *set = sys_alloc(size);
	int rc;

	if (!set)
		return vfc_no_memory();
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = irq->index;
	set->count = irq->count;
	memcpy(set->data, irq->fds, irq->count * sizeof(*irq->fds));
	rc = irq->device->ops->set_irqs(irq->device->transport, set);
	free(set);
	return rc;
}

/* Count 0 is what turns MSI and MSI-X off; descriptors of -1 would leave them on. */
static int disarm(struct vfc_irq *irq)
{
	return set_irqs(irq->device, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			irq->index, 0, 0);
}

static int claim(struct vfc_device *device, uint32_t index)
{
	uint32_t bit = 1u << index, conflicts = bit & IRQS_EXCLUSIVE ? IRQS_EXCLUSIVE : bit, busy;

	pthread_mutex_lock(&device->lock);
	busy = device->irqs_open & conflicts;
	if (!busy)
		device->irqs_open |= bit;
	pthread_mutex_unlock(&device->lock);
	if (busy)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"an interrupt set of this device is open, and only one of INTx, MSI "
				"and MSI-X can be: close it first");
	return 0;
}

static void unclaim(struct vfc_device *device, uint32_t index)
{
	pthread_mutex_lock(&device->lock);
	device->irqs_open &= ~(1u << index);
	pthread_mutex_unlock(&device->lock);
}

static void close_fds(struct vfc_irq *irq)
{
	for (uint32_t i = 0; i < irq->count; i++)
		sys_close(irq->fds[i]);
}

static int open_fds(struct vfc_irq *irq, uint32_t count)
{
	for (; irq->count < count; irq->count++) {
		int fd = sys_eventfd();

		if (fd < 0)
			return vfc_fail(fd, VFC_REASON_NONE, WHERE("eventfd", irq->device->name),
					"%u vectors need as many descriptors (ulimit -n)", count);
		irq->fds[irq->count] = fd;
	}
	return 0;
}

static int check_count(struct vfc_device *device, uint32_t index, uint32_t count)
{
	struct vfio_irq_info info;
	int rc = irq_info(device, index, &info);

	if (rc < 0)
		return rc;
	if (!count || count > info.count || count > VECTORS_MAX)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"%u vectors were asked for, the device has %u of this type", count,
				info.count);
	return 0;
}

static int irq_open(struct vfc_device *device, uint32_t index, uint32_t count, struct vfc_irq **out)
{
	struct vfc_irq *irq;
	int rc = check_count(device, index, count);

	if (rc < 0)
		return rc;
	irq = sys_alloc(sizeof(*irq) + count * sizeof(*irq->fds));
	if (!irq)
		return vfc_no_memory();
	irq->device = device;
	irq->index = index;
	rc = claim(device, index);
	if (rc == 0) {
		rc = open_fds(irq, count);
		if (rc == 0)
			rc = arm(irq);
		if (rc < 0)
			unclaim(device, index);
	}
	if (rc < 0) {
		close_fds(irq);
		free(irq);
		return rc;
	}
	device_hold(device);
	*out = irq;
	return 0;
}

int vfc_irq_open(struct vfc_device *device, uint32_t index, uint32_t count, struct vfc_irq **irq)
{
	return vfc_done(irq_open(device, index, count, irq));
}

int vfc_irq_close(struct vfc_irq *irq)
{
	struct vfc_error before = *vfc_error_last();

	if (!irq)
		return 0;
	/* A device that is gone cannot be disarmed and raises nothing any more. */
	if (disarm(irq) < 0)
		vfc_error_restore(&before);
	unclaim(irq->device, irq->index);
	device_release(irq->device);
	close_fds(irq);
	free(irq);
	return 0;
}

static int check_vector(const struct vfc_irq *irq, uint32_t vector)
{
	if (vector < irq->count)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = irq->device->name),
			"there is no vector %u, the set has vectors 0 to %u", vector, irq->count - 1);
}

int vfc_irq_fd(struct vfc_irq *irq, uint32_t vector)
{
	int rc = check_vector(irq, vector);

	return vfc_done(rc < 0 ? rc : irq->fds[vector]);
}

static int wait_readable(struct vfc_irq *irq, int fd, int64_t deadline)
{
	struct pollfd poll = {.fd = fd, .events = POLLIN};
	int64_t left = deadline < 0 ? -1 : deadline - sys_now();
	int rc = sys_poll(&poll, 1, deadline >= 0 && left < 0 ? 0 : left);

	if (rc > 0)
		return 0;
	return vfc_fail(rc == 0 ? ETIMEDOUT : rc, rc == 0 ? VFC_REASON_TIMEOUT : VFC_REASON_NONE,
			WHERE("ppoll", irq->device->name), "%s",
			rc == 0 ? "no interrupt came in that time" : "");
}

static int irq_wait(struct vfc_irq *irq, uint32_t vector, int64_t timeout, uint64_t *count)
{
	/* Centuries are without end: the sum must not overflow. */
	int64_t deadline = timeout < 0 || timeout > INT64_MAX / 2 ? -1 : sys_now() + timeout;
	uint64_t fired;
	ssize_t n;
	int rc = check_vector(irq, vector);

	/* Another thread may take what woke us: then wait again for the rest of the time. */
	while (rc == 0) {
		n = sys_read(irq->fds[vector], &fired, sizeof(fired));
		if (n == sizeof(fired)) {
			if (count)
				*count = fired;
			return 0;
		}
		if (n < 0 && n != -EAGAIN)
			return vfc_fail((int)n, VFC_REASON_NONE, WHERE("read", irq->device->name),
					"vector %u", vector);
		rc = wait_readable(irq, irq->fds[vector], deadline);
	}
	return rc;
}

int vfc_irq_wait(struct vfc_irq *irq, uint32_t vector, int64_t timeout, uint64_t *count)
{
	return vfc_done(irq_wait(irq, vector, timeout, count));
}

int vfc_irq_rearm(struct vfc_irq *irq)
{
	return vfc_done(arm(irq));
}

int vfc_irq_unmask(struct vfc_irq *irq)
{
	return vfc_done(set_irqs(irq->device,
				 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, irq->index, 0,
				 irq->count));
}

int vfc_irq_trigger(struct vfc_irq *irq, uint32_t vector)
{
	int rc = check_vector(irq, vector);

	if (rc == 0)
		rc = set_irqs(irq->device, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			      irq->index, vector, 1);
	return vfc_done(rc);
}
