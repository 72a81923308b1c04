/* SPDX-License-Identifier: MIT */
/* The capability lists of PCI config space, which is read by a function of the caller's. */
#ifndef VFC_PCI_CAPS_H
#define VFC_PCI_CAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <vfiocore/pci.h>

struct caps_source {
	/*
	 * Read @width (1, 2 or 4) bytes at @offset as a little-endian number. Return: 0 or -errno.
	 */
	int (*read)(void *cookie, uint32_t offset, uint32_t width, uint32_t *value);
	void *cookie;
	uint32_t length; /* of config space: 256 or 4096 */
	const char *name; /* of the device, for the record */
};

/* As vfc_pci_caps(). */
int caps_walk(const struct caps_source *source, struct vfc_pci_cap *caps, size_t count);

/* As vfc_pci_find_cap(), in a list that was already walked. NULL: there is none. */
const struct vfc_pci_cap *caps_find(const struct vfc_pci_cap *caps, size_t count, uint32_t id,
				    bool extended, uint32_t after);

#endif
