/* SPDX-License-Identifier: MIT */
#include "base/sized.h"

#include <errno.h>
#include <string.h>
#include <vfiocore/error.h>

/* No structure is nearly as large, but a size that was never set may be larger. */
#define MOST 4096

static int check(uint32_t size, uint32_t least, const char *name)
{
	if (size >= least && size <= MOST)
		return 0;
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"its size is %u, set it to sizeof(struct %s)", size, name);
}

/* Find a byte from @size on and before @end that is not 0. */
static const uint8_t *find_tail(const uint8_t *from, uint32_t size, uint32_t end)
{
	for (uint32_t i = size; i < end; i++)
		if (from[i])
			return from + i;
	return NULL;
}

const void *sized_convert(const void *options, void *own, uint32_t size, uint32_t least,
			  const char *name)
{
	uint32_t given = options ? *(const uint32_t *)options : 0;
	const uint8_t *tail;

	memset(own, 0, size);
	if (options && check(given, least, name) < 0)
		return NULL;
	tail = find_tail(options, size, given);
	if (tail) {
		vfc_fail(E2BIG, VFC_REASON_UNSUPPORTED, NOWHERE,
			 "struct %s has an option at byte %td that this library, which knows %u bytes of "
			 "it, does not have: leave it 0, or use the library of the header that the "
			 "program was compiled with", name, tail - (const uint8_t *)options, size);
		return NULL;
	}
	if (options)
		memcpy(own, options, given < size ? given : size);
	*(uint32_t *)own = size;
	return own;
}

int sized_check(const void *answer, const char *name)
{
	return check(*(const uint32_t *)answer, SIZED_LEAST, name);
}

void sized_answer(void *answer, const void *from, uint32_t size)
{
	uint32_t given = *(const uint32_t *)answer, head = sizeof(given);
	uint32_t known = given < size ? given : size;

	memcpy((char *)answer + head, (const char *)from + head, known - head);
	memset((char *)answer + known, 0, given - known);
}
