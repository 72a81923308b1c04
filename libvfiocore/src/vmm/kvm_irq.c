/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of our devices that go to a virtual machine. An irqfd takes the count of an eventfd
 * before any thread that waits for it is woken (irqfd_wakeup() in virt/kvm/eventfd.c). VFIO can
 * therefore go on raising the eventfd of the set, and no interrupt is missed when a vector is bound
 * or unbound.
 */
#include <errno.h>
#include <stdlib.h>
#include <vfiocore/irq.h>
#include <vfiocore/kvm.h>

#include "device/object.h"
#include "base/error.h"
#include "irq/irq.h"
#include "kernel/kvm.h"
#include "kernel/sys.h"
#include "vmm/kvm.h"

static int make_entry(const struct vfc_kvm_route *route, struct kvm_irq_routing_entry *entry)
{
	entry->gsi = route->gsi;
	entry->type = route->kind;
	if (route->kind == VFC_KVM_ROUTE_PIN) {
		entry->u.irqchip.irqchip = route->chip;
		entry->u.irqchip.pin = route->pin;
	} else if (route->kind == VFC_KVM_ROUTE_MSI) {
		entry->u.msi.address_lo = (uint32_t)route->address;
		entry->u.msi.address_hi = (uint32_t)(route->address >> 32);
		entry->u.msi.data = route->data;
	} else {
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"GSI %u: a route is VFC_KVM_ROUTE_PIN or VFC_KVM_ROUTE_MSI, and not %u",
				route->gsi, route->kind);
	}
	return 0;
}

static int set_routes(struct vfc_kvm *kvm, const struct vfc_kvm_route *routes, uint32_t count)
{
	struct kvm_irq_routing *request =
		sys_alloc(sizeof(*request) + (size_t)count * sizeof(*request->entries));
	int rc = 0;

	if (!request)
		return vfc_no_memory();
	request->nr = count;
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = make_entry(&routes[i], &request->entries[i]);
	if (rc == 0) {
		rc = sys_ioctl(kvm->vm, KVM_SET_GSI_ROUTING, request);
		if (rc < 0)
			vfc_fail(rc, VFC_REASON_NONE, WHERE("KVM_SET_GSI_ROUTING", "the virtual machine"),
				 "%s", rc == -EINVAL
					 ? "is there an interrupt controller in the kernel "
					   "(KVM_CREATE_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP), with those pins? A "
					   "GSI is below 4096, and routed once to each"
					 : "");
	}
	free(request);
	return rc;
}

int vfc_kvm_set_routes(struct vfc_kvm *kvm, const struct vfc_kvm_route *routes, uint32_t count)
{
	int rc = kvm_check_process(kvm);

	if (rc == 0 && count && !routes)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "routes is NULL, and count is not 0");
	return vfc_done(rc < 0 ? rc : set_routes(kvm, routes, count));
}

static bool is_level(const struct vfc_irq *irq)
{
	return irq->flags & VFC_IRQ_AUTOMASKED;
}

static int irqfd(const struct vfc_kvm *kvm, const struct vfc_irq *irq, uint32_t index, uint32_t gsi,
		 uint32_t flags)
{
	struct kvm_irqfd request = {
		.fd = (uint32_t)irq->vectors[index].fd,
		.gsi = gsi,
		.flags = flags,
		.resamplefd = flags & KVM_IRQFD_FLAG_RESAMPLE ? (uint32_t)irq->unmask_fd : 0,
	};

	return sys_ioctl(kvm->vm, KVM_IRQFD, &request);
}

/* The errors come from kvm_irqfd_assign() and kvm_arch_irqfd_allowed(). */
static int bind_failed(int rc, const struct vfc_irq *irq)
{
	struct error_where where = WHERE("KVM_IRQFD", irq->device->name);

	if (rc == -EINVAL || rc == -EAGAIN)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where,
				"the machine has no interrupt controller in the kernel%s",
				is_level(irq) ? " that tells of INTx's end: make it with KVM_CREATE_IRQCHIP; "
						"a split one leaves INTx to you, by vfc_irq_wait() and "
						"vfc_irq_unmask()"
					      : ": make it first (KVM_CREATE_IRQCHIP, or "
						"KVM_CAP_SPLIT_IRQCHIP)");
	if (rc == -ENOSYS || rc == -ENOTTY)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"the kernel's KVM injects no interrupts by eventfd on this architecture");
	return vfc_fail(rc, rc == -EBUSY ? VFC_REASON_BUSY : VFC_REASON_NONE, where, "%s",
			rc == -EBUSY ? "somebody else made an irqfd of the vector's eventfd" : "");
}

