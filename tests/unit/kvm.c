/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine on a scripted kernel: KVM's requests end here, and what it was told is compared
 * with what it should have been. The device is the model, given a file that KVM can be told of.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "device/device.h"
#include "irq/irq.h"
#include "irq_test.h"
#include "kernel/kvm.h"
#include "sweep.h"

#define FILE_OF_DEVICE 1000 /* no descriptor: only the script sees it */

static struct {
	ino_t vm, vfio; /* what their descriptors are, duplicates too */
	int irqfds[8];  /* GSI by vector's order of binding; 0: none */
	int files, ioeventfds, routes;
	struct kvm_irq_routing_entry route[2];
	int resample;
	int refuse; /* errno of the next request */
} kernel;

static ino_t inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) ? 0 : status.st_ino;
}

static int answer(int code)
{
	errno = code;
	return code ? -1 : 0;
}

static int on_irqfd(const struct kvm_irqfd *request)
{
	bool end = request->flags & KVM_IRQFD_FLAG_DEASSIGN;

	for (int i = 0; i < 8; i++) {
		if (kernel.irqfds[i] != (end ? (int)request->gsi : 0))
			continue;
		kernel.irqfds[i] = end ? 0 : (int)request->gsi;
		kernel.resample = (int)request->resamplefd;
		return 0;
	}
	return answer(EINVAL);
}

static int on_routes(const struct kvm_irq_routing *request)
{
	kernel.routes = (int)request->nr;
	for (uint32_t i = 0; i < request->nr && i < 2; i++)
		kernel.route[i] = request->entries[i];
	return 0;
}

