/* SPDX-License-Identifier: MIT */
/* The knobs that a test turns and reads on a fake device; see vfiocore/fake.h. */
#include <errno.h>
#include <string.h>

#include <vfiocore/fake.h>

#include "device/object.h"
#include "base/error.h"
#include "transport/model/fake.h"

static int find(struct vfc_device *device, struct fake_device **fake)
{
	struct transport_device *inner = device->transport;

	if (inner->ops != &transport_fake)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, NOWHERE,
				"only a device opened as \"fake:MODEL\" has knobs");
	*fake = (struct fake_device *)inner;
	return 0;
}

/* A device that comes back after it was pulled is a new one, so it starts from reset. */
static void set_gone(struct fake_device *fake, bool gone)
{
	if (fake->gone && !gone)
		fake->model->reset(fake);
	if (gone)
		memset(fake->memory, 0xff, fake->model->memory_length);
	fake->gone = gone;
}

static int set_locked(struct fake_device *fake, uint32_t knob, uint64_t value)
{
	switch (knob) {
	case VFC_FAKE_ENTRY_LIMIT:
		fake->space->entry_limit = value;
		return 0;
	case VFC_FAKE_MEMLOCK_LIMIT:
		fake->space->memlock_limit = value;
		return 0;
	case VFC_FAKE_HIGHEST:
		fake->space->next_highest = value;
		return 0;
	case VFC_FAKE_LINK:
		fake->link = value != 0;
		return 0;
	case VFC_FAKE_GONE:
		set_gone(fake, value != 0);
		return 0;
	case VFC_FAKE_RX_LENGTH:
		fake->rx_length = (uint32_t)value;
		return 0;
	case VFC_FAKE_NORESIZE:
		fake->noresize = value != 0;
		return 0;
	case VFC_FAKE_RAISE:
		fake_assert(fake, (uint32_t)value);
		return 0;
	case VFC_FAKE_ERROR:
		fake_put32(fake->config + FAKE_AER_CAP + 4, (uint32_t)value);
		fake->config[FAKE_EXPRESS_CAP + 0xa] = value ? 2 : 0; /* non-fatal error detected */
		fake_raise_single(fake, VFIO_PCI_ERR_IRQ_INDEX);
		return 0;
	case VFC_FAKE_STRANGER:
		fake->stranger = value != 0;
		return 0;
	case VFC_FAKE_REQUEST:
		fake_raise_single(fake, VFIO_PCI_REQ_IRQ_INDEX);
		return 0;
	default:
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"knob %u does not exist or cannot be set", knob);
	}
}

static int get_locked(const struct fake_device *fake, uint32_t knob, uint64_t *value)
{
	const struct fake_space *space = fake->space;
	const uint64_t values[] = {
		[VFC_FAKE_ENTRY_LIMIT] = space->entry_limit,
		[VFC_FAKE_MEMLOCK_LIMIT] = space->memlock_limit,
		[VFC_FAKE_LINK] = fake->link,
		[VFC_FAKE_GONE] = fake->gone,
		[VFC_FAKE_RX_LENGTH] = fake->rx_length,
		[VFC_FAKE_MAPPINGS] = space->entries,
		[VFC_FAKE_PINNED] = space->pinned,
		[VFC_FAKE_FAULTS] = space->faults,
		[VFC_FAKE_FAULT_IOVA] = space->fault_iova,
		[VFC_FAKE_RESETS] = fake->resets,
		[VFC_FAKE_DROPPED] = fake->dropped,
		[VFC_FAKE_HIGHEST] = space->next_highest,
		[VFC_FAKE_NORESIZE] = fake->noresize,
		[VFC_FAKE_ERROR] = fake_get32(fake->config + FAKE_AER_CAP + 4),
		[VFC_FAKE_REQUEST] = 0,
		[VFC_FAKE_STRANGER] = fake->stranger,
		[VFC_FAKE_LOW_POWER] = fake->low_power,
	};

	if (knob >= sizeof(values) / sizeof(*values))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "there is no knob %u", knob);
	*value = values[knob];
	return 0;
}

int vfc_fake_set(struct vfc_device *device, uint32_t knob, uint64_t value)
{
	struct fake_device *fake = NULL;
	int rc = find(device, &fake);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&fake->iommufd->lock);
	rc = set_locked(fake, knob, value);
	pthread_mutex_unlock(&fake->iommufd->lock);
	return vfc_done(rc);
}

int vfc_fake_get(struct vfc_device *device, uint32_t knob, uint64_t *value)
{
	struct fake_device *fake = NULL;
	int rc = find(device, &fake);

	if (rc < 0)
		return vfc_done(rc);
	pthread_mutex_lock(&fake->iommufd->lock);
	rc = get_locked(fake, knob, value);
	pthread_mutex_unlock(&fake->iommufd->lock);
	return vfc_done(rc);
}
