/* SPDX-License-Identifier: MIT */
/*
 * An interrupt set: which vectors are armed, and how that changes.
 * Source: VFIO_DEVICE_SET_IRQS in include/uapi/linux/vfio.h, drivers/vfio/pci/vfio_pci_intrs.c.
 */
#include "irq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "device.h"
#include "error.h"
#include "kernel/sys.h"

/* PCI allows 2048 MSI-X vectors (PCI Local Bus 3.0, 6.8.2.3). */
#define VECTORS_MAX 2048

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

static uint32_t known_flags(const struct vfio_irq_info *info)
{
	return info->flags & (VFC_IRQ_EVENTFD | VFC_IRQ_MASKABLE | VFC_IRQ_AUTOMASKED |
			      VFC_IRQ_NORESIZE);
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
		info->flags = known_flags(&kernel);
		info->count = kernel.count;
	}
	return vfc_done(rc);
}

int irq_check_process(const struct vfc_irq *irq)
{
	if (irq->pid == sys_pid())
		return 0;
	return vfc_fail(ECHILD, VFC_REASON_ARGUMENT, WHERE(.object = irq->device->name),
			"the interrupt set was opened by process %d, the parent of this one: what is "
			"consumed here would be missing there; open the device anew",
			irq->pid);
}

int irq_check(const struct vfc_irq *irq, uint32_t vector)
{
	uint32_t count = __atomic_load_n(&irq->count, __ATOMIC_ACQUIRE);

	if (vector >= count)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = irq->device->name),
				"there is no vector %u, the set has vectors 0 to %u", vector,
				count - 1);
	return irq_check_process(irq);
}

static int set_irqs(struct vfc_irq *irq, uint32_t flags, uint32_t start, uint32_t count)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = flags,
		.index = irq->index,
		.start = start,
		.count = count,
	};

	return irq->device->ops->set_irqs(irq->device->transport, &set);
}

/* Hand the kernel the eventfds of these vectors; -1 for those that are not to be armed. */
static int set_fds(struct vfc_irq *irq, uint32_t action, uint32_t start, const int32_t *fds,
		   uint32_t count)
{
	size_t size = sizeof(struct vfio_irq_set) + count * sizeof(*fds);
	struct vfio_irq_set *set = sys_alloc(size);
	int rc;

	if (!set)
		return vfc_no_memory();
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | action;
	set->index = irq->index;
	set->start = start;
	set->count = count;
	memcpy(set->data, fds, count * sizeof(*fds));
	rc = irq->device->ops->set_irqs(irq->device->transport, set);
	free(set);
	return rc;
}

/* Vectors @start to @end-1 as they are marked. */
static int arm_range(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	int32_t *fds = sys_alloc((end - start) * sizeof(*fds));
	int rc;

	if (!fds)
		return vfc_no_memory();
	for (uint32_t i = start; i < end; i++)
		fds[i - start] = irq->vectors[i].armed ? irq->vectors[i].fd : -1;
	rc = set_fds(irq, VFIO_IRQ_SET_ACTION_TRIGGER, start, fds, end - start);
	free(fds);
	return rc;
}

/* Count 0 is what turns MSI and MSI-X off; descriptors of -1 would leave them on. */
static int turn_off(struct vfc_irq *irq)
{
	return set_irqs(irq, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0);
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

static int check_count(struct vfc_device *device, uint32_t count, uint32_t capacity)
{
	if (count && count <= capacity && count <= VECTORS_MAX)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
			"%u vectors were asked for, the device has %u of this type", count, capacity);
}

/* Eventfds for vectors @start to @end-1; what there was, of a set that was larger once, serves. */
static int open_fds(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	for (uint32_t i = start; i < end; i++) {
		struct vector *vector = &irq->vectors[i];
		int fd = vector->fd < 0 ? sys_eventfd() : vector->fd;

		if (fd >= 0 && vector->fd < 0 && irq->poll_fd >= 0) {
			int rc = sys_epoll_add(irq->poll_fd, fd, i);

			if (rc < 0) {
				sys_close(fd);
				fd = rc;
			}
		}
		if (fd < 0)
			return vfc_fail(fd, VFC_REASON_NONE, WHERE("eventfd", irq->device->name),
					"%u vectors need as many descriptors (ulimit -n)", end);
		vector->fd = fd;
		vector->armed = true;
	}
	return 0;
}

