/* SPDX-License-Identifier: MIT */
/*
 * Packets of a network interface: receive, send, wait. The bursts themselves are the driver's;
 * burst.h tells the way of a frame through them.
 */
#include <errno.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "device/object.h"
#include "irq/irq.h"
#include "kernel/sys.h"
#include "nic/burst.h"

#define DRAIN_POLL 20000 /* ns */

static int bad_queue(const struct vfc_nic *nic, uint32_t queue)
{
	return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
			"there is no queue %u, the interface has queues 0 to %u", queue,
			nic->queues - 1);
}

static int bad_length(const struct vfc_nic *nic, uint32_t length)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
			"a frame of %u bytes: it must have 1 to %u", length, nic->frame_max);
}

static int bad_chunk(const struct vfc_nic *nic, uint32_t chunk)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
			"chunk 0x%x is none of the interface's pool: send what vfc_nic_alloc() or "
			"vfc_nic_rx_burst() gave", chunk);
}

int vfc_nic_rx_burst(struct vfc_nic *nic, uint32_t queue, struct vfc_packet *packets,
		     uint32_t count)
{
	if (queue >= nic->queues)
		return vfc_done(bad_queue(nic, queue));
	return (int)nic->driver->rx_burst(&nic->rx[queue], packets, count);
}

int nic_not_sent(const struct vfc_nic *nic, const struct vfc_packet *packets, uint32_t count)
{
	if (count && packets->length - 1 >= nic->frame_max)
		return vfc_done(bad_length(nic, packets->length));
	if (count && !vfc_pool_has(nic->pool, packets->chunk))
		return vfc_done(bad_chunk(nic, packets->chunk));
	return 0;
}

int vfc_nic_tx_burst(struct vfc_nic *nic, uint32_t queue, struct vfc_packet *packets,
		     uint32_t count)
{
	if (queue >= nic->queues)
		return vfc_done(bad_queue(nic, queue));
	return nic->driver->tx_burst(&nic->tx[queue], packets, count);
}

int vfc_nic_alloc(struct vfc_nic *nic, struct vfc_packet *packets, uint32_t count)
{
	struct vfc_pool *pool = nic->pool;
	uint8_t *va = (uint8_t *)pool->memory.va + VFC_NIC_HEADROOM;
	uint64_t iova = pool->memory.iova + VFC_NIC_HEADROOM;

	vfc_pool_lock(pool);
	if (count > pool->free)
		count = pool->free;
	pool->free -= count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t chunk = pool->stack[pool->free + i];

		packets[i].data = va + (uint64_t)chunk * VFC_POOL_UNIT;
		packets[i].iova = iova + (uint64_t)chunk * VFC_POOL_UNIT;
		packets[i].length = 0;
		packets[i].chunk = chunk;
	}
	vfc_pool_unlock(pool);
	return (int)count;
}

void vfc_nic_pool_free(struct vfc_pool *pool, const struct vfc_packet *packets, uint32_t count)
{
	vfc_pool_lock(pool);
	for (uint32_t i = 0; i < count; i++)
		nic_put(pool, packets[i].chunk);
	vfc_pool_unlock(pool);
}

void vfc_nic_free(struct vfc_nic *nic, const struct vfc_packet *packets, uint32_t count)
{
	vfc_nic_pool_free(nic->pool, packets, count);
}

struct vfc_pool *vfc_nic_pool(struct vfc_nic *nic)
{
	return nic->pool;
}

int vfc_nic_alloc_copies(struct vfc_nic *nic, struct vfc_packet *packets, uint32_t count,
			 const void *frame, uint32_t length)
{
	int taken;

	if (length - 1 >= nic->frame_max)
		return vfc_done(bad_length(nic, length));
	taken = vfc_nic_alloc(nic, packets, count);
	for (int i = 0; i < taken; i++) {
		memcpy(packets[i].data, frame, length);
		packets[i].length = length;
	}
	return taken;
}

static int ring_is_full(const struct vfc_nic *nic)
{
	return vfc_fail(EAGAIN, VFC_REASON_BUSY, WHERE(.object = nic->device->name),
			"the device has not sent yet what was given to it");
}

static int nic_send_copy(struct vfc_nic *nic, const void *frame, uint32_t length)
{
	struct vfc_packet packet;

	if (length - 1 >= nic->frame_max)
		return bad_length(nic, length);
	if (vfc_nic_alloc(nic, &packet, 1) < 1) {
		nic->driver->tx_clean(&nic->tx[0]);
		if (vfc_nic_alloc(nic, &packet, 1) < 1)
			return ring_is_full(nic);
	}
	memcpy(packet.data, frame, length);
	packet.length = length;
	if (nic->driver->tx_burst(&nic->tx[0], &packet, 1) == 1)
		return 0;
	vfc_nic_free(nic, &packet, 1);
	return ring_is_full(nic);
}

