/* SPDX-License-Identifier: MIT */
/*
 * The iommufd itself: its descriptor, its settings, its compatibility address space, and how
 * objects are destroyed.
 * Source: drivers/iommu/iommufd/main.c, ioas.c, vfio_compat.c.
 */
#include <fcntl.h>
#include <vfiocore/iommufd.h>

#include "iommufd/request.h"

#define NODE "/dev/iommu"

int vfc_iommufd_open(void)
{
	int fd = sys_open(NODE, O_RDWR);

	if (fd >= 0)
		return fd;
	if (fd == -EACCES || fd == -EPERM)
		return vfc_done(vfc_fail(fd, VFC_REASON_PERMISSION, WHERE("open", NODE),
					 "the node is not yours; as root: chown USER " NODE));
	return vfc_done(vfc_fail(fd, fd == -EMFILE ? VFC_REASON_NONE : VFC_REASON_UNSUPPORTED,
				 WHERE("open", NODE), "%s",
				 fd == -EMFILE ? "too many open descriptors (ulimit -n)"
					       : "the kernel has no iommufd: CONFIG_IOMMUFD is off, "
						 "or modprobe iommufd"));
}

int vfc_iommufd_destroy(int iommufd, uint32_t id)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such object (any more)"},
		{EBUSY, VFC_REASON_BUSY,
		 "the object is in use: destroy those made from it, detach devices, close the queue's "
		 "descriptor and unmap memory of it first"},
		{0},
	};
	struct iommu_destroy request = {.size = sizeof(request), .id = id};

	return vfc_done(request_make(iommufd, REQUEST(IOMMU_DESTROY, "6.2"), &request,
				     WHERE(.object = OBJECT("object", id)), meanings));
}

static int option(int iommufd, uint16_t op, uint32_t which, uint32_t object, uint64_t *value)
{
	static const struct meaning rlimit[] = {
		{EBUSY, VFC_REASON_BUSY,
		 "how pins are counted is set before there is any object: do it right after opening"},
		{EPERM, VFC_REASON_PERMISSION, "this needs CAP_SYS_RESOURCE"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "this option is the iommufd's: its object is 0"},
		{EINVAL, VFC_REASON_ARGUMENT, "the option is 0 (count by user) or 1 (by process)"},
		{0},
	};
	static const struct meaning huge[] = {
		{EINVAL, VFC_REASON_ARGUMENT,
		 "the option is 0 or 1, and huge pages cannot be turned off once memory is mapped for a "
		 "device"},
		{0},
	};
	struct iommu_option request = {
		.size = sizeof(request),
		.option_id = which,
		.op = op,
		.object_id = object,
		.val64 = op == IOMMU_OPTION_OP_SET ? *value : 0,
	};
	bool of_iommufd = which == IOMMU_OPTION_RLIMIT_MODE;
	int rc = request_make(iommufd, REQUEST(IOMMU_OPTION, "6.2"), &request,
			      WHERE(.object = of_iommufd ? NODE : OBJECT("ioas", object)),
			      of_iommufd ? rlimit : huge);

	if (rc >= 0)
		*value = request.val64;
	return rc;
}

int vfc_iommufd_option_get(int iommufd, uint32_t which, uint32_t object, uint64_t *value)
{
	if (!value)
		return vfc_done(request_invalid("value is NULL"));
	return vfc_done(option(iommufd, IOMMU_OPTION_OP_GET, which, object, value));
}

int vfc_iommufd_option_set(int iommufd, uint32_t which, uint32_t object, uint64_t value)
{
	return vfc_done(option(iommufd, IOMMU_OPTION_OP_SET, which, object, &value));
}

static int compat(int iommufd, uint16_t op, uint32_t *ioas)
{
	static const struct meaning meanings[] = {
		{ENODEV, VFC_REASON_NONE,
		 "there is no compatibility address space: set one, or open a device of a group whose "
		 "container is this iommufd first"},
		{0},
	};
	struct iommu_vfio_ioas request = {.size = sizeof(request), .op = op, .ioas_id = *ioas};
	bool set = op == IOMMU_VFIO_IOAS_SET;
	int rc = request_make(iommufd, REQUEST(IOMMU_VFIO_IOAS, "6.2"), &request,
			      WHERE(.object = set ? OBJECT("ioas", *ioas) : NODE), meanings);

	if (rc >= 0)
		*ioas = request.ioas_id;
	return rc;
}

int vfc_iommufd_compat_get(int iommufd, uint32_t *ioas)
{
	uint32_t id = 0;
	int rc;

	if (!ioas)
		return vfc_done(request_invalid("ioas is NULL"));
	rc = compat(iommufd, IOMMU_VFIO_IOAS_GET, &id);
	if (rc >= 0)
		*ioas = id;
	return vfc_done(rc);
}

int vfc_iommufd_compat_set(int iommufd, uint32_t ioas)
{
	return vfc_done(compat(iommufd, IOMMU_VFIO_IOAS_SET, &ioas));
}

int vfc_iommufd_compat_clear(int iommufd)
{
	uint32_t none = 0;

	return vfc_done(compat(iommufd, IOMMU_VFIO_IOAS_CLEAR, &none));
}

int vfc_iommufd_change_process(int iommufd)
{
	static const struct meaning meanings[] = {
		{EINVAL, VFC_REASON_ARGUMENT,
		 "memory of the former process is mapped, which cannot be handed over: map files only "
		 "(vfc_iommufd_ioas_map_file)"},
		{EBUSY, VFC_REASON_BUSY, "something is being mapped or unmapped just now"},
		{ENOMEM, VFC_REASON_MEMLOCK,
		 "what is pinned exceeds this process's locked-memory limit (ulimit -l)"},
		{0},
	};
	struct iommu_ioas_change_process request = {.size = sizeof(request)};

	return vfc_done(request_make(iommufd, REQUEST(IOMMU_IOAS_CHANGE_PROCESS, "6.13"), &request,
				     WHERE(.object = NODE), meanings));
}
