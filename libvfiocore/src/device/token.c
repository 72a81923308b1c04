/* SPDX-License-Identifier: MIT */
/* The token of a physical function's virtual ones: what takes the open device. */
#include <errno.h>
#include <string.h>
#include <vfiocore/sriov.h>

#include "device/object.h"
#include "base/error.h"

static int set_token(struct vfc_device *device, const uint8_t token[VFC_VF_TOKEN])
{
	struct error_where where = WHERE("VFIO_DEVICE_FEATURE_PCI_VF_TOKEN", device->name);
	uint32_t flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN;
	uint8_t copy[VFC_VF_TOKEN];
	int rc = -ENOTTY;

	if (!token)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where, "the token is NULL");
	memcpy(copy, token, sizeof(copy));
	if (device->ops->feature)
		rc = device->ops->feature(device->transport, flags, copy, sizeof(copy));
	if (rc == -ENOTTY || rc == -EOPNOTSUPP)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, where,
				"the device is no physical function with SR-IOV");
	if (rc == -EBADF)
		return vfc_fail(ENODEV, VFC_REASON_GONE, where,
				"the device was given back to the host (vfc_device_release): close it");
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, where, "%s", "") : 0;
}

int vfc_sriov_set_token(struct vfc_device *device, const uint8_t token[VFC_VF_TOKEN])
{
	return vfc_done(set_token(device, token));
}
