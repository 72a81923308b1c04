/* SPDX-License-Identifier: MIT */
/*
 * Why memory could not be pinned: the locked-memory limit. It depends on kernel/ and the error
 * record.
 */
#ifndef VFC_MEMLOCK_H
#define VFC_MEMLOCK_H

#include "base/error.h"

/* Record that the kernel answered ENOMEM to pinning @length bytes. Returns @rc. */
int memlock_failed(int rc, struct error_where where, uint64_t length);

#endif
