/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine and the devices that are added to it.
 * Source: Documentation/virt/kvm/devices/vfio.rst, virt/kvm/vfio.c.
 */
#include "vmm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/kvm.h>

#include "base/error.h"
#include "kernel/kvm.h"
#include "kernel/sys.h"
#include "transport/handle.h"

#define VM "anon_inode:kvm-vm" /* what /proc calls the descriptor (kvm_dev_ioctl_create_vm()) */

static int kvm_open(int vm, struct vfc_kvm **out)
{
	struct vfc_kvm *kvm;
	struct handle handle;
	int rc = handle_find(vm, &handle);

	if (rc < 0)
		return rc;
	if (strcmp(handle.text, VM))
		return handle_refuse(vm, &handle, "wanted is a virtual machine's, of KVM_CREATE_VM");
	kvm = sys_alloc(sizeof(*kvm));
	if (!kvm)
		return vfc_no_memory();
	rc = kvm->vm = sys_dup(vm);
	if (rc < 0) {
		free(kvm);
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("fcntl"),
				"the machine's descriptor is duplicated (ulimit -n)");
	}
	kvm->holders = 1;
	kvm->vfio = -1;
	kvm->pid = sys_pid();
	pthread_mutex_init(&kvm->lock, NULL);
	*out = kvm;
	return 0;
}

int vfc_kvm_open(int vm, struct vfc_kvm **kvm)
{
	return vfc_done(kvm_open(vm, kvm));
}

static int check_idle(struct vfc_kvm *kvm)
{
	uint32_t bound = __atomic_load_n(&kvm->bound, __ATOMIC_ACQUIRE);

	if (bound)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, NOWHERE,
				"%u vectors are bound to the machine: vfc_kvm_unbind() them, or close their "
				"sets, first", bound);
	if (kvm->members)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = kvm->members->device->name),
				"the device is added to the machine: vfc_kvm_remove() or close it first");
	return 0;
}

static void free_members(struct vfc_kvm *kvm)
{
	while (kvm->members) {
		struct member *member = kvm->members;

		kvm->members = member->next;
		free(member);
	}
}

static void kvm_put(void *owner)
{
	struct vfc_kvm *kvm = owner;

	if (__atomic_sub_fetch(&kvm->holders, 1, __ATOMIC_ACQ_REL))
		return;
	free_members(kvm); /* only a child of fork() has any: copies of its parent's */
	sys_close(kvm->vfio);
	sys_close(kvm->vm);
	pthread_mutex_destroy(&kvm->lock);
	free(kvm);
}

int vfc_kvm_close(struct vfc_kvm *kvm)
{
	int rc;

	if (!kvm)
		return 0;
	rc = kvm->pid == sys_pid() ? check_idle(kvm) : 0;
	if (rc < 0)
		return vfc_done(rc);
	kvm_put(kvm);
	return 0;
}

/*
 * KVM's VFIO device is made when it is first needed, because a machine can have only one. A caller
 * that has made it already can still bind vectors.
 */
static int make_vfio(struct vfc_kvm *kvm)
{
	struct kvm_create_device request = {.type = KVM_DEV_TYPE_VFIO};
	int rc = kvm->vfio < 0 ? sys_ioctl(kvm->vm, KVM_CREATE_DEVICE, &request) : 0;
	struct error_where where = WHERE("KVM_CREATE_DEVICE", "the virtual machine");

	if (rc == -EBUSY)
		return vfc_fail(rc, VFC_REASON_BUSY, where,
				"it has its KVM_DEV_TYPE_VFIO already, and there is one a machine: add the "
				"device's descriptor to that (KVM_DEV_VFIO_FILE_ADD)");
	if (rc == -ENODEV || rc == -ENOTTY)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"the kernel's KVM does not know VFIO (CONFIG_KVM_VFIO is off)");
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, where, "%s", "");
	if (kvm->vfio < 0)
		kvm->vfio = (int)request.fd;
	return 0;
}

static int set_file(struct vfc_kvm *kvm, struct vfc_device *device, uint64_t attribute, int fd)
{
	int32_t file = fd;
	struct kvm_device_attr request = {
		.group = KVM_DEV_VFIO_FILE,
		.attr = attribute,
		.addr = (uintptr_t)&file,
	};
	int rc = sys_ioctl(kvm->vfio, KVM_SET_DEVICE_ATTR, &request);
	bool add = attribute == KVM_DEV_VFIO_FILE_ADD;

	if (rc == 0)
		return 0;
	return vfc_fail(rc, VFC_REASON_NONE,
			WHERE(add ? "KVM_DEV_VFIO_FILE_ADD" : "KVM_DEV_VFIO_FILE_DEL", device->name), "%s",
			rc == -EINVAL && add ? "the kernel takes only descriptors of groups before Linux 6.6"
					     : "");
}