static int on_ioeventfd(const struct kvm_ioeventfd *request)
{
	bool end = request->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;

	CHECK(request->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	if (end != !!kernel.ioeventfds)
		return answer(end ? ENOENT : EEXIST);
	kernel.ioeventfds += end ? -1 : 1;
	return 0;
}

static int on_device(struct kvm_create_device *request)
{
	int fd = memfd_create("kvm-vfio", MFD_CLOEXEC);

	CHECK_EQ(request->type, KVM_DEV_TYPE_VFIO);
	kernel.vfio = inode(fd);
	request->fd = (uint32_t)fd;
	return 0;
}

static int on_attribute(const struct kvm_device_attr *request)
{
	CHECK_EQ(*(const int32_t *)(uintptr_t)request->addr, FILE_OF_DEVICE);
	kernel.files += request->attr == KVM_DEV_VFIO_FILE_ADD ? 1 : -1;
	CHECK(kernel.files == 0 || kernel.files == 1);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int refuse = kernel.refuse;
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	kernel.refuse = 0;
	if (refuse)
		return answer(refuse);
	if (request == KVM_SET_DEVICE_ATTR && inode(fd) == kernel.vfio)
		return on_attribute(argument);
	if (inode(fd) != kernel.vm)
		return answer(ENOTTY);
	switch (request) {
	case KVM_IRQFD:
		return on_irqfd(argument);
	case KVM_SET_GSI_ROUTING:
		return on_routes(argument);
	case KVM_IOEVENTFD:
		return on_ioeventfd(argument);
	case KVM_CREATE_DEVICE:
		return on_device(argument);
	default:
		return answer(ENOTTY);
	}
}

ssize_t readlink(const char *path, char *target, size_t size)
{
	int fd;

	if (sscanf(path, "/proc/self/fd/%d", &fd) == 1 && inode(fd) == kernel.vm)
		return snprintf(target, size, "anon_inode:kvm-vm");
	return syscall(SYS_readlinkat, AT_FDCWD, path, target, size);
}

static int machine(void)
{
	int vm = memfd_create("kvm-vm", MFD_CLOEXEC);

	memset(&kernel, 0, sizeof(kernel));
	kernel.vm = inode(vm);
	return vm;
}

static int file_of_device(struct transport_device *transport)
{
	(void)transport;
	return FILE_OF_DEVICE;
}

static int no_file(struct transport_device *transport)
{
	(void)transport;
	return -1;
}

/* The model with a file: its own table but for that. */
static void give_file(struct vfc_device *of, struct transport *ops, int (*file)(struct transport_device *))
{
	*ops = *of->ops;
	ops->kvm_file = file;
	of->ops = ops;
}

static void refused(int rc, int code, const char *hint)
{
	CHECK_EQ(rc, -code);
	if (!strstr(vfc_error_last()->hint, hint))
		fprintf(stderr, "the hint is not %s\n", hint);
	CHECK(strstr(vfc_error_last()->hint, hint));
}

static void descriptors(void)
{
	int vm = machine(), null = open("/dev/null", O_RDWR | O_CLOEXEC), fds = count_fds();
	struct vfc_kvm *kvm;

	refused(vfc_kvm_open(null, &kvm), EINVAL, "mem/null: wanted is a virtual machine's");
	refused(vfc_kvm_open(-1, &kvm), EBADF, "is not open");
	CHECK_EQ(vfc_kvm_open(vm, &kvm), 0);
	CHECK_EQ(vfc_kvm_close(kvm), 0);
	CHECK_EQ(vfc_kvm_close(NULL), 0);
	CHECK_EQ(count_fds(), fds);
	close(null);
	close(vm);
}

static void routes(struct vfc_kvm *kvm)
{
	struct vfc_kvm_route table[] = {
		{.gsi = 24, .kind = VFC_KVM_ROUTE_MSI, .address = 0x1fee00000, .data = 0x41},
		{.gsi = 10, .kind = VFC_KVM_ROUTE_PIN, .chip = 2, .pin = 11}};

	CHECK_EQ(vfc_kvm_set_routes(kvm, table, 2), 0);
	CHECK_EQ(kernel.routes, 2);
	CHECK_EQ(kernel.route[0].u.msi.address_hi, 1);
	CHECK_EQ(kernel.route[0].u.msi.address_lo, 0xfee00000);
	CHECK_EQ(kernel.route[0].u.msi.data, 0x41);
	CHECK_EQ(kernel.route[1].u.irqchip.irqchip, 2);
	CHECK_EQ(kernel.route[1].u.irqchip.pin, 11);
	table[1].kind = 3;
	refused(vfc_kvm_set_routes(kvm, table, 2), EINVAL, "GSI 10: a route is");
	refused(vfc_kvm_set_routes(kvm, NULL, 1), EINVAL, "routes is NULL");
	kernel.refuse = EINVAL;
	refused(vfc_kvm_set_routes(kvm, table, 1), EINVAL, "KVM_CREATE_IRQCHIP");
	CHECK_EQ(vfc_kvm_set_routes(kvm, NULL, 0), 0);
	CHECK_EQ(kernel.routes, 0);
}

/* While it is bound no wait takes what the eventfd counts; here nobody else does, either. */
static void vectors(struct vfc_kvm *kvm)
{
	uint64_t counts[3] = {0};
	uint32_t vector;

	up(VFC_IRQ_MSIX, 3);
	fire(1);
	CHECK_EQ(vfc_kvm_bind(kvm, irq, 1, 24), 0);
	CHECK_EQ(kernel.irqfds[0], 24);
	refused(vfc_kvm_bind(kvm, irq, 1, 25), EBUSY, "vector 1 is bound to a virtual machine already");
	refused(vfc_kvm_bind(kvm, irq, 3, 25), EINVAL, "vectors 0 to 2");
	refused(vfc_irq_wait(irq, 1, 0, NULL), EBUSY, "vfc_kvm_unbind() first");
	refused((int)vfc_irq_take(irq, 1), EBUSY, "fires there");
	refused(vfc_irq_resize(irq, 1), EBUSY, "vector 1 is bound");
	refused(vfc_kvm_close(kvm), EBUSY, "1 vectors are bound");
	CHECK_EQ(vfc_irq_resize(irq, 2), 0);
	fire(0);
	CHECK_EQ(vfc_irq_wait_all(irq, 0, counts, 2), 0); /* it goes by the others */
	CHECK(counts[0] == 1 && counts[1] == 0);
	CHECK_EQ(vfc_irq_wait_any(irq, 0, &vector, NULL), -ETIMEDOUT);
	CHECK_EQ(stats_of(1).fired, 0);
	CHECK_EQ(vfc_kvm_unbind(kvm, irq, 1), 0);
	refused(vfc_kvm_unbind(kvm, irq, 1), EALREADY, "vector 1 is not bound");
	fire(1);
	CHECK_EQ(pending(1), 1);
	kernel.refuse = EINVAL;
	refused(vfc_kvm_bind(kvm, irq, 0, 24), EINVAL, "KVM_CAP_SPLIT_IRQCHIP");
	kernel.refuse = EBUSY;
	refused(vfc_kvm_bind(kvm, irq, 0, 24), EBUSY, "somebody else");
	CHECK_EQ(vfc_kvm_bind(kvm, irq, 0, 24), 0);
	down(); /* which unbinds it */
	CHECK_EQ(kernel.irqfds[0], 0);
}

struct sleeper {
	pthread_t thread;
	int64_t timeout;
	bool all;
	int rc;
	uint64_t counts[2];
};

static void *sleeper(void *argument)
{
	struct sleeper *s = argument;

	s->rc = s->all ? vfc_irq_wait_all(irq, s->timeout, s->counts, 2)
		       : vfc_irq_wait(irq, 0, s->timeout, s->counts);
	if (s->rc == -EBUSY)
		CHECK(strstr(vfc_error_last()->hint, "vfc_kvm_unbind() first"));
	return NULL;
}

static bool all_sleep(uint32_t count)
{
	return __atomic_load_n(&irq->vectors[0].sleepers, __ATOMIC_SEQ_CST) == count;
}

/* They wait for a vector when it is bound. A bind that fails leaves them asleep. */
static void sleepers(struct vfc_kvm *kvm)
{
	struct sleeper waits[] = {{.timeout = -1}, {.timeout = INT64_C(60000000000)},
				  {.timeout = -1}, {.timeout = -1, .all = true}};

	up(VFC_IRQ_MSIX, 2);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&waits[i].thread, NULL, sleeper, &waits[i]), 0);
	CHECK_SOON(all_sleep(4));
	kernel.refuse = EINVAL;
	refused(vfc_kvm_bind(kvm, irq, 0, 24), EINVAL, "no interrupt controller");
	CHECK_SOON(all_sleep(4));
	CHECK_EQ(sys_eventfd_take(irq->vectors[0].fd), 0);
	CHECK_EQ(vfc_kvm_bind(kvm, irq, 0, 24), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(pthread_join(waits[i].thread, NULL), 0);
		CHECK_EQ(waits[i].rc, -EBUSY);
	}
	fire(1); /* it went by the other */
	CHECK_EQ(pthread_join(waits[3].thread, NULL), 0);
	CHECK(waits[3].rc == 0 && waits[3].counts[0] == 0 && waits[3].counts[1] == 1);
	CHECK_EQ(stats_of(0).fired, 0);
	CHECK_EQ(sys_eventfd_take(irq->vectors[0].fd), 0); /* nothing for the guest to take for one */
	CHECK_EQ(vfc_kvm_unbind(kvm, irq, 0), 0);
	fire(0);
	CHECK_EQ(pending(0), 1);
	down();
}

