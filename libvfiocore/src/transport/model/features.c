/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_FEATURE of the fake transport: low power and the token of virtual functions, as
 * drivers/vfio/pci/vfio_pci_core.c has them.
 *
 * Limits of the model: the eventfd that ends low power is not referenced, so it must stay open
 * until then. Mappings of the BARs stay in low power, where the kernel would take them away.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "transport/model/fake.h"

void fake_wake(struct fake_device *device)
{
	if (!device->low_power || device->wakeup < 0)
		return;
	sys_eventfd_raise(device->wakeup);
	device->low_power = false;
}

static int enter_low_power(struct fake_device *device, int wakeup)
{
	if (device->low_power)
		return -EINVAL;
	device->low_power = true;
	device->wakeup = wakeup;
	return 0;
}

static int enter_with_wakeup(struct fake_device *device, const void *data, size_t length)
{
	struct vfio_device_low_power_entry_with_wakeup entry;

	if (length < sizeof(entry))
		return -EINVAL;
	memcpy(&entry, data, sizeof(entry));
	return enter_low_power(device, entry.wakeup_eventfd);
}

/*
 * A device on which a token was set is a physical function. Devices that are opened later in its
 * iommufd are its virtual functions, and need the token (vfio_pci_validate_vf_token()).
 */
static int keep_token(struct fake_iommufd *iommufd, const void *token, size_t length)
{
	if (length < sizeof(iommufd->token))
		return -EINVAL;
	memcpy(iommufd->token, token, sizeof(iommufd->token));
	iommufd->guarded = true;
	return 0;
}

static bool token_opens(struct fake_iommufd *iommufd, const uint8_t *token)
{
	if (token && !iommufd->guarded)
		keep_token(iommufd, token, sizeof(iommufd->token));
	return !iommufd->guarded ||
	       (token && !memcmp(token, iommufd->token, sizeof(iommufd->token)));
}

int fake_token_check(struct fake_iommufd *iommufd, const char *name, const uint8_t *token)
{
	bool may;

	pthread_mutex_lock(&iommufd->lock);
	may = token_opens(iommufd, token);
	pthread_mutex_unlock(&iommufd->lock);
	if (may)
		return 0;
	return vfc_fail(EACCES, VFC_REASON_PERMISSION, WHERE(.object = name), "%s",
			token ? "it is not the token that was set there: give that one as vf_token"
			      : "a token guards the devices there: give it as vf_token");
}

static int feature_locked(struct fake_device *device, uint32_t number, const void *data,
			  size_t length)
{
	if (device->released)
		return -EBADF;
	switch (number) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return enter_with_wakeup(device, data, length);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return enter_low_power(device, -1);
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		device->low_power = false;
		return 0;
	case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
		return keep_token(device->iommufd, data, length);
	default:
		return -ENOTTY;
	}
}

int fake_feature(struct transport_device *base, uint32_t flags, void *data, size_t length)
{
	struct fake_device *device = (struct fake_device *)base;
	uint32_t number = flags & ~(uint32_t)VFIO_DEVICE_FEATURE_SET;
	int rc;

	if (!(flags & VFIO_DEVICE_FEATURE_SET))
		return -EINVAL;
	pthread_mutex_lock(&device->iommufd->lock);
	rc = feature_locked(device, number, data, length);
	pthread_mutex_unlock(&device->iommufd->lock);
	return rc;
}
