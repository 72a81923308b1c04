/* SPDX-License-Identifier: MIT */
#include "net_nics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS 8192
#define LINK_NS INT64_C(10000000000)

static struct vfc_iommu *space;
static struct vfc_pool pool;
static struct vfc_device *devices[2];
struct vfc_nic *nics[2];

void nics_die(const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

static void open_side(struct net_side *side, int which, uint32_t entries)
{
	struct vfc_device_opts where = {.size = sizeof(where), .iommu = space};
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = entries,
				    .tx_entries = entries, .pool = &pool};
	struct vfc_nic_info info = {.size = sizeof(info)};

	if (vfc_device_open(side->name, &where, &devices[which]) < 0)
		nics_die(side->name);
	if (!pool.chunks && vfc_nic_pool_init(&pool, space, CHUNKS) < 0)
		nics_die("pool");
	if (vfc_nic_open(devices[which], &opts, &nics[which]) < 0 ||
	    vfc_nic_wait_link(nics[which], LINK_NS) < 0 || vfc_nic_info(nics[which], &info) < 0)
		nics_die(side->name);
	memcpy(side->mac, info.mac, sizeof(side->mac));
}

void nics_open(struct net_side *from, struct net_side *to, uint32_t entries)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};

	if (vfc_iommu_open(&opts, &space) < 0)
		nics_die("vfc_iommu_open");
	open_side(from, 0, entries);
	open_side(to, 1, entries);
}

void net_close(void)
{
	if (vfc_nic_close(nics[0]) < 0 || vfc_nic_close(nics[1]) < 0 || vfc_pool_destroy(&pool) < 0 ||
	    vfc_device_close(devices[0]) < 0 || vfc_device_close(devices[1]) < 0 ||
	    vfc_iommu_close(space) < 0)
		nics_die("close");
}
