/* SPDX-License-Identifier: MIT */
/*
 * The life of a network interface, whatever its driver: open, reset, close, and what can be asked
 * of it. Packets are in packets.c.
 */
#include "nic/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vfiocore/device.h>
#include <vfiocore/region.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/sized.h"
#include "device/object.h"
#include "kernel/sys.h"

#define SPARE 256 /* chunks for each queue that the caller may hold, beside what the rings hold */
#define LINK_POLL 10000000 /* ns */

static const struct nic_driver *const drivers[] = {&nic_e1000e, &nic_igb, &nic_igbvf, &nic_virtio};

static int find_driver(struct vfc_device *device, const struct nic_driver **driver)
{
	uint64_t id;
	int rc;

	if (!(device->flags & VFC_DEVICE_PCI))
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"the drivers here are for PCI devices");
	rc = vfc_region_read(device, VFC_REGION_CONFIG, 0, 4, &id);
	if (rc < 0)
		return rc;
	if (id == UINT32_MAX)
		return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = device->name),
				"config space reads as all ones: the device was pulled");
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		*driver = drivers[i];
		if (id == (drivers[i]->vendor | (uint64_t)drivers[i]->device << 16))
			return 0;
	}
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
			"no driver here is for %04x:%04x; there are some for 8086:10d3 (e1000e), "
			"8086:10c9 (igb), 8086:10ca (igbvf) and 1af4:1041 (virtio-net)",
			(unsigned)id & 0xffff, (unsigned)(id >> 16));
}

/* The queues are aligned by hand, so that no two directions share a cache line. */
static int alloc_queues(struct vfc_nic *nic)
{
	size_t each = sizeof(*nic->rx) + sizeof(*nic->tx);
	uintptr_t start;

	nic->queue_memory = sys_alloc(nic->queues * each + 63);
	if (!nic->queue_memory)
		return vfc_no_memory();
	start = ((uintptr_t)nic->queue_memory + 63) & ~(uintptr_t)63;
	nic->rx = (struct nic_rx *)start;
	nic->tx = (struct nic_tx *)(start + nic->queues * sizeof(*nic->rx));
	for (uint32_t q = 0; q < nic->queues; q++)
		nic->rx[q].nic = nic->tx[q].nic = nic;
	return 0;
}

/* A pool of our own, where the caller gave none. */
static int own_pool(struct vfc_nic *nic, struct vfc_iommu *iommu)
{
	if (nic->pool)
		return 0;
	nic->pool = &nic->own_pool;
	return vfc_pool_init(nic->pool, iommu, VFC_NIC_HEADROOM + nic->room,
			     nic->queues * (nic->rx_entries + nic->tx_entries + SPARE));
}

static int alloc_rings(struct vfc_nic *nic)
{
	const struct nic_driver *driver = nic->driver;
	struct vfc_iommu *iommu = vfc_device_iommu(nic->device);
	int rc = own_pool(nic, iommu);

	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++) {
		nic->rx[q].low = nic_low_mark(nic->rx_entries);
		nic->tx[q].low = nic_low_mark(nic->tx_entries);
		rc = vfc_ring_init(&nic->rx[q].ring, driver->rx_layout, iommu, nic->rx_entries,
				   driver->rx_doorbell(nic, q));
		if (rc == 0)
			rc = vfc_ring_init(&nic->tx[q].ring, driver->tx_layout, iommu,
					   nic->tx_entries, driver->tx_doorbell(nic, q));
	}
	return rc;
}

/*
 * Return: the first error, after everything else was tried. What was never allocated, or is
 * released already, is zero, and releasing that does nothing. So this may be called again after an
 * error.
 */
static int release_memory(struct vfc_nic *nic)
{
	int rc = vfc_pool_destroy(&nic->own_pool), next;

	for (uint32_t q = 0; nic->queue_memory && q < nic->queues; q++) {
		next = vfc_ring_destroy(&nic->rx[q].ring);
		rc = rc < 0 ? rc : next;
		next = vfc_ring_destroy(&nic->tx[q].ring);
		rc = rc < 0 ? rc : next;
	}
	next = nic->driver->detach ? nic->driver->detach(nic) : 0;
	return rc < 0 ? rc : next;
}

