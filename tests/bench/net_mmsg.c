/* SPDX-License-Identifier: MIT */
/* The kernel's drivers in the loop of net.c, by sendmmsg() and recvmmsg(). */
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

#include "net_packet.h"

void net_open(struct net_side *from, struct net_side *to)
{
	packet_open(from, to);
	packet_bind();
}

uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count)
{
	struct iovec data = {(void *)(uintptr_t)frame, NET_FRAME};
	struct mmsghdr messages[NET_BURST_MAX];
	int n;

	for (uint32_t i = 0; i < count; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}};
	n = sendmmsg(packet_from, messages, count, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
		packet_die("sendmmsg");
	return n < 0 ? 0 : (uint32_t)n;
}

uint32_t net_receive(uint32_t count)
{
	static uint8_t frames[NET_BURST_MAX][2048];
	struct mmsghdr messages[NET_BURST_MAX];
	struct iovec data[NET_BURST_MAX];
	int n;

	for (uint32_t i = 0; i < count; i++) {
		data[i] = (struct iovec){frames[i], sizeof(frames[i])};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &data[i], .msg_iovlen = 1}};
	}
	n = recvmmsg(packet_to, messages, count, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN)
		packet_die("recvmmsg");
	return n < 0 ? 0 : (uint32_t)n;
}
