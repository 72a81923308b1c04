/* SPDX-License-Identifier: MIT */
/*
 * Forward every frame between two network interfaces, both ways, until Ctrl-C.
 *   cc forward.c $(pkg-config --cflags --libs libvfiocore) -o forward
 *   ./forward 0000:01:00.0 0000:02:00.0
 *
 * Both interfaces share one address space and one pool of buffers. A frame that one of them
 * received is handed to the other as it is: no byte of it is read or copied here.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <vfiocore.h>

#define SECOND INT64_C(1000000000)
#define BURST 32
/* Each interface's rings hold 256 + 256 buffers. The rest covers the bursts in our hands. */
#define BUFFERS 2048

struct port {
	const char *name;
	struct vfc_device *device;
	struct vfc_nic *nic;
	uint64_t dropped; /* frames that this port had no room to send */
	struct vfc_nic_stats before;
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

static int failed(const char *what)
{
	char text[700];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "forward: %s: %s\n", what, text);
	return -1;
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

/* One burst from @from to @to. A full transmit ring loses frames, as it does in any switch. */
static int forward(struct port *from, struct port *to)
{
	struct vfc_packet packets[BURST];
	int received = vfc_nic_rx_burst(from->nic, 0, packets, BURST), sent, left;

	if (received < 0)
		return failed(from->name);
	if (received == 0)
		return 0;
	sent = vfc_nic_tx_burst(to->nic, 0, packets, (uint32_t)received);
	left = sent < 0 ? received : received - sent;
	vfc_nic_free(to->nic, packets + received - left, (uint32_t)left);
	to->dropped += (uint64_t)left;
	return sent < 0 ? failed(to->name) : received;
}

/*
 * Sleep until a frame comes, or until @end. Arming a port also looks at its ring once more, so that
 * a frame which came just before is not missed.
 */
static int wait_for_frames(struct port *ports, int64_t end)
{
	struct pollfd ready[2];
	int64_t left = end - now();

	for (int i = 0; i < 2; i++) {
		int waiting = vfc_nic_rx_arm(ports[i].nic, 0);

		if (waiting < 0)
			return failed(ports[i].name);
		if (waiting)
			return 0;
		ready[i] = (struct pollfd){.fd = vfc_nic_rx_fd(ports[i].nic, 0), .events = POLLIN};
	}
	/* A signal ends the sleep, too. Rounded up: a sleep that is too short would be repeated. */
	poll(ready, 2, left > 0 ? (int)(left / 1000000) + 1 : 0);
	return 0;
}

/* What left by @to since the last time. */
static int report(const struct port *from, struct port *to, double seconds)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	double frames, bits;

	if (vfc_nic_stats(to->nic, &stats) < 0)
		return failed(to->name);
	frames = (double)(stats.tx_frames - to->before.tx_frames);
	bits = 8 * (double)(stats.tx_bytes - to->before.tx_bytes);
	printf("%s -> %s: %.0f frames/s, %.3f Mbit/s; %" PRIu64 " frames, %" PRIu64 " dropped\n",
	       from->name, to->name, frames / seconds, bits / seconds / 1e6, stats.tx_frames,
	       to->dropped);
	to->before = stats;
	return 0;
}

static int report_both(struct port *ports, double seconds)
{
	int rc = report(&ports[0], &ports[1], seconds);

	if (rc == 0)
		rc = report(&ports[1], &ports[0], seconds);
	fflush(stdout);
	return rc;
}

static int run(struct port *ports)
{
	int64_t last = now();

	while (!stopped) {
		int there = forward(&ports[0], &ports[1]), back = forward(&ports[1], &ports[0]);
		int64_t time;

		if (there < 0 || back < 0)
			return -1;
		if (there == 0 && back == 0 && wait_for_frames(ports, last + SECOND) < 0)
			return -1;
		time = now();
		if (time < last + SECOND)
			continue;
		if (report_both(ports, (double)(time - last) / SECOND) < 0)
			return -1;
		last = time;
	}
	return report_both(ports, (double)(now() - last + 1) / SECOND);
}

/* The second device joins the address space of the first, so that both reach the same buffers. */
static int open_devices(struct port *ports)
{
	struct vfc_device_opts opts = {.size = sizeof(opts)};

	if (vfc_device_open(ports[0].name, NULL, &ports[0].device) < 0)
		return failed("opening the first interface");
	opts.iommu = vfc_device_iommu(ports[0].device);
	if (vfc_device_open(ports[1].name, &opts, &ports[1].device) < 0)
		return failed("opening the second interface");
	return 0;
}

/*
 * Frames for other stations are to be forwarded, too, so both ports are promiscuous. They have the
 * same MTU, so that each can send whatever the other one receives.
 */
static int open_nics(struct port *ports, struct vfc_pool *pool)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = VFC_NIC_PROMISC, .mtu = 1500,
				    .pool = pool};

	if (vfc_nic_pool_init(pool, vfc_device_iommu(ports[0].device), BUFFERS) < 0)
		return failed("allocating the buffers");
	for (int i = 0; i < 2; i++) {
		if (vfc_nic_open(ports[i].device, &opts, &ports[i].nic) < 0)
			return failed("starting the interface");
		ports[i].before.size = sizeof(ports[i].before);
	}
	for (int i = 0; i < 2; i++)
		if (vfc_nic_wait_link(ports[i].nic, 5 * SECOND) < 0)
			return failed("waiting for the link");
	return 0;
}

/* In the order of what stands on what. All of it may be called with what was never opened. */
static int close_all(struct port *ports, struct vfc_pool *pool)
{
	int rc = 0;

	for (int i = 0; i < 2; i++)
		if (vfc_nic_close(ports[i].nic) < 0)
			rc = failed("stopping the interface");
	if (vfc_pool_destroy(pool) < 0)
		rc = failed("freeing the buffers");
	for (int i = 1; i >= 0; i--)
		if (vfc_device_close(ports[i].device) < 0)
			rc = failed("closing the interface");
	return rc;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	struct port ports[2] = {0};
	struct vfc_pool pool = {0};
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: %s DEVICE DEVICE (0000:01:00.0 0000:02:00.0)\n", argv[0]);
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ports[0].name = argv[1];
	ports[1].name = argv[2];
	rc = open_devices(ports);
	if (rc == 0)
		rc = open_nics(ports, &pool);
	if (rc == 0) {
		printf("forwarding; Ctrl-C ends it\n");
		fflush(stdout);
		rc = run(ports);
	}
	return close_all(ports, &pool) < 0 || rc < 0;
}
