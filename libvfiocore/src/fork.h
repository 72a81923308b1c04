/* SPDX-License-Identifier: MIT */
/*
 * Objects belong to the process that made them. A child of fork() has copies of their memory and
 * shares their descriptors: what it undid, destructors at its exit among them, it would undo for
 * its parent.
 */
#ifndef VFC_FORK_H
#define VFC_FORK_H

#include <errno.h>

#include "error.h"
#include "kernel/sys.h"

static inline int fork_failed(const char *name)
{
	return vfc_fail(ECHILD, VFC_REASON_NONE, WHERE(.object = name),
			"the parent process opened it, and goes on using it: open it anew in this one, or "
			"leave it alone");
}

/* @pid: of the process that made the object called @name. */
static inline int fork_check(int pid, const char *name)
{
	return pid == sys_pid() ? 0 : fork_failed(name);
}

#endif
