/* SPDX-License-Identifier: MIT */
/* A model in memory of what the e1000e driver's hot path meets, for programs that measure it. */
#ifndef VFC_BENCH_CHIP_H
#define VFC_BENCH_CHIP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "hw/e1000e.h"
#include "nic/nic.h"

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

/*
 * The device: what was sent is received again, in the same order. A legacy transmit descriptor
 * that asks for it and an extended receive descriptor are written back as the 82574L does.
 */
struct chip {
	uint64_t *rx, *tx; /* descriptors, two words each */
	uint32_t rx_tail, tx_tail;
	uint32_t rx_head, tx_head, entries;
	uint64_t moved;
};

static uint32_t chip_free(const struct chip *chip)
{
	return (chip->rx_tail - chip->rx_head) & (chip->entries - 1);
}

static void chip_receive(struct chip *chip, uint64_t length)
{
	uint64_t *rx = chip->rx + 2 * chip->rx_head;

	rx[0] = 0;
	rx[1] = E1000E_RX_DD | E1000E_RX_EOP | length << E1000E_RX_LENGTH_SHIFT;
	chip->rx_head = (chip->rx_head + 1) & (chip->entries - 1);
}

static __attribute__((noinline)) void chip_run(struct chip *chip)
{
	while (chip->tx_head != chip->tx_tail && chip_free(chip)) {
		uint64_t *tx = chip->tx + 2 * chip->tx_head;

		chip_receive(chip, tx[1] & 0xffff);
		if (tx[1] & E1000E_TX_RS)
			tx[1] |= E1000E_TX_DD;
		chip->tx_head = (chip->tx_head + 1) & (chip->entries - 1);
		chip->moved++;
	}
}

/* An interface whose registers are the model's; all else is the library's own. */
static struct vfc_nic *open_nic(struct vfc_iommu *iommu, struct chip *chips, uint32_t queues,
				uint32_t entries, struct vfc_pool *pool)
{
	const struct nic_driver *driver = &nic_e1000e;
	struct vfc_nic *nic = calloc(1, sizeof(*nic));
	struct nic_rx *rx = aligned_alloc(64, queues * sizeof(*rx));
	struct nic_tx *tx = aligned_alloc(64, queues * sizeof(*tx));

	if (!nic || !rx || !tx)
		die("out of memory");
	memset(rx, 0, queues * sizeof(*rx));
	memset(tx, 0, queues * sizeof(*tx));
	*nic = (struct vfc_nic){.driver = driver, .rx = rx, .tx = tx, .queues = queues, .pool = pool,
				.frame_max = driver->frame_max};
	for (uint32_t q = 0; q < queues; q++) {
		rx[q].nic = tx[q].nic = nic;
		rx[q].low = nic_low_mark(entries);
		tx[q].low = nic_low_mark(entries);
		rx[q].expected = E1000E_RX_DD | E1000E_RX_EOP;
		if (vfc_ring_init(&rx[q].ring, driver->rx_layout, iommu, entries, &chips[q].rx_tail) ||
		    vfc_ring_init(&tx[q].ring, driver->tx_layout, iommu, entries, &chips[q].tx_tail))
			die("vfc_ring_init");
		chips[q].rx = (uint64_t *)(void *)rx[q].ring.descriptors;
		chips[q].tx = (uint64_t *)(void *)tx[q].ring.descriptors;
		chips[q].entries = entries;
		driver->rx_refill(&rx[q]);
	}
	return nic;
}

#endif
