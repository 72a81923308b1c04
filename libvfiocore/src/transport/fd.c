/* SPDX-License-Identifier: MIT */
#include "transport/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "kernel/sys.h"

/* If the kernel asks for more than this for one structure, it is not believed. */
#define INFO_MAX (64 * 1024)

static struct fd_device *of(struct transport_device *device)
{
	return (struct fd_device *)device;
}

/* The O_PATH descriptor that stands in for a released one answers EBADF to everything (open(2)). */
static int released(struct transport_device *device, const char *call)
{
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(call, of(device)->name),
			"the device was given back to the host (vfc_device_release): close it");
}

static int failed(struct transport_device *device, int rc, const char *call)
{
	if (rc == -EBADF)
		return released(device, call);
	return vfc_fail(rc, rc == -ENODEV ? VFC_REASON_GONE : VFC_REASON_NONE,
			WHERE(call, of(device)->name),
			"%s", rc == -ENODEV ? "the device has been removed" : "");
}

int fd_descriptor(struct transport_device *device)
{
	return of(device)->fd;
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
		(*info)->argsz = size; /* what we allocated; the structure may have grown meanwhile */
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

	/* vfio_msi_enable() enables no vector then, and returns how many it could have enabled. */
	if (rc > 0)
		return vfc_fail(ENOSPC, VFC_REASON_NONE,
				WHERE("VFIO_DEVICE_SET_IRQS", of(device)->name),
				"the kernel has %d vectors for the device, and not %u: several MSI need "
				"interrupt remapping", rc, set->start + set->count);
	/*
	 * Each CPU has some 200 vectors, and the kernel uses some of them itself
	 * (arch/x86/kernel/apic/vector.c).
	 */
	if (rc == -ENOSPC)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("VFIO_DEVICE_SET_IRQS", of(device)->name),
				"the kernel has not enough interrupt vectors left for %u of them: x86 has "
				"about 190 for each CPU, for all devices together", set->start + set->count);
	return rc < 0 ? failed(device, rc, "VFIO_DEVICE_SET_IRQS") : 0;
}

int fd_reset(struct transport_device *device)
{
	int rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_RESET, NULL);

	return rc < 0 ? failed(device, rc, "VFIO_DEVICE_RESET") : 0;
}

/* A slot has 8 functions and a bus 256; below a bridge there may be more buses. */
#define DEPENDENTS_MAX 4096

static int reset_failed(struct transport_device *device, int rc, const char *call)
{
	if (rc == -ENODEV || rc == -ENOTTY)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(call, of(device)->name), "%s",
				rc == -ENODEV ? "the device's bus cannot be reset: it is on a root bus, or "
						"the bus is not its own"
					      : "the port above cannot reset the device, or does not tell "
						"that the link is up again (in QEMU: x-speed=5)");
	return failed(device, rc, call);
}

static int get_hot_reset_info(struct transport_device *device, uint32_t room,
			      struct vfio_pci_hot_reset_info **info)
{
	size_t size = sizeof(**info) + room * sizeof((*info)->devices[0]);
	int rc;

	*info = sys_alloc(size);
	if (!*info)
		return vfc_no_memory();
	(*info)->argsz = (uint32_t)size;
	rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, *info);
	if (rc == 0 && (*info)->count <= room)
		return 0;
	/* With ENOSPC the kernel says how much room is needed. */
	if ((rc == -ENOSPC || rc == 0) && (*info)->count > room && (*info)->count <= DEPENDENTS_MAX)
		rc = (int)(*info)->count;
	else if (rc == 0 || rc == -ENOSPC)
		rc = vfc_fail(EBADMSG, VFC_REASON_MALFORMED,
			      WHERE("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", of(device)->name),
			      "the kernel says that %u devices would be reset", (*info)->count);
	else
		rc = reset_failed(device, rc, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO");
	free(*info);
	*info = NULL;
	return rc;
}

int fd_hot_reset_info(struct transport_device *device, struct vfio_pci_hot_reset_info **info)
{
	int rc = get_hot_reset_info(device, 0, info);

	/* Devices may be added between two calls. */
	for (int tries = 0; rc > 0 && tries < 8; tries++)
		rc = get_hot_reset_info(device, (uint32_t)rc, info);
	return rc > 0 ? vfc_fail(EAGAIN, VFC_REASON_NONE, WHERE(.object = of(device)->name),
				 "devices keep coming on the bus")
		      : rc;
}

int fd_hot_reset(struct transport_device *device, const int32_t *groups, uint32_t count)
{
	size_t size = sizeof(struct vfio_pci_hot_reset) + count * sizeof(*groups);
	struct vfio_pci_hot_reset *request = sys_alloc(size);
	int rc;

	if (!request)
		return vfc_no_memory();
	request->argsz = (uint32_t)size;
	request->count = count;
	if (count)
		memcpy(request->group_fds, groups, count * sizeof(*groups));
	rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_PCI_HOT_RESET, request);
	free(request);
	return rc < 0 ? reset_failed(device, rc, "VFIO_DEVICE_PCI_HOT_RESET") : 0;
}

bool fd_bound_owns(struct transport_device *device, const struct vfio_pci_hot_reset_info *info,
		   uint32_t element)
{
	(void)device;
	return info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID &&
	       (int32_t)info->devices[element].devid != VFIO_PCI_DEVID_NOT_OWNED;
}

