/* SPDX-License-Identifier: MIT */
#include "base/memlock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/sys.h"

/* A line "NAME: n kB" of /proc/self/status in bytes; 0 if there is none. */
static uint64_t status_line(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

/*
 * Memory of this process that counts against the limit. type1 counts it as locked, iommufd as
 * pinned.
 */
static uint64_t locked_now(void)
{
	char text[4096];
	ssize_t n;
	int fd = sys_open("/proc/self/status", O_RDONLY);

	if (fd < 0)
		return 0;
	n = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	text[n > 0 ? n : 0] = '\0';
	return status_line(text, "VmLck:") + status_line(text, "VmPin:");
}

int memlock_failed(int rc, struct error_where where, uint64_t length)
{
	uint64_t limit = sys_memlock_limit(), locked = locked_now();

	if (limit == UINT64_MAX || (locked <= limit && length <= limit - locked))
		return vfc_fail(rc, VFC_REASON_NONE, where, "the kernel is out of memory%s",
				limit == UINT64_MAX ? ""
						    : ", or this user's other processes have pinned "
						      "memory, which iommufd counts, too");
	return vfc_fail(rc, VFC_REASON_MEMLOCK, where,
			"needs %" PRIu64 " KiB locked memory beside %" PRIu64
			" KiB locked already, the limit is %" PRIu64
			" KiB: raise it (ulimit -l, LimitMEMLOCK=, /etc/security/limits.conf)",
			length / 1024, locked / 1024, limit / 1024);
}
