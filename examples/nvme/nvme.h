/* SPDX-License-Identifier: MIT */
/*
 * An NVMe driver on libvfiocore: an admin queue and one I/O queue pair, each a vfc_ring of style
 * VFC_RING_PHASE. Source: NVM Express 1.4; sections in comments are of that.
 *
 * Functions return 0 or a count, or -errno with the reason as text in nvme->error. Lengths are
 * bytes, times nanoseconds, addresses of blocks (LBA) in blocks of the namespace. A struct nvme is
 * used by one thread at a time.
 */
#ifndef NVME_H
#define NVME_H

#include <stdbool.h>
#include <vfiocore.h>

#include "spec.h"

#define NVME_SECOND INT64_C(1000000000)
#define NVME_DEPTH_MAX 4095
#define NVME_NAMESPACE 1 /* the only one that this driver uses */

struct nvme_opts {
	uint32_t depth;  /* commands that can be in flight: any number from 1 on; 0: 32 */
	bool interrupts; /* sleep until MSI-X wakes us up; else poll the completion queue */
	int64_t timeout; /* how long a command may take; 0: 10 s */
};

struct nvme {
	struct vfc_device *device;
	struct vfc_iommu *iommu;
	volatile uint8_t *registers;
	struct vfc_irq *irq; /* vector 0: admin queue, 1: I/O queue; NULL: polled */
	struct vfc_ring admin, io;
	struct vfc_pool lists; /* a page for each command's PRP list, whose number is the command's */
	struct vfc_dma data;   /* a page for the answers of identify */
	uint32_t *cookies;     /* the caller's cookies, by the command's number */
	struct nvme_opts opts;
	uint64_t cap;
	uint32_t sequence; /* the number of the last admin command */

	/* From the answers of identify, checked. */
	char serial[21], model[41], firmware[9];
	uint32_t version;
	uint32_t block_size;
	uint64_t blocks;
	uint32_t transfer_max; /* bytes in one command */

	char error[512];
};

struct nvme_request {
	uint64_t lba;
	uint64_t iova; /* a multiple of 4; all of the memory is mapped for the device */
	uint32_t blocks;
	uint32_t cookie; /* comes back in struct nvme_done */
	uint8_t opcode;  /* NVME_READ, NVME_WRITE, NVME_FLUSH */
};

struct nvme_done {
	uint32_t cookie;
	uint16_t status; /* section 4.6.1: 0: good; else see nvme_status_text() */
};

/*
 * nvme_open() - open a device, bring its controller up, identify it and make its I/O queues.
 * A controller that was left running is reset first. Errors: those of vfc_device_open(); -ENODEV
 * (no NVMe controller), -EOPNOTSUPP (page size, command set, metadata), -EINVAL (depth),
 * -ETIMEDOUT, -EIO (a command failed), -EBADMSG (an answer is impossible).
 */
int nvme_open(struct nvme *nvme, const char *bdf, const struct nvme_opts *opts);

/*
 * nvme_close() - delete the queues, shut the controller down, release all. @nvme may be all zeros.
 */
int nvme_close(struct nvme *nvme);

/*
 * nvme_reset() - stop the controller, whatever it is doing, and bring it up again.
 * @cookies: room for the depth, or NULL: gets the cookies of the commands in flight, which will
 * never be done. Return: how many these are. Their memory belongs to the caller again.
 */
int nvme_reset(struct nvme *nvme, uint32_t *cookies);

/*
 * nvme_submit() - queue a command; the controller sees it after nvme_kick().
 * Errors: -EAGAIN (the queue is full: reap first), -EINVAL (alignment, or more than transfer_max).
 */
int nvme_submit(struct nvme *nvme, const struct nvme_request *request);
void nvme_kick(struct nvme *nvme);

/* nvme_reap() - take up to @count commands that are done, in any order. Return: how many. */
uint32_t nvme_reap(struct nvme *nvme, struct nvme_done *done, uint32_t count);

/*
 * nvme_wait() - wait until there is something to reap. Errors: -ETIMEDOUT, -EIO (fatal status),
 * -ENODEV (gone); the cure is nvme_reset().
 */
int nvme_wait(struct nvme *nvme, int64_t timeout);

/*
 * nvme_transfer() - move @blocks from @lba on, in as many commands as that takes, and wait.
 * @opcode: NVME_READ, NVME_WRITE; NVME_FLUSH with 0 blocks. Nothing may be in flight. Nothing is in
 * flight when it returns; if need be, the controller was reset. Errors: those of nvme_wait(),
 * nvme_status_errno(), -EBUSY.
 */
int nvme_transfer(struct nvme *nvme, uint8_t opcode, uint64_t lba, uint64_t iova, uint64_t blocks);

/* nvme_status_text() - what a status means. nvme_status_errno() - the errno that fits, positive. */
const char *nvme_status_text(uint16_t status);
int nvme_status_errno(uint16_t status);

/* For the files of the driver: record a failure of its own, or one of libvfiocore's. */
int nvme_fail(struct nvme *nvme, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int nvme_failed(struct nvme *nvme);
int nvme_await(struct nvme *nvme, struct vfc_ring *ring, uint32_t vector, int64_t timeout);
int nvme_command_failed(struct nvme *nvme, const char *what, uint16_t status);
int64_t nvme_now(void);
extern const struct vfc_ring_layout nvme_layout;

/* The number of an I/O command, from 0, by its chunk in the pool of lists. */
static inline uint32_t nvme_number(uint32_t chunk)
{
	return chunk / (NVME_PAGE / VFC_POOL_UNIT);
}

#endif
