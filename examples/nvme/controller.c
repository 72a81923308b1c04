/* SPDX-License-Identifier: MIT */
/* The controller: bring it up, send it admin commands, identify it, shut it down. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nvme.h"

#define ADMIN_ENTRIES 12
#define IO_QUEUE 1
#define MS 1000000

/* The fields in which admin commands differ. */
struct command {
	const char *what;
	uint8_t opcode;
	uint32_t namespace;
	uint64_t prp1;
	uint32_t dw10, dw11;
};

int nvme_fail(struct nvme *nvme, int code, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(nvme->error, sizeof(nvme->error), format, list);
	va_end(list);
	return -code;
}

int nvme_failed(struct nvme *nvme)
{
	vfc_error_text(nvme->error, sizeof(nvme->error));
	return -vfc_error_last()->code;
}

int nvme_command_failed(struct nvme *nvme, const char *what, uint16_t status)
{
	return nvme_fail(nvme, nvme_status_errno(status), "%s: %s (status type %u, code 0x%02x%s)", what,
			 nvme_status_text(status), NVME_STATUS_TYPE(status), NVME_STATUS_CODE(status),
			 status & NVME_STATUS_DO_NOT_RETRY ? ", do not retry" : "");
}

int64_t nvme_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NVME_SECOND + now.tv_nsec;
}

static uint32_t get(const struct nvme *nvme, uint32_t offset)
{
	return vfc_mmio_read32(nvme->registers + offset);
}

static void set(struct nvme *nvme, uint32_t offset, uint32_t value)
{
	vfc_mmio_write32(nvme->registers + offset, value);
}

/* Section 3.1.6: wait until (CSTS & mask) == value. CAP.TO says how long that may take. */
static int await_status(struct nvme *nvme, uint32_t mask, uint32_t value, const char *what)
{
	int64_t allowed = (NVME_CAP_TO(nvme->cap) + 1) * (NVME_SECOND / 2);
	int rc = vfc_mmio_wait32(nvme->registers + NVME_CSTS, mask, value, allowed);
	uint32_t status = get(nvme, NVME_CSTS);

	if (rc > 0)
		return 0;
	if (rc == -ENODEV)
		return nvme_fail(nvme, ENODEV, "%s: the device is gone: registers read as all ones", what);
	if (status & NVME_CSTS_CFS)
		return nvme_fail(nvme, EIO, "%s: the controller reports a fatal status", what);
	return nvme_fail(nvme, ETIMEDOUT, "%s: CSTS is 0x%" PRIx32 " after %" PRId64
			 " ms, as many as CAP.TO gives it", what, status, allowed / MS);
}

/* Section 7.3.2. When this returns, the controller takes no commands and does no DMA. */
static int disable(struct nvme *nvme)
{
	set(nvme, NVME_CC, get(nvme, NVME_CC) & ~(NVME_CC_EN | NVME_CC_SHN));
	return await_status(nvme, NVME_CSTS_RDY, 0, "stopping the controller");
}

/* Section 7.6.1, steps 2 to 4. The admin queue is empty. */
static int enable(struct nvme *nvme)
{
	set(nvme, NVME_AQA, NVME_AQA_SIZES(nvme->admin.entries));
	vfc_mmio_write64(nvme->registers + NVME_ASQ, nvme->admin.memory.iova);
	vfc_mmio_write64(nvme->registers + NVME_ACQ,
			 vfc_ring_iova(&nvme->admin, nvme->admin.completions));
	/* Commands of 64 bytes, completions of 16, pages of 4,096, NVM commands, round robin. */
	set(nvme, NVME_CC, NVME_CC_IOSQES(6) | NVME_CC_IOCQES(4) | NVME_CC_EN);
	return await_status(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, "starting the controller");
}

static void post_admin(struct nvme *nvme, const struct command *command)
{
	uint64_t control = command->opcode |
			   (uint64_t)command->namespace << NVME_SQE_NAMESPACE_SHIFT;
	struct vfc_buffer entry = {command->prp1, control, 0, nvme->sequence};
	uint8_t *words = vfc_ring_next(&nvme->admin, &nvme_layout);

	VFC_RING_STORE64(words + NVME_SQE_DW10, command->dw10 | (uint64_t)command->dw11 << 32);
	vfc_ring_post(&nvme->admin, &nvme_layout, &entry);
	vfc_ring_kick(&nvme->admin, &nvme_layout);
}

/*
 * One command at a time. The sequence number tells its answer from a late one to an earlier
 * command.
 */
