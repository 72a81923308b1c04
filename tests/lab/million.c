/* SPDX-License-Identifier: MIT */
/*
 * million BDF0[,packed|,TOKEN] BDF1[,packed|,TOKEN] COUNT
 *
 * COUNT frames each way at once between two network interfaces that a wire joins: none may be lost,
 * damaged or out of order, and no buffer may be missing at the end. Every second both are closed and
 * opened again, and once in the middle they are reset, with nothing on the wire at that moment.
 * Prints a line of JSON; exit 1 with the reason on stderr. packed: of virtio-net, packed rings. TOKEN:
 * opens a virtual function, see token.h; its physical one has a driver elsewhere.
 *
 * No more frames are under way than the rings hold: a loss is a fault and not a full queue.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vfiocore.h>

#include "token.h"

#define BURST 256
#define ENTRIES 1024 /* where the device has as many */
#define CHUNKS 8192
#define HEADER 14
#define FRAME_MIN 60
#define FRAME_MAX 1514
#define SECOND INT64_C(1000000000)

struct side {
	char name[16];
	uint32_t flags; /* to open it with */
	struct vfc_device *device;
	struct vfc_nic *nic;
	uint8_t mac[6];
	uint64_t sent, received; /* sent: by it; received: by it, from the other one */
};

struct pair {
	struct side sides[2];
	struct vfc_iommu *iommu;
	struct vfc_pool pool;
	uint64_t count;
	uint32_t restarts, resets;
};

/* A frame has its number, and a piece of this that begins elsewhere in each. */
static uint8_t pattern[256 + FRAME_MAX];
static uint32_t frame_max = FRAME_MAX; /* what both can */
static uint32_t window = ENTRIES;      /* frames under way, each way: what both can hold, and some less */

static void die(const char *what, const char *name) __attribute__((noreturn));

static void die(const char *what, const char *name)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s: %s\n", name, what, text);
	exit(1);
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* All lengths; short ones are more frequent, as an emulated CPU copies slowly. */
static uint32_t length_of(uint64_t number)
{
	uint32_t range = number % 8 ? 64 : frame_max - FRAME_MIN + 1;

	return FRAME_MIN + (uint32_t)(number * 97 % range);
}

static void write_frame(struct vfc_packet *packet, const uint8_t to[6], const uint8_t from[6],
			uint64_t number)
{
	uint8_t *frame = packet->data;

	packet->length = length_of(number);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x88, frame[13] = 0xb5; /* IEEE 802: for local experiments */
	memcpy(frame + HEADER, &number, 8);
	memcpy(frame + HEADER + 8, pattern + (number & 0xff), packet->length - HEADER - 8);
}

/* False: it is none of ours. */
static bool check_frame(const struct side *to, const struct vfc_packet *packet, uint64_t number)
{
	const uint8_t *frame = packet->data;
	uint64_t is;

	if (packet->length < FRAME_MIN || frame[12] != 0x88 || frame[13] != 0xb5)
		return false;
	memcpy(&is, frame + HEADER, 8);
	if (is == number && packet->length == length_of(number) && !memcmp(frame, to->mac, 6) &&
	    !memcmp(frame + HEADER + 8, pattern + (number & 0xff), packet->length - HEADER - 8))
		return true;
	fprintf(stderr, "%s: frame %" PRIu64 " was expected, of %u bytes; there came %" PRIu64
		", of %u, %s\n", to->name, number, length_of(number), is, packet->length,
		is == number ? "damaged" : "so that some are lost or out of order");
	exit(1);
}

static void send_some(struct pair *pair, struct side *from, const struct side *to)
{
	struct vfc_packet packets[BURST];
	uint64_t room = window - (from->sent - to->received), left = pair->count - from->sent;
	uint32_t want = room < left ? (uint32_t)room : (uint32_t)left;
	int n, taken;

	n = vfc_nic_alloc(from->nic, packets, want < BURST ? want : BURST);
	for (int i = 0; i < n; i++)
		write_frame(&packets[i], to->mac, from->mac, from->sent + (uint64_t)i);
	taken = vfc_nic_tx_burst(from->nic, 0, packets, (uint32_t)n);
	if (taken < 0)
		die("vfc_nic_tx_burst", from->name);
	vfc_nic_free(from->nic, packets + taken, (uint32_t)(n - taken));
	from->sent += (uint64_t)taken;
}

static uint32_t receive_some(struct side *to)
{
	struct vfc_packet packets[BURST];
	uint64_t before = to->received;
	int n = vfc_nic_rx_burst(to->nic, 0, packets, BURST);

	if (n < 0)
		die("vfc_nic_rx_burst", to->name);
	for (int i = 0; i < n; i++)
		to->received += check_frame(to, &packets[i], to->received);
	vfc_nic_free(to->nic, packets, (uint32_t)n);
	return (uint32_t)(to->received - before);
}

/* Until @end or all are sent, and then until all that was sent is there. */
static void transfer(struct pair *pair, int64_t end)
{
	struct side *a = &pair->sides[0], *b = &pair->sides[1];
	int64_t moved = now(), at = moved;

	while (at < end || a->sent > b->received || b->sent > a->received) {
		if (at < end) {
			send_some(pair, a, b);
			send_some(pair, b, a);
		}
		if (receive_some(a) + receive_some(b))
			moved = at;
		at = now();
		if (at - moved > 10 * SECOND) {
			fprintf(stderr, "nothing has come for 10 s: %s sent %" PRIu64 ", of which %" PRIu64
				" came; %s sent %" PRIu64 ", of which %" PRIu64 " came\n", a->name,
				a->sent, b->received, b->name, b->sent, a->received);
			exit(1);
		}
		if (a->received == pair->count && b->received == pair->count)
			break;
	}
	if (vfc_nic_drain(a->nic, 0, SECOND) < 0 || vfc_nic_drain(b->nic, 0, SECOND) < 0)
		die("vfc_nic_drain", "one of them");
}

