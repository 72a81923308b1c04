/* SPDX-License-Identifier: MIT */
/*
 * Objects belong to the process that made them. A child of fork() has copies of their memory and
 * shares their descriptors. Whatever the child undoes, even in destructors at its exit, it would
 * undo for its parent.
 */
#ifndef VFC_FORK_H
#define VFC_FORK_H

#include <errno.h>

#include "base/error.h"
#include "kernel/sys.h"

static inline int fork_failed(const char *name)
{
	return vfc_fail(ECHILD, VFC_REASON_NONE, WHERE(.object = name),
			"the parent process opened it, and goes on using it: open it anew in this one, or "
			"leave it alone");
}

/*
 * Allocate whole pages of zeros, which a child of fork() finds zeroed again. A field that is never
 * 0 in the process that made them tells the two processes apart without a system call. If the field
 * is tested anyway, as a count or a root is, it needs no further test. A lock in this memory is
 * free in the child, whoever held it.
 */
int fork_alloc(size_t length, void **memory);
void fork_free(void *memory, size_t length);

/* Check that this is process @pid, which made the object called @name. */
static inline int fork_check(int pid, const char *name)
{
	return pid == sys_pid() ? 0 : fork_failed(name);
}

#endif
