/* SPDX-License-Identifier: MIT */
/*
 * Use an NVMe disk that vfio-pci holds.
 *   cc -O2 *.c $(pkg-config --cflags --libs libvfiocore) -o nvme && ./nvme 0000:01:00.0 identify
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"

#define PIECE (UINT32_C(1) << 20) /* bytes that go between file and disk at a time */

static const char usage[] =
	"usage: nvme [-i] [-q DEPTH] [-t SECONDS] DEVICE VERB\n"
	"  identify                 what controller and namespace are\n"
	"  read LBA COUNT FILE      blocks into a file; -: standard output\n"
	"  write LBA COUNT FILE     blocks from a file; -: standard input\n"
	"  flush                    what was written reaches the medium\n"
	"  bench SECONDS DEPTH      random reads of 4096 bytes\n"
	"  -i  sleep until an interrupt; else look until it is done\n"
	"  -q  commands in flight, 32 unless told\n"
	"  -t  seconds that a command may take, 10 unless told\n";

static int failed(const struct nvme *nvme)
{
	fprintf(stderr, "nvme: %s\n", nvme->error);
	return 1;
}

static int bad_usage(void)
{
	fputs(usage, stderr);
	return 2;
}

/* Parse @text as a whole number. False: it is none. */
static bool number(const char *text, uint64_t most, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && end != text && !*end && text[0] != '-' && *value <= most;
}

static int identify(struct nvme *nvme)
{
	printf("serial: %s\nmodel: %s\nfirmware: %s\nversion: %u.%u.%u\n", nvme->serial, nvme->model,
	       nvme->firmware, nvme->version >> 16, nvme->version >> 8 & 0xff, nvme->version & 0xff);
	printf("blocks: %" PRIu64 "\nblock size: %" PRIu32 "\nlargest transfer: %" PRIu32
	       "\nlargest queue: %" PRIu32 "\n",
	       nvme->blocks, nvme->block_size, nvme->transfer_max, NVME_CAP_MQES(nvme->cap));
	return 0;
}

/* Read or write the file's part of one piece. When reading, all of it must be there. */
static int through_file(uint8_t opcode, void *data, size_t length, FILE *file)
{
	size_t moved = opcode == NVME_READ ? fwrite(data, 1, length, file) :
					     fread(data, 1, length, file);

	if (moved == length)
		return 0;
	if (ferror(file))
		perror("nvme: file");
	else
		fprintf(stderr, "nvme: the file ends before the blocks do\n");
	return 1;
}

static int move_pieces(struct nvme *nvme, uint8_t opcode, uint64_t lba, uint64_t count, FILE *file,
		       const struct vfc_dma *memory)
{
	uint64_t blocks, most = PIECE / nvme->block_size;

	for (; count; count -= blocks, lba += blocks) {
		blocks = count < most ? count : most;
		if (opcode == NVME_WRITE &&
		    through_file(opcode, memory->va, blocks * nvme->block_size, file))
			return 1;
		if (nvme_transfer(nvme, opcode, lba, memory->iova, blocks) < 0)
			return failed(nvme);
		if (opcode == NVME_READ &&
		    through_file(opcode, memory->va, blocks * nvme->block_size, file))
			return 1;
	}
	return 0;
}

static FILE *open_file(uint8_t opcode, const char *path)
{
	FILE *file;

	if (!strcmp(path, "-"))
		return opcode == NVME_READ ? stdout : stdin;
	file = fopen(path, opcode == NVME_READ ? "wb" : "rb");
	if (!file)
		fprintf(stderr, "nvme: %s: %s\n", path, strerror(errno));
	return file;
}

static int move(struct nvme *nvme, uint8_t opcode, char **words)
{
	uint64_t lba, count;
	struct vfc_dma memory;
	FILE *file;
	int bad;

	if (!number(words[0], UINT64_MAX, &lba) || !number(words[1], UINT64_MAX, &count))
		return bad_usage();
	file = open_file(opcode, words[2]);
	if (!file)
		return 1;
	if (vfc_dma_alloc(nvme->iommu, PIECE, NULL, &memory) < 0) {
		nvme_failed(nvme);
		fclose(file);
		return failed(nvme);
	}
	bad = move_pieces(nvme, opcode, lba, count, file, &memory);
	if (fclose(file) && !bad) {
		perror("nvme: file");
		bad = 1;
	}
	return vfc_dma_free(&memory) < 0 ? 1 : bad;
}

static int flush(struct nvme *nvme)
{
	return nvme_transfer(nvme, NVME_FLUSH, 0, 0, 0) < 0 ? failed(nvme) : 0;
}

struct bench {
	struct nvme *nvme;
	struct vfc_dma memory;
	uint64_t random, places; /* @places: how many pages the disk has */
	uint64_t done;
	uint32_t blocks;
};

