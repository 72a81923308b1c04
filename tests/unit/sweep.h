/* SPDX-License-Identifier: MIT */
/* Run a sequence of public calls again and again, another of its system calls failing each time. */
#ifndef VFC_TEST_SWEEP_H
#define VFC_TEST_SWEEP_H

#include <dirent.h>
#include <string.h>

#include "kernel/sys.h"
#include "test.h"

#define SWEEP_TOO_MANY 2000

/* Which call is to fail: a sequence that prepares something first arms it again then. */
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

/* The first failure is what counts; it has just left its record. */
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

/* A run in which the n-th call failed must fail; the first without a failing call ends it. */
static inline void sweep(const char *what, int (*run)(void))
{
	int fds = count_fds(), rc;
	unsigned n = 0, calls;

	do {
		sys_fault_arm(sweep_armed = ++n);
		rc = run();
		calls = sys_fault_count();
		sys_fault_arm(0);
		CHECK_EQ(count_fds(), fds);
		if (calls >= n && rc == 0)
			fprintf(stderr, "%s: call %u failed and did no harm\n", what, n);
		CHECK(n < SWEEP_TOO_MANY);
	} while (calls >= n);
	CHECK_EQ(rc, 0);
	fprintf(stderr, "%s: %u points of failure\n", what, n - 1);
	CHECK(n > 10);
}

#endif
