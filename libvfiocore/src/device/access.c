/* SPDX-License-Identifier: MIT */
/* Reads and writes of regions: one access of an exact width, or bytes through the kernel. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <vfiocore/barrier.h>
#include <vfiocore/device.h>
#include <vfiocore/mmio.h>
#include <vfiocore/pci.h>
#include <vfiocore/region.h>

#include "device/access.h"
#include "device/region.h"
#include "base/error.h"
#include "device/nofault.h"
#include "pci/caps.h"

/* PCI Local Bus 3.0, section 6.2.2. */
#define COMMAND 0x04
#define COMMAND_MEMORY 0x0002
#define CLASS 0x08 /* class code and revision */
/* PCI Bus Power Management Interface 1.2, sections 3.2 and 3.2.4. */
#define CAP_POWER 0x01
#define PMCSR 4
#define PMCSR_STATE 3
#define PMCSR_D3HOT 3

#define TRIES 4 /* attempts at one access while decoding keeps switching */

static int check_width(struct vfc_device *device, uint64_t offset, uint32_t width)
{
	if (width != 1 && width != 2 && width != 4 && width != 8)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				"an access is 1, 2, 4 or 8 bytes wide, not %u", width);
	if (offset % width)
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, WHERE(.object = device->name),
				"offset 0x%" PRIx64 " is not a multiple of the access's %u bytes",
				offset, width);
	return 0;
}

/*
 * Find the mapped address of a register. NULL means that the access goes through the kernel.
 * On a PCI device only BARs are accessed by their mappings. Config space and ROM are emulated, even
 * where a platform would map them. A device that does not decode is not accessed by its mappings
 * either: a load from them would raise SIGBUS, while read() returns EIO.
 */
static int mapped(struct vfc_device *device, struct region *region, uint32_t index, uint64_t offset,
		  uint32_t width, volatile void **address)
{
	*address = NULL;
	if ((device->flags & VFC_DEVICE_PCI && index > VFC_REGION_BAR5) || !__atomic_load_n(&device->decodes, __ATOMIC_RELAXED))
		return 0;
	return region_address(device, region, offset, width, address);
}

static uint64_t load(const volatile void *address, uint32_t width)
{
	switch (width) {
	case 1:
		return vfc_mmio_read8(address);
	case 2:
		return vfc_mmio_read16(address);
	case 4:
		return vfc_mmio_read32(address);
	default:
		return vfc_mmio_read64(address);
	}
}

static void store(volatile void *address, uint32_t width, uint64_t value)
{
	switch (width) {
	case 1:
		vfc_mmio_write8(address, (uint8_t)value);
		break;
	case 2:
		vfc_mmio_write16(address, (uint16_t)value);
		break;
	case 4:
		vfc_mmio_write32(address, (uint32_t)value);
		break;
	default:
		vfc_mmio_write64(address, value);
	}
}

/*
 * read() and write() on a region carry the device's little-endian bytes, whatever the host's order.
 */
static int kernel_read(struct vfc_device *device, const struct region *region, uint64_t offset,
		       uint32_t width, uint64_t *value)
{
	uint8_t bytes[8] = {0};
	int rc = device->ops->read(device->transport, region->position + offset, bytes, width);

	*value = 0;
	for (uint32_t i = 0; i < width; i++)
		*value |= (uint64_t)bytes[i] << 8 * i;
	return rc;
}

static int kernel_write(struct vfc_device *device, const struct region *region, uint64_t offset,
			uint32_t width, uint64_t value)
{
	uint8_t bytes[8];

	for (uint32_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	return device->ops->write(device->transport, region->position + offset, bytes, width);
}

/*
 * All ones in the vendor ID or the class code mean that nobody answers. The class is read as well
 * because vfio makes up the IDs of a virtual function (vfio_config_init()), but not its class.
 */
bool access_gone(struct vfc_device *device)
{
	const struct region *config = region_config(device);
	uint64_t vendor = 0, class_code = 0;
	int rc;

	if (!config)
		return false;
	rc = kernel_read(device, config, 0, 2, &vendor);
	if (rc == 0)
		rc = kernel_read(device, config, CLASS, 4, &class_code);
	return rc == -ENODEV || vendor == 0xffff || class_code == UINT32_MAX;
}

static int tell_gone(struct vfc_device *device)
{
	device_suspect(device);
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = device->name),
			"the device answers with all ones, in config space too: it was pulled, or is "
			"in reset");
}

/* A register may hold all ones. If config space reads as all ones too, nobody answers. */
static int check_gone(struct vfc_device *device, uint32_t width, uint64_t value)
{
	if (width < 4 || value != UINT64_MAX >> (64 - 8 * width) || !access_gone(device))
		return 0;
	return tell_gone(device);
}

