/* SPDX-License-Identifier: MIT */
/*
 * sys_ioctl() as an inline function, for callers whose time is measured. Function calls are a good
 * part of the time of a map.
 */
#ifndef VFC_KERNEL_IOCTL_H
#define VFC_KERNEL_IOCTL_H

#include <sys/ioctl.h>

#include "kernel/call.h"

static inline int sys_ioctl_inline(int fd, unsigned long request, void *argument)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(ioctl(fd, request, argument));
}

#endif
