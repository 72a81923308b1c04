/* SPDX-License-Identifier: MIT */
#include "base/fork.h"

#include <sys/mman.h>

int fork_alloc(size_t length, void **memory)
{
	int rc = sys_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, memory);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("mmap", .length = length),
				"no room for %zu bytes in this process", length);
	rc = sys_madvise(*memory, length, MADV_WIPEONFORK);
	if (rc == 0)
		return 0;
	sys_munmap(*memory, length);
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("madvise", .length = length),
			"MADV_WIPEONFORK needs Linux 4.14");
}

void fork_free(void *memory, size_t length)
{
	sys_munmap(memory, length);
}
