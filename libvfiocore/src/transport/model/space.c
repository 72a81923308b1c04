/* SPDX-License-Identifier: MIT */
/*
 * The fake transport's address space: mappings with the limits and the answers of type1
 * (drivers/vfio/vfio_iommu_type1.c), behind an IOMMU like a VT-d of 39 bits.
 *
 * Limits of the model: memory is touched and not pinned. Mappings stay when the last device leaves,
 * where the kernel would remove them.
 */
#include "transport/model/fake.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "transport/fd.h"
#include "transport/touch.h"

#define PAGE_SIZES UINT64_C(0x40201000) /* 4 KiB, 2 MiB, 1 GiB */
#define PAGE_MASK UINT64_C(0xfff)
#define ENTRY_LIMIT 65535 /* vfio_iommu_type1.dma_entry_limit */

struct fake_mapping {
	uint64_t iova, last;
	uint8_t *va;
	uint64_t *dirty; /* a bit for each page */
	uint64_t epoch;  /* the run of tracking that @dirty belongs to */
	uint32_t flags;
	bool file; /* @va is a mapping that this file made */
};

/* The range of x86's MSI doorbells is left out, as the kernel leaves it out. */
static const struct vfio_iova_range windows[] = {
	{0, UINT64_C(0xfedfffff)},
	{UINT64_C(0xfef00000), UINT64_MAX},
};

#define WINDOWS (sizeof(windows) / sizeof(*windows))

static struct fake_iommufd *new_iommufd(void)
{
	struct fake_iommufd *iommufd = sys_alloc(sizeof(*iommufd));

	if (iommufd) /* with default attributes this cannot fail in glibc and musl */
		pthread_mutex_init(&iommufd->lock, NULL);
	return iommufd;
}

int fake_space_open(struct transport_space *beside, bool dirty, int fd,
		    struct transport_space **out)
{
	struct fake_space *space = sys_alloc(sizeof(*space));

	(void)fd;    /* the model has no descriptor */
	(void)dirty; /* dirty pages can always be tracked */
	if (!space)
		return vfc_no_memory();
	space->iommufd = beside ? ((struct fake_space *)beside)->iommufd : new_iommufd();
	if (!space->iommufd) {
		free(space);
		return vfc_no_memory();
	}
	pthread_mutex_lock(&space->iommufd->lock);
	space->iommufd->spaces++;
	pthread_mutex_unlock(&space->iommufd->lock);
	space->entry_limit = ENTRY_LIMIT;
	space->memlock_limit = UINT64_MAX;
	space->highest = space->next_highest = FAKE_HIGHEST;
	*out = &space->base;
	return 0;
}

static void free_mapping(void *node)
{
	struct fake_mapping *mapping = node;

	if (mapping->file)
		sys_munmap(mapping->va, mapping->last - mapping->iova + 1);
	free(mapping->dirty);
	free(mapping);
}

void fake_space_close(struct transport_space *base)
{
	struct fake_space *space = (struct fake_space *)base;
	bool last;

	tdestroy(space->mappings, free_mapping);
	pthread_mutex_lock(&space->iommufd->lock);
	last = --space->iommufd->spaces == 0;
	pthread_mutex_unlock(&space->iommufd->lock);
	if (last) {
		pthread_mutex_destroy(&space->iommufd->lock);
		free(space->iommufd);
	}
	free(space);
}

static int get_windows(uint64_t highest, struct transport_space_info *info)
{
	info->ranges = sys_alloc(sizeof(windows));
	if (!info->ranges)
		return vfc_no_memory();
	for (size_t i = 0; i < WINDOWS && windows[i].start <= highest; i++) {
		info->ranges[i] = windows[i];
		if (info->ranges[i].end > highest)
			info->ranges[i].end = highest;
		info->range_count++;
	}
	return 0;
}

int fake_space_info(struct transport_space *base, struct transport_space_info *info)
{
	struct fake_space *space = (struct fake_space *)base;
	uint64_t highest;

	pthread_mutex_lock(&space->iommufd->lock);
	memset(info, 0, sizeof(*info));
	info->page_sizes = PAGE_SIZES;
	info->entries_left =
		space->entry_limit > space->entries ? space->entry_limit - space->entries : 0;
	highest = space->highest;
	pthread_mutex_unlock(&space->iommufd->lock);
	return get_windows(highest, info);
}

/* Ranges that overlap compare as equal, so a search for a range finds some mapping in it. */
static int compare(const void *a, const void *b)
{
	const struct fake_mapping *x = a, *y = b;

	if (x->last < y->iova)
		return -1;
	return x->iova > y->last;
}

