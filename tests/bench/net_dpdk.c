/* SPDX-License-Identifier: MIT */
/*
 * DPDK's drivers in the loop of net.c: interfaces are named as PCI functions, which are bound to
 * vfio-pci. It needs huge pages. How it is set up is what its own guide shows: default rings'
 * thresholds, one pool with a cache for the core, bursts.
 */
#include "net.h"

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MBUFS 8191
#define CACHE 256
#define LINK_TRIES 200

static struct rte_mempool *pool;
static uint16_t ports[2];

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
	fprintf(stderr, "net_dpdk: %s\n", what);
	exit(1);
}

static void start_eal(const char *from, const char *to)
{
	char words[][16] = {"net", "-l", "0", "--in-memory", "--no-telemetry", "--log-level=4", "-a",
			    "-a"};
	char *arguments[] = {words[0], words[1], words[2], words[3], words[4], words[5], words[6],
			     strdup(from), words[7], strdup(to), NULL};

	if (rte_eal_init(10, arguments) < 0)
		die("rte_eal_init()");
}

static void open_side(struct net_side *side, int which)
{
	struct rte_eth_conf conf = {0};
	struct rte_ether_addr mac;
	struct rte_eth_link link = {0};
	uint16_t port;

	if (rte_eth_dev_get_port_by_name(side->name, &port) || rte_eth_dev_configure(port, 1, 1, &conf) ||
	    rte_eth_rx_queue_setup(port, 0, NET_ENTRIES, SOCKET_ID_ANY, NULL, pool) ||
	    rte_eth_tx_queue_setup(port, 0, NET_ENTRIES, SOCKET_ID_ANY, NULL) ||
	    rte_eth_dev_start(port) || rte_eth_macaddr_get(port, &mac))
		die(side->name);
	for (int i = 0; i < LINK_TRIES && !link.link_status; i++) {
		rte_delay_us_sleep(50000);
		rte_eth_link_get_nowait(port, &link);
	}
	if (!link.link_status)
		die("no link");
	ports[which] = port;
	memcpy(side->mac, mac.addr_bytes, sizeof(side->mac));
}

void net_open(struct net_side *from, struct net_side *to)
{
	start_eal(from->name, to->name);
	pool = rte_pktmbuf_pool_create("frames", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (!pool)
		die("rte_pktmbuf_pool_create()");
	open_side(from, 0);
	open_side(to, 1);
}

uint32_t net_send(const uint8_t frame[NET_FRAME], uint32_t count)
{
	struct rte_mbuf *packets[NET_BURST_MAX];
	uint16_t n;

	if (rte_pktmbuf_alloc_bulk(pool, packets, count) != 0)
		count = 0;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(rte_pktmbuf_mtod(packets[i], void *), frame, NET_FRAME);
		packets[i]->data_len = NET_FRAME;
		packets[i]->pkt_len = NET_FRAME;
	}
	n = rte_eth_tx_burst(ports[0], 0, packets, (uint16_t)count);
	if (n < count)
		rte_pktmbuf_free_bulk(packets + n, count - n);
	return n;
}

uint32_t net_receive(uint32_t count)
{
	struct rte_mbuf *packets[NET_BURST_MAX];
	uint16_t n = rte_eth_rx_burst(ports[1], 0, packets, (uint16_t)count);

	if (n)
		rte_pktmbuf_free_bulk(packets, n);
	return n;
}

void net_close(void)
{
	for (int i = 0; i < 2; i++)
		if (rte_eth_dev_stop(ports[i]) || rte_eth_dev_close(ports[i]))
			die("close");
	rte_eal_cleanup();
}
