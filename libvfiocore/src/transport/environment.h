/* SPDX-License-Identifier: MIT */
/* Descriptors that `vfio run` left open for this process, and named in VFIOCORE_FDS. */
#ifndef VFC_TRANSPORT_ENVIRONMENT_H
#define VFC_TRANSPORT_ENVIRONMENT_H

#define ENVIRONMENT_IOMMU "iommu"

/*
 * The descriptor called @name, a device's canonical name or ENVIRONMENT_IOMMU. Nobody looked
 * whether it is open. 1: there is one; 0: there is none; negative: the list is malformed, with a
 * record.
 */
int environment_find(const char *name, int *fd);
/* Likewise of a device, by any spelling of its name; @canonical is set when there is one. */
int environment_find_device(const char *name, char *canonical, int *fd);
/* As environment_find(ENVIRONMENT_IOMMU), but none is a failure: a device without it is no use. */
int environment_find_iommu(int *fd);
/*
 * It was one of VFIO's, and the library has a duplicate. It stays open, to be taken again, but a
 * program that this process runs does not inherit it, for that would have the device.
 */
void environment_taken(int fd);

#endif
