/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's refusal to map or unmap means. The transport needs it, because it makes these
 * requests itself.
 */
#ifndef VFC_IOMMUFD_IOAS_H
#define VFC_IOMMUFD_IOAS_H

#include "kernel/iommufd.h"

int iommufd_map_failed(int rc, int iommufd, const struct iommu_ioas_map *map);
int iommufd_unmap_failed(int rc, int iommufd, uint32_t ioas, uint64_t iova, uint64_t length);

#endif
