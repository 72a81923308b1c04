/* SPDX-License-Identifier: MIT */
/* The I/O queue: submit reads, writes and flushes, and reap their completions. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "nvme.h"

#define LOOKS 256 /* how often memory is polled before the clock is read again */

const struct vfc_ring_layout nvme_layout = {
	.style = VFC_RING_PHASE,
	.size = NVME_SQE_SIZE,
	.address = NVME_SQE_PRP1,
	.control = NVME_SQE_COMMAND,
	.id_shift = NVME_SQE_ID_SHIFT,
	.errors = NVME_STATUS_ERRORS << NVME_CQE_STATUS_SHIFT,
};

/*
 * Section 4.3: PRP1 is the address of the first page. PRP2 is that of the second one, or, where
 * there are more, that of a list. A list of one page is enough for transfer_max.
 */
static uint64_t second_prp(struct nvme *nvme, uint32_t number, uint64_t iova, uint32_t length)
{
	uint32_t first = NVME_PAGE - (uint32_t)(iova % NVME_PAGE);
	uint64_t *list, next = iova + first;

	if (length <= first)
		return 0;
	if (length - first <= NVME_PAGE)
		return next;
	list = vfc_pool_va(&nvme->lists, number);
	for (uint32_t left = length - first, i = 0; left; i++, next += NVME_PAGE) {
		VFC_RING_STORE64(list + i, next);
		left -= left < NVME_PAGE ? left : NVME_PAGE;
	}
	return vfc_pool_iova(&nvme->lists, number);
}

/* Sections 6.8, 6.9, 6.15. The fields that a flush does not use are 0. */
static void write_command(struct nvme *nvme, const struct nvme_request *request, uint32_t number)
{
	uint64_t control = request->opcode | (uint64_t)NVME_NAMESPACE << NVME_SQE_NAMESPACE_SHIFT;
	struct vfc_buffer entry = {request->iova, control, 0, number};
	uint8_t *words = vfc_ring_next(&nvme->io, &nvme_layout);

	VFC_RING_STORE64(words + NVME_SQE_PRP2, second_prp(nvme, number, request->iova,
							   request->blocks * nvme->block_size));
	VFC_RING_STORE64(words + NVME_SQE_DW10, request->lba);
	VFC_RING_STORE64(words + NVME_SQE_DW10 + 8, request->blocks ? request->blocks - 1 : 0);
	vfc_ring_post(&nvme->io, &nvme_layout, &entry);
}

static int bad_request(struct nvme *nvme, const struct nvme_request *request)
{
	if (request->iova % 4)
		return nvme_fail(nvme, EINVAL, "memory at IOVA 0x%" PRIx64 ": NVMe wants a multiple of 4 "
				 "(section 4.3)", request->iova);
	return nvme_fail(nvme, EINVAL, "%" PRIu32 " blocks of %" PRIu32 " bytes: a command moves from one "
			 "block to %" PRIu32 " bytes, a flush none", request->blocks, nvme->block_size,
			 nvme->transfer_max);
}

int nvme_submit(struct nvme *nvme, const struct nvme_request *request)
{
	int32_t number;

	if (request->iova % 4 || request->blocks > nvme->transfer_max / nvme->block_size ||
	    !request->blocks != (request->opcode == NVME_FLUSH))
		return bad_request(nvme, request);
	number = vfc_pool_get(&nvme->lists);
	if (number < 0)
		return nvme_fail(nvme, EAGAIN, "the queue is full: %" PRIu32 " commands are in flight; "
				 "nvme_reap() first", vfc_ring_used(&nvme->io));
	nvme->cookies[nvme_number((uint32_t)number)] = request->cookie;
	write_command(nvme, request, (uint32_t)number);
	return 0;
}

void nvme_kick(struct nvme *nvme)
{
	vfc_ring_kick(&nvme->io, &nvme_layout);
}

struct reaping {
	struct nvme *nvme;
	struct nvme_done *next;
};

static inline void take(void *context, const struct vfc_completion *completion)
{
	struct reaping *reaping = context;

	reaping->next->cookie = reaping->nvme->cookies[nvme_number(completion->cookie)];
	reaping->next->status = (uint16_t)(completion->control >> NVME_CQE_STATUS_SHIFT);
	reaping->next++;
	vfc_pool_put(&reaping->nvme->lists, completion->cookie);
}

uint32_t nvme_reap(struct nvme *nvme, struct nvme_done *done, uint32_t count)
{
	struct reaping reaping = {nvme, done};

	return vfc_ring_reap_all(&nvme->io, &nvme_layout, count, take, &reaping);
}

/* No completion came. Find out why. */
static int silent(struct nvme *nvme, const struct vfc_ring *ring, int64_t timeout)
{
	uint32_t status = vfc_mmio_read32(nvme->registers + NVME_CSTS);

	if (status == UINT32_MAX)
		return nvme_fail(nvme, ENODEV, "the device is gone: registers read as all ones");
	if (status & NVME_CSTS_CFS)
		return nvme_fail(nvme, EIO, "the controller reports a fatal status: reset it");
	return nvme_fail(nvme, ETIMEDOUT, "none of %" PRIu32 " commands was done in %" PRId64 " ms; %"
			 PRIu64 " completions made no sense", vfc_ring_used(ring), timeout / 1000000,
			 ring->malformed);
}