static void open_device(struct pair *pair, struct side *side, const char *argument)
{
	struct vfc_device_opts where = {.size = sizeof(where), .iommu = pair->iommu};
	size_t length = strcspn(argument, ",");
	const char *option = argument + length + (argument[length] == ',');
	uint8_t token[VFC_VF_TOKEN];

	side->flags = strcmp(option, "packed") ? 0 : VFC_NIC_PACKED;
	where.vf_token = parse_token(option, token) ? token : NULL;
	if (*option && !side->flags && !where.vf_token) {
		fprintf(stderr, "%s: neither packed nor a token\n", argument);
		exit(2);
	}
	snprintf(side->name, sizeof(side->name), "%.*s", (int)length, argument);
	if (vfc_device_open(side->name, &where, &side->device) < 0)
		die("vfc_device_open", side->name);
}

static void open_nic(struct pair *pair, struct side *side)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = side->flags, .pool = &pair->pool,
				    .rx_entries = ENTRIES, .tx_entries = ENTRIES};
	struct vfc_nic_info info = {.size = sizeof(info)};

	if (vfc_nic_open(side->device, &opts, &side->nic) < 0 || vfc_nic_info(side->nic, &info) < 0)
		die("vfc_nic_open", side->name);
	memcpy(side->mac, info.mac, sizeof(side->mac));
	if (info.frame_max < frame_max)
		frame_max = info.frame_max;
	if (info.rx_entries * 3 / 4 < window)
		window = info.rx_entries * 3 / 4;
}

static void close_nic(struct side *side)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};

	vfc_nic_stats(side->nic, &stats);
	if (stats.rx_errors || stats.rx_missed || stats.rx_malformed || stats.tx_errors) {
		fprintf(stderr, "%s: %" PRIu64 " errors, %" PRIu64 " missed, %" PRIu64 " malformed, %" PRIu64
			" not sent\n", side->name, stats.rx_errors, stats.rx_missed,
			stats.rx_malformed, stats.tx_errors);
		exit(1);
	}
	if (vfc_nic_close(side->nic) < 0)
		die("vfc_nic_close", side->name);
}

static void wait_links(struct pair *pair)
{
	for (int i = 0; i < 2; i++)
		if (vfc_nic_wait_link(pair->sides[i].nic, 10 * SECOND) < 0)
			die("vfc_nic_wait_link", pair->sides[i].name);
}

static void close_both(struct pair *pair)
{
	close_nic(&pair->sides[0]);
	close_nic(&pair->sides[1]);
	if (pair->pool.free != pair->pool.chunks) {
		fprintf(stderr, "%u of %u buffers came back\n", pair->pool.free, pair->pool.chunks);
		exit(1);
	}
}

static void open_both(struct pair *pair)
{
	open_nic(pair, &pair->sides[0]);
	open_nic(pair, &pair->sides[1]);
	wait_links(pair);
}

static void stop_and_start(struct pair *pair)
{
	if (pair->resets || pair->sides[0].sent < pair->count / 2) {
		close_both(pair);
		open_both(pair);
		pair->restarts++;
		return;
	}
	for (int i = 0; i < 2; i++)
		if (vfc_nic_reset(pair->sides[i].nic) < 0)
			die("vfc_nic_reset", pair->sides[i].name);
	wait_links(pair);
	pair->resets++;
}

int main(int argc, char **argv)
{
	struct pair pair = {.count = argc == 4 ? strtoull(argv[3], NULL, 0) : 0};
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};
	int64_t start = now();

	if (!pair.count) {
		fprintf(stderr, "usage: million BDF0[,packed|,TOKEN] BDF1[,packed|,TOKEN] COUNT\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 ^ i >> 8);
	if (vfc_iommu_open(&opts, &pair.iommu) < 0)
		die("vfc_iommu_open", "both");
	open_device(&pair, &pair.sides[0], argv[1]);
	open_device(&pair, &pair.sides[1], argv[2]);
	if (vfc_nic_pool_init(&pair.pool, pair.iommu, CHUNKS) < 0)
		die("vfc_nic_pool_init", "both");
	open_both(&pair);
	while (pair.sides[0].received < pair.count || pair.sides[1].received < pair.count) {
		transfer(&pair, now() + SECOND);
		stop_and_start(&pair);
	}
	close_both(&pair);
	printf("{\"frames\": [%" PRIu64 ", %" PRIu64 "], \"restarts\": %u, \"resets\": %u, "
	       "\"seconds\": %.1f}\n", pair.sides[0].received, pair.sides[1].received, pair.restarts,
	       pair.resets, (double)(now() - start) / 1e9);
	if (vfc_pool_destroy(&pair.pool) < 0 || vfc_device_close(pair.sides[0].device) < 0 ||
	    vfc_device_close(pair.sides[1].device) < 0)
		die("close", "both");
	return vfc_iommu_close(pair.iommu) < 0;
}