static void level(struct vfc_kvm *kvm)
{
	up(VFC_IRQ_INTX, 1);
	fire(0);
	CHECK_EQ(pending(0), 1); /* and it is masked */
	CHECK_EQ(vfc_kvm_bind(kvm, irq, 0, 10), 0);
	CHECK_EQ(kernel.resample, vfc_irq_unmask_fd(irq));
	CHECK_SOON(vfc_fake_set(device, VFC_FAKE_RAISE, 0) == 0 &&
		   sys_eventfd_take(irq->vectors[0].fd) == 1); /* what the irqfd would do */
	CHECK_EQ(vfc_kvm_unbind(kvm, irq, 0), 0); /* the guest did not tell its end */
	CHECK_SOON(vfc_fake_set(device, VFC_FAKE_RAISE, 0) == 0 && pending(0) == 1);
	CHECK_EQ(vfc_irq_unmask(irq), 0);
	kernel.refuse = EINVAL;
	refused(vfc_kvm_bind(kvm, irq, 0, 10), EINVAL, "a split one leaves INTx to you");
	down();
}

static void devices(struct vfc_kvm *kvm)
{
	struct vfc_kvm *other;
	struct transport ops, second_ops;
	struct vfc_device *second;
	int vm = machine();

	CHECK_EQ(vfc_kvm_open(vm, &other), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &second), 0);
	refused(vfc_kvm_add(other, device), EOPNOTSUPP, "no descriptor");
	give_file(device, &ops, no_file);
	refused(vfc_kvm_add(other, device), EOPNOTSUPP, "another process opened");
	ops.kvm_file = file_of_device;
	give_file(second, &second_ops, file_of_device); /* of the same group */
	kernel.refuse = EBUSY;
	refused(vfc_kvm_add(other, device), EBUSY, "one a machine");
	kernel.refuse = ENODEV;
	refused(vfc_kvm_add(other, device), EOPNOTSUPP, "CONFIG_KVM_VFIO");
	CHECK_EQ(vfc_kvm_add(other, device), 0);
	CHECK_EQ(vfc_kvm_add(other, second), 0); /* the script takes one file, once */
	refused(vfc_kvm_add(other, device), EALREADY, "to the machine already");
	refused(vfc_kvm_add(kvm, device), EBUSY, "another machine");
	refused(vfc_kvm_close(other), EBUSY, "is added to the machine");
	CHECK_EQ(vfc_kvm_remove(other, device), 0);
	CHECK_EQ(kernel.files, 1);
	refused(vfc_kvm_remove(other, device), EALREADY, "not added");
	CHECK_EQ(vfc_kvm_add(other, device), 0);
	CHECK_EQ(vfc_device_release(device), 0); /* it leaves the machine */
	refused(vfc_kvm_add(other, device), ENODEV, "given back");
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(kernel.files, 0);
	CHECK_EQ(vfc_kvm_close(other), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	close(vm);
}