static int poll_memory(struct nvme *nvme, struct vfc_ring *ring, int64_t timeout)
{
	int64_t end = nvme_now() + timeout;

	do {
		for (int i = 0; i < LOOKS; i++) {
			if (vfc_ring_ready(ring, &nvme_layout))
				return 0;
			vfc_relax();
		}
	} while (nvme_now() < end);
	return silent(nvme, ring, timeout);
}

/* The eventfd counts since before the command was submitted, so no completion is missed here. */
int nvme_await(struct nvme *nvme, struct vfc_ring *ring, uint32_t vector, int64_t timeout)
{
	int64_t end = nvme_now() + timeout, left;
	int rc;

	if (!nvme->irq)
		return poll_memory(nvme, ring, timeout);
	while (!vfc_ring_ready(ring, &nvme_layout)) {
		left = end - nvme_now();
		rc = left > 0 ? vfc_irq_wait(nvme->irq, vector, left, NULL) : -ETIMEDOUT;
		if (rc == -ETIMEDOUT)
			return silent(nvme, ring, timeout);
		if (rc < 0 && rc != -EINTR)
			return nvme_failed(nvme);
	}
	return 0;
}

int nvme_wait(struct nvme *nvme, int64_t timeout)
{
	return nvme_await(nvme, &nvme->io, 1, timeout);
}

/* The rest of a transfer. */
struct transfer {
	struct nvme_request next;
	uint64_t blocks;
	uint64_t lba, all; /* where it began and how long it is, for messages */
	uint32_t commands;
	int rc;
};

static bool more(const struct transfer *transfer)
{
	return transfer->rc == 0 && (transfer->blocks || !transfer->commands);
}

static void submit_what_fits(struct nvme *nvme, struct transfer *transfer)
{
	struct nvme_request *next = &transfer->next;
	uint32_t most = nvme->transfer_max / nvme->block_size;

	while (more(transfer) && vfc_ring_space(&nvme->io)) {
		next->blocks = transfer->blocks < most ? (uint32_t)transfer->blocks : most;
		next->cookie = transfer->commands++;
		transfer->rc = nvme_submit(nvme, next);
		transfer->blocks -= next->blocks;
		next->lba += next->blocks;
		next->iova += (uint64_t)next->blocks * nvme->block_size;
	}
	nvme_kick(nvme);
}

static int command_failed(struct nvme *nvme, const struct transfer *transfer, uint16_t status)
{
	const char *names[] = {[NVME_FLUSH] = "flush", [NVME_WRITE] = "write", [NVME_READ] = "read"};
	char what[200];

	if (transfer->next.opcode == NVME_FLUSH)
		return nvme_command_failed(nvme, "flush", status);
	snprintf(what, sizeof(what), "%s of %" PRIu64 " blocks at LBA %" PRIu64 " (there are %" PRIu64
		 " of %" PRIu32 " bytes)",
		 transfer->next.opcode <= NVME_READ ? names[transfer->next.opcode] : "command", transfer->all,
		 transfer->lba, nvme->blocks, nvme->block_size);
	return nvme_command_failed(nvme, what, status);
}

static void reap_what_is_done(struct nvme *nvme, struct transfer *transfer)
{
	struct nvme_done done[32];
	uint32_t n = nvme_reap(nvme, done, 32);

	for (uint32_t i = 0; i < n; i++)
		if (done[i].status & NVME_STATUS_ERRORS && transfer->rc == 0)
			transfer->rc = command_failed(nvme, transfer, done[i].status);
}

/* Get the caller's memory back from the controller, and report the first thing that went wrong. */
static int give_up(struct nvme *nvme, int rc)
{
	char why[sizeof(nvme->error)];
	int reset;

	snprintf(why, sizeof(why), "%s", nvme->error);
	reset = nvme_reset(nvme, NULL);
	if (reset < 0)
		vfc_device_bus_master(nvme->device, false);
	snprintf(nvme->error, sizeof(nvme->error), "%.400s; %s", why,
		 reset < 0 ? "and it cannot be reset: its DMA was turned off" : "the controller was reset");
	return rc;
}

int nvme_transfer(struct nvme *nvme, uint8_t opcode, uint64_t lba, uint64_t iova, uint64_t blocks)
{
	struct transfer transfer = {{lba, iova, 0, 0, opcode}, blocks, lba, blocks, 0, 0};
	int rc;

	if (vfc_ring_used(&nvme->io))
		return nvme_fail(nvme, EBUSY, "%" PRIu32 " commands are in flight: reap them first",
				 vfc_ring_used(&nvme->io));
	do {
		submit_what_fits(nvme, &transfer);
		if (!vfc_ring_used(&nvme->io))
			break;
		rc = nvme_wait(nvme, nvme->opts.timeout);
		if (rc < 0)
			return give_up(nvme, rc);
		reap_what_is_done(nvme, &transfer);
	} while (more(&transfer) || vfc_ring_used(&nvme->io));
	return transfer.rc;
}
