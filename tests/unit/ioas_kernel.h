/* SPDX-License-Identifier: MIT */
/*
 * A scripted kernel with two devices behind iommufd: the system calls that the library makes of the two
 * nodes and of their descriptors end here, and what it asked for is compared with what it should. It
 * stands in for open() and ioctl(), so one file of a program includes it.
 */
#ifndef VFC_IOAS_KERNEL_H
#define VFC_IOAS_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfiocore.h>

#include "gate.h"
#include "kernel/iommufd.h"
#include "kernel/uapi.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define DEVICES 3

static struct {
	char log[2000]; /* what was asked for, "verb object;" */
	int iommufd, devices[DEVICES];
	uint32_t ioas, next_id;
	uint32_t made_for[16];   /* of page tables, the device */
	bool own_table[DEVICES]; /* no other device's page table does for this one */
	const char *fails;       /* the beginning of the entry whose request fails */
	int code;
	unsigned looks; /* at a device in sysfs, each of which reads what driver it has */
} kernel;

static void took(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* false: this is the one that fails. */
static bool noted(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool add(const char *format, va_list args)
{
	size_t used = strlen(kernel.log);

	vsnprintf(kernel.log + used, sizeof(kernel.log) - used, format, args);
	return !kernel.fails || strncmp(kernel.log + used, kernel.fails, strlen(kernel.fails));
}

static void took(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(format, args);
	va_end(args);
}

static bool noted(const char *format, ...)
{
	bool fine;
	va_list args;

	va_start(args, format);
	fine = add(format, args);
	va_end(args);
	if (!fine)
		errno = kernel.code;
	return fine;
}

static void expect(const char *file, int line, const char *log)
{
	if (strcmp(kernel.log, log)) {
		fprintf(stderr, "asked for %s\nand not  %s\n", kernel.log, log);
		test_failed(file, line, "the requests are those of the script");
	}
	kernel.log[0] = '\0';
}

#define EXPECT(log) expect(__FILE__, __LINE__, log)

int access(const char *path, int mode)
{
	if (!strncmp(path, "/dev/", 5))
		return 0;
	return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

int open(const char *path, int flags, ...)
{
	int fd, index = -1;

	if (strncmp(path, "/dev/", 5))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600); /* also of what gcov creates */
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0);
	if (sscanf(path, "/dev/vfio/devices/vfio%d", &index) == 1)
		kernel.devices[index] = fd;
	else
		kernel.iommufd = fd;
	return fd;
}

ssize_t readlink(const char *path, char *target, size_t size)
{
	size_t length = strlen(path);

	kernel.looks += length > 7 && !strcmp(path + length - 7, "/driver");
	return syscall(SYS_readlinkat, AT_FDCWD, path, target, size);
}

int close(int fd)
{
	for (int i = 0; i < DEVICES; i++)
		if (fd >= 0 && fd == kernel.devices[i])
			pass_gate();
	return (int)syscall(SYS_close, fd);
}

static const char *kind_of(uint32_t flags)
{
	CHECK(flags && !(flags & ~(uint32_t)(IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID)));
	if (flags == IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		return "table";
	return flags == IOMMU_HWPT_ALLOC_PASID ? "pasids" : "both";
}

static int on_iommufd(unsigned long request, void *argument)
{
	struct iommu_ioas_alloc *ioas = argument;
	struct iommu_ioas_iova_ranges *ranges = argument;
	struct iommu_hwpt_alloc *table = argument;
	struct iommu_hw_info *hardware = argument;
	struct iommu_hwpt_set_dirty_tracking *tracking = argument;
	struct iommu_hwpt_get_dirty_bitmap *get = argument;
	struct iommu_destroy *gone = argument;

	switch (request) {
	case IOMMU_IOAS_ALLOC:
		kernel.ioas = ioas->out_ioas_id = kernel.next_id++;
		return 0;
	case IOMMU_IOAS_IOVA_RANGES:
		ranges->out_iova_alignment = PAGE;
		if (ranges->num_iovas) /* a first and a last address */
			memcpy((void *)(uintptr_t)ranges->allowed_iovas,
			       (uint64_t[]){0, 0xffffffff}, 16);
		ranges->num_iovas = 1;
		return 0;
	case IOMMU_IOAS_MAP:
	case IOMMU_IOAS_UNMAP: /* of as much as was asked for */
		return 0;
	case IOMMU_HWPT_ALLOC:
		CHECK(table->pt_id && table->pt_id <= kernel.ioas);
		table->out_hwpt_id = kernel.next_id;
		if (!noted("%s %u for %u;", kind_of(table->flags), table->out_hwpt_id, table->dev_id))
			return -1;
		kernel.made_for[kernel.next_id++] = table->dev_id;
		return 0;
	case IOMMU_GET_HW_INFO: /* asked when a table is refused */
		hardware->out_capabilities = IOMMU_HW_CAP_DIRTY_TRACKING;
		return 0;
	case IOMMU_HWPT_SET_DIRTY_TRACKING:
		return noted("%s %u;", tracking->flags ? "on" : "off", tracking->hwpt_id) ? 0 : -1;
	case IOMMU_HWPT_GET_DIRTY_BITMAP:
		CHECK(get->flags == 0 && get->page_size == PAGE);
		/* A bit of the table's own, added to those that are there. */
		*(uint64_t *)(uintptr_t)get->data |= UINT64_C(1) << (get->hwpt_id % 64);
		return noted("read %u;", get->hwpt_id) ? 0 : -1;
	case IOMMU_DESTROY:
		took("destroy %u;", gone->id);
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int on_device(int index, unsigned long request, void *argument)
{
	struct vfio_device_bind_iommufd *bind = argument;
	struct vfio_device_attach_iommufd_pt *attach = argument;
	struct vfio_device_detach_iommufd_pt *detach = argument;
	struct vfio_device_info *info = argument;

	switch (request) {
	case VFIO_DEVICE_BIND_IOMMUFD:
		CHECK_EQ(bind->iommufd, kernel.iommufd);
		pass_gate();
		bind->out_devid = 10 + (uint32_t)index;
		return 0;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		if (attach->flags & VFIO_DEVICE_ATTACH_PASID) {
			CHECK_EQ(attach->argsz, sizeof(*attach));
			return noted("attach %d.%u to %u;", 10 + index, attach->pasid, attach->pt_id) ? 0
												      : -1;
		}
		if (!noted("attach %d to %u;", 10 + index, attach->pt_id))
			return -1;
		if (kernel.own_table[index] && attach->pt_id != kernel.ioas &&
		    kernel.made_for[attach->pt_id] != 10 + (uint32_t)index) {
			errno = EINVAL;
			return -1;
		}
		return 0;
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		if (detach->argsz == sizeof(*detach) && detach->flags & VFIO_DEVICE_DETACH_PASID)
			return noted("detach %d.%u;", 10 + index, detach->pasid) ? 0 : -1;
		took("detach %d;", 10 + index);
		return 0;
	case VFIO_DEVICE_GET_INFO: /* no region, no interrupt */
		info->num_regions = info->num_irqs = 0;
		info->flags = 0;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (fd == kernel.iommufd)
		return on_iommufd(request, argument);
	for (int i = 0; i < DEVICES; i++)
		if (fd == kernel.devices[i])
			return on_device(i, request, argument);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

/* sysfs with two devices, bound and with their nodes. */
static char root[] = "/tmp/vfiocore-ioas-XXXXXX";

static void make_tree(void)
{
	char command[1000];

	CHECK(mkdtemp(root));
	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p bus/pci/drivers/vfio-pci kernel/iommu_groups/1 && for i in 0 1 2; do "
		 "d=bus/pci/devices/0000:0$((i+1)):00.0 && mkdir -p $d/vfio-dev/vfio$i && "
		 "echo 0x8086 >$d/vendor && ln -s ../../drivers/vfio-pci $d/driver && "
		 "ln -s ../../../../kernel/iommu_groups/1 $d/iommu_group; done", root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(setenv("VFIOCORE_SYSFS", root, 1), 0);
}

static void remove_tree(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK_EQ(system(command), 0);
}

#endif
