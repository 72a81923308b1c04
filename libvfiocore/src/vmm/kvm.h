/* SPDX-License-Identifier: MIT */
/*
 * The inside of a virtual machine: vmm/kvm.c has its devices, vmm/kvm_irq.c their interrupts,
 * vmm/ioeventfd.c their registers.
 */
#ifndef VFC_KVM_H
#define VFC_KVM_H

#include <pthread.h>
#include <vfiocore/kvm.h>

#include "base/fork.h"
#include "device/object.h"

/* A device that the machine was told of. */
struct member {
	struct device_watcher watcher; /* first; its owner is the machine */
	struct member *next;
	struct vfc_device *device;
	int file; /* the device's own or its group's, which others may share */
};

struct vfc_kvm {
	uint32_t holders;     /* atomic: the caller, and devices that are about to leave */
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

#endif
