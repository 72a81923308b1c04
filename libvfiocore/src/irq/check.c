/* SPDX-License-Identifier: MIT */
/*
 * The checks that every file of the folder makes first: may this process use the set, and does the
 * vector fire here?
 */
#include <errno.h>

#include "base/error.h"
#include "base/fork.h"
#include "device/object.h"
#include "irq/irq.h"

int irq_check_process(const struct vfc_irq *irq)
{
	return fork_check(irq->pid, irq->device->name);
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

int irq_check_ours(const struct vfc_irq *irq, uint32_t vector)
{
	int rc = irq_check(irq, vector);

	if (rc == 0 && __atomic_load_n(&irq->vectors[vector].kvm, __ATOMIC_ACQUIRE))
		rc = vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = irq->device->name),
			      "vector %u is bound to a virtual machine, and fires there: "
			      "vfc_kvm_unbind() first", vector);
	return rc;
}
