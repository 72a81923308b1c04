/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <vfiocore/power.h>
#include <vfiocore/region.h>

#include "device/access.h"
#include "device/feature.h"
#include "base/error.h"

/* PMCSR: PCI Bus Power Management Interface 1.2, section 3.2.4. */
#define STATE 0x0003
#define PME_STATUS 0x8000 /* cleared by writing 1 */

/* A NIC driver's accesses are not checked. While the device sleeps, each one is a SIGBUS. */
static int check_quiet(struct vfc_device *device)
{
	if (device_has_nic(device))
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"a NIC of the device is open, and would go on using it: close it first");
	return 0;
}

static int read_state(struct vfc_device *device, uint64_t *pmcsr)
{
	int rc;

	if (!device->power)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the device has no power management capability");
	rc = vfc_region_read(device, VFC_REGION_CONFIG, device->power, 2, pmcsr);
	if (rc == 0 && *pmcsr == 0xffff)
		return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = device->name),
				"the device answers with all ones: it was pulled, or is in reset");
	return rc;
}

int vfc_power_get(struct vfc_device *device)
{
	uint64_t pmcsr = 0;
	int rc = read_state(device, &pmcsr);

	return vfc_done(rc < 0 ? rc : (int)(pmcsr & STATE));
}

/* The kernel's write to PMCSR takes as long as the transition does (drivers/pci/pci.c). */
static int power_set(struct vfc_device *device, uint32_t state)
{
	uint64_t pmcsr = 0;
	int rc = state > VFC_POWER_D3HOT
			 ? vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = device->name),
				    "state %u: there are 0 (D0) to 3 (D3hot)", state)
			 : check_quiet(device);

	if (rc == 0)
		rc = read_state(device, &pmcsr);
	if (rc == 0)
		rc = vfc_region_write(device, VFC_REGION_CONFIG, device->power, 2,
				      (pmcsr & ~(uint64_t)(STATE | PME_STATUS)) | state);
	if (rc == 0)
		rc = read_state(device, &pmcsr);
	if (rc == 0 && (pmcsr & STATE) != state)
		rc = vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
			      "the device has no state D%u, and is in D%u", state,
			      (unsigned)(pmcsr & STATE));
	return rc;
}

int vfc_power_set(struct vfc_device *device, uint32_t state)
{
	return vfc_done(power_set(device, state));
}

static int feature(struct vfc_device *device, uint32_t number, void *data, size_t length,
		   const char *call)
{
	int rc = device_feature(device, VFIO_DEVICE_FEATURE_SET | number, data, length, call,
				"low power takes Linux 6.1 and vfio-pci, and runtime power management "
				"in the kernel (CONFIG_PM)");

	if (rc == -EINVAL)
		return vfc_fail(EINVAL, VFC_REASON_NONE, WHERE(call, device->name),
				"is the device in low power already, or the descriptor no eventfd?");
	return rc;
}

static int low_enter(struct vfc_device *device, int wakeup)
{
	struct vfio_device_low_power_entry_with_wakeup request = {.wakeup_eventfd = wakeup};
	bool was = __atomic_load_n(&device->low_power, __ATOMIC_RELAXED);
	int rc = check_quiet(device);

	if (rc < 0)
		return rc;
	/* Set these before the request, so that other threads leave the mappings first. */
	__atomic_store_n(&device->low_power, true, __ATOMIC_RELAXED);
	__atomic_store_n(&device->decodes, false, __ATOMIC_RELAXED);
	if (wakeup < 0)
		rc = feature(device, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0,
			     "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY");
	else
		rc = feature(device, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, &request,
			     sizeof(request), "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP");
	if (rc == 0 || was)
		return rc;
	__atomic_store_n(&device->low_power, false, __ATOMIC_RELAXED);
	access_follow(device);
	return rc;
}

int vfc_power_low_enter(struct vfc_device *device, int wakeup)
{
	return vfc_done(low_enter(device, wakeup));
}

int vfc_power_low_exit(struct vfc_device *device)
{
	int rc = feature(device, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0,
			 "VFIO_DEVICE_FEATURE_LOW_POWER_EXIT");

	if (rc < 0)
		return vfc_done(rc);
	__atomic_store_n(&device->low_power, false, __ATOMIC_RELAXED);
	access_follow(device);
	return 0;
}
