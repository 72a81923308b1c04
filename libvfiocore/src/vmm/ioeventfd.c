/* SPDX-License-Identifier: MIT */
/*
 * An eventfd that takes the place of a write. KVM raises it when the guest writes, and VFIO does
 * the write when it is raised.
 * Source: virt/kvm/eventfd.c, vfio_pci_ioeventfd() in drivers/vfio/pci/vfio_pci_rdwr.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <vfiocore/kvm.h>
#include <vfiocore/region.h>

#include "device/region.h"
#include "base/error.h"
#include "kernel/kvm.h"
#include "kernel/sys.h"
#include "vmm/kvm.h"

static int check_write(uint32_t width, uint64_t value)
{
	if (width != 1 && width != 2 && width != 4 && width != 8)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"a write has 1, 2, 4 or 8 bytes, and not %u", width);
	if (width < 8 && value >> 8 * width)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"the value 0x%" PRIx64 " does not fit in %u bytes", value, width);
	return 0;
}

static int check_register(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
			  struct region **region)
{
	if (index > VFC_REGION_BAR5)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = device->name),
				"region %u is no BAR: the kernel writes to registers in BARs only", index);
	if (offset % width)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " is not a multiple of the width, %u", offset, width);
	return region_check(device, index, offset, width, VFIO_REGION_INFO_FLAG_WRITE, region);
}

static int refused(int rc, const struct vfc_device *device, uint32_t width, bool end)
{
	struct error_where where = WHERE("VFIO_DEVICE_IOEVENTFD", device->name);

	switch (rc) {
	case -ENOTTY:
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"the device's driver writes nothing for an eventfd: vfio-pci does, since "
				"Linux 4.17");
	case -EBADF:
		return vfc_fail(ENODEV, VFC_REASON_GONE, where,
				"the descriptor is closed, or the device was given back to the host "
				"(vfc_device_release)");
	case -EEXIST:
		return vfc_fail(rc, VFC_REASON_BUSY, where,
				"there is an eventfd for that write: end it first, with -1 for the "
				"descriptor");
	case -ENODEV:
		return vfc_fail(end ? ENOENT : ENODEV, end ? VFC_REASON_ARGUMENT : VFC_REASON_GONE, where,
				"%s", end ? "there is none for that register, width and value"
					  : "the device has been removed");
	case -EINVAL:
		return vfc_fail(width == 8 ? EOPNOTSUPP : EINVAL, VFC_REASON_UNSUPPORTED, where,
				"%sthe register is of the MSI-X table, which is the kernel's, or the "
				"descriptor no eventfd",
				width == 8 ? "some kernels (Linux 7.2) write no 8 bytes: write 4 twice; or "
					   : "");
	default:
		return vfc_fail(rc, VFC_REASON_NONE, where, "%s",
				rc == -ENOSPC ? "a device has 1000 of them at most" : "");
	}
}

static int region_ioeventfd(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
			    uint64_t value, int fd)
{
	struct region *region;
	int rc = check_write(width, value);

	if (rc == 0)
		rc = check_register(device, index, offset, width, &region);
	if (rc < 0)
		return rc;
	rc = device->ops->ioeventfd ? device->ops->ioeventfd(device->transport, region->position + offset,
							     width, value, fd < 0 ? -1 : fd)
				    : -ENOTTY;
	return rc < 0 ? refused(rc, device, width, fd < 0) : 0;
}

int vfc_region_ioeventfd(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
			 uint64_t value, int fd)
{
	return vfc_done(region_ioeventfd(device, index, offset, width, value, fd));
}

static const char *io_hint(int rc)
{
	switch (rc) {
	case -EEXIST:
		return "an eventfd is there already for this address, width and value";
	case -ENOENT:
		return "there is none with this address, width, value and descriptor";
	case -EBADF:
	case -EINVAL:
		return "is the descriptor an eventfd, and the address plus width below 2^64?";
	case -ENOSPC:
		return "KVM has no room for more of them";
	default:
		return "";
	}
}

static int ioeventfd(struct vfc_kvm *kvm, struct kvm_ioeventfd *request, uint32_t flags)
{
	int rc = kvm_check_process(kvm);

	if (rc == 0)
		rc = check_write(request->len, request->datamatch);
	if (rc == 0 && flags & ~(uint32_t)VFC_KVM_IO_PORT)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			      "flags 0x%x are of enum vfc_kvm_io_flags", flags);
	if (rc < 0)
		return rc;
	request->flags |= KVM_IOEVENTFD_FLAG_DATAMATCH |
			  (flags & VFC_KVM_IO_PORT ? KVM_IOEVENTFD_FLAG_PIO : 0);
	rc = sys_ioctl(kvm->vm, KVM_IOEVENTFD, request);
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("KVM_IOEVENTFD", "the virtual machine"), "%s",
				 io_hint(rc))
		      : 0;
}

int vfc_kvm_ioeventfd_add(struct vfc_kvm *kvm, uint64_t address, uint32_t width, uint64_t value,
			  uint32_t flags, int fd)
{
	struct kvm_ioeventfd request = {.datamatch = value, .addr = address, .len = width, .fd = fd};

	return vfc_done(ioeventfd(kvm, &request, flags));
}

int vfc_kvm_ioeventfd_remove(struct vfc_kvm *kvm, uint64_t address, uint32_t width, uint64_t value,
			     uint32_t flags, int fd)
{
	struct kvm_ioeventfd request = {
		.datamatch = value,
		.addr = address,
		.len = width,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return vfc_done(ioeventfd(kvm, &request, flags));
}
