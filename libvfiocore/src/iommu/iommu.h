/* SPDX-License-Identifier: MIT */
/* What a device needs of its address space. */
#ifndef VFC_IOMMU_IOMMU_H
#define VFC_IOMMU_IOMMU_H

#include <stdbool.h>
#include <vfiocore/iommu.h>

#include "../transport/transport.h"

const char *iommu_transport_name(struct vfc_iommu *iommu);

/* Open @name through the space's transport, attach it, read the windows again. */
int iommu_attach(struct vfc_iommu *iommu, const char *name, struct transport_device **device);
void iommu_detach(struct vfc_iommu *iommu, struct transport_device *device);

/* A DMA buffer or map cache holds the space open: vfc_iommu_close() answers -EBUSY while there is one. */
void iommu_hold(struct vfc_iommu *iommu);
void iommu_release(struct vfc_iommu *iommu);
bool iommu_held(struct vfc_iommu *iommu);
/* Unmap a DMA buffer. It may be unmapped already: vfc_iommu_unmap_all() asks nobody. */
int iommu_unmap_buffer(struct vfc_iommu *iommu, const void *va, uint64_t iova);

uint32_t iommu_devices(struct vfc_iommu *iommu);

#endif
