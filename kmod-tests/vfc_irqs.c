// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of vfc_device: eventfds that the caller hands in with VFIO_DEVICE_SET_IRQS
 * (include/uapi/linux/vfio.h), signalled when a register is written.
 *
 * Types may be armed beside one another, and vectors be added to a type that is on, unless it says
 * NORESIZE. The one that is AUTOMASKED is a level: while events wait it fires, once, and again when
 * it is unmasked.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfc_device.h"

static void signal(struct vfc *vfc, struct eventfd_ctx *trigger)
{
	if (!trigger)
		return;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(trigger, 1);
#else
	eventfd_signal(trigger);
#endif
	vfc->registers[REG_RAISED / 4]++;
}

void irqs_raise(struct vfc *vfc, u32 index, u32 first, u32 count)
{
	const struct personality *personality = vfc->personality;

	if (index >= personality->nr_irqs || !vfc->irqs)
		return;
	for (; count && first < personality->irqs[index].count; count--, first++)
		signal(vfc, vfc->irqs[index].triggers[first]);
}

void irqs_level(struct vfc *vfc)
{
	struct irq *irq = &vfc->irqs[LEVEL_INDEX];

	if (vfc->personality->nr_irqs <= LEVEL_INDEX || irq->masked ||
	    !vfc->registers[REG_LEVEL / 4] || !irq->triggers[0])
		return;
	irq->masked = true;
	signal(vfc, irq->triggers[0]);
}

static void set_trigger(struct irq *irq, u32 vector, struct eventfd_ctx *trigger)
{
	if (irq->triggers[vector])
		eventfd_ctx_put(irq->triggers[vector]);
	irq->triggers[vector] = trigger;
}

static void turn_off(struct vfc *vfc, u32 index)
{
	for (u32 i = 0; i < vfc->personality->irqs[index].count; i++)
		set_trigger(&vfc->irqs[index], i, NULL);
	vfc->irqs[index].masked = false;
}

int irqs_open(struct vfc *vfc)
{
	const struct personality *personality = vfc->personality;

	vfc->irqs = kcalloc(personality->nr_irqs, sizeof(*vfc->irqs), GFP_KERNEL);
	if (!vfc->irqs)
		return -ENOMEM;
	for (u32 i = 0; i < personality->nr_irqs; i++) {
		vfc->irqs[i].triggers = kcalloc(personality->irqs[i].count + 1,
						sizeof(struct eventfd_ctx *), GFP_KERNEL);
		if (vfc->irqs[i].triggers)
			continue;
		irqs_close(vfc);
		return -ENOMEM;
	}
	return 0;
}

void irqs_close(struct vfc *vfc)
{
	for (u32 i = 0; vfc->irqs && i < vfc->personality->nr_irqs; i++) {
		if (!vfc->irqs[i].triggers)
			continue;
		turn_off(vfc, i);
		kfree(vfc->irqs[i].triggers);
	}
	kfree(vfc->irqs);
	vfc->irqs = NULL;
}

long irqs_info(struct vfc *vfc, unsigned long arg)
{
	const struct irq_spec *spec;
	struct vfio_irq_info info;

	if (copy_from_user(&info, (void __user *)arg, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info) || info.index >= vfc->personality->nr_irqs)
		return -EINVAL;
	spec = &vfc->personality->irqs[info.index];
	if (!spec->count)
		return -EINVAL;
	info.flags = spec->flags;
	info.count = spec->count;
	return copy_to_user((void __user *)arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static int arm(struct vfc *vfc, const struct vfio_irq_set *set, const s32 *fds)
{
	struct irq *irq = &vfc->irqs[set->index];
	bool fixed = vfc->personality->irqs[set->index].flags & VFIO_IRQ_INFO_NORESIZE;
	struct eventfd_ctx *trigger;

	/* As MSI: what was not among the first cannot come later. */
	for (u32 i = 0; fixed && i < set->count; i++)
		if (set->start && fds[i] >= 0 && !irq->triggers[set->start + i] &&
		    !irq->triggers[set->start + i - 1])
			return -EINVAL;
	for (u32 i = 0; i < set->count; i++) {
		trigger = fds[i] < 0 ? NULL : eventfd_ctx_fdget(fds[i]);
		if (IS_ERR(trigger))
			return PTR_ERR(trigger);
		set_trigger(irq, set->start + i, trigger);
	}
	if (set->index == LEVEL_INDEX)
		irqs_level(vfc);
	return 0;
}

static int act(struct vfc *vfc, const struct vfio_irq_set *set, const void *data)
{
	u32 action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	bool maskable = vfc->personality->irqs[set->index].flags & VFIO_IRQ_INFO_MASKABLE;

	if (action == VFIO_IRQ_SET_ACTION_TRIGGER) {
		if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
			return arm(vfc, set, data);
		if (!(set->flags & VFIO_IRQ_SET_DATA_NONE))
			return -ENOTTY;
		if (!set->count)
			turn_off(vfc, set->index);
		irqs_raise(vfc, set->index, set->start, set->count);
		return 0;
	}
	if (!maskable || !(set->flags & VFIO_IRQ_SET_DATA_NONE))
		return -ENOTTY;
	vfc->irqs[set->index].masked = action == VFIO_IRQ_SET_ACTION_MASK;
	irqs_level(vfc);
	return 0;
}

long irqs_set(struct vfc *vfc, unsigned long arg)
{
	struct vfio_irq_set set;
	void *data = NULL;
	size_t size = 0;
	int rc;

	if (copy_from_user(&set, (void __user *)arg, sizeof(set)))
		return -EFAULT;
	if (set.index >= vfc->personality->nr_irqs || !vfc->personality->irqs[set.index].count)
		return -EINVAL;
	rc = vfio_set_irqs_validate_and_prepare(&set, vfc->personality->irqs[set.index].count,
						vfc->personality->nr_irqs, &size);
	if (rc)
		return rc;
	if (size) {
		data = memdup_user((void __user *)(arg + sizeof(set)), size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}
	mutex_lock(&vfc->lock);
	rc = act(vfc, &set, data);
	mutex_unlock(&vfc->lock);
	kfree(data);
	return rc;
}