/* xorshift64: Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t next_random(struct bench *bench)
{
	bench->random ^= bench->random << 13;
	bench->random ^= bench->random >> 7;
	bench->random ^= bench->random << 17;
	return bench->random;
}

static int read_somewhere(struct bench *bench, uint32_t slot)
{
	struct nvme_request request = {
		.lba = next_random(bench) % bench->places * bench->blocks,
		.iova = bench->memory.iova + (uint64_t)slot * NVME_PAGE,
		.blocks = bench->blocks,
		.cookie = slot,
		.opcode = NVME_READ,
	};

	return nvme_submit(bench->nvme, &request);
}

/* Take the commands that are done. With @more, read again into the same page. */
static int turn(struct bench *bench, bool again)
{
	struct nvme_done done[64];
	uint32_t n;
	int rc;

	rc = nvme_wait(bench->nvme, bench->nvme->opts.timeout);
	if (rc < 0)
		return rc;
	n = nvme_reap(bench->nvme, done, 64);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (done[i].status & NVME_STATUS_ERRORS)
			rc = nvme_command_failed(bench->nvme, "read", done[i].status);
		else if (again)
			rc = read_somewhere(bench, done[i].cookie);
	}
	bench->done += n;
	nvme_kick(bench->nvme);
	return rc;
}

static int run(struct bench *bench, int64_t length)
{
	struct nvme *nvme = bench->nvme;
	int64_t start = nvme_now(), now = start;
	uint64_t rung = nvme->io.doorbells;
	int rc = 0;

	for (uint32_t slot = 0; rc == 0 && slot < nvme->opts.depth; slot++)
		rc = read_somewhere(bench, slot);
	nvme_kick(nvme);
	for (; rc == 0 && now - start < length; now = nvme_now())
		rc = turn(bench, true);
	if (rc < 0)
		return rc;
	printf("{\"reads\": %" PRIu64 ", \"seconds\": %.6f, \"per_second\": %.1f, \"doorbells\": %" PRIu64
	       "}\n", bench->done, (double)(now - start) / 1e9,
	       (double)bench->done * 1e9 / (double)(now - start), nvme->io.doorbells - rung);
	while (rc == 0 && vfc_ring_used(&nvme->io))
		rc = turn(bench, false);
	return rc;
}

static int bench_for(struct nvme *nvme, uint64_t seconds)
{
	struct bench bench = {
		.nvme = nvme,
		.random = UINT64_C(88172645463325252),
		.blocks = NVME_PAGE / nvme->block_size,
	};
	int rc;

	bench.places = nvme->blocks / bench.blocks;
	if (!bench.places) {
		fprintf(stderr, "nvme: the namespace has less than 4096 bytes\n");
		return 1;
	}
	if (vfc_dma_alloc(nvme->iommu, (uint64_t)nvme->opts.depth * NVME_PAGE, NULL, &bench.memory) < 0) {
		nvme_failed(nvme);
		return failed(nvme);
	}
	rc = run(&bench, (int64_t)seconds * NVME_SECOND);
	if (rc < 0) {
		failed(nvme);
		nvme_reset(nvme, NULL); /* else reads under way would write to memory that is freed */
	}
	return vfc_dma_free(&bench.memory) < 0 || rc < 0;
}

/* Run the verb with the @count words that follow it, or say how it is used. */
static int act(struct nvme *nvme, int count, char **words, uint64_t seconds)
{
	if (!strcmp(words[0], "identify") && count == 0)
		return identify(nvme);
	if (!strcmp(words[0], "read") && count == 3)
		return move(nvme, NVME_READ, words + 1);
	if (!strcmp(words[0], "write") && count == 3)
		return move(nvme, NVME_WRITE, words + 1);
	if (!strcmp(words[0], "flush") && count == 0)
		return flush(nvme);
	if (!strcmp(words[0], "bench") && count == 2)
		return bench_for(nvme, seconds);
	return bad_usage();
}

int main(int argc, char **argv)
{
	uint64_t value, seconds = 0;
	struct nvme_opts opts = {0};
	struct nvme nvme;
	int option, bad;

	while ((option = getopt(argc, argv, "+iq:t:")) != -1) {
		if (option == 'i')
			opts.interrupts = true;
		else if (option == 'q' && number(optarg, NVME_DEPTH_MAX, &value) && value)
			opts.depth = (uint32_t)value;
		else if (option == 't' && number(optarg, 3600, &value) && value)
			opts.timeout = (int64_t)value * NVME_SECOND;
		else
			return bad_usage();
	}
	if (argc - optind < 2)
		return bad_usage();
	if (!strcmp(argv[optind + 1], "bench")) {
		if (argc - optind != 4 || !number(argv[optind + 2], 3600, &seconds) || !seconds ||
		    !number(argv[optind + 3], NVME_DEPTH_MAX, &value) || !value)
			return bad_usage();
		opts.depth = (uint32_t)value;
	}
	if (nvme_open(&nvme, argv[optind], &opts) < 0)
		return failed(&nvme);
	bad = act(&nvme, argc - optind - 2, argv + optind + 1, seconds);
	return nvme_close(&nvme) < 0 ? failed(&nvme) : bad;
}
