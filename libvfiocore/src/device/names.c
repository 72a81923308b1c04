/* SPDX-License-Identifier: MIT */
/*
 * VFIO numbers regions and interrupt types. The meaning of the numbers is fixed for PCI, channel
 * I/O and the crypto adapters of s390x (include/uapi/linux/vfio.h). A region may also have a type,
 * which says more. A platform device has names in the device tree (reg-names and interrupt-names in
 * Documentation/devicetree/bindings). They come in the same order as VFIO's numbers
 * (vfio_platform.c).
 */
#include "device/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <vfiocore/bus.h>
#include <vfiocore/device.h>
#include <vfiocore/region.h>

#include "base/error.h"
#include "pci/bus.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define INTEL (VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x8086)

static const char *const pci_regions[] = {"BAR0", "BAR1", "BAR2",   "BAR3", "BAR4",
					  "BAR5", "ROM",  "config", "VGA"};
static const char *const pci_irqs[] = {"intx", "msi", "msix", "err", "req"};
static const char *const ccw_irqs[] = {"io", "crw", "req"};
static const char *const ap_irqs[] = {"req", "cfg-chg"};

static const struct {
	uint32_t type, subtype;
	const char *name;
} types[] = {
	{VFIO_REGION_TYPE_GFX, 1, "edid"},
	{VFIO_REGION_TYPE_CCW, 1, "async-cmd"},
	{VFIO_REGION_TYPE_CCW, 2, "schib"},
	{VFIO_REGION_TYPE_CCW, 3, "crw"},
	{INTEL, 1, "igd-opregion"},
	{INTEL, 2, "igd-host-cfg"},
	{INTEL, 3, "igd-lpc-cfg"},
};

static const char *of_type(const struct region *region)
{
	for (size_t i = 0; i < COUNT(types); i++)
		if (region->type == types[i].type && region->subtype == types[i].subtype)
			return types[i].name;
	return NULL;
}

static bool has_device_tree(const struct vfc_device *device)
{
	return device->kind == VFC_DEVICE_KIND_PLATFORM || device->kind == VFC_DEVICE_KIND_AMBA;
}

/* @name becomes "" if the device tree has no such name. */
static void device_tree_name(const struct vfc_device *device, const char *property, uint32_t index,
			     char *name, size_t size)
{
	struct vfc_bus_info info = {.size = sizeof(info)};

	name[0] = '\0';
	if (!has_device_tree(device))
		return;
	error_quiet_begin();
	if (vfc_bus_info(device->name, &info) == 0)
		bus_of_string(&info, property, index, name, size);
	error_quiet_end();
}

void region_name(const struct vfc_device *device, uint32_t index, char *name, size_t size)
{
	const char *known = of_type(&device->regions[index]);

	if (device->kind == VFC_DEVICE_KIND_PCI && index < COUNT(pci_regions))
		known = pci_regions[index];
	if (device->kind == VFC_DEVICE_KIND_CCW && index == 0)
		known = "io";
	device_tree_name(device, "reg-names", index, name, size);
	if (!name[0] && known)
		snprintf(name, size, "%s", known);
	else if (!name[0])
		snprintf(name, size, "region %u", index);
}

static const char *fixed_irq(const struct vfc_device *device, uint32_t index)
{
	switch (device->kind) {
	case VFC_DEVICE_KIND_PCI:
		return index < COUNT(pci_irqs) ? pci_irqs[index] : NULL;
	case VFC_DEVICE_KIND_CCW:
		return index < COUNT(ccw_irqs) ? ccw_irqs[index] : NULL;
	case VFC_DEVICE_KIND_AP:
		return index < COUNT(ap_irqs) ? ap_irqs[index] : NULL;
	default:
		return NULL;
	}
}

void irq_name(const struct vfc_device *device, uint32_t index, char *name, size_t size)
{
	const char *known = fixed_irq(device, index);

	device_tree_name(device, "interrupt-names", index, name, size);
	if (!name[0] && known)
		snprintf(name, size, "%s", known);
	else if (!name[0])
		snprintf(name, size, "irq %u", index);
}

static int irq_called(const struct vfc_device *device, const char *name)
{
	const char *known;

	for (uint32_t i = 0; i < device->irq_count && (known = fixed_irq(device, i)); i++)
		if (!strcmp(known, name))
			return (int)i;
	return -1;
}

int irq_error_index(const struct vfc_device *device)
{
	return irq_called(device, "err");
}

int irq_request_index(const struct vfc_device *device)
{
	return irq_called(device, "req");
}

/* The comparison ignores case. */
int names_find(const struct vfc_device *device, const char *wanted, uint32_t count, name_of *call,
	       const char *what)
{
	char name[VFC_NAME], list[200] = "";
	size_t used = 0;

	if (!wanted)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				"the name is NULL");
	for (uint32_t i = 0; i < count; i++) {
		call(device, i, name, sizeof(name));
		if (!strcasecmp(name, wanted))
			return (int)i;
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 used ? ", " : "", name);
	}
	return vfc_fail(ENOENT, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
			"there is no %s \"%.40s\"; there are %s", what, wanted, count ? list : "none");
}

int vfc_region_find(struct vfc_device *device, const char *name)
{
	return vfc_done(names_find(device, name, device->region_count, region_name, "region"));
}
