/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of the fake transport: the state machine of VFIO_DEVICE_SET_IRQS for PCI devices
 * (drivers/vfio/vfio_main.c and drivers/vfio/pci/vfio_pci_intrs.c).
 *
 * Limits of the model: an eventfd is not referenced, so it must stay open while it is armed. The
 * eventfd that unmasks INTx is polled by the model's thread.
 */
#include "transport/model/fake.h"

#include <errno.h>
#include <string.h>


#include "base/error.h"
#include "kernel/sys.h"

#define CALL "VFIO_DEVICE_SET_IRQS"
#define ACTIONS                                                         \
	(VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK |        \
	 VFIO_IRQ_SET_ACTION_TRIGGER)
#define DATA (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD)

int fake_irq_info(struct transport_device *base, uint32_t index, struct vfio_irq_info *info)
{
	const struct fake_device *device = (const struct fake_device *)base;

	if (index >= FAKE_IRQS)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE("VFIO_DEVICE_GET_IRQ_INFO"),
				"there are interrupt types 0 to %d", FAKE_IRQS - 1);
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	info->count = device->model->vectors[index];
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	if (index == VFIO_PCI_INTX_IRQ_INDEX)
		info->flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (index != VFIO_PCI_MSIX_IRQ_INDEX || device->noresize)
		info->flags |= VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

/* The header is followed by one element of data for each vector. */
static int eventfd_of(const struct vfio_irq_set *set, uint32_t i)
{
	int fd;

	memcpy(&fd, set->data + i * sizeof(fd), sizeof(fd));
	return fd;
}

static bool chosen(const struct vfio_irq_set *set, uint32_t i)
{
	return set->flags & VFIO_IRQ_SET_DATA_NONE || set->data[i];
}

static bool is_off(const struct vfio_irq_set *set)
{
	return set->flags & VFIO_IRQ_SET_DATA_NONE && !set->count;
}

static void forget_vectors(struct fake_irq *irq)
{
	for (int i = 0; i < FAKE_VECTORS; i++)
		irq->fds[i] = -1;
	irq->masked = irq->asserted = false;
	irq->unmask_fd = -1;
}

void fake_irq_forget(struct fake_device *device)
{
	for (int i = 0; i < FAKE_IRQS; i++)
		forget_vectors(&device->irqs[i]);
}

static bool armed(const struct fake_irq *irq, uint32_t vector)
{
	return vector < FAKE_VECTORS && irq->fds[vector] >= 0;
}

/* An interrupt that the user triggers by the ioctl. The mask of INTx does not matter to it. */
static void loop_back(struct fake_irq *irq, uint32_t vector)
{
	if (armed(irq, vector))
		sys_eventfd_raise(irq->fds[vector]);
}

bool fake_raise(struct fake_device *device, uint32_t vector)
{
	struct fake_irq *irq = &device->irqs[device->irq_type < 0 ? 0 : device->irq_type];

	if (device->irq_type < 0 || irq->masked || !armed(irq, vector))
		return false;
	if (device->irq_type == VFIO_PCI_INTX_IRQ_INDEX)
		irq->masked = true; /* a level-triggered line is quiet until it was handled */
	sys_eventfd_raise(irq->fds[vector]);
	return true;
}

void fake_raise_single(struct fake_device *device, uint32_t index)
{
	loop_back(&device->irqs[index], 0);
}

void fake_assert(struct fake_device *device, uint32_t vector)
{
	bool intx = device->irq_type == VFIO_PCI_INTX_IRQ_INDEX;

	if (!fake_raise(device, vector) && intx)
		device->irqs[VFIO_PCI_INTX_IRQ_INDEX].asserted = true;
}

static void unmask_intx(struct fake_device *device)
{
	struct fake_irq *irq = &device->irqs[VFIO_PCI_INTX_IRQ_INDEX];

	irq->masked = false;
	if (irq->asserted) {
		irq->asserted = false;
		fake_raise(device, 0);
	}
}

void fake_irq_step(struct fake_device *device)
{
	int fd = device->irqs[VFIO_PCI_INTX_IRQ_INDEX].unmask_fd;

	if (fd >= 0 && sys_eventfd_take(fd))
		unmask_intx(device);
}

static int invalid(const char *hint)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(CALL), "%s", hint);
}

/* The checks of vfio_set_irqs_validate_and_prepare(). */
static int validate(const struct fake_device *device, const struct vfio_irq_set *set)
{
	uint32_t data = set->flags & DATA, actions = set->flags & ACTIONS, element = 0;

	if (set->argsz < sizeof(*set) || set->flags & ~(uint32_t)(DATA | ACTIONS))
		return invalid("argsz is too small, or a flag is unknown");
	if (set->index >= FAKE_IRQS || set->start >= device->model->vectors[set->index] ||
	    set->count > device->model->vectors[set->index] - set->start)
		return invalid("the device has no such vector");
	if (data == VFIO_IRQ_SET_DATA_BOOL)
		element = 1;
	else if (data == VFIO_IRQ_SET_DATA_EVENTFD)
		element = sizeof(int32_t);
	else if (data != VFIO_IRQ_SET_DATA_NONE)
		return invalid("exactly one kind of data is to be given");
	if (set->argsz - sizeof(*set) < (size_t)element * set->count)
		return invalid("argsz does not cover the data");
	if (actions & (actions - 1) || !actions)
		return invalid("exactly one action is to be given");
	return 0;
}