static int admin(struct nvme *nvme, const struct command *command)
{
	struct vfc_completion done;
	int64_t end = nvme_now() + nvme->opts.timeout;
	uint16_t status;
	int rc;

	if (!vfc_ring_space(&nvme->admin))
		return nvme_fail(nvme, EBUSY, "%s: no admin command is answered any more", command->what);
	if (++nvme->sequence == VFC_RING_NONE)
		nvme->sequence = 0;
	post_admin(nvme, command);
	do {
		rc = nvme_await(nvme, &nvme->admin, 0, end - nvme_now());
		if (rc < 0)
			return rc;
	} while (!vfc_ring_reap(&nvme->admin, &nvme_layout, &done, 1) ||
		 done.cookie != nvme->sequence);
	status = (uint16_t)(done.control >> NVME_CQE_STATUS_SHIFT);
	return status & NVME_STATUS_ERRORS ? nvme_command_failed(nvme, command->what, status) : 0;
}

/*
 * Copy text that is padded with spaces. The device wrote it, so only printable characters are kept.
 */
static void copy_text(char *to, const uint8_t *from, size_t length)
{
	while (length && (from[length - 1] == ' ' || !from[length - 1]))
		length--;
	for (size_t i = 0; i < length; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? (char)from[i] : '?';
	to[length] = 0;
}

static uint64_t get_field(const struct nvme *nvme, uint32_t offset, uint32_t width)
{
	const uint8_t *bytes = nvme->data.va;
	uint64_t value = 0;

	while (width--)
		value = value << 8 | bytes[offset + width];
	return value;
}

/* Section 5.15.2.2, the controller: its names, and how much one command may move. */
static int identify_controller(struct nvme *nvme)
{
	const uint8_t *bytes = nvme->data.va;
	uint32_t pages;
	int rc = admin(nvme, &(struct command){"identifying the controller", NVME_IDENTIFY, 0,
					       nvme->data.iova, NVME_CNS_CONTROLLER, 0});

	if (rc < 0)
		return rc;
	nvme->version = get(nvme, NVME_VS);
	copy_text(nvme->serial, bytes + NVME_ID_SERIAL, sizeof(nvme->serial) - 1);
	copy_text(nvme->model, bytes + NVME_ID_MODEL, sizeof(nvme->model) - 1);
	copy_text(nvme->firmware, bytes + NVME_ID_FIRMWARE, sizeof(nvme->firmware) - 1);
	/* We give a command one page of addresses at most, even where the controller takes more. */
	pages = bytes[NVME_ID_MDTS] && bytes[NVME_ID_MDTS] < 9 ? 1u << bytes[NVME_ID_MDTS] : 512;
	nvme->transfer_max = pages * NVME_PAGE;
	return 0;
}

/* Section 5.15.2.1, namespace 1: how many blocks it has, and how long they are. */
static int identify_namespace(struct nvme *nvme)
{
	uint32_t format, shift;
	int rc = admin(nvme, &(struct command){"identifying namespace 1", NVME_IDENTIFY, NVME_NAMESPACE,
					       nvme->data.iova, NVME_CNS_NAMESPACE, 0});

	if (rc < 0)
		return rc;
	format = (uint32_t)get_field(nvme, NVME_ID_FORMATS +
				     4 * ((uint32_t)get_field(nvme, NVME_ID_FORMAT, 1) & 15), 4);
	shift = format >> 16 & 0xff;
	nvme->blocks = get_field(nvme, NVME_ID_BLOCKS, 8);
	if (!nvme->blocks)
		return nvme_fail(nvme, ENXIO, "namespace 1 has no blocks: it is not active");
	if (shift < 9 || shift > 12 || nvme->blocks > UINT64_MAX >> shift)
		return nvme_fail(nvme, EBADMSG, "namespace 1 claims %" PRIu64 " blocks of 2^%u bytes; blocks "
				 "have 512 to 4096 bytes here", nvme->blocks, shift);
	if (format & 0xffff)
		return nvme_fail(nvme, EOPNOTSUPP, "namespace 1 has %u bytes of metadata a block: format "
				 "it without", format & 0xffff);
	nvme->block_size = 1u << shift;
	return 0;
}

/*
 * Sections 5.21.1.7, 5.3, 5.4. The I/O ring is empty. The completion queue is created before the
 * submission queue that uses it.
 */
static int create_queues(struct nvme *nvme)
{
	uint32_t size = (nvme->io.entries - 1) << 16 | IO_QUEUE, vector = 1;
	uint32_t how = nvme->irq ? vector << 16 | NVME_QUEUE_INTERRUPT | NVME_QUEUE_CONTIGUOUS :
				   NVME_QUEUE_CONTIGUOUS;
	const struct command commands[] = {
		{"asking for a queue pair", NVME_SET_FEATURES, 0, 0, NVME_FEATURE_QUEUES, 0},
		{"creating the completion queue", NVME_CREATE_CQ, 0,
		 vfc_ring_iova(&nvme->io, nvme->io.completions), size, how},
		{"creating the submission queue", NVME_CREATE_SQ, 0, nvme->io.memory.iova, size,
		 IO_QUEUE << 16 | NVME_QUEUE_CONTIGUOUS},
	};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < sizeof(commands) / sizeof(*commands); i++)
		rc = admin(nvme, &commands[i]);
	return rc;
}