static void close_fds(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	for (uint32_t i = start; i < end; i++) {
		sys_close(irq->vectors[i].fd);
		irq->vectors[i] = (struct vector){.fd = -1};
	}
}

static struct vfc_irq *new_set(struct vfc_device *device, const struct vfio_irq_info *info)
{
	struct vfc_irq *irq;
	uint32_t capacity = info->count < VECTORS_MAX ? info->count : VECTORS_MAX;

	irq = sys_alloc(sizeof(*irq) + capacity * sizeof(*irq->vectors));
	if (!irq)
		return NULL;
	irq->device = device;
	irq->index = info->index;
	irq->flags = known_flags(info);
	irq->capacity = capacity;
	irq->pid = sys_pid();
	irq->poll_fd = irq->unmask_fd = -1;
	for (uint32_t i = 0; i < capacity; i++)
		irq->vectors[i].fd = -1;
	return irq;
}

static int irq_open(struct vfc_device *device, uint32_t index, uint32_t count, struct vfc_irq **out)
{
	struct vfio_irq_info info;
	struct vfc_irq *irq;
	int rc = irq_info(device, index, &info);

	if (rc == 0)
		rc = check_count(device, count, info.count);
	if (rc < 0)
		return rc;
	info.index = index;
	irq = new_set(device, &info);
	if (!irq)
		return vfc_no_memory();
	rc = claim(device, index);
	if (rc == 0) {
		rc = open_fds(irq, 0, count);
		if (rc == 0)
			rc = arm_range(irq, 0, count);
		if (rc < 0)
			unclaim(device, index);
	}
	if (rc < 0) {
		close_fds(irq, 0, irq->capacity);
		free(irq);
		return rc;
	}
	pthread_mutex_init(&irq->lock, NULL);
	irq->count = count;
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
	if (irq->pid == sys_pid() && turn_off(irq) < 0)
		vfc_error_restore(&before);
	unclaim(irq->device, irq->index);
	device_release(irq->device);
	close_fds(irq, 0, irq->capacity);
	sys_close(irq->poll_fd);
	sys_close(irq->unmask_fd);
	pthread_mutex_destroy(&irq->lock);
	free(irq);
	return 0;
}

/* An interrupt may have come while all were off: whoever waits shall look. */
static void raise_all(struct vfc_irq *irq, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (irq->vectors[i].armed)
			sys_eventfd_raise(irq->vectors[i].fd);
}

/* The kernel keeps as many vectors as it was first given: off, and on with more. */
static int restart(struct vfc_irq *irq, uint32_t before, uint32_t count)
{
	struct vfc_error error;
	int rc = turn_off(irq);

	if (rc < 0)
		return rc;
	rc = arm_range(irq, 0, count);
	if (rc < 0) {
		error = *vfc_error_last();
		if (arm_range(irq, 0, before) == 0)
			vfc_error_restore(&error);
	}
	raise_all(irq, before);
	return rc;
}

static int grow(struct vfc_irq *irq, uint32_t count)
{
	uint32_t before = irq->count;
	int rc = open_fds(irq, before, count);

	if (rc == 0)
		rc = irq->flags & VFC_IRQ_NORESIZE ? restart(irq, before, count)
						   : arm_range(irq, before, count);
	if (rc < 0)
		close_fds(irq, before, count);
	else
		__atomic_store_n(&irq->count, count, __ATOMIC_RELEASE);
	return rc;
}

static int shrink(struct vfc_irq *irq, uint32_t count)
{
	uint32_t before = irq->count;
	int rc;

	for (uint32_t i = count; i < before; i++)
		irq->vectors[i].armed = false;
	rc = arm_range(irq, count, before);
	if (rc < 0) {
		for (uint32_t i = count; i < before; i++)
			irq->vectors[i].armed = true;
		return rc;
	}
	__atomic_store_n(&irq->count, count, __ATOMIC_RELEASE);
	close_fds(irq, count, before);
	return 0;
}

