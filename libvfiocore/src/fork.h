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

/* @pid: of the process that made the object called @name. */
static inline int fork_check(int pid, const char *name)
{
	if (pid == sys_pid())
		return 0;
	return vfc_fail(ECHILD, VFC_REASON_ARGUMENT, WHERE(.object = name),
			"process %d opened it, the parent of this one, which goes on using it: open it "
			"anew here, or leave it alone",
			pid);
}

#endif
