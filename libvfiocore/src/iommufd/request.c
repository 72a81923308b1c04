/* SPDX-License-Identifier: MIT */
/*
 * The meaning of the errors that all requests share (include/uapi/linux/iommufd.h, "General ioctl
 * format").
 */
#include "iommufd/request.h"

int request_invalid(const char *what)
{
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "%s", what);
}

/* Every iommufd knows this request, and it changes nothing. */
static bool is_iommufd(int fd)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_GET,
	};

	return sys_ioctl(fd, IOMMU_OPTION, &option) == 0;
}

static int unknown_request(int rc, int fd, struct request request, struct error_where where)
{
	bool of_device = request.number == VFIO_DEVICE_BIND_IOMMUFD ||
			 request.number == VFIO_DEVICE_ATTACH_IOMMUFD_PT ||
			 request.number == VFIO_DEVICE_DETACH_IOMMUFD_PT;

	if (of_device)
		return vfc_fail(rc, VFC_REASON_UNSUPPORTED, where,
				"the descriptor is not one of /dev/vfio/devices/vfioN, or the kernel "
				"does not know %s, which came with Linux %s",
				request.name, request.since);
	if (is_iommufd(fd))
		return vfc_fail(rc, VFC_REASON_UNSUPPORTED, where,
				"this kernel does not know %s, which came with Linux %s",
				request.name, request.since);
	return vfc_fail(rc, VFC_REASON_ARGUMENT, where, "descriptor %d is not one of /dev/iommu", fd);
}

static const struct meaning common[] = {
	{EBADF, VFC_REASON_ARGUMENT, "the descriptor is closed"},
	{E2BIG, VFC_REASON_UNSUPPORTED,
	 "this kernel knows the request, but is older than something that was asked for"},
	{EOPNOTSUPP, VFC_REASON_UNSUPPORTED,
	 "this kernel or IOMMU does not know a flag or type that was asked for"},
	{ENOENT, VFC_REASON_NONE, "the iommufd has no object of that kind and id"},
	{ENOMEM, VFC_REASON_NONE, "the kernel is out of memory"},
	{EOVERFLOW, VFC_REASON_IOVA, "the range runs past the end of the address space"},
	{EFAULT, VFC_REASON_BAD_MEMORY, "memory that was handed over is not mapped in this process"},
	{0},
};

static const struct meaning *find(const struct meaning *meanings, int error)
{
	for (; meanings && meanings->error; meanings++)
		if (meanings->error == error)
			return meanings;
	return NULL;
}

int request_failed(int rc, int fd, struct request request, struct error_where where,
		   const struct meaning *meanings)
{
	const struct meaning *meaning = find(meanings, -rc);

	where.call = request.name;
	if (!meaning && rc == -ENOTTY)
		return unknown_request(rc, fd, request, where);
	if (!meaning)
		meaning = find(common, -rc);
	return vfc_fail(rc, meaning ? meaning->reason : VFC_REASON_NONE, where, "%s",
			meaning ? meaning->hint : "");
}

int request_make(int fd, struct request request, void *argument, struct error_where where,
		 const struct meaning *meanings)
{
	int rc = sys_ioctl(fd, request.number, argument);

	return rc < 0 ? request_failed(rc, fd, request, where, meanings) : rc;
}
