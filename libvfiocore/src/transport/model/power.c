/* SPDX-License-Identifier: MIT */
/*
 * Power of the fake transport: the low-power features of vfio_pci_core.c.
 * Limits of the model: the eventfd is not referenced, so it must stay open until low power ends; and
 * mappings stay, where the kernel would take them away.
 */
#include <errno.h>
#include <string.h>

#include "kernel/sys.h"
#include "transport/model/fake.h"

#define STATE 3
#define D3HOT 3

bool fake_awake(const struct fake_device *device)
{
	return (device->config[FAKE_POWER_CAP + 4] & STATE) != D3HOT;
}

void fake_wake(struct fake_device *device)
{
	if (!device->low_power || device->wakeup < 0)
		return;
	sys_eventfd_raise(device->wakeup);
	device->low_power = false;
}

static int feature_locked(struct fake_device *device, uint32_t number, const void *data,
			  size_t length)
{
	struct vfio_device_low_power_entry_with_wakeup wakeup = {.wakeup_eventfd = -1};

	switch (number) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		if (length < sizeof(wakeup))
			return -EINVAL;
		memcpy(&wakeup, data, sizeof(wakeup));
		/* fallthrough */
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		if (device->low_power)
			return -EINVAL;
		device->low_power = true;
		device->wakeup = wakeup.wakeup_eventfd;
		return 0;
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		device->low_power = false;
		return 0;
	case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
		return fake_token_set(device->iommufd, data, length);
	default:
		return -ENOTTY;
	}
}

int fake_feature(struct transport_device *base, uint32_t flags, void *data, size_t length)
{
	struct fake_device *device = (struct fake_device *)base;
	int rc;

	if (!(flags & VFIO_DEVICE_FEATURE_SET))
		return -EINVAL;
	pthread_mutex_lock(&device->iommufd->lock);
	rc = device->released ? -EBADF
			      : feature_locked(device, flags & ~(uint32_t)VFIO_DEVICE_FEATURE_SET, data,
					       length);
	pthread_mutex_unlock(&device->iommufd->lock);
	return rc;
}
