/* SPDX-License-Identifier: MIT */
/* What a virtio-net device offers, and what of it is taken: virtio 1.2, sections 2.2, 5.1.3 and 6. */
#include <errno.h>

#include <vfiocore/device.h>
#include <vfiocore/mmio.h>

#include "device/object.h"
#include "base/error.h"
#include "nic/virtio/virtio.h"

#define UNDERSTOOD (VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM | \
		    VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MAC)

static uint64_t offered(struct vfc_nic *nic)
{
	uint64_t features;

	vfc_mmio_write32(nic->registers + VIRTIO_DEVICE_FEATURE_SELECT, 0);
	features = vfc_mmio_read32(nic->registers + VIRTIO_DEVICE_FEATURE);
	vfc_mmio_write32(nic->registers + VIRTIO_DEVICE_FEATURE_SELECT, 1);
	return features | (uint64_t)vfc_mmio_read32(nic->registers + VIRTIO_DEVICE_FEATURE) << 32;
}

/* A feature whose fields in the configuration the device does not have is passed over. */
static uint64_t wanted(const struct vfc_nic *nic)
{
	uint32_t length = virtio_of(nic)->config.length;
	uint64_t features = UNDERSTOOD | VIRTIO_NET_F_STATUS | VIRTIO_F_INDIRECT_DESC |
			    VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR;

	if (length >= VIRTIO_NET_SPEED)
		features |= VIRTIO_NET_F_MTU;
	if (length > VIRTIO_NET_DUPLEX)
		features |= VIRTIO_NET_F_SPEED_DUPLEX;
	if (nic->queues > 1 && length >= VIRTIO_NET_MTU)
		features |= VIRTIO_NET_F_MQ;
	if (nic->flags & VFC_NIC_PACKED)
		features |= VIRTIO_F_RING_PACKED;
	return features;
}

int virtio_lacks(const struct vfc_nic *nic, const char *what)
{
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
			"the device does not offer %s", what);
}

static bool translated(struct vfc_nic *nic)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};

	return vfc_iommu_info(vfc_device_iommu(nic->device), &info) == 0 &&
	       !(info.flags & VFC_IOMMU_PHYSICAL);
}

static int check_features(struct vfc_nic *nic)
{
	if (!virtio_has(nic, VIRTIO_F_VERSION_1))
		return virtio_lacks(nic, "VIRTIO_F_VERSION_1: only modern devices (virtio 1.0 or later) are "
				  "driven");
	if (!virtio_has(nic, VIRTIO_F_ACCESS_PLATFORM) && translated(nic))
		return virtio_lacks(nic, "VIRTIO_F_ACCESS_PLATFORM: it would pass by the IOMMU and access "
				  "physical memory (QEMU: iommu_platform=on)");
	if (!virtio_has(nic, VIRTIO_NET_F_MAC))
		return virtio_lacks(nic, "VIRTIO_NET_F_MAC: it has no station address");
	if (nic->flags & VFC_NIC_PACKED && !virtio_has(nic, VIRTIO_F_RING_PACKED))
		return virtio_lacks(nic, "VIRTIO_F_RING_PACKED (QEMU: packed=on): open it without "
				  "VFC_NIC_PACKED");
	if (nic->queues > 1 && !virtio_has(nic, VIRTIO_NET_F_MQ))
		return virtio_lacks(nic, "VIRTIO_NET_F_MQ: it has one queue");
	if (nic->promisc && !virtio_has(nic, VIRTIO_NET_F_CTRL_RX))
		return virtio_lacks(nic, "VIRTIO_NET_F_CTRL_RX: it cannot be told to be promiscuous");
	return 0;
}

int virtio_choose(struct vfc_nic *nic)
{
	struct virtio *virtio = virtio_of(nic);
	uint64_t control = VIRTIO_NET_F_CTRL_VQ | VIRTIO_F_INDIRECT_DESC;

	virtio->features = offered(nic) & wanted(nic);
	if (!virtio_has(nic, control)) /* a command is an indirect table, see virtio_control.c */
		virtio->features &= ~(control | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR |
				      VIRTIO_NET_F_MQ);
	return check_features(nic);
}

/* Section 3.1.1, steps 1 to 6. */
int virtio_negotiate(struct vfc_nic *nic)
{
	uint64_t features = virtio_of(nic)->features;
	uint8_t so_far = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER, accepted;

	vfc_mmio_write8(nic->registers + VIRTIO_STATUS, so_far);
	for (uint32_t half = 0; half < 2; half++) {
		vfc_mmio_write32(nic->registers + VIRTIO_DRIVER_FEATURE_SELECT, half);
		vfc_mmio_write32(nic->registers + VIRTIO_DRIVER_FEATURE,
				 (uint32_t)(features >> 32 * half));
	}
	vfc_mmio_write8(nic->registers + VIRTIO_STATUS, so_far | VIRTIO_STATUS_FEATURES_OK);
	accepted = vfc_mmio_read8(nic->registers + VIRTIO_STATUS);
	if (accepted == UINT8_MAX)
		return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = nic->device->name),
				"the device status reads as all ones: the device was pulled");
	if (accepted & VIRTIO_STATUS_FEATURES_OK)
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
			"the device does not accept the features 0x%llx: it needs some that this driver "
			"does not know", (unsigned long long)features);
}
