/* SPDX-License-Identifier: MIT */
/*
 * bench-net BDF0 BDF1 BATCH WINDOW SECONDS
 *
 * One thread: bursts of 60-byte frames out of the first interface, whatever has come out of the
 * second. WINDOW frames are under way at most; 0: any number, and what does not fit is lost.
 * Prints a line of JSON: frames a second sent and received, doorbells per 1,000 frames.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vfiocore.h>

#define FRAME 60
#define BURST_MAX 256
#define ENTRIES 1024
#define CHUNKS 8192
#define SECOND INT64_C(1000000000)
#define STALL (SECOND / 20)

struct side {
	struct vfc_device *device;
	struct vfc_nic *nic;
	uint8_t mac[6];
};

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static void open_side(struct side *side, const char *name, struct vfc_iommu *iommu,
		      struct vfc_pool *pool)
{
	struct vfc_device_opts where = {.size = sizeof(where), .iommu = iommu};
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = ENTRIES,
				    .tx_entries = ENTRIES};
	struct vfc_nic_info info = {.size = sizeof(info)};

	if (vfc_device_open(name, &where, &side->device) < 0)
		die(name);
	if (!pool->chunks && vfc_nic_pool_init(pool, iommu, CHUNKS) < 0)
		die("pool");
	opts.pool = pool;
	if (vfc_nic_open(side->device, &opts, &side->nic) < 0 ||
	    vfc_nic_wait_link(side->nic, 10 * SECOND) < 0 || vfc_nic_info(side->nic, &info) < 0)
		die(name);
	memcpy(side->mac, info.mac, sizeof(side->mac));
}

static uint32_t send_some(struct side *from, const uint8_t *frame, uint32_t count)
{
	struct vfc_packet packets[BURST_MAX];
	int n = vfc_nic_alloc(from->nic, packets, count), taken;

	if (vfc_nic_fill(from->nic, packets, (uint32_t)n, frame, FRAME) < 0)
		die("vfc_nic_fill");
	taken = vfc_nic_tx_burst(from->nic, 0, packets, (uint32_t)n);
	if (taken < 0)
		die("vfc_nic_tx_burst");
	vfc_nic_free(from->nic, packets + taken, (uint32_t)(n - taken));
	return (uint32_t)taken;
}

static uint32_t receive_some(struct side *to, uint32_t batch)
{
	struct vfc_packet packets[BURST_MAX];
	int n = vfc_nic_rx_burst(to->nic, 0, packets, batch);

	if (n < 0)
		die("vfc_nic_rx_burst");
	vfc_nic_free(to->nic, packets, (uint32_t)n);
	return (uint32_t)n;
}

static void run(struct side *from, struct side *to, uint32_t batch, uint32_t window, int64_t length)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	uint8_t frame[FRAME] = {[12] = 0x88, [13] = 0xb5};
	uint64_t sent = 0, received = 0, lost = 0;
	int64_t start = now(), moved = start, at = start;

	memcpy(frame, to->mac, 6);
	memcpy(frame + 6, from->mac, 6);
	for (; at - start < length; at = now()) {
		uint64_t flying = sent > received + lost ? sent - received - lost : 0;
		uint32_t n;

		if (!window || flying < window)
			sent += send_some(from, frame, batch);
		n = receive_some(to, batch);
		received += n;
		if (n)
			moved = at;
		else if (at - moved > STALL)
			lost += flying, moved = at;
	}
	vfc_nic_stats(from->nic, &stats);
	printf("{\"tx\": %.0f, \"rx\": %.0f, \"doorbells\": %.3f}\n",
	       (double)sent * 1e9 / (double)(at - start), (double)received * 1e9 / (double)(at - start),
	       1000.0 * (double)stats.tx_doorbells / (double)(sent ? sent : 1));
}

int main(int argc, char **argv)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};
	struct vfc_pool pool = {0};
	struct side from, to;
	struct vfc_iommu *iommu;
	uint32_t batch = argc == 6 ? (uint32_t)strtoul(argv[3], NULL, 0) : 0;

	if (!batch || batch > BURST_MAX) {
		fprintf(stderr, "usage: bench-net BDF0 BDF1 BATCH (to %d) WINDOW SECONDS\n", BURST_MAX);
		return 2;
	}
	if (vfc_iommu_open(&opts, &iommu) < 0)
		die("vfc_iommu_open");
	open_side(&from, argv[1], iommu, &pool);
	open_side(&to, argv[2], iommu, &pool);
	run(&from, &to, batch, (uint32_t)strtoul(argv[4], NULL, 0), atoi(argv[5]) * SECOND);
	if (vfc_nic_close(from.nic) < 0 || vfc_nic_close(to.nic) < 0 || vfc_pool_destroy(&pool) < 0 ||
	    vfc_device_close(from.device) < 0 || vfc_device_close(to.device) < 0)
		die("close");
	return vfc_iommu_close(iommu) < 0;
}