static void free_nic(struct vfc_nic *nic)
{
	free(nic->queue_memory);
	free(nic);
}

static int start_device(struct vfc_nic *nic)
{
	int rc = nic->driver->start(nic);

	for (uint32_t q = 0; rc == 0 && q < nic->queues; q++)
		nic->driver->rx_refill(&nic->rx[q]);
	return rc;
}

/*
 * Drivers access registers directly. On a device that does not decode them that would be a SIGBUS.
 */
static bool device_decodes(const struct vfc_nic *nic)
{
	return __atomic_load_n(&nic->device->decodes, __ATOMIC_RELAXED);
}

static int check_decodes(const struct vfc_nic *nic)
{
	if (device_decodes(nic))
		return 0;
	return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = nic->device->name),
			"memory decoding is off in the Command register, or the device is in D3");
}

/* From here on the device may do DMA, so take_down() comes first when something fails. */
static int bring_up(struct vfc_nic *nic)
{
	int rc = vfc_device_bus_master(nic->device, true);

	nic->master = rc == 0;
	if (rc == 0)
		rc = vfc_irq_open(nic->device, VFC_IRQ_MSIX, nic->driver->vectors(nic->queues),
				  &nic->irq);
	if (rc == 0)
		rc = start_device(nic);
	return rc;
}

/* Give the chunks that a ring holds back to the pool. The device is stopped. */
static void empty_ring(struct vfc_pool *pool, struct vfc_ring *ring,
		       const struct vfc_ring_layout *layout)
{
	vfc_pool_lock(pool);
	/* Where the pool has no room for so many, the caller gave some of them twice. */
	if (vfc_ring_used(ring) <= pool->chunks - pool->free)
		pool->free += vfc_ring_cancel(ring, layout, pool->stack + pool->free);
	else
		vfc_ring_cancel(ring, layout, NULL);
	vfc_pool_unlock(pool);
}

static void empty_rings(struct vfc_nic *nic)
{
	for (uint32_t q = 0; q < nic->queues; q++) {
		if (nic->rx[q].ring.entries)
			empty_ring(nic->pool, &nic->rx[q].ring, nic->driver->rx_layout);
		if (nic->tx[q].ring.entries)
			empty_ring(nic->pool, &nic->tx[q].ring, nic->driver->tx_layout);
	}
}

/* A device that is gone does no DMA and takes no orders, so nothing here depends on it. */
static void take_down(struct vfc_nic *nic)
{
	if (nic->registers && device_decodes(nic))
		nic->driver->stop(nic);
	if (nic->master)
		vfc_device_bus_master(nic->device, false);
	nic->master = false;
	if (nic->queue_memory) /* a shared pool outlives the interface, and wants its chunks back */
		empty_rings(nic);
	vfc_irq_close(nic->irq);
	nic->irq = NULL;
}

/* This comes before the device is touched, so that whoever uses it already notices nothing. */
static int claim_device(struct vfc_device *device)
{
	bool busy;

	pthread_mutex_lock(&device->lock);
	busy = device->nic || device_irqs_busy(device);
	if (!busy)
		device->nic = true;
	pthread_mutex_unlock(&device->lock);
	if (busy)
		return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = device->name),
				"a NIC or an interrupt set of this device is open: close it first");
	return 0;
}

static void release_claim(struct vfc_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->nic = false;
	pthread_mutex_unlock(&device->lock);
}

/* The usual bursts have the usual limits and error bits as constants, see struct nic_driver. */
static void choose_bursts(struct vfc_nic *nic)
{
	bool usual = nic->frame_max == nic->driver->frame_max;

	if ((usual && !(nic->flags & VFC_NIC_RX_CHECKSUM)) || !nic->driver->rx_burst_any)
		return;
	nic->own = *nic->driver;
	nic->own.rx_burst = nic->own.rx_burst_any;
	if (!usual)
		nic->own.tx_burst = nic->own.tx_burst_any;
	nic->driver = &nic->own;
}

