/* SPDX-License-Identifier: MIT */
#include "fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../error.h"
#include "../kernel/sys.h"

/* A kernel that answers with a larger size than this for one structure is not believed. */
#define INFO_MAX (64 * 1024)

static struct fd_device *of(struct transport_device *device)
{
	return (struct fd_device *)device;
}

static int failed(struct transport_device *device, int rc, const char *call)
{
	return vfc_fail(rc, rc == -ENODEV ? VFC_REASON_GONE : VFC_REASON_NONE,
			WHERE(call, of(device)->name),
			"%s", rc == -ENODEV ? "the device has been removed" : "");
}

int fd_device_info(struct transport_device *device, struct vfio_device_info *info)
{
	int rc;

	/* The base structure's size and not ours: some drivers refuse one that they do not know. */
	*info = (struct vfio_device_info){.argsz = offsetof(struct vfio_device_info, cap_offset)};
	rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_GET_INFO, info);
	return rc < 0 ? failed(device, rc, "VFIO_DEVICE_GET_INFO") : 0;
}

static int get_region_info(struct transport_device *device, uint32_t index, uint32_t size,
			   struct vfio_region_info **info)
{
	int rc;

	*info = sys_alloc(size);
	if (!*info)
		return vfc_no_memory();
	(*info)->argsz = size;
	(*info)->index = index;
	rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_GET_REGION_INFO, *info);
	if (rc == 0)
		return 0;
	free(*info);
	*info = NULL;
	return failed(device, rc, "VFIO_DEVICE_GET_REGION_INFO");
}

int fd_region_info(struct transport_device *device, uint32_t index, struct vfio_region_info **info)
{
	uint32_t size;
	int rc = get_region_info(device, index, sizeof(**info), info);

	if (rc < 0)
		return rc;
	size = (*info)->argsz;
	if (size <= sizeof(**info))
		return 0;
	free(*info);
	if (size > INFO_MAX)
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED,
				WHERE("VFIO_DEVICE_GET_REGION_INFO", of(device)->name),
				"the kernel wants %u bytes for region %u", size, index);
	rc = get_region_info(device, index, size, info);
	if (rc == 0)
		(*info)->argsz = size; /* what we allocated, whatever it grew to meanwhile */
	return rc;
}

int fd_irq_info(struct transport_device *device, uint32_t index, struct vfio_irq_info *info)
{
	int rc;

	*info = (struct vfio_irq_info){.argsz = sizeof(*info), .index = index};
	rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_GET_IRQ_INFO, info);
	return rc < 0 ? failed(device, rc, "VFIO_DEVICE_GET_IRQ_INFO") : 0;
}

int fd_set_irqs(struct transport_device *device, const struct vfio_irq_set *set)
{
	int rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_SET_IRQS, (void *)set);

	return rc < 0 ? failed(device, rc, "VFIO_DEVICE_SET_IRQS") : 0;
}

int fd_reset(struct transport_device *device)
{
	int rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_RESET, NULL);

	return rc < 0 ? failed(device, rc, "VFIO_DEVICE_RESET") : 0;
}

static int transferred(struct transport_device *device, ssize_t n, size_t length, const char *call)
{
	if (n < 0)
		return vfc_fail((int)n, VFC_REASON_NONE, WHERE(call, of(device)->name),
				"%s",
				n == -EIO ? "is memory or I/O decoding off in the Command register, or "
					    "the device in D3?"
					  : "");
	if ((size_t)n != length)
		return vfc_fail(EIO, VFC_REASON_NONE, WHERE(call, of(device)->name),
				"%zd of %zu bytes were transferred", n, length);
	return 0;
}

int fd_read(struct transport_device *device, uint64_t position, void *data, size_t length)
{
	ssize_t n = sys_pread(of(device)->fd, data, length, position);

	return transferred(device, n, length, "pread");
}

int fd_write(struct transport_device *device, uint64_t position, const void *data, size_t length)
{
	ssize_t n = sys_pwrite(of(device)->fd, data, length, position);

	return transferred(device, n, length, "pwrite");
}

int fd_mmap(struct transport_device *device, uint64_t position, size_t length, int protection,
	    void **address)
{
	int rc = sys_mmap(length, protection, MAP_SHARED, of(device)->fd, position, address);

	return rc < 0 ? failed(device, rc, "mmap") : 0;
}
