/* SPDX-License-Identifier: MIT */
/*
 * Opening, resizing and closing an interrupt set.
 * Source: drivers/vfio/pci/vfio_pci_intrs.c.
 */
#include "irq/irq.h"

#include <errno.h>
#include <stdlib.h>
#include <vfiocore/irq.h>

#include "device/object.h"
#include "base/error.h"
#include "kernel/sys.h"
#include "device/names.h"
#include "base/sized.h"

/* PCI allows 2048 MSI-X vectors (PCI Local Bus 3.0, 6.8.2.3). */
#define VECTORS_MAX 2048

static int irq_info(struct vfc_device *device, uint32_t index, struct vfio_irq_info *info)
{
	struct vfc_error before = *vfc_error_last();
	int rc;

	if (index >= device->irq_count)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"there is no interrupt type %u, the device has %u, counted from 0", index,
				device->irq_count);
	rc = device->ops->irq_info(device->transport, index, info);
	if (rc != -EINVAL)
		return rc;
	/*
	 * Some types below num_irqs do not exist, such as ERR on conventional PCI
	 * (vfio_pci_core.c).
	 */
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
	struct vfc_irq_info now = {.index = index};
	struct vfio_irq_info kernel;
	int rc = ANSWER_CHECK(vfc_irq_info, info);

	if (rc == 0)
		rc = irq_info(device, index, &kernel);
	if (rc == 0) {
		now.flags = known_flags(&kernel);
		now.count = kernel.count;
		irq_name(device, index, now.name, sizeof(now.name));
		sized_answer(info, &now, sizeof(now));
	}
	return vfc_done(rc);
}

int vfc_irq_find(struct vfc_device *device, const char *name)
{
	return vfc_done(names_find(device, name, device->irq_count, irq_name, "interrupt type"));
}

static int claim(struct vfc_device *device, uint32_t index)
{
	bool busy;

	pthread_mutex_lock(&device->lock);
	busy = device->irqs_open[index] ||
	       (device_irq_excludes(device, index) && device_irqs_busy(device));
	if (!busy)
		device->irqs_open[index] = true;
	pthread_mutex_unlock(&device->lock);
	if (busy)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"an interrupt set of this device is open%s: close it first",
				device_irq_excludes(device, index)
					? ", and only one of INTx, MSI and MSI-X can be"
					: " for that type");
	return 0;
}

static void unclaim(struct vfc_device *device, uint32_t index)
{
	pthread_mutex_lock(&device->lock);
	device->irqs_open[index] = false;
	pthread_mutex_unlock(&device->lock);
}

static int check_count(struct vfc_device *device, uint32_t count, uint32_t capacity)
{
	if (count && count <= capacity && count <= VECTORS_MAX)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
			"%u vectors were asked for, the device has %u of this type", count, capacity);
}

static void watch(struct vfc_irq *irq, int *rc, int epoll, uint32_t vector)
{
	if (epoll >= 0 && *rc == 0)
		*rc = sys_epoll_add(epoll, irq->vectors[vector].fd, vector);
}

/*
 * Remove the vectors from the epoll instances explicitly. Closing our eventfd would not remove it
 * if a child of fork() has it open too.
 */
static void unwatch(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	for (uint32_t i = start; i < end; i++) {
		if (irq->poll_fd >= 0)
			sys_epoll_remove(irq->poll_fd, irq->vectors[i].fd);
		if (irq->thread_fd >= 0)
			sys_epoll_remove(irq->thread_fd, irq->vectors[i].fd);
	}
}

/* Forget what the vector counted when it was in the set before. */
static int join(struct vfc_irq *irq, uint32_t index)
{
	struct vector *vector = &irq->vectors[index];
	int rc = 0;

	sys_eventfd_take(vector->fd);
	__atomic_store_n(&vector->fired, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&vector->wakeups, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&vector->spurious, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&vector->armed, true, __ATOMIC_RELEASE);
	__atomic_store_n(&vector->member, true, __ATOMIC_RELEASE);
	watch(irq, &rc, irq->poll_fd, index);
	watch(irq, &rc, irq->thread_fd, index);
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("epoll_ctl", irq->device->name),
				 "vector %u cannot be watched (fs.epoll.max_user_watches)", index)
		      : 0;
}

