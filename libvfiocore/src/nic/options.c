/* SPDX-License-Identifier: MIT */
/* The options of a network interface. They are checked before the device is touched. */
#include <errno.h>

#include "base/error.h"
#include "base/sized.h"
#include "device/object.h"
#include "nic/nic.h"

#define ENTRIES_DEFAULT 256
#define ENTRIES_MIN 8
#define ENTRIES_MAX 32768
#define MTU_DEFAULT 1500
#define MTU_MIN 68 /* RFC 791 */
#define SPIN_MAX 1000000000 /* ns */

static int bad_options(const char *what, uint32_t value)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "%s cannot be %u", what, value);
}

/* A flag that is known, but not to this driver, is named in the failure. */
static int check_nic_flags(const struct vfc_nic *nic, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *what;
	} known[] = {
		{VFC_NIC_PROMISC, "promiscuous mode"},
		{VFC_NIC_PACKED, "packed rings"},
		{VFC_NIC_RX_CHECKSUM, "verification of checksums"},
		{VFC_NIC_VLAN_FILTER, "filter of VLANs"},
	};
	uint32_t unknown = flags;

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		unknown &= ~known[i].flag;
		if (flags & known[i].flag & ~(VFC_NIC_PROMISC | nic->driver->flags))
			return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
					WHERE(.object = nic->device->name), "%s has no %s",
					nic->driver->name, known[i].what);
	}
	return unknown ? bad_options("opts->flags", flags) : 0;
}

static int check_entries(const char *what, uint32_t *entries)
{
	if (!*entries)
		*entries = ENTRIES_DEFAULT;
	if (*entries < ENTRIES_MIN || *entries > ENTRIES_MAX || *entries & (*entries - 1))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"%s is %u: a ring has a power of two from %d to %d entries", what,
				*entries, ENTRIES_MIN, ENTRIES_MAX);
	return 0;
}

/* A shared pool must have chunks that are long enough, in memory that the device can reach. */
static int check_pool(struct vfc_nic *nic)
{
	const struct vfc_pool *pool = nic->pool;

	if (!pool)
		return 0;
	if (pool->chunk < NIC_CHUNK || pool->memory.iommu != vfc_device_iommu(nic->device))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
				"opts->pool is not one of vfc_nic_pool_init() in the device's address "
				"space");
	if (pool->chunk - VFC_NIC_HEADROOM >= nic->room)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
			"the chunks of opts->pool have %u bytes, an MTU of %u needs %u: make it with "
			"vfc_nic_chunk()", pool->chunk, nic->mtu, VFC_NIC_HEADROOM + nic->room);
}

/* The MTU decides how long a frame may be, and how much of a chunk the device may fill. */
static int take_mtu(struct vfc_nic *nic, uint32_t mtu)
{
	uint32_t most = nic->driver->mtu_max;

	nic->mtu = mtu;
	if (!mtu)
		mtu = MTU_DEFAULT;
	else if (mtu < MTU_MIN || mtu > most)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
				"an MTU of %u bytes: %s has %d to %u", mtu, nic->driver->name, MTU_MIN,
				most);
	nic->frame_max = mtu + VFC_NIC_HEADER;
	nic->room = vfc_nic_chunk(mtu) - VFC_NIC_HEADROOM;
	return 0;
}

static int check_queues(const struct vfc_nic *nic)
{
	if (nic->queues <= nic->driver->queues_max)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_RANGE, NOWHERE, "%u queues were asked for, %s has %u",
			nic->queues, nic->driver->name, nic->driver->queues_max);
}

static int take_spin(struct vfc_nic *nic, uint64_t spin)
{
	nic->spin = (int64_t)spin;
	if (spin <= SPIN_MAX)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
			"opts->spin is %llu ns: a wait spins for a second (%d) at most",
			(unsigned long long)spin, SPIN_MAX);
}

int nic_take_options(struct vfc_nic *nic, const struct vfc_nic_opts *opts)
{
	struct vfc_nic_opts own;
	int rc;

	opts = OPTIONS(vfc_nic_opts, opts, &own);
	if (!opts)
		return OPTIONS_REFUSED;
	rc = check_nic_flags(nic, opts->flags);
	if (rc < 0)
		return rc;
	nic->flags = opts->flags;
	nic->promisc = opts->flags & VFC_NIC_PROMISC;
	nic->queues = opts->queues ? opts->queues : 1;
	nic->rx_entries = opts->rx_entries;
	nic->tx_entries = opts->tx_entries;
	nic->pool = opts->pool;
	rc = check_queues(nic);
	if (rc == 0)
		rc = take_mtu(nic, opts->mtu);
	if (rc == 0)
		rc = take_spin(nic, opts->spin);
	if (rc == 0)
		rc = check_pool(nic);
	if (rc == 0)
		rc = check_entries("opts->rx_entries", &nic->rx_entries);
	return rc < 0 ? rc : check_entries("opts->tx_entries", &nic->tx_entries);
}

int vfc_nic_pool_init(struct vfc_pool *pool, struct vfc_iommu *iommu, uint32_t chunks)
{
	return vfc_pool_init(pool, iommu, NIC_CHUNK, chunks);
}
