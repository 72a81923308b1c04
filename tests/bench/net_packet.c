/* SPDX-License-Identifier: MIT */
#include "net_packet.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (8 << 20)
#define LINK_TRIES 400 /* of 50 ms: the kernel's e1000e takes some seconds */

int packet_from, packet_to;
static const char *names[2];

void packet_die(const char *what)
{
	perror(what);
	exit(1);
}

static void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		packet_die("setsockopt");
}

static int open_side(struct net_side *side)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	if (fd < 0)
		packet_die("socket");
	strncpy(request.ifr_name, side->name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		packet_die(side->name);
	memcpy(side->mac, request.ifr_hwaddr.sa_data, sizeof(side->mac));
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		packet_die(side->name);
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		packet_die(side->name);
	return fd;
}

void packet_open(struct net_side *from, struct net_side *to)
{
	packet_from = open_side(from);
	packet_to = open_side(to);
	names[0] = from->name;
	names[1] = to->name;
	option(packet_from, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	option(packet_from, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER);
	option(packet_to, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
}

/* Protocol 0: it receives nothing. */
static void bind_to(int fd, const char *name, uint16_t protocol)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol),
				      .sll_ifindex = (int)if_nametoindex(name)};

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		packet_die(name);
}

static void wait_link(int fd, const char *name)
{
	struct ifreq request = {0};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	for (int i = 0; i < LINK_TRIES; i++) {
		if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_RUNNING)
			return;
		usleep(50000);
	}
	fprintf(stderr, "%s: no link\n", name);
	exit(1);
}

void packet_bind(void)
{
	bind_to(packet_from, names[0], 0);
	bind_to(packet_to, names[1], NET_TYPE);
	wait_link(packet_from, names[0]);
	wait_link(packet_to, names[1]);
}

void net_close(void)
{
	close(packet_from);
	close(packet_to);
}
