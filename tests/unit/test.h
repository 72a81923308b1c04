/* SPDX-License-Identifier: MIT */
/*
 * A test program is a main() that calls functions; the first check that fails says where and what
 * and ends it with 1. 77 tells meson that there was nothing to test.
 */
#ifndef VFC_TEST_H
#define VFC_TEST_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <vfiocore/error.h>

static inline void test_failed(const char *file, int line, const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s:%d: failed: %s\n  latest error record: %s\n", file, line, what, text);
	exit(1);
}

static inline void test_differ(const char *file, int line, const char *a, const char *b,
			       int64_t actual, int64_t expected)
{
	char what[400];

	snprintf(what, sizeof(what), "%.150s == %.150s\n  %" PRId64 " (0x%" PRIx64 ") is not %" PRId64
		 " (0x%" PRIx64 ")", a, b, actual, (uint64_t)actual, expected, (uint64_t)expected);
	test_failed(file, line, what);
}

#define CHECK(condition)                                              \
	do {                                                          \
		if (!(condition))                                     \
			test_failed(__FILE__, __LINE__, #condition);  \
	} while (0)

/* Compare integers of any width. Each side is evaluated once. */
#define CHECK_EQ(actual, expected)                                                          \
	do {                                                                                \
		int64_t actual_ = (int64_t)(actual), expected_ = (int64_t)(expected);       \
		if (actual_ != expected_)                                                   \
			test_differ(__FILE__, __LINE__, #actual, #expected, actual_, expected_); \
	} while (0)

/*
 * Wait for another thread: repeat until true. Tries are counted and not seconds, so that a machine that
 * stalls does not fail the test; they take 20 seconds at least.
 */
#define CHECK_SOON(condition)                                               \
	do {                                                                \
		int tries_ = 200000;                                        \
		while (!(condition)) {                                      \
			if (!--tries_)                                      \
				test_failed(__FILE__, __LINE__, #condition); \
			sys_sleep(100000);                                  \
		}                                                           \
	} while (0)

#define SKIP(why)                                     \
	do {                                          \
		fprintf(stderr, "skipped: %s\n", why); \
		exit(77);                             \
	} while (0)

/* Pseudo-random numbers (xorshift64), the same ones in each run. */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
