/* SPDX-License-Identifier: MIT */
/*
 * wire DEVICE KERNEL_IFACE COUNT [packed | TOKEN]
 *
 * Traffic between our driver on a PCI device and the kernel's driver on a second NIC, which an
 * emulated wire joins; of a virtual function that the TOKEN (32 hexadecimal digits) opens, too.
 * COUNT frames each way at once, each verified. Ends with one line of JSON on stdout; exit 0 when
 * every frame came once, in order and intact, 1 when not, 2 on bad usage.
 *
 * One thread: it gives each side a burst in turn and keeps a bounded number of frames in flight, so
 * that a loss is a fault of a driver and not of a full queue.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vfiocore.h>

#include "token.h"
#include "wire_frame.h"

#define BURST 32
#define WINDOW 128 /* in flight, each way: less than what any NIC's ring holds */
#define STALL_SECONDS 10
#define PATIENCE 64 /* fruitless rounds before this program lets others run */

/* A block of the receive ring holds whole frames. */
#define SLOT 2048
#define SLOTS 1024
#define BLOCK 65536

struct wire {
	struct vfc_device *device;
	struct vfc_nic *nic;
	const char *iface;
	int send_fd, receive_fd;
	uint8_t *ring;
	uint32_t slot;
	uint32_t count;
	struct direction out, in; /* ours to the kernel's, and back */
	struct mmsghdr messages[BURST];
	struct iovec vectors[BURST];
	uint8_t frames[BURST][FRAME_MAX + 2];
};

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (vfc_error_last()->code) {
		vfc_error_text(text, sizeof(text));
		fprintf(stderr, " (%s)", text);
	}
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* How many may be sent now. */
static uint32_t allowance(const struct wire *wire, const struct direction *way)
{
	uint32_t flying = way->sent - way->next, left = wire->count - way->sent;
	uint32_t room = flying < WINDOW ? WINDOW - flying : 0;

	/* Whole bursts only, except at the end: a doorbell for each frame would be slow. */
	if (room < BURST && room < left)
		return 0;
	room = room < BURST ? room : BURST;
	return room < left ? room : left;
}

static bool send_ours(struct wire *wire)
{
	struct vfc_packet packets[BURST];
	uint32_t first = wire->out.sent;
	int n = vfc_nic_alloc(wire->nic, packets, allowance(wire, &wire->out)), taken;

	for (int i = 0; i < n; i++, wire->out.sent++)
		packets[i].length = frame_build(&wire->out, packets[i].data);
	taken = n ? vfc_nic_tx_burst(wire->nic, 0, packets, (uint32_t)n) : 0;
	if (taken < 0)
		die("vfc_nic_tx_burst");
	vfc_nic_free(wire->nic, packets + taken, (uint32_t)(n - taken));
	wire->out.sent = first + (uint32_t)taken;
	return taken > 0;
}

static bool receive_ours(struct wire *wire)
{
	struct vfc_packet packets[BURST];
	int n = vfc_nic_rx_burst(wire->nic, 0, packets, BURST);

	if (n < 0)
		die("vfc_nic_rx_burst");
	for (int i = 0; i < n; i++)
		frame_check(&wire->in, packets[i].data, packets[i].length);
	vfc_nic_free(wire->nic, packets, (uint32_t)n);
	return n > 0;
}

static bool send_kernel(struct wire *wire)
{
	uint32_t first = wire->in.sent, n = allowance(wire, &wire->in);
	int taken;

	if (!n)
		return false;
	for (uint32_t i = 0; i < n; i++, wire->in.sent++)
		wire->vectors[i].iov_len = frame_build(&wire->in, wire->frames[i]);
	taken = sendmmsg(wire->send_fd, wire->messages, n, MSG_DONTWAIT);
	if (taken < 0 && errno != EAGAIN && errno != ENOBUFS)
		die("sendmmsg: %s", strerror(errno));
	wire->in.sent = first + (uint32_t)(taken < 0 ? 0 : taken);
	return taken > 0;
}

