/* SPDX-License-Identifier: MIT */
/*
 * Structures that callers fill in, or have filled in, start with their size and grow at their end, so a
 * caller's may be that of an older header or of a newer one. What an older one has not is 0, the
 * default. What a newer one has beyond ours must be 0: it asks for what this library knows nothing of.
 */
#ifndef VFC_SIZED_H
#define VFC_SIZED_H

#include <stdint.h>

#include "base/error.h"

/* See OPTIONS(). */
const void *sized_convert(const void *options, void *own, uint32_t size, uint32_t least,
			  const char *name);

static inline const void *sized_options(const void *options, void *own, uint32_t size,
					uint32_t least, const char *name)
{
	return options && *(const uint32_t *)options == size
		       ? options
		       : sized_convert(options, own, size, least, name);
}

/*
 * The caller's @options (NULL: all defaults) as this library has them: themselves when they are of its
 * size, or copied to @own; NULL: refused, return OPTIONS_REFUSED. @least: bytes up to the last
 * field that has no default.
 */
#define OPTIONS_OF(least, type, options, own) \
	((const struct type *)sized_options((options), (own), sizeof(struct type), (least), #type))
#define OPTIONS(type, options, own) OPTIONS_OF(SIZED_LEAST, type, options, own)
#define OPTIONS_REFUSED (-vfc_error_last()->code)
#define SIZED_LEAST 8 /* a size alone is a mistake */

/* Can it take an answer? Asked before anything is done. */
int sized_check(const void *answer, const char *name);
#define ANSWER_CHECK(type, answer) sized_check((answer), #type)

/* Of @from, which has @size bytes, what the caller's has room for; what it has beyond is 0. */
void sized_answer(void *answer, const void *from, uint32_t size);

#endif
