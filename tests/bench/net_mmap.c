/* SPDX-License-Identifier: MIT */
/* The kernel's drivers in the loop of net.c, by the rings of PACKET_MMAP (TPACKET_V2). */
#include <errno.h>
#include <stddef.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "net_packet.h"

#define FRAME_SIZE 256
#define FRAMES 4096
#define BLOCKS 16

/* Where a frame to be sent begins (Documentation/networking/packet_mmap.rst). */
#define SEND_OFFSET (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))

static uint8_t *sending, *receiving;
static uint32_t send_next, receive_next;

static uint8_t *ring(int fd, int direction)
{
	struct tpacket_req request = {FRAMES / BLOCKS * FRAME_SIZE, BLOCKS, FRAME_SIZE, FRAMES};
	int version = TPACKET_V2;
	void *memory;

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
	    setsockopt(fd, SOL_PACKET, direction, &request, sizeof(request)) < 0)
		packet_die("ring");
	memory = mmap(NULL, FRAMES * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		      fd, 0);
	if (memory == MAP_FAILED)
		packet_die("mmap");
	return memory;
}

void net_open(struct net_side *from, struct net_side *to)
{
	packet_open(from, to);
	sending = ring(packet_from, PACKET_TX_RING);
	receiving = ring(packet_to, PACKET_RX_RING);
	packet_bind();
}

static struct tpacket2_hdr *at(uint8_t *memory, uint32_t index)
{
	return (void *)(memory + index % FRAMES * FRAME_SIZE);
}

uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count)
{
	uint32_t n;

	for (n = 0; n < count; n++) {
		struct tpacket2_hdr *header = at(sending, send_next);

		if (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
			break;
		memcpy((uint8_t *)header + SEND_OFFSET, frame, NET_FRAME);
		header->tp_len = NET_FRAME;
		__atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
		send_next++;
	}
	if (send(packet_from, NULL, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS)
		packet_die("send");
	return n;
}

uint32_t net_receive(uint32_t count)
{
	uint32_t n;

	for (n = 0; n < count; n++) {
		struct tpacket2_hdr *header = at(receiving, receive_next);

		if (!(__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;
		__atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		receive_next++;
	}
	return n;
}
