/* SPDX-License-Identifier: MIT */
/*
 * I/O address spaces.
 * Source: drivers/iommu/iommufd/ioas.c, io_pagetable.c.
 */
#include <vfiocore/iommufd.h>

#include "base/memlock.h"
#include "iommufd/ioas.h"
#include "iommufd/request.h"

#define SPACE(id, ...) WHERE(.object = OBJECT("ioas", id), __VA_ARGS__)

/* The kernel fills in our array of ranges directly. */
_Static_assert(sizeof(struct vfc_iova_range) == sizeof(struct iommu_iova_range) &&
		       offsetof(struct vfc_iova_range, last) == offsetof(struct iommu_iova_range, last),
	       "a range is a first and a last address");

int vfc_iommufd_ioas_alloc(int iommufd, uint32_t *ioas)
{
	struct iommu_ioas_alloc request = {.size = sizeof(request)};
	int rc;

	if (!ioas)
		return vfc_done(request_invalid("ioas is NULL"));
	rc = request_make(iommufd, REQUEST(IOMMU_IOAS_ALLOC, "6.2"), &request, NOWHERE, NULL);
	if (rc >= 0)
		*ioas = request.out_ioas_id;
	return vfc_done(rc);
}

static int get_ranges(int iommufd, uint32_t ioas, struct vfc_iova_range *ranges, size_t count,
		      struct iommu_ioas_iova_ranges *request)
{
	*request = (struct iommu_ioas_iova_ranges){
		.size = sizeof(*request),
		.ioas_id = ioas,
		.num_iovas = count < INT32_MAX ? (uint32_t)count : INT32_MAX,
		.allowed_iovas = (uintptr_t)ranges,
	};
	return sys_ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, request);
}

int vfc_iommufd_ioas_ranges(int iommufd, uint32_t ioas, struct vfc_iova_range *ranges, size_t count,
			    uint64_t *alignment)
{
	struct iommu_ioas_iova_ranges request;
	int rc;

	if (count && !ranges)
		return vfc_done(request_invalid("ranges is NULL, but count is not 0"));
	rc = get_ranges(iommufd, ioas, ranges, count, &request);
	if (rc < 0 && rc != -EMSGSIZE) /* EMSGSIZE: there are more, and what fits is filled in */
		return vfc_done(request_failed(rc, iommufd, REQUEST(IOMMU_IOAS_IOVA_RANGES, "6.2"),
					       SPACE(ioas), NULL));
	if (request.num_iovas > INT32_MAX)
		return vfc_done(vfc_fail(EBADMSG, VFC_REASON_MALFORMED,
					 SPACE(ioas, .call = "IOMMU_IOAS_IOVA_RANGES"),
					 "the kernel speaks of %u ranges", request.num_iovas));
	if (alignment)
		*alignment = request.out_iova_alignment;
	return (int)request.num_iovas;
}

int vfc_iommufd_ioas_allow(int iommufd, uint32_t ioas, const struct vfc_iova_range *ranges,
			   size_t count)
{
	static const struct meaning meanings[] = {
		{EADDRINUSE, VFC_REASON_IOVA,
		 "a range holds IOVAs that an attached device cannot use: see vfc_iommufd_ioas_ranges()"},
		{EINVAL, VFC_REASON_ARGUMENT,
		 "a range ends where it begins or before, or overlaps another"},
		{0},
	};
	struct iommu_ioas_allow_iovas request = {
		.size = sizeof(request),
		.ioas_id = ioas,
		.num_iovas = (uint32_t)count,
		.allowed_iovas = (uintptr_t)ranges,
	};

	if (count > UINT32_MAX || (count && !ranges))
		return vfc_done(request_invalid("ranges is NULL, or count is over 32 bits"));
	return vfc_done(request_make(iommufd, REQUEST(IOMMU_IOAS_ALLOW_IOVAS, "6.2"), &request,
				     SPACE(ioas), meanings));
}

