/* SPDX-License-Identifier: MIT */
/*
 * Virtio-net's control queue: virtio 1.2, section 5.1.6.5.
 *
 * A command is some bytes that the device reads, followed by a byte that it writes as its answer. A
 * table of two descriptors of its own says where both are (VIRTIO_F_INDIRECT_DESC), so that one
 * descriptor of the ring is one command.
 */
#include <errno.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "device/object.h"
#include "nic/virtio/virtio.h"

#define ENTRIES 2
#define TABLE 0
#define TABLE_BYTES 32 /* two descriptors */
#define REQUEST 64
#define ANSWER 2048
#define BYTES 4096
#define UNANSWERED 0xff
#define POLL 20000
#define PATIENCE INT64_C(1000000000)

static bool is_packed(const struct vfc_nic *nic)
{
	return virtio_has(nic, VIRTIO_F_RING_PACKED);
}

/* Each style of ring has a descriptor's flags elsewhere (sections 2.7.5 and 2.8.13). */
static uint64_t ring_flags(const struct vfc_nic *nic, uint64_t value)
{
	return value << (is_packed(nic) ? VIRTIO_PACKED_FLAGS : VIRTIO_SPLIT_FLAGS);
}

int virtio_control_init(struct vfc_nic *nic, uint32_t queue)
{
	struct virtio_control *control = &virtio_of(nic)->control;
	struct vfc_iommu *iommu = vfc_device_iommu(nic->device);
	volatile void *doorbell = virtio_doorbell(nic, queue);
	int rc;

	if (!doorbell)
		return -EBADMSG;
	rc = vfc_dma_alloc(iommu, BYTES, NULL, &control->memory);
	if (rc == 0)
		rc = vfc_ring_init(&control->ring, nic->driver->tx_layout, iommu, ENTRIES, doorbell);
	return rc;
}

int virtio_control_destroy(struct vfc_nic *nic)
{
	struct virtio_control *control = &virtio_of(nic)->control;
	int rc = vfc_ring_destroy(&control->ring), next = vfc_dma_free(&control->memory);

	return rc < 0 ? rc : next;
}

void virtio_control_cancel(struct vfc_nic *nic)
{
	struct vfc_ring *ring = &virtio_of(nic)->control.ring;

	if (ring->descriptors)
		vfc_ring_cancel(ring, nic->driver->tx_layout, NULL);
}

/*
 * The first descriptor points to the command and the second one to the answer. In a split ring the
 * first one names the second; the descriptors of a packed ring follow each other (section 2.8.7).
 */
static void write_table(const struct vfc_nic *nic, uint32_t length)
{
	const struct vfc_dma *memory = &virtio_of(nic)->control.memory;
	uint8_t *table = (uint8_t *)memory->va + TABLE;
	uint64_t second = UINT64_C(1) << VIRTIO_SPLIT_NEXT;
	uint64_t next = is_packed(nic) ? 0 : ring_flags(nic, VIRTIO_NEXT) | second;

	VFC_RING_STORE64(table, memory->iova + REQUEST);
	VFC_RING_STORE64(table + 8, length | next);
	VFC_RING_STORE64(table + 16, memory->iova + ANSWER);
	VFC_RING_STORE64(table + 24, 1 | ring_flags(nic, VIRTIO_WRITE));
}

static int await_answer(struct vfc_nic *nic)
{
	struct virtio_control *control = &virtio_of(nic)->control;
	struct vfc_completion done;
	int64_t end = deadline_in(PATIENCE);

	while (!vfc_ring_reap(&control->ring, nic->driver->tx_layout, &done, 1)) {
		if (deadline_passed(end))
			return vfc_fail(ETIMEDOUT, VFC_REASON_TIMEOUT,
					WHERE(.object = nic->device->name),
					"the device does not answer on its control queue: reset it");
		sys_sleep(POLL);
	}
	return 0;
}

static int check_answered(const struct vfc_nic *nic)
{
	if (!vfc_ring_used(&virtio_of(nic)->control.ring))
		return 0;
	return vfc_fail(EBUSY, VFC_REASON_BUSY, WHERE(.object = nic->device->name),
			"the device has not answered the last command on its control queue: reset it");
}

int virtio_command(struct vfc_nic *nic, uint8_t class, uint8_t command, const void *data,
		   uint32_t length)
{
	struct virtio_control *control = &virtio_of(nic)->control;
	uint8_t *request = (uint8_t *)control->memory.va + REQUEST;
	volatile uint8_t *answer = (uint8_t *)control->memory.va + ANSWER;
	struct vfc_buffer buffer = {.iova = control->memory.iova + TABLE, .length = TABLE_BYTES,
				    .command = ring_flags(nic, VIRTIO_INDIRECT)};
	int rc = check_answered(nic);

	if (rc < 0)
		return rc;
	request[0] = class;
	request[1] = command;
	memcpy(request + 2, data, length);
	*answer = UNANSWERED;
	write_table(nic, 2 + length);
	vfc_ring_post(&control->ring, nic->driver->tx_layout, &buffer);
	vfc_ring_kick(&control->ring, nic->driver->tx_layout);
	rc = await_answer(nic);
	if (rc == 0 && *answer != VIRTIO_NET_OK)
		rc = vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = nic->device->name),
			      "the device refuses command %u of class %u on its control queue", command,
			      class);
	return rc;
}