int vfc_irq_resize(struct vfc_irq *irq, uint32_t count)
{
	int rc = irq_check_process(irq);

	if (rc == 0)
		rc = check_count(irq->device, count, irq->capacity);
	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&irq->lock);
	if (count > irq->count)
		rc = grow(irq, count);
	else if (count < irq->count)
		rc = shrink(irq, count);
	pthread_mutex_unlock(&irq->lock);
	return vfc_done(rc);
}

static int set_armed(struct vfc_irq *irq, uint32_t index, bool armed)
{
	struct vector *vector = &irq->vectors[index];
	int32_t fd = armed ? vector->fd : -1;
	int rc;

	if (vector->armed == armed)
		return vfc_fail(EALREADY, VFC_REASON_ARGUMENT, WHERE(.object = irq->device->name),
				"vector %u is %s already", index, armed ? "armed" : "disarmed");
	rc = set_fds(irq, VFIO_IRQ_SET_ACTION_TRIGGER, index, &fd, 1);
	if (rc == 0)
		__atomic_store_n(&vector->armed, armed, __ATOMIC_RELEASE);
	return rc;
}

static int change(struct vfc_irq *irq, uint32_t vector, bool armed)
{
	int rc = irq_check(irq, vector);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&irq->lock);
	rc = set_armed(irq, vector, armed);
	pthread_mutex_unlock(&irq->lock);
	return rc;
}

int vfc_irq_arm(struct vfc_irq *irq, uint32_t vector)
{
	return vfc_done(change(irq, vector, true));
}

int vfc_irq_disarm(struct vfc_irq *irq, uint32_t vector)
{
	return vfc_done(change(irq, vector, false));
}

/* A reset forgets the descriptor that unmasks, too. */
static int rearm(struct vfc_irq *irq)
{
	int rc = arm_range(irq, 0, irq->count);

	if (rc == 0 && irq->unmask_fd >= 0)
		rc = set_fds(irq, VFIO_IRQ_SET_ACTION_UNMASK, 0, &irq->unmask_fd, 1);
	return rc;
}

int vfc_irq_rearm(struct vfc_irq *irq)
{
	int rc = irq_check_process(irq);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&irq->lock);
	rc = rearm(irq);
	pthread_mutex_unlock(&irq->lock);
	return vfc_done(rc);
}

static int check_maskable(const struct vfc_irq *irq)
{
	if (irq->flags & VFC_IRQ_MASKABLE)
		return irq_check_process(irq);
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = irq->device->name),
			"only INTx is masked by the kernel: MSI-X has mask bits in the device's "
			"table, and most devices a mask register of their own");
}

static int mask(struct vfc_irq *irq, uint32_t action)
{
	int rc = check_maskable(irq);

	return rc < 0 ? rc : set_irqs(irq, VFIO_IRQ_SET_DATA_NONE | action, 0, 1);
}

int vfc_irq_mask(struct vfc_irq *irq)
{
	return vfc_done(mask(irq, VFIO_IRQ_SET_ACTION_MASK));
}

int vfc_irq_unmask(struct vfc_irq *irq)
{
	return vfc_done(mask(irq, VFIO_IRQ_SET_ACTION_UNMASK));
}

static int open_unmask_fd(struct vfc_irq *irq)
{
	int32_t fd = sys_eventfd();
	int rc;

	if (fd < 0)
		return vfc_fail(fd, VFC_REASON_NONE, WHERE("eventfd", irq->device->name), "ulimit -n");
	rc = set_fds(irq, VFIO_IRQ_SET_ACTION_UNMASK, 0, &fd, 1);
	if (rc < 0) {
		sys_close(fd);
		return rc;
	}
	irq->unmask_fd = fd;
	return 0;
}

int vfc_irq_unmask_fd(struct vfc_irq *irq)
{
	int rc = check_maskable(irq);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&irq->lock);
	rc = irq->unmask_fd < 0 ? open_unmask_fd(irq) : 0;
	pthread_mutex_unlock(&irq->lock);
	return vfc_done(rc < 0 ? rc : irq->unmask_fd);
}

int vfc_irq_trigger(struct vfc_irq *irq, uint32_t vector)
{
	int rc = irq_check(irq, vector);

	if (rc == 0)
		rc = set_irqs(irq, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, vector, 1);
	return vfc_done(rc);
}
