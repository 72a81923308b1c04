/* SPDX-License-Identifier: MIT */
/* Cases for examples/nvme that take more than its command: nvme_io DEVICE CASE poll|irq */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/nvme/nvme.h"

#define KIB 1024
#define BUFFER (1024 * KIB)

static struct nvme nvme;
static struct nvme_opts opts;
static const char *device;

#define NEED(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, nvme.error); \
			exit(1); \
		} \
	} while (0)

static void open_with(uint32_t depth)
{
	opts.depth = depth;
	NEED(nvme_open(&nvme, device, &opts) == 0);
}

static void close_it(void)
{
	NEED(nvme.admin.malformed == 0 && nvme.io.malformed == 0);
	NEED(nvme_close(&nvme) == 0);
	NEED(nvme_close(&nvme) == 0);
}

static struct vfc_dma alloc(uint64_t length)
{
	struct vfc_dma memory;

	NEED(vfc_dma_alloc(nvme.iommu, length, NULL, &memory) == 0);
	return memory;
}

/* Bytes that no other seed has in that place. */
static void fill(uint8_t *bytes, uint32_t length, uint32_t seed)
{
	for (uint32_t i = 0; i < length; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
}

static int submit(uint8_t opcode, uint64_t lba, uint64_t iova, uint32_t blocks, uint32_t cookie)
{
	return nvme_submit(&nvme, &(struct nvme_request){lba, iova, blocks, cookie, opcode});
}

/* Everything that is in flight, by cookie. */
static void reap_all(uint16_t *statuses, uint32_t count)
{
	struct nvme_done done[3];

	while (vfc_ring_used(&nvme.io)) {
		uint32_t n;

		NEED(nvme_wait(&nvme, opts.timeout) == 0);
		n = nvme_reap(&nvme, done, 3);
		for (uint32_t i = 0; i < n; i++) {
			NEED(done[i].cookie < count && statuses[done[i].cookie] == UINT16_MAX);
			statuses[done[i].cookie] = done[i].status;
		}
	}
}

/* One, two and many pages, from every kind of offset into the first. */
static void pages(void)
{
	static const uint32_t offsets[] = {0, 4, 512, 2048, 4092};
	static const uint32_t sizes[] = {512, 1024, 4096, 4608, 8192, 12288, 65536, 262144, 524288};
	uint32_t seed = 0;

	open_with(4);
	struct vfc_dma from = alloc(BUFFER), to = alloc(BUFFER);

	for (unsigned i = 0; i < 5; i++)
		for (unsigned j = 0; j < 9; j++) {
			uint32_t other = offsets[(i + j) % 5], blocks = sizes[j] / nvme.block_size;
			uint8_t *sent = (uint8_t *)from.va + offsets[i], *got = (uint8_t *)to.va + other;
			uint64_t lba = (uint64_t)++seed * 1031;

			fill(sent, sizes[j], seed);
			memset(to.va, 0x55, BUFFER);
			NEED(nvme_transfer(&nvme, NVME_WRITE, lba, from.iova + offsets[i], blocks) == 0);
			NEED(nvme_transfer(&nvme, NVME_READ, lba, to.iova + other, blocks) == 0);
			NEED(memcmp(sent, got, sizes[j]) == 0);
			NEED(got[sizes[j]] == 0x55 && (!other || got[-1] == 0x55)); /* and no byte more */
		}
	NEED(vfc_dma_free(&from) == 0 && vfc_dma_free(&to) == 0);
	close_it();
}

/* Many laps of rings of any size; more in flight than is reaped at once. */
static void depths(void)
{
	static const uint32_t depths[] = {1, 2, 3, 7, 32, 100, 1000};

	for (unsigned i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
		uint32_t depth = depths[i];
		uint16_t statuses[1000];

		open_with(depth);
		struct vfc_dma memory = alloc((uint64_t)depth * 512);

		for (uint32_t lap = 0; lap < 5; lap++) {
			memset(statuses, 0xff, sizeof(statuses));
			for (uint32_t n = 0; n < depth; n++) {
				uint64_t place = memory.iova + (uint64_t)n * 512;

				NEED(submit(lap ? NVME_READ : NVME_WRITE, n, place, 1, n) == 0);
			}
			nvme_kick(&nvme);
			reap_all(statuses, depth);
			for (uint32_t n = 0; n < depth; n++)
				NEED(statuses[n] == 0);
		}
		NEED(nvme.io.doorbells == 5);
		NEED(vfc_dma_free(&memory) == 0);
		close_it();
	}
}

static void full(void)
{
	uint16_t statuses[5];

	open_with(5);
	struct vfc_dma memory = alloc(4096);

	for (int lap = 0; lap < 3; lap++) {
		memset(statuses, 0xff, sizeof(statuses));
		for (uint32_t n = 0; n < 5; n++)
			NEED(submit(NVME_READ, n, memory.iova + 512 * (uint64_t)n, 1, n) == 0);
		NEED(submit(NVME_READ, 0, memory.iova, 1, 5) == -EAGAIN);
		NEED(strstr(nvme.error, "5 commands are in flight"));
		NEED(nvme_transfer(&nvme, NVME_FLUSH, 0, 0, 0) == -EBUSY);
		nvme_kick(&nvme);
		reap_all(statuses, 5);
	}
	NEED(vfc_dma_free(&memory) == 0);
	close_it();
}

/* The one that fails is told from the others, and the queue goes on. */
static void range(void)
{
	uint16_t statuses[4];

	open_with(4);
	struct vfc_dma memory = alloc(4096);

	memset(statuses, 0xff, sizeof(statuses));
	for (uint32_t n = 0; n < 4; n++)
		NEED(submit(NVME_READ, n == 2 ? nvme.blocks - 1 : n, memory.iova, 2, n) == 0);
	nvme_kick(&nvme);
	reap_all(statuses, 4);
	NEED(statuses[0] == 0 && statuses[1] == 0 && statuses[3] == 0);
	NEED(NVME_STATUS_TYPE(statuses[2]) == 0 && NVME_STATUS_CODE(statuses[2]) == 0x80);
	NEED(nvme_status_errno(statuses[2]) == ERANGE && nvme.io.errors == 1);
	NEED(nvme_transfer(&nvme, NVME_READ, UINT64_MAX, memory.iova, 1) == -ERANGE);
	NEED(strstr(nvme.error, "read of 1 blocks at LBA 18446744073709551615"));
	NEED(nvme_transfer(&nvme, 0x7f, 0, memory.iova, 1) == -EOPNOTSUPP);
	NEED(strstr(nvme.error, "invalid command opcode"));
	NEED(nvme_transfer(&nvme, NVME_READ, nvme.blocks - 1, memory.iova, 1) == 0);
	NEED(vfc_dma_free(&memory) == 0);
	close_it();
}

static void misuse(void)
{
	struct nvme_opts bad = opts;

	open_with(1);
	uint32_t most = nvme.transfer_max / nvme.block_size;

	NEED(submit(NVME_READ, 0, 0x1002, 1, 0) == -EINVAL && strstr(nvme.error, "multiple of 4"));
	NEED(submit(NVME_READ, 0, 0x1000, most + 1, 0) == -EINVAL && strstr(nvme.error, "524288"));
	NEED(submit(NVME_READ, 0, 0x1000, 0, 0) == -EINVAL);
	NEED(submit(NVME_FLUSH, 0, 0, 1, 0) == -EINVAL);
	NEED(nvme_wait(&nvme, 1000000) == -ETIMEDOUT && strstr(nvme.error, "none of 0 commands"));
	close_it();
	bad.depth = NVME_DEPTH_MAX;
	NEED(nvme_open(&nvme, device, &bad) == -EINVAL && strstr(nvme.error, "at most 2048 entries"));
	bad.depth = UINT32_MAX;
	NEED(nvme_open(&nvme, device, &bad) == -EINVAL);
	bad.depth = 2047;
	NEED(nvme_open(&nvme, device, &bad) == 0);
	close_it();
}

/* Each command is either done or given back, once. */
static void reset(void)
{
	enum { DEPTH = 33 };
	uint32_t lost_ones = 0;

	open_with(DEPTH);
	struct vfc_dma memory = alloc((uint64_t)DEPTH * 64 * KIB);

	for (uint32_t round = 0; round < 20; round++) {
		struct nvme_done done[DEPTH];
		uint32_t lost[DEPTH], n, seen = 0, blocks = 64 * KIB / nvme.block_size;
		uint64_t each = 0;
		int count;

		for (n = 0; n < DEPTH; n++)
			NEED(submit(round % 2 ? NVME_READ : NVME_WRITE, n * blocks,
				    memory.iova + n * 64 * KIB, blocks, n) == 0);
		nvme_kick(&nvme);
		n = nvme_reap(&nvme, done, round % DEPTH);
		for (; seen < n; seen++)
			each |= UINT64_C(1) << done[seen].cookie;
		count = nvme_reset(&nvme, lost);
		NEED(count >= 0 && (uint32_t)count + n == DEPTH);
		for (int i = 0; i < count; i++)
			each |= UINT64_C(1) << lost[i];
		NEED(each == (UINT64_C(1) << DEPTH) - 1);
		lost_ones += (uint32_t)count;
		NEED(vfc_ring_used(&nvme.io) == 0 && nvme.lists.free == DEPTH);
		fill(memory.va, 64 * KIB, round);
		NEED(nvme_transfer(&nvme, NVME_WRITE, 7, memory.iova, blocks) == 0);
		NEED(nvme_transfer(&nvme, NVME_READ, 7, memory.iova + 64 * KIB, blocks) == 0);
		NEED(memcmp(memory.va, (uint8_t *)memory.va + 64 * KIB, 64 * KIB) == 0);
	}
	NEED(lost_ones > 0);
	NEED(vfc_dma_free(&memory) == 0);
	close_it();
}

/* The function is reset under it: what waits is told, and nvme_reset() cures it. */
static void pulled(void)
{
	open_with(8);
	struct vfc_dma memory = alloc(4096);

	opts.timeout = nvme.opts.timeout = 200000000;
	NEED(vfc_device_reset(nvme.device) == 0); /* bus mastering is off from now on */
	NEED(nvme_transfer(&nvme, NVME_READ, 0, memory.iova, 1) < 0);
	NEED(strstr(nvme.error, "was done in"));
	NEED(vfc_device_bus_master(nvme.device, true) == 0);
	NEED(!nvme.irq || vfc_irq_rearm(nvme.irq) == 0);
	NEED(nvme_reset(&nvme, NULL) >= 0);
	NEED(nvme_transfer(&nvme, NVME_READ, 0, memory.iova, 1) == 0);
	NEED(vfc_dma_free(&memory) == 0);
	close_it();
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {{"pages", pages}, {"depths", depths}, {"full", full}, {"range", range},
	     {"misuse", misuse}, {"reset", reset}, {"pulled", pulled}};

int main(int argc, char **argv)
{
	NEED(argc == 4);
	device = argv[1];
	opts.interrupts = !strcmp(argv[3], "irq");
	opts.timeout = 10 * NVME_SECOND;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(argv[2], cases[i].name)) {
			cases[i].run();
			return 0;
		}
	fprintf(stderr, "no case is called %s\n", argv[2]);
	return 2;
}