int vfc_nic_send(struct vfc_nic *nic, const void *frame, uint32_t length)
{
	return vfc_done(nic_send_copy(nic, frame, length));
}

int vfc_nic_recv(struct vfc_nic *nic, void *frame, uint32_t size)
{
	struct vfc_packet packet;
	int rc;

	if (nic->driver->rx_burst(&nic->rx[0], &packet, 1) == 0)
		return 0;
	rc = (int)packet.length;
	if (packet.length > size)
		rc = vfc_fail(EMSGSIZE, VFC_REASON_ARGUMENT, WHERE(.object = nic->device->name),
			      "the frame has %u bytes, there is room for %u", packet.length, size);
	else
		memcpy(frame, packet.data, packet.length);
	vfc_nic_free(nic, &packet, 1);
	return vfc_done(rc);
}

int vfc_nic_drain(struct vfc_nic *nic, uint32_t queue, int64_t timeout)
{
	int64_t end = deadline_in(timeout);

	if (queue >= nic->queues)
		return vfc_done(bad_queue(nic, queue));
	for (;;) {
		nic->driver->tx_clean(&nic->tx[queue]);
		if (!vfc_ring_used(&nic->tx[queue].ring))
			return 0;
		if (device_present(nic->device) < 0)
			return vfc_done(-ENODEV);
		if (deadline_passed(end))
			return vfc_done(vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT,
						 WHERE(.object = nic->device->name),
						 "%u frames are still with the device: is the link up?",
						 vfc_ring_used(&nic->tx[queue].ring)));
		sys_sleep(DRAIN_POLL);
	}
}

/* Poll the ring for opts->spin, without a system call. True: a frame is there. */
static bool spin_for_frame(struct vfc_nic *nic, struct nic_rx *rx, int64_t deadline)
{
	int64_t end = nic->spin ? deadline_in(nic->spin) : 0;

	if (end > deadline)
		end = deadline;
	while (end && sys_now() < end) {
		if (nic->driver->rx_ready(rx))
			return true;
		vfc_relax();
	}
	return false;
}

/*
 * Let the next frame raise the interrupt. Return: 1: a frame is there already, 0: sleep now.
 *
 * The eventfd is emptied before the interrupt is unmasked, so that nothing it says later gets lost.
 * The ring is refilled if it is short of buffers: without them no frame would ever come. The last
 * look at the ring follows the unmasking, for a frame that came in between raised nothing.
 */
static int arm_queue(struct vfc_nic *nic, uint32_t queue, int64_t end)
{
	struct nic_rx *rx = &nic->rx[queue];
	uint64_t fired = 0;
	int rc;

	if (spin_for_frame(nic, rx, end))
		return 1;
	rc = irq_consume(nic->irq, queue, &fired, false);
	if (rc < 0)
		return rc;
	nic_count(&rx->interrupts, fired);
	if (nic->driver->rx_ready(rx))
		return 1;
	if (device_present(nic->device) < 0)
		return -ENODEV;
	if (vfc_ring_space(&rx->ring))
		nic->driver->rx_refill(rx);
	nic_count(&rx->arms, 1);
	nic->driver->rx_arm(nic, queue);
	return nic->driver->rx_ready(rx);
}

static int wait_for_frame(struct vfc_nic *nic, uint32_t queue, int64_t end)
{
	struct vfc_error before = *vfc_error_last();
	struct nic_rx *rx = &nic->rx[queue];
	uint64_t fired;
	int rc;

	/* An interrupt says that something happened, not that a frame is there. So wait again. */
	for (;;) {
		rc = arm_queue(nic, queue, end);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		rc = vfc_irq_wait(nic->irq, queue, deadline_left(end), &fired);
		if (rc == 0)
			nic_count(&rx->interrupts, fired);
		if (nic->driver->rx_ready(rx)) {
			if (rc < 0)
				vfc_error_restore(&before);
			return 0;
		}
		if (rc < 0)
			return rc;
	}
}

int vfc_nic_rx_wait(struct vfc_nic *nic, uint32_t queue, int64_t timeout)
{
	if (queue >= nic->queues)
		return vfc_done(bad_queue(nic, queue));
	return vfc_done(wait_for_frame(nic, queue, deadline_in(timeout)));
}

int vfc_nic_rx_fd(struct vfc_nic *nic, uint32_t queue)
{
	if (queue >= nic->queues)
		return vfc_done(bad_queue(nic, queue));
	return vfc_done(vfc_irq_fd(nic->irq, queue));
}

int vfc_nic_rx_arm(struct vfc_nic *nic, uint32_t queue)
{
	if (queue >= nic->queues)
		return vfc_done(bad_queue(nic, queue));
	return vfc_done(arm_queue(nic, queue, DEADLINE_NEVER));
}