/* Translate our flags to the kernel's. -1: one of the flags is not ours. */
static int64_t map_flags(uint32_t flags)
{
	uint32_t both = VFC_MAP_READ | VFC_MAP_WRITE;

	if (flags & ~(both | VFC_MAP_FIXED))
		return -1;
	if (!(flags & both))
		flags |= both;
	return (flags & VFC_MAP_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
	       (flags & VFC_MAP_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0) |
	       (flags & VFC_MAP_FIXED ? IOMMU_IOAS_MAP_FIXED_IOVA : 0);
}

static int check_map(const uint64_t *iova, uint32_t flags)
{
	if (!iova)
		return request_invalid("iova is NULL");
	return map_flags(flags) < 0 ? request_invalid("flags are of enum vfc_map_flags") : 0;
}

static bool in_a_range(const struct vfc_iova_range *ranges, uint32_t count, uint64_t iova,
		       uint64_t length)
{
	for (uint32_t i = 0; i < count; i++)
		if (ranges[i].first <= iova && iova + (length - 1) <= ranges[i].last)
			return true;
	return false;
}

#define RANGES_LOOKED_AT 64

/* Find out why the kernel refused the IOVA or the length by asking what it would take. */
static int map_refused(int iommufd, uint32_t ioas, struct error_where where, bool fixed)
{
	struct iommu_ioas_iova_ranges answer;
	struct vfc_iova_range ranges[RANGES_LOOKED_AT];
	bool known = get_ranges(iommufd, ioas, ranges, RANGES_LOOKED_AT, &answer) == 0 &&
		     answer.num_iovas <= RANGES_LOOKED_AT;
	uint64_t align = known && answer.out_iova_alignment ? answer.out_iova_alignment : 1;

	if (!where.length)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, where, "the length is 0");
	if (where.length % align || (fixed && where.iova % align))
		return vfc_fail(EINVAL, VFC_REASON_ALIGNMENT, where,
				"IOVA and length must be multiples of %" PRIu64 " bytes", align);
	if (known && fixed && !in_a_range(ranges, answer.num_iovas, where.iova, where.length))
		return vfc_fail(EINVAL, VFC_REASON_IOVA, where,
				"the range is not within the IOVAs that every attached device can use "
				"(IOMMU_IOAS_IOVA_RANGES tells them)");
	return vfc_fail(EINVAL, VFC_REASON_BAD_MEMORY, where,
			"the kernel does not take this memory: its address must be a multiple of %" PRIu64
			" bytes, and a file a memfd or a VFIO device's dma-buf",
			align);
}

static const struct meaning map_meanings[] = {
	{EEXIST, VFC_REASON_IOVA, "something is mapped there already"},
	{ENOSPC, VFC_REASON_OUT_OF_IOVA, "no free range of IOVAs is as large as that"},
	{EFAULT, VFC_REASON_BAD_MEMORY,
	 "some of the memory is not mapped in this process, not writable, or a device's (whose BAR is "
	 "mapped as a dma-buf: vfc_iommufd_ioas_map_file)"},
	{EPERM, VFC_REASON_PERMISSION, "write access was asked for to what is mapped for reading only"},
	{0},
};

/* Unless the IOVA is fixed, the kernel chooses it and tells it only on success. */
static struct error_where where_fixed(uint64_t iova, uint64_t length, bool fixed)
{
	return fixed ? WHERE(AT_IOVA(iova, length)) : WHERE(.length = length);
}

static COLD int map_failed(int rc, int iommufd, uint32_t ioas, struct request request,
		      struct error_where where, bool fixed)
{
	struct object name = object_name("ioas", ioas);

	where.object = name.text;
	where.call = request.name;
	if (rc == -EINVAL)
		return map_refused(iommufd, ioas, where, fixed);
	if (rc == -ENOMEM)
		return memlock_failed(rc, where, where.length);
	return request_failed(rc, iommufd, request, where, map_meanings);
}

int vfc_iommufd_ioas_map(int iommufd, uint32_t ioas, const void *va, uint64_t length,
			 uint32_t flags, uint64_t *iova)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = (uint32_t)map_flags(flags),
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = length,
	};
	int rc = check_map(iova, flags);

	if (rc < 0)
		return vfc_done(rc);
	map.iova = flags & VFC_MAP_FIXED ? *iova : 0;
	rc = sys_ioctl(iommufd, IOMMU_IOAS_MAP, &map);
	if (rc < 0)
		return vfc_done(iommufd_map_failed(rc, iommufd, &map));
	*iova = map.iova;
	return 0;
}

int iommufd_map_failed(int rc, int iommufd, const struct iommu_ioas_map *map)
{
	return map_failed(rc, iommufd, map->ioas_id, REQUEST(IOMMU_IOAS_MAP, "6.2"),
			  where_fixed(map->iova, map->length, map->flags & IOMMU_IOAS_MAP_FIXED_IOVA),
			  map->flags & IOMMU_IOAS_MAP_FIXED_IOVA);
}