static int open_claimed(struct vfc_device *device, const struct nic_driver *driver,
			const struct vfc_nic_opts *opts, struct vfc_nic **out)
{
	struct vfc_nic *nic = sys_alloc(sizeof(*nic));
	int rc;

	if (!nic)
		return vfc_no_memory();
	nic->driver = driver;
	nic->device = device;
	rc = nic_take_options(nic, opts);
	if (rc == 0)
		rc = alloc_queues(nic);
	if (rc == 0)
		rc = check_decodes(nic);
	if (rc == 0)
		rc = driver->attach(nic);
	choose_bursts(nic);
	if (rc == 0)
		rc = alloc_rings(nic);
	if (rc == 0)
		rc = bring_up(nic);
	if (rc == 0) {
		memcpy(nic->permanent, nic->mac, sizeof(nic->mac));
		device_hold(device);
		*out = nic;
		return 0;
	}
	error_quiet_begin();
	take_down(nic);
	release_memory(nic); /* memory that the kernel keeps mapped stays allocated, too */
	free_nic(nic);
	error_quiet_end();
	return rc;
}

static int nic_open(struct vfc_device *device, const struct vfc_nic_opts *opts,
		    struct vfc_nic **out)
{
	const struct nic_driver *driver;
	int rc = find_driver(device, &driver);

	if (rc == 0)
		rc = claim_device(device);
	if (rc < 0)
		return rc;
	rc = open_claimed(device, driver, opts, out);
	if (rc < 0)
		release_claim(device);
	return rc;
}

int vfc_nic_open(struct vfc_device *device, const struct vfc_nic_opts *opts, struct vfc_nic **nic)
{
	return vfc_done(nic_open(device, opts, nic));
}

int vfc_nic_close(struct vfc_nic *nic)
{
	int rc;

	if (!nic)
		return 0;
	rc = fork_check(nic->device->pid, nic->device->name);
	if (rc < 0)
		return vfc_done(rc);
	error_quiet_begin();
	take_down(nic);
	error_quiet_end();
	rc = release_memory(nic);
	if (rc < 0)
		return vfc_done(rc);
	release_claim(nic->device);
	device_put(nic->device);
	free_nic(nic);
	return 0;
}

/*
 * The driver stops the device before the kernel resets the function, so that it writes to no memory
 * meanwhile. Not every device has a function reset; there the reset that stop() includes has to do.
 */
static int nic_reset(struct vfc_nic *nic)
{
	int rc = check_decodes(nic);

	if (rc < 0)
		return rc;
	nic->driver->read_counters(nic); /* the reset clears the counters of the device */
	nic->driver->stop(nic);
	empty_rings(nic);
	memcpy(nic->mac, nic->permanent, sizeof(nic->mac));
	if (nic->device->flags & VFC_DEVICE_RESET) {
		rc = vfc_device_reset(nic->device);
		if (rc == 0)
			rc = vfc_irq_rearm(nic->irq);
		if (rc < 0)
			return rc;
		nic->driver->stop(nic);
	}
	rc = vfc_device_bus_master(nic->device, true);
	return rc < 0 ? rc : start_device(nic);
}

int vfc_nic_reset(struct vfc_nic *nic)
{
	return vfc_done(nic_reset(nic));
}

int vfc_nic_info(struct vfc_nic *nic, struct vfc_nic_info *info)
{
	struct vfc_nic_info now = {
		.queues = nic->queues,
		.rx_entries = nic->rx_entries,
		.tx_entries = nic->tx_entries,
		.frame_max = nic->frame_max,
	};
	int rc = ANSWER_CHECK(vfc_nic_info, info);

	memcpy(now.mac, nic->mac, sizeof(now.mac));
	strncpy(now.driver, nic->driver->name, sizeof(now.driver) - 1);
	if (rc == 0)
		sized_answer(info, &now, sizeof(now));
	return vfc_done(rc);
}

int vfc_nic_link(struct vfc_nic *nic, struct vfc_nic_link *link)
{
	struct vfc_nic_link now = {0};
	int rc = ANSWER_CHECK(vfc_nic_link, link);

	if (rc < 0)
		return vfc_done(rc);
	nic->driver->link(nic, &now);
	sized_answer(link, &now, sizeof(now));
	return 0;
}

