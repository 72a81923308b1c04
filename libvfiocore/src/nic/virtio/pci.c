/* SPDX-License-Identifier: MIT */
/* Where a virtio device over PCI has its registers: virtio 1.2, section 4.1.4. */
#include <errno.h>

#include <vfiocore/mmio.h>
#include <vfiocore/region.h>

#include "base/error.h"
#include "device/object.h"
#include "kernel/sys.h"
#include "nic/virtio/virtio.h"


static int bad_cap(const struct vfc_nic *nic, const struct vfc_pci_cap *cap, const char *why)
{
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE(.object = nic->device->name),
			"the virtio capability at 0x%x %s", cap->offset, why);
}

static uint32_t get_word(const uint8_t *bytes, uint32_t offset)
{
	return bytes[offset] | (uint32_t)bytes[offset + 1] << 8 | (uint32_t)bytes[offset + 2] << 16 |
	       (uint32_t)bytes[offset + 3] << 24;
}

/* Map the pages around the structure. The kernel refuses pages that are not in the BAR. */
static int map_structure(struct vfc_nic *nic, const uint8_t *cap, struct virtio_area *area)
{
	uint64_t page = sys_page_size(), offset = get_word(cap, VIRTIO_CAP_OFFSET);
	uint64_t first = offset & -page, end;
	volatile void *address;
	int rc;

	area->length = get_word(cap, VIRTIO_CAP_SIZE);
	end = (offset + area->length + page - 1) & -page;
	rc = vfc_region_map(nic->device, cap[VIRTIO_CAP_BAR], first, end - first, &address);
	if (rc == 0)
		area->base = (volatile uint8_t *)address + (offset - first);
	return rc;
}

/* Where a structure of this type goes, and how long it must be. NULL: it is not used here. */
static struct virtio_area *area_of(struct virtio *virtio, uint8_t type, uint32_t *least)
{
	switch (type) {
	case VIRTIO_CAP_COMMON:
		*least = VIRTIO_COMMON_BYTES;
		return &virtio->common;
	case VIRTIO_CAP_NOTIFY:
		*least = 2;
		return &virtio->notify;
	case VIRTIO_CAP_DEVICE:
		*least = VIRTIO_NET_PAIRS;
		return &virtio->config;
	default:
		return NULL;
	}
}

/*
 * Section 4.1.4: of several capabilities of one type the first one counts, and one whose BAR has a
 * reserved number (above 5) is ignored. The device wrote all of this, so lengths and offsets are
 * checked.
 */
static int take_capability(struct vfc_nic *nic, const struct vfc_pci_cap *at)
{
	struct virtio *virtio = virtio_of(nic);
	uint8_t cap[VIRTIO_CAP_NOTIFY_BYTES] = {0};
	struct virtio_area *area;
	uint32_t need = VIRTIO_CAP_BYTES, least;
	int rc = vfc_region_read_block(nic->device, VFC_REGION_CONFIG, at->offset, cap, 4);

	if (rc < 0)
		return rc;
	area = area_of(virtio, cap[VIRTIO_CAP_TYPE], &least);
	if (!area || area->base)
		return 0;
	if (area == &virtio->notify)
		need = VIRTIO_CAP_NOTIFY_BYTES;
	if (cap[VIRTIO_CAP_LENGTH] < need || at->offset + need > 256)
		return bad_cap(nic, at, "is too short for its type");
	rc = vfc_region_read_block(nic->device, VFC_REGION_CONFIG, at->offset, cap, need);
	if (rc < 0)
		return rc;
	if (cap[VIRTIO_CAP_BAR] > VFC_REGION_BAR5)
		return 0;
	if (get_word(cap, VIRTIO_CAP_SIZE) < least || get_word(cap, VIRTIO_CAP_OFFSET) % 4)
		return bad_cap(nic, at, "tells of a structure that is too short or askew");
	if (area == &virtio->notify)
		virtio->multiplier = get_word(cap, VIRTIO_CAP_MULTIPLIER);
	return map_structure(nic, cap, area);
}

int virtio_map(struct vfc_nic *nic)
{
	struct virtio *virtio = virtio_of(nic);
	struct vfc_pci_cap cap = {0};
	int rc = 0, found = 1;

	while (rc == 0 && found > 0) {
		found = vfc_pci_find_cap(nic->device, VIRTIO_CAP_ID, false, cap.offset, &cap);
		rc = found > 0 ? take_capability(nic, &cap) : found;
	}
	if (rc < 0)
		return rc;
	if (virtio->common.base && virtio->notify.base && virtio->config.base)
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
			"the device does not tell of its common, notification and device-specific "
			"registers in a BAR: is it a modern one (virtio 1.0 or later)?");
}

/* Section 4.1.4.4: a queue's own offset, times the multiplier, in the notification structure. */
volatile void *virtio_doorbell(struct vfc_nic *nic, uint32_t queue)
{
	const struct virtio *virtio = virtio_of(nic);
	uint64_t offset;

	vfc_mmio_write16(virtio->common.base + VIRTIO_QUEUE_SELECT, (uint16_t)queue);
	offset = (uint64_t)vfc_mmio_read16(virtio->common.base + VIRTIO_QUEUE_NOTIFY) *
		 virtio->multiplier;
	if (offset + 2 <= virtio->notify.length && offset % 2 == 0)
		return virtio->notify.base + offset;
	vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE(.object = nic->device->name),
		 "queue %u is notified at 0x%llx, of a structure of 0x%x bytes", queue,
		 (unsigned long long)offset, virtio->notify.length);
	return NULL;
}
