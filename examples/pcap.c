/* SPDX-License-Identifier: MIT */
/*
 * Capture what a network interface receives into a pcap file, for tshark, Wireshark or tcpdump.
 *   cc pcap.c $(pkg-config --cflags --libs libvfiocore) -o pcap
 *   ./pcap 0000:01:00.0 frames.pcap        until Ctrl-C
 *   ./pcap 0000:01:00.0 frames.pcap 100    or until so many frames were captured
 *   ./pcap 0000:01:00.0 - | tshark -r -
 *
 * The format: a header of 24 bytes, then a header of 16 bytes before each frame, all in this
 * machine's byte order, which the reader learns from the magic number
 * (https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vfiocore.h>

#define SECOND INT64_C(1000000000)
#define BURST 32
#define MAGIC 0xa1b23c4d /* timestamps have nanoseconds */
#define ETHERNET 1       /* the type of link: frames begin with their destination address */

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t reserved[2];
	uint32_t longest; /* no frame in the file has more bytes */
	uint32_t link;
};

struct frame_header {
	uint32_t seconds, nanoseconds;
	uint32_t captured; /* bytes that are in the file */
	uint32_t length;   /* bytes that the frame had on the wire */
};

struct capture {
	FILE *file;
	const char *name;
	uint64_t wanted; /* frames */
	uint64_t frames;
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
	fprintf(stderr, "pcap: %s: %s\n", what, text);
	return -1;
}

static int file_failed(const struct capture *capture)
{
	fprintf(stderr, "pcap: %s: %s\n", capture->name, strerror(errno));
	return -1;
}

static int write_file_header(struct capture *capture, uint32_t longest)
{
	struct file_header header = {MAGIC, 2, 4, {0, 0}, longest, ETHERNET};

	if (fwrite(&header, sizeof(header), 1, capture->file) != 1)
		return file_failed(capture);
	return 0;
}

static int write_frame(struct capture *capture, const struct timespec *time,
		       const struct vfc_packet *packet)
{
	struct frame_header header = {(uint32_t)time->tv_sec, (uint32_t)time->tv_nsec,
				      packet->length, packet->length};

	if (fwrite(&header, sizeof(header), 1, capture->file) != 1 ||
	    fwrite(packet->data, packet->length, 1, capture->file) != 1)
		return file_failed(capture);
	capture->frames++;
	return 0;
}

/* All of a burst are given one time: that at which this program saw them. */
static int write_burst(struct capture *capture, const struct vfc_packet *packets, int count)
{
	struct timespec time;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &time);
	for (int i = 0; rc == 0 && i < count && capture->frames < capture->wanted; i++)
		rc = write_frame(capture, &time, &packets[i]);
	return rc;
}

/* Sleep for a second at most. Neither the time's end nor a signal is a failure here. */
static int wait_for_frames(struct vfc_nic *nic)
{
	int rc = vfc_nic_rx_wait(nic, 0, SECOND);

	return rc == 0 || rc == -ETIMEDOUT || rc == -EINTR ? 0 : failed("waiting for a frame");
}

static int run(struct vfc_nic *nic, struct capture *capture)
{
	struct vfc_packet packets[BURST];
	int rc = 0;

	while (rc == 0 && !stopped && capture->frames < capture->wanted) {
		int count = vfc_nic_rx_burst(nic, 0, packets, BURST);

		if (count < 0)
			return failed("receiving");
		if (count) {
			rc = write_burst(capture, packets, count);
			vfc_nic_free(nic, packets, (uint32_t)count);
		} else if (fflush(capture->file) == EOF) { /* who reads along sees all of it */
			rc = file_failed(capture);
		} else {
			rc = wait_for_frames(nic);
		}
	}
	return rc;
}

static int capture_from(struct vfc_nic *nic, struct capture *capture)
{
	struct vfc_nic_info info = {.size = sizeof(info)};
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	int rc;

	if (vfc_nic_info(nic, &info) < 0 || vfc_nic_wait_link(nic, 5 * SECOND) < 0)
		return failed("starting");
	fprintf(stderr, "capturing; Ctrl-C ends it\n");
	rc = write_file_header(capture, info.frame_max);
	if (rc == 0)
		rc = run(nic, capture);
	if (vfc_nic_stats(nic, &stats) < 0)
		return failed("reading the counters");
	fprintf(stderr, "%" PRIu64 " frames captured, %" PRIu64 " missed\n", capture->frames,
		stats.rx_missed);
	return rc;
}

static int capture_on(struct vfc_device *device, struct capture *capture)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = VFC_NIC_PROMISC};
	struct vfc_nic *nic;
	int rc;

	if (vfc_nic_open(device, &opts, &nic) < 0)
		return failed("starting the interface");
	rc = capture_from(nic, capture);
	return vfc_nic_close(nic) < 0 ? failed("stopping the interface") : rc;
}

static int open_and_capture(const char *name, struct capture *capture)
{
	struct vfc_device *device;
	int rc;

	if (vfc_device_open(name, NULL, &device) < 0)
		return failed("opening the interface");
	rc = capture_on(device, capture);
	return vfc_device_close(device) < 0 ? failed("closing the interface") : rc;
}

static int parse_count(const char *text, uint64_t *count)
{
	char *end;

	*count = strtoull(text, &end, 10);
	return *end || !*count ? -1 : 0;
}

static int usage(const char *program)
{
	fprintf(stderr, "usage: %s DEVICE FILE [FRAMES] (0000:01:00.0 frames.pcap; -: stdout)\n",
		program);
	return 2;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	struct capture capture = {.wanted = UINT64_MAX};
	int rc;

	if (argc < 3 || argc > 4 || (argc == 4 && parse_count(argv[3], &capture.wanted) < 0))
		return usage(argv[0]);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of fwrite() */
	capture.name = argv[2];
	capture.file = strcmp(argv[2], "-") ? fopen(argv[2], "wb") : stdout;
	if (!capture.file)
		return file_failed(&capture) < 0;
	rc = open_and_capture(argv[1], &capture);
	if (fclose(capture.file) == EOF)
		rc = file_failed(&capture);
	return rc < 0;
}
