/* SPDX-License-Identifier: MIT */
/*
 * Callers give timeouts in nanoseconds, and a negative timeout has no end. A wait that may begin
 * again first turns its timeout into a deadline, which is a value of sys_now() or DEADLINE_NEVER.
 */
#ifndef VFC_BASE_DEADLINE_H
#define VFC_BASE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/sys.h"

#define DEADLINE_NEVER INT64_MAX

static inline int64_t deadline_in(int64_t timeout)
{
	int64_t now = timeout < 0 ? 0 : sys_now();

	/* A deadline in some centuries is treated as never, so that the sum does not overflow. */
	return timeout < 0 || timeout > INT64_MAX - now ? DEADLINE_NEVER : now + timeout;
}

/* The nanoseconds left, as a timeout: 0 once the deadline has passed, -1 if it never comes. */
static inline int64_t deadline_left(int64_t deadline)
{
	int64_t left = deadline == DEADLINE_NEVER ? -1 : deadline - sys_now();

	return deadline != DEADLINE_NEVER && left < 0 ? 0 : left;
}

static inline bool deadline_passed(int64_t deadline)
{
	return deadline_left(deadline) == 0;
}

#endif