/* The link is polled, as it changes rarely and its interrupt would stay asserted. */
static int wait_link(struct vfc_nic *nic, int64_t end)
{
	struct vfc_nic_link link;
	int64_t left;
	int rc;

	for (;;) {
		nic->driver->link(nic, &link);
		if (link.up)
			return 0;
		left = deadline_left(end);
		if (left == 0)
			return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT, WHERE(.object = nic->device->name),
					"the link is down: is the cable plugged in?");
		rc = sys_poll(NULL, 0, left > 0 && left < LINK_POLL ? left : LINK_POLL);
		if (rc < 0)
			return vfc_fail(rc, VFC_REASON_NONE, WHERE("ppoll", nic->device->name), " ");
	}
}

int vfc_nic_wait_link(struct vfc_nic *nic, int64_t timeout)
{
	return vfc_done(wait_link(nic, deadline_in(timeout)));
}

int vfc_nic_set_mac(struct vfc_nic *nic, const uint8_t mac[6])
{
	static const uint8_t none[6];
	int rc;

	if (mac[0] & 1 || !memcmp(mac, none, sizeof(none)))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
					 "a station address is not multicast (bit 0 of its first byte) "
					 "and not 0"));
	rc = nic->driver->set_mac(nic, mac);
	if (rc == 0)
		memcpy(nic->mac, mac, sizeof(nic->mac));
	return vfc_done(rc);
}

int vfc_nic_promisc(struct vfc_nic *nic, bool on)
{
	int rc = nic->driver->set_promisc(nic, on);

	if (rc == 0)
		nic->promisc = on;
	return vfc_done(rc);
}

static int nic_vlan(struct vfc_nic *nic, uint32_t vlan, bool on)
{
	uint32_t bit = UINT32_C(1) << vlan % 32;

	if (!(nic->flags & VFC_NIC_VLAN_FILTER))
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
				"the interface receives frames of every VLAN: open it with "
				"VFC_NIC_VLAN_FILTER to choose");
	if (vlan >= NIC_VLANS)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
				"VLAN %u: there are 0 to %d", vlan, NIC_VLANS - 1);
	if (on)
		nic->vlans[vlan / 32] |= bit;
	else
		nic->vlans[vlan / 32] &= ~bit;
	nic->driver->set_vlan(nic, vlan);
	return 0;
}

int vfc_nic_vlan(struct vfc_nic *nic, uint32_t vlan, bool on)
{
	return vfc_done(nic_vlan(nic, vlan, on));
}

static uint64_t load_counter(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void add_up(struct vfc_nic *nic, struct vfc_nic_stats *stats)
{
	nic->driver->read_counters(nic);
	stats->rx_errors = nic->wire_errors;
	stats->rx_missed = nic->missed;
	for (uint32_t q = 0; q < nic->queues; q++) {
		const struct nic_rx *rx = &nic->rx[q];
		const struct nic_tx *tx = &nic->tx[q];

		stats->rx_frames += load_counter(&rx->frames);
		stats->rx_bytes += load_counter(&rx->bytes);
		stats->rx_errors += load_counter(&rx->errors);
		stats->rx_malformed += load_counter(&rx->malformed) + load_counter(&rx->ring.malformed);
		stats->rx_doorbells += load_counter(&rx->ring.doorbells);
		stats->rx_arms += load_counter(&rx->arms);
		stats->rx_interrupts += load_counter(&rx->interrupts);
		stats->rx_checksum += load_counter(&rx->checksum);
		stats->tx_frames += load_counter(&tx->frames);
		stats->tx_bytes += load_counter(&tx->bytes);
		stats->tx_errors += load_counter(&tx->ring.errors);
		stats->tx_doorbells += load_counter(&tx->ring.doorbells);
	}
}

int vfc_nic_stats(struct vfc_nic *nic, struct vfc_nic_stats *stats)
{
	struct vfc_nic_stats now = {0};
	int rc = ANSWER_CHECK(vfc_nic_stats, stats);

	if (rc < 0)
		return vfc_done(rc);
	add_up(nic, &now);
	sized_answer(stats, &now, sizeof(now));
	return 0;
}