static bool receive_kernel(struct wire *wire)
{
	bool any = false;

	for (int i = 0; i < 2 * BURST; i++) {
		struct tpacket2_hdr *slot = (void *)(wire->ring + (size_t)wire->slot * SLOT);

		if (!(__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;
		frame_check(&wire->out, (uint8_t *)slot + slot->tp_mac, slot->tp_snaplen);
		__atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		wire->slot = (wire->slot + 1) % SLOTS;
		any = true;
	}
	return any;
}

/* A line at each 20 %; on a terminal one line that counts. */
static void progress(const struct wire *wire, uint32_t *shown)
{
	uint64_t done = (uint64_t)wire->out.next + wire->in.next;
	uint32_t percent = (uint32_t)(done * 50 / wire->count), former = *shown;
	bool terminal;

	if (percent == former)
		return;
	*shown = percent;
	terminal = isatty(STDERR_FILENO);
	if (!terminal && percent / 20 == former / 20)
		return;
	fprintf(stderr, terminal ? "\rwire: %u %%" : "wire: %u %%\n", percent);
	if (terminal && percent == 100)
		fputc('\n', stderr);
}

/* Asking the clock is dear in an emulated machine: it is asked once a direction. */
static bool complete(const struct wire *wire, struct direction *way)
{
	if (way->next >= wire->count && way->end == 0)
		way->end = now();
	return way->end != 0;
}

static bool all_complete(struct wire *wire)
{
	bool out = complete(wire, &wire->out);

	return complete(wire, &wire->in) && out;
}

static void run(struct wire *wire)
{
	struct pollfd others = {.fd = wire->receive_fd, .events = POLLIN};
	double stalled = now();
	uint32_t idle = 0, shown = 0;

	wire->out.start = wire->in.start = stalled;
	while (!all_complete(wire)) {
		bool busy = send_ours(wire);

		busy |= receive_kernel(wire);
		busy |= send_kernel(wire);
		busy |= receive_ours(wire);
		if (busy) {
			idle = 0;
			progress(wire, &shown);
		} else if (++idle % PATIENCE == 0) {
			if (idle == PATIENCE)
				stalled = now();
			else if (now() - stalled > STALL_SECONDS)
				break;
			poll(&others, 1, 1); /* the kernel's receiver, and the emulator */
		}
	}
	if (!all_complete(wire))
		fprintf(stderr, "wire: no frame came for %d s\n", STALL_SECONDS);
	vfc_nic_drain(wire->nic, 0, INT64_C(1000000000));
}

static uint64_t read_number(const char *iface, const char *file, int base)
{
	char path[200], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", iface, file);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		text[0] = '\0'; /* the carrier of an interface that is down cannot be read */
	if (f)
		fclose(f);
	return strtoull(text, NULL, base);
}

/* In an emulated machine an interrupt costs as much as a frame. Not every driver can do it. */
static void calm_interrupts(struct wire *wire, struct ifreq *request)
{
	struct ethtool_coalesce coalesce = {.cmd = ETHTOOL_GCOALESCE};

	request->ifr_data = (void *)&coalesce;
	if (ioctl(wire->send_fd, SIOCETHTOOL, request) < 0)
		return;
	coalesce.cmd = ETHTOOL_SCOALESCE;
	coalesce.rx_coalesce_usecs = 1000;
	ioctl(wire->send_fd, SIOCETHTOOL, request);
}

/* Brought up, and the link is there. */
static void prepare_interface(struct wire *wire)
{
	struct ifreq request = {0};
	double end = now() + STALL_SECONDS;

	strncpy(request.ifr_name, wire->iface, IFNAMSIZ - 1);
	if (ioctl(wire->send_fd, SIOCGIFHWADDR, &request) < 0)
		die("%s: %s", wire->iface, strerror(errno));
	memcpy(wire->out.to, request.ifr_hwaddr.sa_data, 6);
	memcpy(wire->in.from, request.ifr_hwaddr.sa_data, 6);
	if (ioctl(wire->send_fd, SIOCGIFFLAGS, &request) < 0)
		die("%s: %s", wire->iface, strerror(errno));
	request.ifr_flags |= IFF_UP;
	if (ioctl(wire->send_fd, SIOCSIFFLAGS, &request) < 0)
		die("%s: cannot be brought up: %s", wire->iface, strerror(errno));
	calm_interrupts(wire, &request);
	while (read_number(wire->iface, "carrier", 10) != 1) {
		if (now() > end)
			die("%s has no carrier", wire->iface);
		usleep(1000);
	}
}

static void option(int fd, int name, const void *value, socklen_t size, const char *text)
{
	if (setsockopt(fd, SOL_PACKET, name, value, size) < 0)
		die("%s: %s", text, strerror(errno));
}

static void attach(int fd, const char *iface, uint16_t protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(iface),
	};

	if (!address.sll_ifindex)
		die("there is no interface %s", iface);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind to %s: %s", iface, strerror(errno));
}

static void open_receiver(struct wire *wire)
{
	struct tpacket_req ring = {.tp_block_size = BLOCK, .tp_block_nr = SLOT * SLOTS / BLOCK,
				   .tp_frame_size = SLOT, .tp_frame_nr = SLOTS};
	int version = TPACKET_V2;

	wire->receive_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (wire->receive_fd < 0)
		die("AF_PACKET: %s", strerror(errno));
	option(wire->receive_fd, PACKET_VERSION, &version, sizeof(version), "PACKET_VERSION");
	option(wire->receive_fd, PACKET_RX_RING, &ring, sizeof(ring), "PACKET_RX_RING");
	wire->ring = mmap(NULL, SLOT * SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED,
			  wire->receive_fd, 0);
	if (wire->ring == MAP_FAILED)
		die("mmap of the receive ring: %s", strerror(errno));
	attach(wire->receive_fd, wire->iface, ETHERTYPE);
}

static void open_sender(struct wire *wire)
{
	int on = 1;

	wire->send_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (wire->send_fd < 0)
		die("AF_PACKET: %s", strerror(errno));
	option(wire->send_fd, PACKET_QDISC_BYPASS, &on, sizeof(on), "PACKET_QDISC_BYPASS");
	attach(wire->send_fd, wire->iface, 0);
	for (int i = 0; i < BURST; i++) {
		wire->vectors[i].iov_base = wire->frames[i];
		wire->messages[i].msg_hdr.msg_iov = &wire->vectors[i];
		wire->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static void open_ours(struct wire *wire, const char *name, const uint8_t *token, uint32_t flags)
{
	struct vfc_device_opts access = {.size = sizeof(access), .vf_token = token};
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = flags,
				    .rx_entries = 1024, .tx_entries = 512};
	struct vfc_nic_info info = {.size = sizeof(info)};

	if (vfc_device_open(name, &access, &wire->device) < 0 ||
	    vfc_nic_open(wire->device, &opts, &wire->nic) < 0 ||
	    vfc_nic_wait_link(wire->nic, STALL_SECONDS * INT64_C(1000000000)) < 0 ||
	    vfc_nic_info(wire->nic, &info) < 0)
		die("%s", name);
	memcpy(wire->out.from, info.mac, 6);
	memcpy(wire->in.to, info.mac, 6);
	wire->in.longest = wire->out.longest = info.frame_max < FRAME_MAX ? info.frame_max : FRAME_MAX;
}

static void print_direction(const struct direction *way)
{
	printf("\"%s\":{\"sent\":%u,\"received\":%u,\"lost\":%u,\"reordered\":%u,\"damaged\":%u,"
	       "\"bytes\":%" PRIu64 ",\"seconds\":%.3f},",
	       way->name, way->sent, way->received, way->lost, way->reordered, way->damaged,
	       way->bytes, (way->end != 0 ? way->end : now()) - way->start);
}

/* What never came is lost as well. */
static bool clean(struct wire *wire, struct direction *way)
{
	way->lost += way->sent - way->next;
	return way->sent == wire->count && way->received == wire->count && !way->lost &&
	       !way->reordered && !way->damaged;
}

static int report(struct wire *wire, uint64_t kernel_rx, uint64_t kernel_tx)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	bool good = clean(wire, &wire->out);

	good &= clean(wire, &wire->in);
	vfc_nic_stats(wire->nic, &stats);
	good &= !stats.rx_errors && !stats.rx_missed && !stats.rx_malformed && !stats.tx_errors;
	printf("{");
	print_direction(&wire->out);
	print_direction(&wire->in);
	printf("\"kernel\":{\"rx_packets\":%" PRIu64 ",\"tx_packets\":%" PRIu64 "},",
	       read_number(wire->iface, "statistics/rx_packets", 10) - kernel_rx,
	       read_number(wire->iface, "statistics/tx_packets", 10) - kernel_tx);
	printf("\"doorbells\":{\"rx\":%" PRIu64 ",\"tx\":%" PRIu64 "},", stats.rx_doorbells,
	       stats.tx_doorbells);
	printf("\"errors\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"malformed\":%" PRIu64 "}\n",
	       stats.rx_errors + stats.tx_errors, stats.rx_missed, stats.rx_malformed);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct wire wire = {.out.name = "tx", .in.name = "rx"};
	uint64_t rx_packets, tx_packets;
	uint8_t token[VFC_VF_TOKEN];
	bool packed, guarded;
	int status;

	packed = argc == 5 && !strcmp(argv[4], "packed");
	guarded = argc == 5 && !packed && parse_token(argv[4], token);
	if ((argc != 4 && !packed && !guarded) || (wire.count = (uint32_t)strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: %s DEVICE KERNEL_IFACE COUNT [packed | TOKEN]\n", argv[0]);
		return 2;
	}
	wire.iface = argv[2];
	frame_make_pattern();
	open_sender(&wire);
	open_receiver(&wire);
	open_ours(&wire, argv[1], guarded ? token : NULL, packed ? VFC_NIC_PACKED : 0);
	prepare_interface(&wire);
	rx_packets = read_number(wire.iface, "statistics/rx_packets", 10);
	tx_packets = read_number(wire.iface, "statistics/tx_packets", 10);
	run(&wire);
	status = report(&wire, rx_packets, tx_packets);
	if (vfc_nic_close(wire.nic) < 0 || vfc_device_close(wire.device) < 0)
		die("close");
	return status;
}