/*
 * Does the device answer at its BARs? This is the rule of __vfio_pci_memory_enabled()
 * (vfio_pci_config.c).
 */
static bool look_at_decoding(struct vfc_device *device, const struct region *config)
{
	uint64_t command, power;

	if (__atomic_load_n(&device->low_power, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&device->released, __ATOMIC_RELAXED))
		return false;
	if (kernel_read(device, config, COMMAND, 2, &command) < 0 || !(command & COMMAND_MEMORY))
		return false;
	/*
	 * The mappings of a device that is gone read as all ones, which check_gone() recognizes, so
	 * they stay in use. Those of a virtual function raise SIGBUS, so they do not. Only a
	 * virtual function still has a vendor ID then.
	 */
	if (access_gone(device))
		return kernel_read(device, config, 0, 2, &power) == 0 && power == 0xffff;
	return !device->power || (kernel_read(device, config, device->power, 1, &power) == 0 &&
				  (power & PMCSR_STATE) < PMCSR_D3HOT);
}

void access_follow(struct vfc_device *device)
{
	const struct region *config = region_config(device);

	error_quiet_begin();
	__atomic_store_n(&device->decodes, !config || look_at_decoding(device, config),
			 __ATOMIC_RELAXED);
	error_quiet_end();
}

/*
 * The access raised SIGBUS and did not take place. If the device stopped decoding behind our back,
 * the next attempt goes through the kernel, which tells why. If it decodes again, the mapping is
 * tried again.
 */
static int faulted(struct vfc_device *device, int tries)
{
	int rc;

	access_follow(device);
	if (tries < TRIES)
		return 0;
	rc = check_gone(device, 4, UINT32_MAX);
	return rc < 0 ? rc
		      : vfc_fail(EIO, VFC_REASON_DECODING, WHERE(.object = device->name),
				 "the device's memory is not accessible, although decoding is on: is it "
				 "being reset, or put to sleep, all the time?");
}

static int read_region(struct vfc_device *device, struct region *region, uint32_t index,
		       uint64_t offset, uint32_t width, uint64_t *value)
{
	volatile void *address;
	int rc = 0;

	for (int tries = 1; rc == 0; tries++) {
		rc = mapped(device, region, index, offset, width, &address);
		if (rc < 0)
			break;
		if (!address)
			return kernel_read(device, region, offset, width, value);
		if (!nofault_wanted(device)) {
			*value = load(address, width);
			return 0;
		}
		if (nofault_load(address, width, value) == 0)
			return 0;
		rc = faulted(device, tries);
	}
	return rc;
}

static bool touches(uint64_t offset, uint64_t length, uint32_t at)
{
	return at >= offset && at - offset < length;
}

/*
 * A write to Command or PMCSR may end decoding. Clear @decodes before the write, so that other
 * threads leave the mappings first. True if access_follow() must be called after the write.
 */
static bool follows(struct vfc_device *device, uint32_t index, uint64_t offset, uint64_t length)
{
	if (index != VFC_REGION_CONFIG || !region_config(device) || (!touches(offset, length, COMMAND) &&
					   !(device->power && touches(offset, length, device->power))))
		return false;
	__atomic_store_n(&device->decodes, false, __ATOMIC_RELAXED);
	return true;
}

static int region_read(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
		       uint64_t *value)
{
	struct region *region;
	int rc = check_width(device, offset, width);

	if (rc == 0)
		rc = region_check(device, index, offset, width, VFIO_REGION_INFO_FLAG_READ, &region);
	if (rc == 0)
		rc = read_region(device, region, index, offset, width, value);
	vfc_from_register();
	if (rc == -EIO && index != VFC_REGION_CONFIG && access_gone(device))
		return tell_gone(device);
	return rc < 0 ? rc : index == VFC_REGION_CONFIG ? 0 : check_gone(device, width, *value);
}

int vfc_region_read(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
		    uint64_t *value)
{
	return vfc_done(region_read(device, index, offset, width, value));
}

int64_t vfc_region_load(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width)
{
	uint64_t value = 0;
	int rc;

	if (width == 8)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
			      "8 bytes do not fit into the result: use vfc_region_read()");
	else
		rc = region_read(device, index, offset, width, &value);
	return rc < 0 ? vfc_done(rc) : (int64_t)value;
}

static int write_kernel(struct vfc_device *device, struct region *region, uint32_t index,
			uint64_t offset, uint32_t width, uint64_t value)
{
	bool follow = follows(device, index, offset, width);
	int rc = kernel_write(device, region, offset, width, value);

	if (follow)
		access_follow(device);
	return rc;
}

