/* SPDX-License-Identifier: MIT */
/*
 * Structures that callers fill in, or that are filled in for them, start with their size and grow
 * at their end. So a caller's structure may be that of an older or a newer header. What an older
 * one lacks is 0, the default. What a newer one has beyond ours must be 0, since anything else asks
 * for what this library does not know.
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
 * Return the caller's @options as this library has them. NULL stands for all defaults. Options of
 * this library's size are returned as they are, others are copied to @own. The result is NULL if
 * they are refused: return OPTIONS_REFUSED then. @least is the number of bytes up to the last field
 * that has no default.
 */
#define OPTIONS_OF(least, type, options, own) \
	((const struct type *)sized_options((options), (own), sizeof(struct type), (least), #type))
#define OPTIONS(type, options, own) OPTIONS_OF(SIZED_LEAST, type, options, own)
#define OPTIONS_REFUSED (-vfc_error_last()->code)
#define SIZED_LEAST 8 /* a structure that is only a size is a mistake */

/* Check that @answer can take an answer. Ask this before anything is done. */
int sized_check(const void *answer, const char *name);
#define ANSWER_CHECK(type, answer) sized_check((answer), #type)

/*
 * Copy as much of @from, which has @size bytes, as the caller's structure has room for. What the
 * caller has beyond that becomes 0.
 */
void sized_answer(void *answer, const void *from, uint32_t size);

#endif