static void writes(struct vfc_kvm *kvm)
{
	refused(vfc_kvm_ioeventfd_add(kvm, 0x1000, 3, 0, 0, 0), EINVAL, "1, 2, 4 or 8 bytes");
	refused(vfc_kvm_ioeventfd_add(kvm, 0x1000, 1, 256, 0, 0), EINVAL, "does not fit in 1 bytes");
	refused(vfc_kvm_ioeventfd_add(kvm, 0x1000, 4, 1, 2, 0), EINVAL, "enum vfc_kvm_io_flags");
	CHECK_EQ(vfc_kvm_ioeventfd_add(kvm, 0x1000, 8, UINT64_MAX, VFC_KVM_IO_PORT, 0), 0);
	refused(vfc_kvm_ioeventfd_add(kvm, 0x1000, 4, 1, 0, 0), EEXIST, "already");
	CHECK_EQ(vfc_kvm_ioeventfd_remove(kvm, 0x1000, 4, 1, 0, 0), 0);
	refused(vfc_kvm_ioeventfd_remove(kvm, 0x1000, 4, 1, 0, 0), ENOENT, "there is none");
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	refused(vfc_region_ioeventfd(device, 0, 2, 4, 1, 0), EINVAL, "multiple of the width");
	refused(vfc_region_ioeventfd(device, VFC_REGION_CONFIG, 0, 4, 1, 0), EINVAL, "is no BAR");
	refused(vfc_region_ioeventfd(device, 0, UINT64_MAX - 3, 4, 1, 0), EINVAL, "past the end");
	refused(vfc_region_ioeventfd(device, 0, 0, 4, 1, 0), EOPNOTSUPP, "vfio-pci does");
	CHECK_EQ(vfc_device_close(device), 0);
}

