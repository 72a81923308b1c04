/* SPDX-License-Identifier: MIT */
/*
 * The inside of a virtual machine: src/vmm/kvm.c has its devices, src/vmm/kvm_irq.c their interrupts,
 * src/vmm/ioeventfd.c their registers.
 */
#ifndef VFC_KVM_H
#define VFC_KVM_H

#include <pthread.h>
#include <vfiocore/kvm.h>

#include "base/fork.h"

/* A device that the machine was told of. */
struct member {
	struct member *next;
	struct vfc_device *device;
	int file; /* the device's own or its group's, which others may share */
};

struct vfc_kvm {
	pthread_mutex_t lock; /* of the members and @vfio */
	struct member *members;
	uint32_t bound; /* vectors; atomic */
	int vm;
	int vfio; /* KVM's device that is told of files; -1: not made yet */
	int pid;
};

static inline int kvm_check_process(const struct vfc_kvm *kvm)
{
	return fork_check(kvm->pid, "the virtual machine");
}

/* The device is about to be closed: of the machine that it was added to, or none. */
int kvm_leave(struct vfc_device *device);

/* All vectors of a set that is about to be closed. */
void kvm_unbind_all(struct vfc_irq *irq);

#endif