int fd_bound_hot_reset(struct transport_device *device)
{
	return fd_hot_reset(device, NULL, 0);
}

int fd_give_back(struct transport_device *device, int other)
{
	int rc, husk = sys_open("/", O_PATH);

	if (husk < 0)
		return vfc_fail(husk, VFC_REASON_NONE, WHERE("open", of(device)->name),
				"a descriptor that stands in for the device's cannot be had");
	rc = sys_replace(of(device)->fd, husk);
	/*
	 * EBUSY is a race with open(), see dup(2). No other error is possible, since the first
	 * replacement worked.
	 */
	for (int again = rc < 0 || other < 0 ? 0 : -EBUSY; again == -EBUSY;)
		again = sys_replace(other, husk);
	sys_close(husk);
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("dup3", of(device)->name), "%s", "") : 0;
}

/* Why the kernel refuses to read or write a region, where that is known. */
static const char *transfer_hint(ssize_t rc)
{
	if (rc == -EIO)
		return "is memory or I/O decoding off in the Command register, or the device in D3?";
	/* vfio_pci_bar_rw() cannot map the ROM in that case (vfio_pci_rdwr.c, 6.1). */
	if (rc == -ENOMEM)
		return "for a ROM the kernel says so where memory decoding is off in the Command "
		       "register";
	return "";
}

static int transferred(struct transport_device *device, ssize_t n, size_t length, const char *call)
{
	if (n == -EBADF)
		return released(device, call);
	if (n < 0)
		return vfc_fail((int)n, n == -EIO ? VFC_REASON_DECODING : VFC_REASON_NONE,
				WHERE(call, of(device)->name), "%s", transfer_hint(n));
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

int fd_share_region(struct transport_device *device, uint32_t index, uint64_t offset,
		    uint64_t length)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf buffer;
		struct vfio_region_dma_range range;
	} request = {
		.feature = {.argsz = sizeof(request),
			    .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF},
		.buffer = {.region_index = index, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1},
		.range = {offset, length},
	};
	int rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_FEATURE, &request);
	struct error_where where = WHERE("VFIO_DEVICE_FEATURE_DMA_BUF", of(device)->name, .length = length);

	if (rc == -ENOTTY || rc == -EOPNOTSUPP)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"the kernel cannot hand out region %u for other devices: it wants Linux "
				"6.19 with CONFIG_VFIO_PCI_DMABUF, and a region that can be mapped",
				index);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, where, "%s",
				rc == -ENODEV ? "is memory decoding on in the Command register?" : "");
	return rc;
}

int fd_feature(struct transport_device *device, uint32_t flags, void *data, size_t length)
{
	struct vfio_device_feature *request = sys_alloc(sizeof(*request) + length);
	int rc;

	if (!request)
		return -ENOMEM;
	request->argsz = (uint32_t)(sizeof(*request) + length);
	request->flags = flags;
	if (length)
		memcpy(request->data, data, length);
	rc = sys_ioctl(of(device)->fd, VFIO_DEVICE_FEATURE, request);
	if (length)
		memcpy(data, request->data, length);
	free(request);
	return rc;
}

int fd_ioeventfd(struct transport_device *device, uint64_t position, uint32_t width, uint64_t value,
		 int eventfd)
{
	struct vfio_device_ioeventfd request = {
		.argsz = sizeof(request),
		.flags = width, /* VFIO_DEVICE_IOEVENTFD_8 to 64 are the number of bytes */
		.offset = position,
		.data = value,
		.fd = eventfd,
	};

	return sys_ioctl(of(device)->fd, VFIO_DEVICE_IOEVENTFD, &request);
}

int fd_itself(struct transport_device *device)
{
	return of(device)->fd;
}

int fd_map_file(const struct transport_memory *memory, uint64_t length, uint32_t flags, void **va)
{
	int protection = PROT_READ | (flags & VFIO_DMA_MAP_FLAG_WRITE ? PROT_WRITE : 0);
	int rc = sys_mmap(length, protection, MAP_SHARED, memory->fd, memory->offset, va);
	struct error_where where = WHERE("mmap", .length = length);

	if (rc == -EACCES || rc == -EPERM)
		return vfc_fail(rc, VFC_REASON_BAD_MEMORY, where,
				"descriptor %d is not open for reading%s", memory->fd,
				protection & PROT_WRITE ? " and for writing, which the device may do" : "");
	return rc < 0 ? vfc_fail(rc == -ENODEV || rc == -EINVAL ? EOPNOTSUPP : rc,
				 VFC_REASON_BAD_MEMORY, where,
				 "descriptor %d cannot be mapped here at offset 0x%" PRIx64
				 ": a memfd can, and a dma-buf not always", memory->fd, memory->offset)
		      : 0;
}

int fd_file_fault(const struct transport_memory *memory, uint64_t iova, uint64_t length)
{
	return vfc_fail(EFAULT, VFC_REASON_BAD_MEMORY,
			WHERE("VFIO_IOMMU_MAP_DMA", NULL, AT_IOVA(iova, length)),
			"the file of descriptor %d is shorter than offset 0x%" PRIx64
			" and length, or its memory cannot be pinned", memory->fd, memory->offset);
}
