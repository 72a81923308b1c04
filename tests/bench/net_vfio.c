/* SPDX-License-Identifier: MIT */
/* The library's drivers in the loop of net.c: interfaces are named as PCI functions. */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#define CHUNKS 8192
#define LINK_NS INT64_C(10000000000)

static struct vfc_iommu *space;
static struct vfc_pool pool;
static struct vfc_device *devices[2];
static struct vfc_nic *nics[2];

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

static void open_side(struct net_side *side, int which)
{
	struct vfc_device_opts where = {.size = sizeof(where), .iommu = space};
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = NET_ENTRIES,
				    .tx_entries = NET_ENTRIES, .pool = &pool};
	struct vfc_nic_info info = {.size = sizeof(info)};

	if (vfc_device_open(side->name, &where, &devices[which]) < 0)
		die(side->name);
	if (!pool.chunks && vfc_nic_pool_init(&pool, space, CHUNKS) < 0)
		die("pool");
	if (vfc_nic_open(devices[which], &opts, &nics[which]) < 0 ||
	    vfc_nic_wait_link(nics[which], LINK_NS) < 0 || vfc_nic_info(nics[which], &info) < 0)
		die(side->name);
	memcpy(side->mac, info.mac, sizeof(side->mac));
}

void net_open(struct net_side *from, struct net_side *to)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};

	if (vfc_iommu_open(&opts, &space) < 0)
		die("vfc_iommu_open");
	open_side(from, 0);
	open_side(to, 1);
}

uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count)
{
	struct vfc_packet packets[NET_BURST_MAX];
	int n = vfc_nic_alloc(nics[0], packets, count), taken;

	if (vfc_nic_fill(nics[0], packets, (uint32_t)n, frame, NET_FRAME) < 0)
		die("vfc_nic_fill");
	taken = vfc_nic_tx_burst(nics[0], 0, packets, (uint32_t)n);
	if (taken < 0)
		die("vfc_nic_tx_burst");
	if (taken < n)
		vfc_nic_free(nics[0], packets + taken, (uint32_t)(n - taken));
	return (uint32_t)taken;
}

uint32_t net_receive(uint32_t count)
{
	struct vfc_packet packets[NET_BURST_MAX];
	int n = vfc_nic_rx_burst(nics[1], 0, packets, count);

	if (n < 0)
		die("vfc_nic_rx_burst");
	if (n)
		vfc_nic_free(nics[1], packets, (uint32_t)n);
	return (uint32_t)n;
}

void net_close(void)
{
	if (vfc_nic_close(nics[0]) < 0 || vfc_nic_close(nics[1]) < 0 || vfc_pool_destroy(&pool) < 0 ||
	    vfc_device_close(devices[0]) < 0 || vfc_device_close(devices[1]) < 0 ||
	    vfc_iommu_close(space) < 0)
		die("close");
}
