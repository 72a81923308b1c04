/* SPDX-License-Identifier: MIT */
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "uapi_list.h"

const struct uapi_entry uapi_kernel[] = {UAPI_LIST};
