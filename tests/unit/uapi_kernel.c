/* SPDX-License-Identifier: MIT */
#ifdef UAPI_IOMMUFD
#include <linux/iommufd.h>
#endif
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "uapi_list.h"

const struct uapi_entry uapi_kernel[] = {UAPI_LIST, UAPI_KVM_LIST UAPI_IOMMUFD_LIST, {0}};