/* Some mapping in the range, or NULL. */
static struct fake_mapping *find_mapping(struct fake_space *space, uint64_t iova, uint64_t last)
{
	struct fake_mapping key = {.iova = iova, .last = last};
	void *node = tfind(&key, &space->mappings, compare);

	return node ? *(struct fake_mapping **)node : NULL;
}

static bool in_window(const struct fake_space *space, uint64_t iova, uint64_t last)
{
	for (size_t i = 0; i < WINDOWS; i++)
		if (iova >= windows[i].start && last <= windows[i].end)
			return last <= space->highest;
	return false;
}

/* The checks of vfio_dma_do_map(), in its order. */
static int check_map(struct fake_space *space, const void *va, uint64_t iova, uint64_t length)
{
	struct error_where where = WHERE("VFIO_IOMMU_MAP_DMA", NULL, AT_IOVA(iova, length));
	uint64_t last = iova + length - 1;

	if (!space->members)
		return vfc_fail(ENODEV, VFC_REASON_NONE, where,
				"no device is attached to the address space yet");
	if (!length || last < iova || ((iova | length | (uintptr_t)va) & PAGE_MASK))
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"address, IOVA and length must be multiples of 4096, length not 0");
	if (find_mapping(space, iova, last))
		return vfc_fail(EEXIST, VFC_REASON_IOVA, where, "a mapping is there already");
	if (space->entries >= space->entry_limit)
		return vfc_fail(ENOSPC, VFC_REASON_ENTRY_LIMIT, where,
				"all %" PRIu64 " mappings that the space may have are in use: use fewer "
				"and larger ones, or raise VFC_FAKE_ENTRY_LIMIT", space->entry_limit);
	if (!in_window(space, iova, last))
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the IOMMU translates 0x0-0x%" PRIx64 " and 0x%" PRIx64 "-0x%" PRIx64,
				(uint64_t)windows[0].end, (uint64_t)windows[1].start,
				space->highest);
	if (length > space->memlock_limit || space->pinned > space->memlock_limit - length)
		return vfc_fail(ENOMEM, VFC_REASON_MEMLOCK, where,
				"needs %" PRIu64 " KiB locked memory beside %" PRIu64 " KiB locked "
				"already, the limit is %" PRIu64 " KiB: raise VFC_FAKE_MEMLOCK_LIMIT",
				length / 1024, space->pinned / 1024, space->memlock_limit / 1024);
	return 0;
}

static size_t dirty_bytes(const struct fake_mapping *mapping)
{
	return ((mapping->last - mapping->iova) / (PAGE_MASK + 1) / 64 + 1) * sizeof(uint64_t);
}

static int insert_mapping(struct fake_space *space, const struct fake_mapping *wanted)
{
	struct fake_mapping *mapping = sys_alloc(sizeof(*mapping));

	if (!mapping)
		return vfc_no_memory();
	*mapping = *wanted;
	mapping->dirty = sys_alloc(dirty_bytes(mapping));
	if (!mapping->dirty || !tsearch(mapping, &space->mappings, compare)) {
		free(mapping->dirty);
		free(mapping);
		return vfc_no_memory();
	}
	space->entries++;
	space->pinned += mapping->last - mapping->iova + 1;
	return 0;
}

static int map_locked(struct fake_space *space, const struct fake_mapping *wanted)
{
	uint64_t iova = wanted->iova, length = wanted->last - iova + 1;
	int rc = check_map(space, wanted->va, iova, length);

	if (rc < 0)
		return rc;
	rc = touch(wanted->va, length, wanted->flags);
	if (rc < 0)
		return vfc_fail(EFAULT, VFC_REASON_BAD_MEMORY,
				WHERE("VFIO_IOMMU_MAP_DMA", NULL, AT_IOVA(iova, length)),
				"some of the memory at %p is not mapped in this process, or not %s "
				"(see /proc/self/maps)", (void *)wanted->va,
				wanted->flags & VFIO_DMA_MAP_FLAG_WRITE ? "writable" : "readable");
	return insert_mapping(space, wanted);
}

int fake_map(struct transport_space *base, const struct transport_memory *memory, uint64_t *iova,
	     uint64_t length, uint32_t flags)
{
	struct fake_space *space = (struct fake_space *)base;
	struct fake_mapping wanted = {.iova = *iova, .last = *iova + length - 1, .va = memory->va,
				      .flags = flags, .file = !memory->va};
	void *va;
	int rc;

	if (!memory->va) {
		rc = fd_map_file(memory, length, flags, &va);
		if (rc < 0)
			return rc;
		wanted.va = va;
	}
	pthread_mutex_lock(&space->iommufd->lock);
	rc = map_locked(space, &wanted);
	pthread_mutex_unlock(&space->iommufd->lock);
	if (rc < 0 && wanted.file)
		sys_munmap(wanted.va, length);
	return rc == -EFAULT && wanted.file ? fd_file_fault(memory, *iova, length) : rc;
}