/* Sections 5.6, 5.5: the submission queue is deleted before its completion queue. */
static int delete_queues(struct nvme *nvme)
{
	int rc = admin(nvme, &(struct command){"deleting the submission queue", NVME_DELETE_SQ, 0, 0,
					       IO_QUEUE, 0});

	return rc < 0 ? rc : admin(nvme, &(struct command){"deleting the completion queue",
							   NVME_DELETE_CQ, 0, 0, IO_QUEUE, 0});
}

static int start(struct nvme *nvme)
{
	int rc = enable(nvme);

	if (rc == 0)
		rc = identify_controller(nvme);
	if (rc == 0)
		rc = identify_namespace(nvme);
	return rc < 0 ? rc : create_queues(nvme);
}

int nvme_reset(struct nvme *nvme, uint32_t *cookies)
{
	uint32_t *numbers = nvme->cookies + nvme->opts.depth, count; /* the second half is for this */
	int rc = disable(nvme);

	if (rc < 0)
		return rc;
	vfc_ring_cancel(&nvme->admin, &nvme_layout, NULL);
	count = vfc_ring_cancel(&nvme->io, &nvme_layout, numbers);
	for (uint32_t i = 0; i < count; i++) {
		if (cookies)
			cookies[i] = nvme->cookies[nvme_number(numbers[i])];
		vfc_pool_put(&nvme->lists, numbers[i]);
	}
	rc = start(nvme);
	return rc < 0 ? rc : (int)count;
}

/* Sections 3.1.1 and 7.6.1, step 1: can we work with this controller? */
static int check_capabilities(struct nvme *nvme)
{
	uint64_t cap = nvme->cap;

	if (cap == UINT64_MAX)
		return nvme_fail(nvme, ENODEV, "the device is gone: registers read as all ones");
	if (!NVME_CAP_CSS_NVM(cap) || NVME_CAP_MPSMIN(cap))
		return nvme_fail(nvme, EOPNOTSUPP, "the controller knows no NVM commands, or no pages of 4096 "
				 "bytes (CAP is 0x%" PRIx64 ")", cap);
	if (nvme->opts.depth > NVME_DEPTH_MAX || nvme->opts.depth + 1 > NVME_CAP_MQES(cap))
		return nvme_fail(nvme, EINVAL, "a depth of %" PRIu32 ": from 1 to %d, and this controller's "
				 "queues have at most %" PRIu32 " entries, one of them unused",
				 nvme->opts.depth, NVME_DEPTH_MAX, NVME_CAP_MQES(cap));
	return 0;
}

static int check_class(struct nvme *nvme, const char *bdf)
{
	uint64_t class;

	if (vfc_region_read(nvme->device, VFC_REGION_CONFIG, 8, 4, &class) < 0)
		return nvme_failed(nvme);
	if (class >> 8 != NVME_CLASS)
		return nvme_fail(nvme, ENODEV, "%s is no NVMe controller: its class is %06" PRIx64
				 ", not %06x", bdf, class >> 8, NVME_CLASS);
	return 0;
}

static int map_registers(struct nvme *nvme)
{
	volatile void *address;

	if (vfc_region_map(nvme->device, VFC_REGION_BAR0, 0, 0, &address) < 0)
		return nvme_failed(nvme);
	nvme->registers = address;
	nvme->cap = vfc_mmio_read64(nvme->registers + NVME_CAP);
	return check_capabilities(nvme);
}

static int init_ring(struct nvme *nvme, struct vfc_ring *ring, uint32_t id, uint32_t entries)
{
	if (vfc_ring_init(ring, &nvme_layout, nvme->iommu, entries,
			  nvme->registers + NVME_SQ_TAIL(id, nvme->cap)) < 0)
		return nvme_failed(nvme);
	ring->consumed = nvme->registers + NVME_CQ_HEAD(id, nvme->cap);
	return 0;
}