/*
 * Make eventfds for vectors @start to @end-1. Those left from a time when the set was larger are
 * used again.
 */
static int open_fds(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	int rc = 0;

	for (uint32_t i = start; i < end && rc == 0; i++) {
		if (i == irq->opened) {
			int fd = sys_eventfd_blocking();

			if (fd < 0)
				return vfc_fail(fd, VFC_REASON_NONE,
						WHERE("eventfd", irq->device->name),
						"%u vectors need as many descriptors (ulimit -n)", end);
			irq->vectors[i].fd = fd;
			irq->vectors[i].shared = false;
			irq->opened++;
		}
		rc = join(irq, i);
	}
	return rc;
}

static void leave(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	for (uint32_t i = start; i < end; i++) {
		__atomic_store_n(&irq->vectors[i].armed, false, __ATOMIC_RELEASE);
		__atomic_store_n(&irq->vectors[i].member, false, __ATOMIC_RELEASE);
	}
	unwatch(irq, start, end);
}

static void close_fds(struct vfc_irq *irq)
{
	for (uint32_t i = 0; i < irq->opened; i++)
		sys_close(irq->vectors[i].fd);
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
	irq->poll_fd = irq->unmask_fd = irq->thread_fd = -1;
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
			rc = irq_arm_range(irq, 0, count);
		if (rc < 0)
			unclaim(device, index);
	}
	if (rc < 0) {
		close_fds(irq);
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
	bool ours;

	if (!irq)
		return 0;
	ours = irq->pid == sys_pid();
	if (ours && irq->thread_fd >= 0)
		return vfc_done(vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = irq->device->name),
					 "a thread serves the set: vfc_irq_thread_stop() first"));
	error_quiet_begin();
	if (ours && irq->unbind_all)
		irq->unbind_all(irq);
	/* A device that is gone cannot be disarmed, but it raises nothing any more either. */
	if (ours)
		irq_turn_off(irq);
	error_quiet_end();
	unclaim(irq->device, irq->index);
	device_put(irq->device);
	close_fds(irq);
	sys_close(irq->poll_fd);
	sys_close(irq->unmask_fd);
	pthread_mutex_destroy(&irq->lock);
	free(irq);
	return 0;
}

/* An interrupt may have been lost while all vectors were off, so wake every waiter to look. */
static void raise_all(struct vfc_irq *irq, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (irq->vectors[i].armed)
			sys_eventfd_raise(irq->vectors[i].fd);
}

/* Neither the new size nor the former one could be set. */
static int lost(struct vfc_irq *irq, int rc)
{
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_DEVICE_SET_IRQS", irq->device->name),
			"the kernel turned all vectors off to add some, and did not take them back: "
			"vfc_irq_rearm() tries again");
}

/*
 * The kernel keeps as many vectors as it was first given. To get more, turn all of them off and on.
 */
static int restart(struct vfc_irq *irq, uint32_t before, uint32_t count)
{
	int rc = irq_turn_off(irq);

	if (rc < 0)
		return rc;
	rc = irq_arm_range(irq, 0, count);
	if (rc < 0) {
		int back;

		error_quiet_begin();
		back = irq_arm_range(irq, 0, before);
		error_quiet_end();
		if (back < 0)
			lost(irq, rc);
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
						   : irq_arm_range(irq, before, count);
	/*
	 * A thread that waits for any vector may have just been told of a new one, so the eventfds
	 * stay.
	 */
	if (rc < 0)
		leave(irq, before, irq->opened < count ? irq->opened : count);
	else
		__atomic_store_n(&irq->count, count, __ATOMIC_RELEASE);
	return rc;
}

static int shrink(struct vfc_irq *irq, uint32_t count)
{
	uint32_t before = irq->count;
	int rc = 0;

	for (uint32_t i = count; rc == 0 && i < before; i++)
		rc = irq_check_ours(irq, i);
	if (rc == 0)
		rc = irq_disarm_range(irq, count, before);
	if (rc < 0)
		return rc;
	__atomic_store_n(&irq->count, count, __ATOMIC_RELEASE);
	leave(irq, count, before);
	for (uint32_t i = count; i < before; i++) /* wake its waiters to look */
		sys_eventfd_raise(irq->vectors[i].fd);
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