static void remove_mapping(struct fake_space *space, struct fake_mapping *mapping)
{
	tdelete(mapping, &space->mappings, compare);
	space->entries--;
	space->pinned -= mapping->last - mapping->iova + 1;
	free_mapping(mapping);
}

/* A mapping may not be cut at either end of the range (vfio_dma_do_unmap()). */
static int unmap_locked(struct fake_space *space, uint64_t iova, uint64_t length)
{
	struct error_where where = WHERE("VFIO_IOMMU_UNMAP_DMA", NULL, AT_IOVA(iova, length));
	struct fake_mapping *first = find_mapping(space, iova, iova), *mapping;
	uint64_t last = iova + length - 1;
	struct fake_mapping *end = length ? find_mapping(space, last, last) : NULL;

	if (!first || !end)
		return vfc_fail(ENOENT, VFC_REASON_IOVA, where, "nothing is mapped there");
	if (first->iova != iova || end->last != last)
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the mapping there is 0x%" PRIx64 "-0x%" PRIx64 " and is unmapped whole",
				first->iova, first->last);
	while ((mapping = find_mapping(space, iova, last)))
		remove_mapping(space, mapping);
	return 0;
}

int fake_unmap(struct transport_space *base, uint64_t iova, uint64_t length)
{
	struct fake_space *space = (struct fake_space *)base;
	int rc;

	pthread_mutex_lock(&space->iommufd->lock);
	rc = unmap_locked(space, iova, length);
	pthread_mutex_unlock(&space->iommufd->lock);
	return rc;
}

/* Count a fault of the device and remember where it was. */
static bool note_fault(struct fake_space *space, uint64_t iova)
{
	space->faults++;
	space->fault_iova = iova;
	return false;
}

/* Bits of an earlier run of tracking are cleared when they are first looked at in this one. */
static uint64_t *dirty_bits(const struct fake_space *space, struct fake_mapping *mapping)
{
	if (mapping->epoch != space->epoch)
		memset(mapping->dirty, 0, dirty_bytes(mapping));
	mapping->epoch = space->epoch;
	return mapping->dirty;
}

static void mark_dirty(uint64_t *bits, uint64_t offset, uint64_t length)
{
	for (uint64_t page = offset / (PAGE_MASK + 1);
	     page <= (offset + length - 1) / (PAGE_MASK + 1); page++)
		bits[page / 64] |= UINT64_C(1) << page % 64;
}

/* The memory behind an IOVA. @length is lowered to what the mapping holds. NULL: a fault. */
static uint8_t *translate(struct fake_device *device, uint64_t iova, uint64_t *length,
			  uint32_t access)
{
	struct fake_space *space = device->space;
	struct fake_mapping *mapping = device->attached ? find_mapping(space, iova, iova) : NULL;

	if (!mapping || !(mapping->flags & access)) {
		note_fault(space, iova);
		return NULL;
	}
	if (*length > mapping->last - iova + 1)
		*length = mapping->last - iova + 1;
	if (access == VFIO_DMA_MAP_FLAG_WRITE && space->dirty)
		mark_dirty(dirty_bits(space, mapping), iova - mapping->iova, *length);
	return mapping->va + (iova - mapping->iova);
}

bool fake_dma_read(struct fake_device *device, uint64_t iova, void *data, uint64_t length)
{
	uint8_t *to = data;

	while (length) {
		uint64_t n = length;
		const uint8_t *from = translate(device, iova, &n, VFIO_DMA_MAP_FLAG_READ);

		if (!from)
			return false;
		memcpy(to, from, n);
		to += n;
		iova += n;
		length -= n;
	}
	return true;
}

bool fake_dma_write(struct fake_device *device, uint64_t iova, const void *data, uint64_t length)
{
	const uint8_t *from = data;

	while (length) {
		uint64_t n = length;
		uint8_t *to = translate(device, iova, &n, VFIO_DMA_MAP_FLAG_WRITE);

		if (!to)
			return false;
		memcpy(to, from, n);
		from += n;
		iova += n;
		length -= n;
	}
	return true;
}

bool fake_dma_store64(struct fake_device *device, uint64_t iova, uint64_t value)
{
	uint64_t n = sizeof(value);
	uint8_t *to = translate(device, iova, &n, VFIO_DMA_MAP_FLAG_WRITE);

	if (!to)
		return false;
	if (n < sizeof(value) || (iova & 7))
		return note_fault(device->space, iova);
	__atomic_store_n((uint64_t *)(void *)to, VFC_LE64(value), __ATOMIC_RELEASE);
	return true;
}

