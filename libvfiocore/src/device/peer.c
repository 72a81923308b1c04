/* SPDX-License-Identifier: MIT */
/* Peer-to-peer DMA: other devices reach a part of a device's BAR as they reach memory. */
#include <errno.h>
#include <stdlib.h>
#include <vfiocore/iommu.h>

#include "device/peer.h"
#include "device/region.h"
#include "iommu/space.h"
#include "kernel/sys.h"

/*
 * An address space in which the device's BARs are mapped by their virtual addresses. Those
 * addresses and the claim to the BARs end with the device, so the mappings must end with it as
 * well.
 */
struct peer {
	struct peer *next;
	struct vfc_iommu *iommu; /* a reference to the object; the space itself may be closed */
};

static void forget(struct peer **link)
{
	struct peer *peer = *link;

	*link = peer->next;
	iommu_unref(peer->iommu);
	free(peer);
}

/* The caller holds the device's lock. */
static int add_peer(struct vfc_device *device, struct vfc_iommu *iommu)
{
	struct peer **link = &device->peers, *peer;

	while (*link && (*link)->iommu != iommu) {
		if (iommu_is_closed((*link)->iommu))
			forget(link);
		else
			link = &(*link)->next;
	}
	if (*link)
		return 0;
	peer = sys_alloc(sizeof(*peer));
	if (!peer)
		return vfc_no_memory();
	peer->iommu = iommu;
	iommu_ref(iommu);
	*link = peer;
	return 0;
}

static int note_peer(struct vfc_device *device, struct vfc_iommu *iommu)
{
	int rc;

	pthread_mutex_lock(&device->lock);
	rc = add_peer(device, iommu);
	pthread_mutex_unlock(&device->lock);
	return rc;
}

static struct peer *take_peers(struct vfc_device *device)
{
	struct peer *peers;

	pthread_mutex_lock(&device->lock);
	peers = device->peers;
	device->peers = NULL;
	pthread_mutex_unlock(&device->lock);
	return peers;
}

/* Put @peers back, behind those that were added meanwhile. */
static void give_peers(struct vfc_device *device, struct peer *peers)
{
	struct peer **link = &device->peers;

	pthread_mutex_lock(&device->lock);
	while (*link)
		link = &(*link)->next;
	*link = peers;
	pthread_mutex_unlock(&device->lock);
}

/* An area keeps its address from its first use until the device is closed. */
static int unmap_bars(const struct vfc_device *device, struct vfc_iommu *iommu)
{
	int rc = 0;

	for (uint32_t i = 0; i < device->region_count; i++)
		for (uint32_t a = 0; rc == 0 && a < device->regions[i].area_count; a++) {
			const struct region_area *area = &device->regions[i].areas[a];
			void *address = __atomic_load_n(&area->address, __ATOMIC_ACQUIRE);

			if (address)
				rc = iommu_unmap_memory(iommu, address, area->length);
		}
	return rc;
}

/* Always look in the device's own space too: the application may have mapped a BAR there itself. */
int peers_leave(struct vfc_device *device)
{
	struct peer *peers = take_peers(device);
	int rc = unmap_bars(device, device->iommu);

	for (const struct peer *peer = peers; peer && rc == 0; peer = peer->next)
		rc = unmap_bars(device, peer->iommu);
	give_peers(device, peers);
	return rc;
}

void peers_close(struct vfc_device *device)
{
	error_quiet_begin();
	for (const struct peer *peer = device->peers; peer; peer = peer->next)
		unmap_bars(device, peer->iommu);
	while (device->peers)
		forget(&device->peers);
	error_quiet_end();
}

/* Every way to map a BAR makes the same checks, so that the errors are the same. */
static int find_bar(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
		    uint64_t offset, uint64_t length, volatile void **address)
{
	struct region *region;
	int rc = region_check(device, index, offset, length,
			      VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, &region);

	if (rc < 0)
		return rc;
	lock_take(&iommu->lock);
	rc = map_check(iommu, offset, length, NO_IOVA);
	lock_give(&iommu->lock);
	if (rc == 0)
		rc = region_address(device, region, offset, length, address);
	if (rc == 0 && !*address)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
				"this part of the region cannot be mapped, so no other device can "
				"reach it");
	return rc;
}

/* type1 maps a BAR like memory, by the address at which the CPU sees it (vaddr_get_pfns()). */
static int map_bar(struct vfc_iommu *iommu, struct vfc_device *device, volatile void *address,
		   uint64_t length, uint64_t *iova, const struct vfc_map_opts *opts)
{
	const struct transport_memory memory = {.va = (void *)(uintptr_t)address, .fd = -1};
	int rc = note_peer(device, iommu);

	if (rc < 0)
		return rc;
	lock_take(&iommu->lock);
	rc = map_check(iommu, (uintptr_t)address, length, NO_IOVA);
	if (rc == 0)
		rc = map_memory(iommu, &memory, length, iova, opts);
	lock_give(&iommu->lock);
	return rc;
}

static int map_region(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
		      uint64_t offset, uint64_t length, uint64_t *iova,
		      const struct vfc_map_opts *opts)
{
	volatile void *address = NULL;
	int fd, rc = map_check_named(opts);

	if (rc == 0)
		rc = find_bar(iommu, device, index, offset, length, &address);
	if (rc < 0)
		return rc;
	if (!iommu->ops->iommufd)
		return map_bar(iommu, device, address, length, iova, opts);
	if (!device->ops->share_region)
		return space_cannot(iommu, "reach a BAR of a device of another transport");
	fd = device->ops->share_region(device->transport, index, offset, length);
	if (fd < 0)
		return fd;
	rc = vfc_iommu_map_file(iommu, fd, 0, length, opts, iova);
	sys_close(fd);
	return rc;
}

int vfc_iommu_map_region(struct vfc_iommu *iommu, struct vfc_device *device, uint32_t index,
			 uint64_t offset, uint64_t length, const struct vfc_map_opts *opts,
			 uint64_t *iova)
{
	struct vfc_map_opts own;

	return vfc_done(map_region(iommu, device, index, offset, length, iova,
				   MAP_OPTIONS(opts, &own)));
}
