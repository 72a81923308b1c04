/* SPDX-License-Identifier: MIT */
/* Run a sequence of public calls again and again; each time another of its system calls fails. */
#ifndef VFC_TEST_SWEEP_H
#define VFC_TEST_SWEEP_H

#include <dirent.h>
#include <string.h>

#include "kernel/sys.h"
#include "test.h"

#define SWEEP_TOO_MANY 2000

/* The call that fails. A sequence that makes other calls first arms it again after those. */
static unsigned sweep_armed;

static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

bool sys_fault(void); /* a call more, which is the one that fails when its turn has come */

/* Calls from here to sweep_resume() do not fail, and are none of those that are counted. */
static inline unsigned sweep_pause(void)
{
	unsigned made = sys_fault_count();

	sys_fault_arm(0);
	return made;
}

static inline void sweep_resume(unsigned made)
{
	sys_fault_arm(sweep_armed);
	while (sys_fault_count() < made)
		sys_fault();
}

/* Remember the first failure, and check the record that it has just left. */
static inline int note(int *rc, int now)
{
	if (now < 0 && *rc == 0) {
		const struct vfc_error *record = vfc_error_last();

		CHECK_EQ(record->code, -now);
		CHECK(!strncmp(record->operation, "vfc_", 4));
		*rc = now;
	}
	return now;
}

/*
 * A run in which the n-th call failed must fail, and keep neither a descriptor nor address space. The
 * first run without a failing call ends the sweep. @least: how many calls there must be, so that a
 * sequence that does nothing is noticed.
 */
static inline void sweep_least(const char *what, int (*run)(void), unsigned least)
{
	int fds = count_fds(), rc;
	int64_t mapped = sys_mapped();
	unsigned n = 0, calls;

	do {
		sys_fault_arm(sweep_armed = ++n);
		rc = run();
		calls = sys_fault_count();
		sys_fault_arm(0);
		CHECK_EQ(count_fds(), fds);
		CHECK_EQ(sys_mapped(), mapped);
		if (calls >= n && rc == 0)
			fprintf(stderr, "%s: call %u failed and did no harm\n", what, n);
		CHECK(n < SWEEP_TOO_MANY);
	} while (calls >= n);
	CHECK_EQ(rc, 0);
	fprintf(stderr, "%s: %u points of failure\n", what, n - 1);
	CHECK(n > least);
}

static inline void sweep(const char *what, int (*run)(void))
{
	sweep_least(what, run, 10);
}

#endif
