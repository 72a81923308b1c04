/* SPDX-License-Identifier: MIT */
/* The model device for python_ring.py, and the loop in C that Python's is compared with. */
#include "chip.h"

#define FRAME 60
#define BURST_MAX 256

VFC_API struct vfc_nic *model_open(struct vfc_iommu *iommu, struct vfc_pool *pool, uint32_t entries,
				   struct chip **chip);
VFC_API void model_run(struct chip *chip);
VFC_API uint64_t model_forward(struct vfc_nic *nic, struct chip *chip, uint32_t batch,
			       uint64_t packets);

/* With a burst of frames under way. */
struct vfc_nic *model_open(struct vfc_iommu *iommu, struct vfc_pool *pool, uint32_t entries,
			   struct chip **chip)
{
	struct vfc_nic *nic;

	*chip = calloc(1, sizeof(**chip));
	if (!*chip)
		die("out of memory");
	nic = open_nic(iommu, *chip, 1, entries, pool);
	for (int i = 0; i < BURST_MAX; i++)
		chip_receive(*chip, FRAME);
	return nic;
}

void model_run(struct chip *chip)
{
	chip_run(chip);
}

uint64_t model_forward(struct vfc_nic *nic, struct chip *chip, uint32_t batch, uint64_t packets)
{
	struct vfc_packet burst[BURST_MAX];
	uint64_t done = 0;

	while (done < packets) {
		int n = vfc_nic_rx_burst(nic, 0, burst, batch);

		if (n <= 0 || vfc_nic_tx_burst(nic, 0, burst, (uint32_t)n) != n)
			die("frames were lost");
		chip_run(chip);
		done += (uint64_t)n;
	}
	return done;
}
