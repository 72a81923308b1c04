/* SPDX-License-Identifier: MIT */
/* Descriptors that `vfio run` left open for this process, and named in VFIOCORE_FDS. */
#ifndef VFC_TRANSPORT_ENVIRONMENT_H
#define VFC_TRANSPORT_ENVIRONMENT_H

#define ENVIRONMENT_IOMMU "iommu"

/*
 * Find the descriptor called @name, which is a device's canonical name or ENVIRONMENT_IOMMU. It is
 * not checked that it is open. 1: found; 0: not in the list; negative: the list is malformed, with
 * a record.
 */
int environment_find(const char *name, int *fd);
/* Likewise for a device, by any spelling of its name. @canonical is set if it is found. */
int environment_find_device(const char *name, char *canonical, int *fd);
/*
 * As environment_find(ENVIRONMENT_IOMMU), but it is an error if there is none: a device is of no
 * use without it.
 */
int environment_find_iommu(int *fd);
/*
 * It was one of VFIO's, and the library has a duplicate. It stays open, to be taken again, but a
 * program that this process runs does not inherit it, for that would have the device.
 */
void environment_taken(int fd);

#endif
