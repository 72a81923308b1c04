/* SPDX-License-Identifier: MIT */
/*
 * The inside of a virtual machine: vmm/kvm.c has its devices, vmm/kvm_irq.c their interrupts, and
 * vmm/ioeventfd.c their registers.
 */
#ifndef VFC_KVM_H
#define VFC_KVM_H

#include <pthread.h>
#include <vfiocore/kvm.h>

#include "base/fork.h"
#include "device/object.h"

/* A device that was added to the machine. */
struct member {
	struct device_watcher watcher; /* first; its owner is the machine */
	struct member *next;
	struct vfc_device *device;
	int file; /* the file of the device or of its group, which others may share */
};

struct vfc_kvm {
	uint32_t holders;     /* atomic: the caller, and devices that are about to leave */
	pthread_mutex_t lock; /* guards the members and @vfio */
	struct member *members;
	uint32_t bound; /* atomic: vectors that are bound to the machine */
	int vm;
	int vfio; /* the KVM device that takes the files; -1: not made yet */
	int pid;
};

static inline int kvm_check_process(const struct vfc_kvm *kvm)
{
	return fork_check(kvm->pid, "the virtual machine");
}

#endif