/* A child of fork() has the objects and may not touch them. */
static void child(struct vfc_kvm *kvm)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK_EQ(vfc_kvm_set_routes(kvm, NULL, 0), -ECHILD);
		CHECK_EQ(vfc_kvm_bind(kvm, NULL, 0, 0), -ECHILD);
		CHECK_EQ(vfc_kvm_ioeventfd_add(kvm, 0, 4, 0, 0, 0), -ECHILD);
		CHECK_EQ(vfc_kvm_close(kvm), 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void use(struct vfc_kvm *kvm, struct vfc_device *of, uint32_t index, int *rc)
{
	struct vfc_irq *set;

	if (note(rc, vfc_irq_open(of, index, 1, &set)) < 0)
		return;
	if (note(rc, vfc_kvm_bind(kvm, set, 0, 24)) == 0) {
		CHECK_EQ(vfc_irq_wait(set, 0, 0, NULL), -EBUSY);
		if (note(rc, vfc_kvm_unbind(kvm, set, 0)) < 0)
			CHECK_EQ(vfc_kvm_unbind(kvm, set, 0), 0);
	}
	CHECK(vfc_irq_wait(set, 0, 0, NULL) != -EBUSY);
	CHECK_EQ(vfc_irq_close(set), 0);
	CHECK_EQ(kernel.irqfds[0], 0);
}

static int everything(void)
{
	struct vfc_kvm_route route = {.gsi = 24, .kind = VFC_KVM_ROUTE_MSI};
	struct vfc_device *of;
	struct transport ops;
	struct vfc_kvm *kvm;
	int rc = 0, vm = machine();

	if (note(&rc, vfc_kvm_open(vm, &kvm)) == 0) {
		if (note(&rc, vfc_device_open("fake:e1000e", NULL, &of)) == 0) {
			give_file(of, &ops, file_of_device);
			note(&rc, vfc_kvm_add(kvm, of));
			note(&rc, vfc_kvm_set_routes(kvm, &route, 1));
			use(kvm, of, VFC_IRQ_MSIX, &rc);
			use(kvm, of, VFC_IRQ_INTX, &rc);
			if (note(&rc, vfc_kvm_ioeventfd_add(kvm, 0, 4, 0, 0, 0)) == 0)
				if (note(&rc, vfc_kvm_ioeventfd_remove(kvm, 0, 4, 0, 0, 0)) < 0)
					CHECK_EQ(vfc_kvm_ioeventfd_remove(kvm, 0, 4, 0, 0, 0), 0);
			if (note(&rc, vfc_device_close(of)) < 0)
				CHECK_EQ(vfc_device_close(of), 0);
			CHECK_EQ(kernel.files, 0);
		}
		CHECK_EQ(vfc_kvm_close(kvm), 0);
	}
	close(vm);
	return rc;
}

int main(void)
{
	struct vfc_kvm *kvm;
	int vm;

	descriptors();
	vm = machine();
	CHECK_EQ(vfc_kvm_open(vm, &kvm), 0);
	routes(kvm);
	vectors(kvm);
	sleepers(kvm);
	level(kvm);
	writes(kvm);
	child(kvm);
	devices(kvm);
	CHECK_EQ(vfc_kvm_close(kvm), 0);
	close(vm);
	sweep("everything", everything);
	return 0;
}