bool fake_related(struct transport_space *space, struct transport_space *other)
{
	return ((struct fake_space *)space)->iommufd == ((struct fake_space *)other)->iommufd;
}

int fake_reserved(struct transport_space *base, const char *name,
		  struct transport_reserved *ranges, int room)
{
	struct fake_space *space = (struct fake_space *)base;

	(void)name;
	(void)room; /* there is one range, and the caller has room for one */
	pthread_mutex_lock(&space->iommufd->lock);
	*ranges = (struct transport_reserved){space->next_highest + 1, UINT64_MAX, "reserved"};
	pthread_mutex_unlock(&space->iommufd->lock);
	return 1;
}

int fake_dirty_track(struct transport_space *base, bool on)
{
	struct fake_space *space = (struct fake_space *)base;

	pthread_mutex_lock(&space->iommufd->lock);
	space->dirty = on;
	space->epoch += on;
	pthread_mutex_unlock(&space->iommufd->lock);
	return 0;
}

/* Move a mapping's bits into the caller's bitmap. */
static void take_dirty(struct fake_space *space, struct fake_mapping *mapping, uint64_t *bitmap)
{
	uint64_t *bits = dirty_bits(space, mapping);

	for (size_t word = 0; word < dirty_bytes(mapping) / sizeof(*bitmap); word++)
		bitmap[word] |= bits[word];
	memset(bits, 0, dirty_bytes(mapping));
}

/* One mapping or its pieces, of which each but the last fills whole words of the bitmap. */
static int read_dirty_locked(struct fake_space *space, uint64_t iova, uint64_t length,
			     uint64_t page, uint64_t *bitmap)
{
	struct error_where where = WHERE("VFIO_IOMMU_DIRTY_PAGES", NULL, AT_IOVA(iova, length));
	struct fake_mapping *mapping;

	if (!space->dirty)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where, "was vfc_iommu_dirty_start() called?");
	for (uint64_t done = 0; done < length; done += mapping->last - mapping->iova + 1) {
		mapping = find_mapping(space, iova + done, iova + done);
		if (!mapping || mapping->iova != iova + done || done % (64 * page) ||
		    mapping->last - iova >= length || page != PAGE_MASK + 1)
			return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
					"that is not one mapping, in pages");
		take_dirty(space, mapping, bitmap + done / page / 64);
	}
	return 0;
}

int fake_dirty_read(struct transport_space *base, uint64_t iova, uint64_t length, uint64_t page,
		    uint64_t *bitmap)
{
	struct fake_space *space = (struct fake_space *)base;
	int rc;

	pthread_mutex_lock(&space->iommufd->lock);
	rc = read_dirty_locked(space, iova, length, page, bitmap);
	pthread_mutex_unlock(&space->iommufd->lock);
	return rc;
}

/*
 * Devices as members of the space. Each device can use addresses up to its own highest, and the
 * space those that all of its members can use (vfio_iommu_aper_conflict() and
 * vfio_iommu_aper_expand()).
 */
static void set_highest(struct fake_space *space)
{
	space->highest = FAKE_HIGHEST;
	for (struct fake_device *member = space->members; member; member = member->next_member)
		if (member->highest < space->highest)
			space->highest = member->highest;
}

int fake_enter(struct fake_device *device, struct fake_space *space)
{
	if (space->next_highest < space->highest &&
	    find_mapping(space, space->next_highest + 1, UINT64_MAX))
		return vfc_fail(EINVAL, VFC_REASON_NONE, WHERE("VFIO_GROUP_SET_CONTAINER"),
				"the group does not fit with those attached already");
	fake_leave(device);
	device->highest = space->next_highest;
	device->next_member = space->members;
	space->members = device;
	device->space = space;
	device->attached = true;
	set_highest(space);
	return 0;
}

void fake_leave(struct fake_device *device)
{
	struct fake_device **link = &device->space->members;

	if (!device->attached)
		return;
	while (*link != device)
		link = &(*link)->next_member;
	*link = device->next_member;
	device->attached = false;
	set_highest(device->space);
}

int fake_attach(struct transport_device *base, struct transport_space *space)
{
	struct fake_device *device = (struct fake_device *)base;
	int rc;

	pthread_mutex_lock(&device->iommufd->lock);
	rc = fake_enter(device, (struct fake_space *)space);
	pthread_mutex_unlock(&device->iommufd->lock);
	return rc;
}

int fake_detach(struct transport_device *base)
{
	struct fake_device *device = (struct fake_device *)base;

	pthread_mutex_lock(&device->iommufd->lock);
	fake_leave(device);
	pthread_mutex_unlock(&device->iommufd->lock);
	return 0;
}