static int check_bound(const struct vfc_irq *irq, uint32_t index, const struct vfc_kvm *wanted)
{
	const struct vfc_kvm *bound = irq->vectors[index].kvm;

	if (bound == wanted)
		return 0;
	return vfc_fail(wanted ? EALREADY : EBUSY, wanted ? VFC_REASON_ARGUMENT : VFC_REASON_BUSY,
			WHERE(.object = irq->device->name), "vector %u is %s", index,
			wanted ? "not bound to the machine"
			       : "bound to a virtual machine already: vfc_kvm_unbind() first");
}

#define WAKE_PAUSE 20000 /* ns */
#define WAKE_PAUSES 50000 /* after these, a thread was cancelled while it slept */

/*
 * Once the vector is bound, the irqfd takes every count before a thread that sleeps for it. Such a
 * thread would sleep forever, so wake it first. It puts back what it took.
 */
static void wake_sleepers(struct vector *vector)
{
	uint64_t count;

	if (!__atomic_load_n(&vector->sleepers, __ATOMIC_SEQ_CST))
		return;
	sys_eventfd_raise(vector->fd);
	for (int i = 0; i < WAKE_PAUSES && __atomic_load_n(&vector->sleepers, __ATOMIC_SEQ_CST); i++)
		sys_sleep(WAKE_PAUSE);
	count = sys_eventfd_take(vector->fd);
	if (count > 1) /* the rest came from the device */
		sys_eventfd_return(vector->fd, count - 1);
}

static void forget(struct vfc_irq *irq, uint32_t index)
{
	__atomic_sub_fetch(&irq->vectors[index].kvm->bound, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&irq->vectors[index].kvm, NULL, __ATOMIC_RELEASE);
}

/*
 * If the kernel does not take the irqfd back, the end of the eventfd does (irqfd_wakeup(),
 * EPOLLHUP).
 */
static void unbind_all(struct vfc_irq *irq)
{
	for (uint32_t i = 0; i < irq->opened; i++) {
		struct vector *vector = &irq->vectors[i];

		if (!vector->kvm)
			continue;
		irqfd(vector->kvm, irq, i, vector->gsi, KVM_IRQFD_FLAG_DEASSIGN);
		forget(irq, i);
	}
}

static int bind_vector(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t index, uint32_t gsi)
{
	struct vector *vector = &irq->vectors[index];
	int rc;

	__atomic_store_n(&vector->binding, true, __ATOMIC_SEQ_CST);
	wake_sleepers(vector);
	rc = irqfd(kvm, irq, index, gsi, is_level(irq) ? KVM_IRQFD_FLAG_RESAMPLE : 0);
	if (rc == 0) {
		vector->gsi = gsi;
		__atomic_store_n(&vector->kvm, kvm, __ATOMIC_RELEASE);
		__atomic_add_fetch(&kvm->bound, 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&vector->binding, false, __ATOMIC_SEQ_CST);
	return rc;
}

static int bind_locked(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t index, uint32_t gsi)
{
	struct vector *vector = &irq->vectors[index];
	int rc = irq_check(irq, index);

	if (rc == 0)
		rc = check_bound(irq, index, NULL);
	if (rc == 0 && is_level(irq))
		rc = irq_open_unmask_fd(irq);
	if (rc < 0)
		return rc;
	rc = bind_vector(kvm, irq, index, gsi);
	if (rc < 0)
		return bind_failed(rc, irq);
	irq->unbind_all = unbind_all;
	/*
	 * KVM has looked at the eventfd and injected what it found, but left the count. Take it
	 * now.
	 */
	sys_eventfd_take(vector->fd);
	if (is_level(irq))
		sys_eventfd_raise(irq->unmask_fd);
	return 0;
}

int vfc_kvm_bind(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t vector, uint32_t gsi)
{
	int rc = kvm_check_process(kvm);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&irq->lock);
	rc = bind_locked(kvm, irq, vector, gsi);
	pthread_mutex_unlock(&irq->lock);
	return vfc_done(rc);
}

static int unbind_locked(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t index)
{
	int rc = irq_check(irq, index);

	if (rc == 0)
		rc = check_bound(irq, index, kvm);
	if (rc < 0)
		return rc;
	rc = irqfd(kvm, irq, index, irq->vectors[index].gsi, KVM_IRQFD_FLAG_DEASSIGN);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("KVM_IRQFD", irq->device->name), "%s", "");
	forget(irq, index);
	if (is_level(irq)) /* perhaps the guest has not acknowledged the last one */
		sys_eventfd_raise(irq->unmask_fd);
	return 0;
}

int vfc_kvm_unbind(struct vfc_kvm *kvm, struct vfc_irq *irq, uint32_t vector)
{
	int rc = kvm_check_process(kvm);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&irq->lock);
	rc = unbind_locked(kvm, irq, vector);
	pthread_mutex_unlock(&irq->lock);
	return vfc_done(rc);
}
