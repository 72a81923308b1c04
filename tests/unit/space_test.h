/* SPDX-License-Identifier: MIT */
/* Address spaces of the model, and a device of it that does DMA on command. */
#ifndef VFC_SPACE_TEST_H
#define VFC_SPACE_TEST_H

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "device/device.h"
#include "test.h"
#include "transport/model/fake.h"

#define PAGE UINT64_C(4096)

static inline struct vfc_iommu *open_space(struct vfc_iommu *beside)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "fake", .beside = beside};
	struct vfc_iommu *space;

	CHECK_EQ(vfc_iommu_open(&opts, &space), 0);
	return space;
}

static inline struct vfc_device *open_in(struct vfc_iommu *space)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};
	struct vfc_device *device;

	CHECK_EQ(vfc_device_open("fake:e1000e", &opts, &device), 0);
	return device;
}

static inline uint8_t *get_memory(uint64_t length)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Our books and the model's agree, which is asked through a device that is in the space. */
static inline uint64_t live(struct vfc_device *device)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	uint64_t mappings, pinned;

	CHECK_EQ(vfc_iommu_info(vfc_device_iommu(device), &info), 0);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &mappings), 0);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_PINNED, &pinned), 0);
	CHECK_EQ(info.mapped, pinned);
	CHECK(info.mappings <= mappings); /* one may be there in pieces */
	CHECK((info.mappings == 0) == (mappings == 0));
	return info.mappings;
}

static inline bool dma_write(struct vfc_device *device, uint64_t iova, const void *data,
			     uint64_t length)
{
	struct fake_device *fake = (struct fake_device *)device->transport;
	bool done;

	pthread_mutex_lock(&fake->iommufd->lock);
	done = fake_dma_write(fake, iova, data, length);
	pthread_mutex_unlock(&fake->iommufd->lock);
	return done;
}

static inline bool dma_read(struct vfc_device *device, uint64_t iova, void *data, uint64_t length)
{
	struct fake_device *fake = (struct fake_device *)device->transport;
	bool done;

	pthread_mutex_lock(&fake->iommufd->lock);
	done = fake_dma_read(fake, iova, data, length);
	pthread_mutex_unlock(&fake->iommufd->lock);
	return done;
}

/* @rc failed with this errno and reason, and says what to do. */
static inline void refused(int64_t rc, int code, enum vfc_reason reason)
{
	CHECK_EQ(rc, -code);
	CHECK_EQ(vfc_error_last()->code, code);
	CHECK_EQ(vfc_error_last()->reason, reason);
	CHECK(vfc_error_last()->hint[0]);
	CHECK(!strncmp(vfc_error_last()->operation, "vfc_", 4));
}

#endif