static int write_region(struct vfc_device *device, struct region *region, uint32_t index,
			uint64_t offset, uint32_t width, uint64_t value)
{
	volatile void *address;
	int rc = 0;

	for (int tries = 1; rc == 0; tries++) {
		rc = mapped(device, region, index, offset, width, &address);
		if (rc < 0)
			break;
		if (!address)
			return write_kernel(device, region, index, offset, width, value);
		if (!nofault_wanted(device)) {
			store(address, width, value);
			return 0;
		}
		if (nofault_store(address, width, value) == 0)
			return 0;
		rc = faulted(device, tries);
	}
	return rc;
}

static int region_write(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
			uint64_t value)
{
	struct region *region;
	int rc = check_width(device, offset, width);

	if (rc == 0 && width < 8 && value >> 8 * width)
		rc = vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
			      "0x%" PRIx64 " does not fit into %u bytes", value, width);
	vfc_to_device();
	if (rc == 0)
		rc = region_check(device, index, offset, width, VFIO_REGION_INFO_FLAG_WRITE, &region);
	return rc < 0 ? rc : write_region(device, region, index, offset, width, value);
}

int vfc_region_write(struct vfc_device *device, uint32_t index, uint64_t offset, uint32_t width,
		     uint64_t value)
{
	return vfc_done(region_write(device, index, offset, width, value));
}

int vfc_region_read_block(struct vfc_device *device, uint32_t index, uint64_t offset, void *data,
			  size_t length)
{
	struct region *region;
	int rc = region_check(device, index, offset, length, VFIO_REGION_INFO_FLAG_READ, &region);

	if (rc == 0 && length)
		rc = device->ops->read(device->transport, region->position + offset, data, length);
	return vfc_done(rc);
}

int vfc_region_write_block(struct vfc_device *device, uint32_t index, uint64_t offset,
			   const void *data, size_t length)
{
	struct region *region;
	int rc = region_check(device, index, offset, length, VFIO_REGION_INFO_FLAG_WRITE, &region);
	bool follow;

	if (rc < 0 || !length)
		return vfc_done(rc);
	follow = follows(device, index, offset, length);
	rc = device->ops->write(device->transport, region->position + offset, data, length);
	if (follow)
		access_follow(device);
	return vfc_done(rc);
}

static int read_config(void *cookie, uint32_t offset, uint32_t width, uint32_t *value)
{
	struct vfc_device *device = cookie;
	uint64_t wide;
	int rc = kernel_read(device, &device->regions[VFC_REGION_CONFIG], offset, width, &wide);

	*value = (uint32_t)wide;
	return rc;
}

static int walk_caps(struct vfc_device *device, struct vfc_pci_cap *caps, size_t count)
{
	struct caps_source source = {.read = read_config, .cookie = device, .name = device->name};
	struct region *config;
	int rc = device_check_pci(device, "capabilities");

	if (rc == 0)
		rc = region_check(device, VFC_REGION_CONFIG, 0, 64, VFIO_REGION_INFO_FLAG_READ,
				  &config);
	/*
	 * Config space of all ones can look like a list that loops, and that error would hide the
	 * cause.
	 */
	if (rc == 0 && access_gone(device))
		rc = tell_gone(device);
	if (rc < 0)
		return rc;
	source.length = (uint32_t)config->length;
	return caps_walk(&source, caps, count);
}

int vfc_pci_caps(struct vfc_device *device, struct vfc_pci_cap *caps, size_t count)
{
	return vfc_done(walk_caps(device, caps, count));
}

/*
 * A capability takes at least four bytes. Capabilities lie from 0x40 to 0xff and from 0x100 to
 * 0xfff.
 */
#define CAPS_MOST ((0x100 - 0x40) / 4 + (0x1000 - 0x100) / 4)

int vfc_pci_find_cap(struct vfc_device *device, uint32_t id, bool extended, uint32_t after,
		     struct vfc_pci_cap *cap)
{
	struct vfc_pci_cap caps[CAPS_MOST];
	int n = vfc_pci_caps(device, caps, CAPS_MOST);
	const struct vfc_pci_cap *found;

	if (n < 0)
		return vfc_done(n);
	found = caps_find(caps, (size_t)n, id, extended, after);
	if (found)
		*cap = *found;
	return found != NULL;
}

/* If the capabilities cannot be read, the device's power state is not followed. */
void access_open(struct vfc_device *device)
{
	struct vfc_pci_cap power;

	error_quiet_begin();
	if (region_config(device) && vfc_pci_find_cap(device, CAP_POWER, false, 0, &power) > 0)
		device->power = power.offset + PMCSR;
	error_quiet_end();
	access_follow(device);
}
