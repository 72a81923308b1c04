/* SPDX-License-Identifier: MIT */
/* One capability of an open device; see region.h. */
#include <vfiocore/region.h>

#include "base/error.h"
#include "pci/caps.h"

/* A capability takes four bytes at least: from 0x40 to 0xff, and from 0x100 to 0xfff. */
#define CAPS_MOST ((0x100 - 0x40) / 4 + (0x1000 - 0x100) / 4)

int vfc_pci_find_cap(struct vfc_device *device, uint32_t id, bool extended, uint32_t after,
		     struct vfc_pci_cap *cap)
{
	struct vfc_pci_cap caps[CAPS_MOST];
	int n = vfc_pci_caps(device, caps, CAPS_MOST);
	const struct vfc_pci_cap *found;

	if (n < 0)
		return vfc_done(n);
	found = caps_find(caps, (size_t)n, id, extended, after);
	if (found)
		*cap = *found;
	return found != NULL;
}