int vfc_iommufd_ioas_map_file(int iommufd, uint32_t ioas, int file, uint64_t start,
			      uint64_t length, uint32_t flags, uint64_t *iova)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = (uint32_t)map_flags(flags),
		.ioas_id = ioas,
		.fd = file,
		.start = start,
		.length = length,
	};
	struct error_where where;
	int rc = check_map(iova, flags);

	if (rc < 0)
		return vfc_done(rc);
	map.iova = flags & VFC_MAP_FIXED ? *iova : 0;
	where = where_fixed(map.iova, length, flags & VFC_MAP_FIXED);
	rc = sys_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &map);
	where.call = "IOMMU_IOAS_MAP_FILE";
	if (rc == -EBADF)
		return vfc_done(vfc_fail(rc, VFC_REASON_ARGUMENT, where,
					 "descriptor %d or %d is closed", iommufd, file));
	if (rc == -ENODEV)
		return vfc_done(vfc_fail(rc, VFC_REASON_NONE, where,
					 "the dma-buf's device does not decode memory (Command "
					 "register), is in reset or gone"));
	if (rc < 0)
		return vfc_done(map_failed(rc, iommufd, ioas, REQUEST(IOMMU_IOAS_MAP_FILE, "6.13"),
					   where, flags & VFC_MAP_FIXED));
	*iova = map.iova;
	return 0;
}

int vfc_iommufd_ioas_copy(int iommufd, uint32_t to, uint32_t from, uint64_t source, uint64_t length,
			  uint32_t flags, uint64_t *iova)
{
	struct iommu_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = (uint32_t)map_flags(flags),
		.dst_ioas_id = to,
		.src_ioas_id = from,
		.length = length,
		.src_iova = source,
	};
	int rc = check_map(iova, flags);

	if (rc < 0)
		return vfc_done(rc);
	copy.dst_iova = flags & VFC_MAP_FIXED ? *iova : 0;
	rc = sys_ioctl(iommufd, IOMMU_IOAS_COPY, &copy);
	if (rc == -ENOENT)
		return vfc_done(vfc_fail(rc, VFC_REASON_IOVA,
					 SPACE(from, .call = "IOMMU_IOAS_COPY", AT_IOVA(source, length)),
					 "not all of the source is mapped, or address space %u or %u "
					 "does not exist",
					 from, to));
	if (rc < 0)
		return vfc_done(map_failed(rc, iommufd, to, REQUEST(IOMMU_IOAS_COPY, "6.2"),
					   where_fixed(copy.dst_iova, length, flags & VFC_MAP_FIXED),
					   flags & VFC_MAP_FIXED));
	*iova = copy.dst_iova;
	return 0;
}

int iommufd_unmap_failed(int rc, int iommufd, uint32_t ioas, uint64_t iova, uint64_t length)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_IOVA,
		 "nothing is mapped there, the range holds only part of a mapping, or the address space "
		 "does not exist"},
		{EBUSY, VFC_REASON_BUSY,
		 "a hardware queue lies there, or it is being mapped or unmapped just now"},
		{EINVAL, VFC_REASON_ARGUMENT, "the length is 0"},
		{0},
	};

	/* Making the object's name takes time, so it is made only after a failure. */
	return request_failed(rc, iommufd, REQUEST(IOMMU_IOAS_UNMAP, "6.2"),
			      SPACE(ioas, .iova = iova, .length = length), meanings);
}

int64_t vfc_iommufd_ioas_unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_unmap request = {
		.size = sizeof(request),
		.ioas_id = ioas,
		.iova = iova,
		.length = length,
	};
	int rc = sys_ioctl(iommufd, IOMMU_IOAS_UNMAP, &request);

	if (rc < 0)
		return vfc_done(iommufd_unmap_failed(rc, iommufd, ioas, iova, length));
	return request.length > INT64_MAX ? INT64_MAX : (int64_t)request.length;
}

int vfc_iommufd_ioas_physical(int iommufd, uint32_t ioas, uint64_t iova, uint64_t *length,
			      uint64_t *physical)
{
	static const struct meaning meanings[] = {
		{EPERM, VFC_REASON_PERMISSION,
		 "physical addresses are for CAP_SYS_RAWIO only: run it as root"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
		 "an IOMMU translates here: devices take the IOVA, and the physical address is nobody's "
		 "business"},
		{ENOENT, VFC_REASON_IOVA, "nothing is mapped there, or the address space does not exist"},
		{EINVAL, VFC_REASON_ARGUMENT, "the length is 0"},
		{0},
	};
	struct iommu_ioas_noiommu_get_pa request = {
		.size = sizeof(request),
		.ioas_id = ioas,
		.iova = iova,
	};
	int rc;

	if (!length || !physical)
		return vfc_done(request_invalid("length or physical is NULL"));
	request.length = *length;
	rc = request_make(iommufd, REQUEST(IOMMU_IOAS_NOIOMMU_GET_PA, "7.3"), &request,
			  SPACE(ioas, .iova = iova, .length = *length), meanings);
	if (rc < 0)
		return vfc_done(rc);
	*length = request.length;
	*physical = request.out_phys;
	return 0;
}
