/* SPDX-License-Identifier: MIT */
/*
 * Memory that the library mapped into this process only to name it to type1.
 *
 * type1 keeps the address and not the pages: it looks the address up again when a mediated device
 * does DMA (vfio_iommu_type1_dma_rw() and vfio_iommu_type1_pin_pages()), and when the first device
 * with an IOMMU joins a container that has mappings already (vfio_iommu_replay()). An address that
 * was given up before would lead a device to whatever the process has there by then.
 */
#ifndef VFC_TRANSPORT_LENT_H
#define VFC_TRANSPORT_LENT_H

#include <stddef.h>
#include <stdint.h>

struct lent {
	uint64_t iova, length;
	void *va;
};

struct lent_list {
	struct lent *all; /* in order of IOVA */
	size_t count, room;
};

/* Make room for one more, so that lent_add() cannot fail. */
int lent_reserve(struct lent_list *list);
void lent_add(struct lent_list *list, const struct lent *lent);
/* The kernel has unmapped the range, which holds whole mappings. Unmap their memory here. */
void lent_return(struct lent_list *list, uint64_t iova, uint64_t length);

#endif
