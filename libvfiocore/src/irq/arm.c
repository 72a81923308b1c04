/* SPDX-License-Identifier: MIT */
/*
 * What the kernel is told about an interrupt set: which vectors are armed, masked, raised.
 * Source: VFIO_DEVICE_SET_IRQS in include/uapi/linux/vfio.h, drivers/vfio/pci/vfio_pci_intrs.c.
 */
#include "irq/irq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/device.h>
#include <vfiocore/irq.h>

#include "device/object.h"
#include "base/error.h"
#include "kernel/sys.h"

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

/* Give the kernel the eventfds of these vectors. A descriptor of -1 disarms the vector. */
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

static int send_range(struct vfc_irq *irq, uint32_t start, uint32_t end, bool on)
{
	int32_t *fds = sys_alloc((end - start) * sizeof(*fds));
	int rc;

	if (!fds)
		return vfc_no_memory();
	for (uint32_t i = start; i < end; i++)
		fds[i - start] = on && irq->vectors[i].armed ? irq->vectors[i].fd : -1;
	rc = set_fds(irq, VFIO_IRQ_SET_ACTION_TRIGGER, start, fds, end - start);
	free(fds);
	return rc;
}

int irq_arm_range(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	return send_range(irq, start, end, true);
}

int irq_disarm_range(struct vfc_irq *irq, uint32_t start, uint32_t end)
{
	return send_range(irq, start, end, false);
}

/* A count of 0 turns MSI and MSI-X off. Descriptors of -1 would leave them on. */
int irq_turn_off(struct vfc_irq *irq)
{
	return set_irqs(irq, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0);
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
	int rc = irq_check_process(irq);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&irq->lock);
	rc = irq_check(irq, vector);
	if (rc == 0)
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

/* Remove the eventfd first: the kernel answers EBUSY to a second one (vfio_virqfd_enable()). */
static int rearm_unmask_fd(struct vfc_irq *irq)
{
	int32_t none = -1;
	int rc = set_fds(irq, VFIO_IRQ_SET_ACTION_UNMASK, 0, &none, 1);

	return rc < 0 ? rc : set_fds(irq, VFIO_IRQ_SET_ACTION_UNMASK, 0, &irq->unmask_fd, 1);
}

static int rearm(struct vfc_irq *irq)
{
	int rc = irq_arm_range(irq, 0, irq->count);

	return rc == 0 && irq->unmask_fd >= 0 ? rearm_unmask_fd(irq) : rc;
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
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = irq->device->name), "%s",
			irq->device->flags & VFC_DEVICE_PCI
				? "only INTx is masked by the kernel: MSI-X has mask bits in the device's "
				  "table, and most devices a mask register of their own"
				: "the kernel does not mask this type (VFC_IRQ_MASKABLE is not among its "
				  "flags)");
}

static int mask(struct vfc_irq *irq, uint32_t action)
{
	int rc = check_maskable(irq);

	return rc < 0 ? rc : set_irqs(irq, VFIO_IRQ_SET_DATA_NONE | action, 0, irq->count);
}

int vfc_irq_mask(struct vfc_irq *irq)
{
	return vfc_done(mask(irq, VFIO_IRQ_SET_ACTION_MASK));
}

int irq_unmask(struct vfc_irq *irq)
{
	return mask(irq, VFIO_IRQ_SET_ACTION_UNMASK);
}

int vfc_irq_unmask(struct vfc_irq *irq)
{
	return vfc_done(irq_unmask(irq));
}

int irq_open_unmask_fd(struct vfc_irq *irq)
{
	int32_t fd = irq->unmask_fd < 0 ? sys_eventfd() : irq->unmask_fd;
	int rc;

	if (fd == irq->unmask_fd)
		return 0;
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
	rc = irq_open_unmask_fd(irq);
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
