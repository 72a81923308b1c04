/* SPDX-License-Identifier: MIT */
/* Check that memory is mapped and accessible, for transports that do not have the kernel pin it. */
#include "transport/touch.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "kernel/sys.h"
#include "kernel/uapi.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/*
 * Pinning would succeed if populating does. Kernels before 5.14 do not know that advice (EINVAL).
 * There any other advice tells at least whether all of the memory is mapped.
 */
int touch(void *va, uint64_t length, uint32_t flags)
{
	bool write = flags & VFIO_DMA_MAP_FLAG_WRITE;
	int rc = sys_madvise(va, length, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	uint8_t probe[1];

	if (rc != -EINVAL)
		return rc;
	/* EINVAL is also the answer for memory that does not allow this access. */
	if (sys_madvise((void *)((uintptr_t)probe & ~(uintptr_t)(sys_page_size() - 1)), 1,
			MADV_POPULATE_READ) == 0)
		return -EFAULT;
	return sys_madvise(va, length, MADV_NORMAL);
}