static int allocate(struct nvme *nvme)
{
	uint32_t depth = nvme->opts.depth;
	int rc = init_ring(nvme, &nvme->admin, 0, ADMIN_ENTRIES);

	if (rc == 0)
		rc = init_ring(nvme, &nvme->io, IO_QUEUE, depth + 1);
	if (rc < 0)
		return rc;
	nvme->cookies = calloc(2 * (size_t)depth, sizeof(*nvme->cookies));
	if (!nvme->cookies)
		return nvme_fail(nvme, ENOMEM, "no memory for %" PRIu32 " commands", depth);
	if (vfc_pool_init(&nvme->lists, nvme->iommu, NVME_PAGE, depth) < 0 ||
	    vfc_dma_alloc(nvme->iommu, NVME_PAGE, NULL, &nvme->data) < 0)
		return nvme_failed(nvme);
	return 0;
}

/* A message is a write by the device, so bus mastering is on before the interrupts are armed. */
static int connect(struct nvme *nvme)
{
	if (vfc_device_bus_master(nvme->device, true) < 0 ||
	    (nvme->opts.interrupts && vfc_irq_open(nvme->device, VFC_IRQ_MSIX, 2, &nvme->irq) < 0))
		return nvme_failed(nvme);
	return 0;
}

static int open_device(struct nvme *nvme, const char *bdf)
{
	int rc;

	if (vfc_device_open(bdf, NULL, &nvme->device) < 0)
		return nvme_failed(nvme);
	nvme->iommu = vfc_device_iommu(nvme->device);
	rc = check_class(nvme, bdf);
	if (rc == 0)
		rc = map_registers(nvme);
	if (rc == 0)
		rc = disable(nvme); /* the last user may have left it running */
	if (rc == 0)
		rc = allocate(nvme);
	if (rc == 0)
		rc = connect(nvme);
	return rc < 0 ? rc : start(nvme);
}

/* Release everything that was allocated. The device does no DMA any more. */
static int release(struct nvme *nvme)
{
	int rc = 0;

	if (nvme->irq && vfc_irq_close(nvme->irq) < 0)
		rc = nvme_failed(nvme);
	free(nvme->cookies);
	if (vfc_dma_free(&nvme->data) < 0 || vfc_pool_destroy(&nvme->lists) < 0 ||
	    vfc_ring_destroy(&nvme->io) < 0 || vfc_ring_destroy(&nvme->admin) < 0 ||
	    (nvme->device && vfc_device_close(nvme->device) < 0))
		rc = nvme_failed(nvme);
	nvme->device = NULL;
	nvme->irq = NULL;
	nvme->cookies = NULL;
	return rc;
}

int nvme_open(struct nvme *nvme, const char *bdf, const struct nvme_opts *opts)
{
	char why[sizeof(nvme->error)];
	int rc;

	memset(nvme, 0, sizeof(*nvme));
	if (opts)
		nvme->opts = *opts;
	if (!nvme->opts.depth)
		nvme->opts.depth = 32;
	if (!nvme->opts.timeout)
		nvme->opts.timeout = 10 * NVME_SECOND;
	rc = open_device(nvme, bdf);
	if (rc == 0)
		return 0;
	memcpy(why, nvme->error, sizeof(why));
	if (nvme->registers)
		disable(nvme);
	if (nvme->device)
		vfc_device_bus_master(nvme->device, false); /* in case it did not stop by itself */
	release(nvme);
	memcpy(nvme->error, why, sizeof(why));
	return rc;
}

/* Section 7.6.2: the controller writes out its caches and shows when it has done so. */
static int shut_down(struct nvme *nvme)
{
	int rc = delete_queues(nvme);

	if (rc < 0)
		return rc;
	set(nvme, NVME_CC, (get(nvme, NVME_CC) & ~NVME_CC_SHN) | NVME_CC_SHN_NORMAL);
	rc = await_status(nvme, NVME_CSTS_SHST, NVME_CSTS_SHST_COMPLETE, "shutting the controller down");
	return rc < 0 ? rc : disable(nvme);
}

int nvme_close(struct nvme *nvme)
{
	int rc, released;

	if (!nvme->device)
		return 0;
	rc = shut_down(nvme);
	if (rc < 0) {
		disable(nvme);
		vfc_device_bus_master(nvme->device, false);
	}
	released = release(nvme);
	return rc < 0 ? rc : released;
}