static int set_eventfds(struct fake_irq *irq, const struct vfio_irq_set *set)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (eventfd_of(set, i) < -1)
			return vfc_fail(EBADF, VFC_REASON_ARGUMENT, WHERE(CALL),
					"%d is not a descriptor", eventfd_of(set, i));
	for (uint32_t i = 0; i < set->count; i++)
		irq->fds[set->start + i] = eventfd_of(set, i);
	return 0;
}

/* The kernel sets the enable bits of MSI and MSI-X in config space, so the model does, too. */
static void set_type(struct fake_device *device, int type)
{
	uint8_t *msi = device->config + FAKE_MSI_CAP + 2, *msix = device->config + FAKE_MSIX_CAP + 3;

	device->irq_type = type;
	*msi = (uint8_t)((*msi & ~1) | (type == VFIO_PCI_MSI_IRQ_INDEX ? 1 : 0));
	*msix = (uint8_t)((*msix & ~0x80) | (type == VFIO_PCI_MSIX_IRQ_INDEX ? 0x80 : 0));
}

static void turn_off(struct fake_device *device)
{
	forget_vectors(&device->irqs[device->irq_type]);
	set_type(device, -1);
}

/* Where vectors cannot be added later, the first call fixes how many there are. */
static bool vectors_fit(const struct fake_device *device, const struct vfio_irq_set *set)
{
	return (set->index == VFIO_PCI_MSIX_IRQ_INDEX && !device->noresize) ||
	       set->start + set->count <= device->irqs[set->index].enabled;
}

/*
 * Turn a type on or off, change its eventfds, or raise vectors by hand, as
 * vfio_pci_set_intx_trigger() and vfio_pci_set_msi_trigger() do.
 */
static int trigger_vectors(struct fake_device *device, const struct vfio_irq_set *set)
{
	struct fake_irq *irq = &device->irqs[set->index];
	bool on = device->irq_type == (int)set->index;
	int rc;

	if (on && is_off(set)) {
		turn_off(device);
		return 0;
	}
	if (!on && device->irq_type != -1)
		return invalid("another of INTx, MSI and MSI-X is on");
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (!set->count)
			return invalid("no vector is given");
		if (on && !vectors_fit(device, set))
			return invalid("the type is on with fewer vectors");
		rc = set_eventfds(irq, set);
		if (rc == 0 && !on) {
			set_type(device, (int)set->index);
			irq->enabled = set->start + set->count;
		}
		return rc;
	}
	if (!on)
		return invalid("the type is not on");
	for (uint32_t i = 0; i < set->count; i++)
		if (chosen(set, i))
			loop_back(irq, set->start + i);
	return 0;
}

/* One eventfd may unmask INTx, as in vfio_virqfd_enable(). -1 takes it away. */
static int set_unmask_fd(struct fake_irq *irq, int fd)
{
	if (fd >= 0 && irq->unmask_fd >= 0)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(CALL),
				"another eventfd unmasks it already");
	irq->unmask_fd = fd;
	return 0;
}

/* Mask or unmask INTx, as vfio_pci_set_intx_mask() and vfio_pci_set_intx_unmask() do. */
static int mask_intx(struct fake_device *device, const struct vfio_irq_set *set, bool masked)
{
	bool eventfd = set->flags & VFIO_IRQ_SET_DATA_EVENTFD;

	if (set->index != VFIO_PCI_INTX_IRQ_INDEX || (eventfd && masked))
		return vfc_fail(ENOTTY, VFC_REASON_UNSUPPORTED, WHERE(CALL),
				"only INTx can be masked, and not by an eventfd");
	if (device->irq_type != VFIO_PCI_INTX_IRQ_INDEX || set->count != 1)
		return invalid("INTx is not on");
	if (eventfd)
		return set_unmask_fd(&device->irqs[VFIO_PCI_INTX_IRQ_INDEX], eventfd_of(set, 0));
	if (!chosen(set, 0))
		return 0;
	if (masked)
		device->irqs[VFIO_PCI_INTX_IRQ_INDEX].masked = true;
	else
		unmask_intx(device);
	return 0;
}

/* ERR and REQ do not depend on the other types, as in vfio_pci_set_ctx_trigger_single(). */
static int trigger_single(struct fake_device *device, const struct vfio_irq_set *set)
{
	struct fake_irq *irq = &device->irqs[set->index];

	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return set->count ? set_eventfds(irq, set) : invalid("no vector is given");
	if (irq->fds[0] < 0)
		return invalid("the type is not on");
	if (is_off(set))
		forget_vectors(irq);
	else if (set->count && chosen(set, 0))
		loop_back(irq, 0);
	return 0;
}

static int set_irqs_locked(struct fake_device *device, const struct vfio_irq_set *set)
{
	int rc = validate(device, set);

	if (rc < 0)
		return rc;
	if (set->index == VFIO_PCI_ERR_IRQ_INDEX || set->index == VFIO_PCI_REQ_IRQ_INDEX) {
		if (!(set->flags & VFIO_IRQ_SET_ACTION_TRIGGER))
			return vfc_fail(ENOTTY, VFC_REASON_UNSUPPORTED, WHERE(CALL),
					"this type cannot be masked");
		return trigger_single(device, set);
	}
	if (set->flags & VFIO_IRQ_SET_ACTION_TRIGGER)
		return trigger_vectors(device, set);
	return mask_intx(device, set, set->flags & VFIO_IRQ_SET_ACTION_MASK);
}

int fake_set_irqs(struct transport_device *base, const struct vfio_irq_set *set)
{
	struct fake_device *device = (struct fake_device *)base;
	int rc;

	pthread_mutex_lock(&device->iommufd->lock);
	rc = device->released ? fake_released(CALL) : set_irqs_locked(device, set);
	pthread_mutex_unlock(&device->iommufd->lock);
	return rc;
}