static struct member **find(struct vfc_kvm *kvm, const struct vfc_device *device)
{
	struct member **link = &kvm->members;

	while (*link && (*link)->device != device)
		link = &(*link)->next;
	return link;
}

/* All devices of a group have the same file, and KVM takes a file once. */
static bool has_file(const struct vfc_kvm *kvm, int file, const struct member *but)
{
	const struct member *member = kvm->members;

	while (member && (member == but || member->file != file))
		member = member->next;
	return member;
}

static int find_file(struct vfc_device *device, int *file)
{
	int rc = device_present(device);

	if (rc < 0)
		return rc;
	*file = device->ops->kvm_file ? device->ops->kvm_file(device->transport) : -1;
	if (*file >= 0)
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name), "%s",
			device->ops->kvm_file
				? "another process opened the device's group, and has its descriptor: it is "
				  "to be added there"
				: "the device is no descriptor that KVM could be told of");
}

static int remove_locked(struct vfc_kvm *kvm, struct vfc_device *device)
{
	struct member **link = find(kvm, device), *member = *link;
	int rc = 0;

	if (!member)
		return vfc_fail(EALREADY, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				"the device is not added to the machine");
	if (!has_file(kvm, member->file, member))
		rc = set_file(kvm, device, KVM_DEV_VFIO_FILE_DEL, member->file);
	if (rc < 0)
		return rc;
	*link = member->next;
	device_unwatch(device, &member->watcher);
	free(member);
	return 0;
}

int vfc_kvm_remove(struct vfc_kvm *kvm, struct vfc_device *device)
{
	int rc = kvm_check_process(kvm);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&kvm->lock);
	rc = remove_locked(kvm, device);
	pthread_mutex_unlock(&kvm->lock);
	return vfc_done(rc);
}

static void kvm_hold(void *owner)
{
	struct vfc_kvm *kvm = owner;

	__atomic_add_fetch(&kvm->holders, 1, __ATOMIC_RELAXED);
}

/* KVM keeps the device's file open, so it must let go before the device is closed. */
static int leaving(void *owner, struct vfc_device *device)
{
	struct vfc_kvm *kvm = owner;
	int rc = kvm_check_process(kvm);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&kvm->lock);
	if (*find(kvm, device)) /* else another thread has just removed it */
		rc = remove_locked(kvm, device);
	pthread_mutex_unlock(&kvm->lock);
	return rc;
}

static const struct device_watcher_ops watcher_ops = {
	.hold = kvm_hold,
	.put = kvm_put,
	.leaving = leaving,
};

static int added_already(const struct vfc_device *device, bool here)
{
	return vfc_fail(here ? EALREADY : EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
			"the device is added to %s already", here ? "the machine" : "another machine");
}

static int add_new(struct vfc_kvm *kvm, struct vfc_device *device, int file)
{
	struct member *member = sys_alloc(sizeof(*member));
	int rc = 0;

	if (!member)
		return vfc_no_memory();
	*member = (struct member){.watcher = {.ops = &watcher_ops, .owner = kvm},
				  .next = kvm->members, .device = device, .file = file};
	if (device_watch(device, &member->watcher) < 0)
		rc = added_already(device, false);
	else if (!has_file(kvm, file, NULL))
		rc = set_file(kvm, device, KVM_DEV_VFIO_FILE_ADD, file);
	if (rc < 0) {
		device_unwatch(device, &member->watcher);
		free(member);
		return rc;
	}
	kvm->members = member;
	return 0;
}

static int add_locked(struct vfc_kvm *kvm, struct vfc_device *device)
{
	const void *machine = device_watched_by(device, &watcher_ops);
	int file = -1, rc;

	if (machine)
		return added_already(device, machine == kvm);
	rc = find_file(device, &file);
	if (rc == 0)
		rc = make_vfio(kvm);
	return rc < 0 ? rc : add_new(kvm, device, file);
}

int vfc_kvm_add(struct vfc_kvm *kvm, struct vfc_device *device)
{
	int rc = kvm_check_process(kvm);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&kvm->lock);
	rc = add_locked(kvm, device);
	pthread_mutex_unlock(&kvm->lock);
	return vfc_done(rc);
}
