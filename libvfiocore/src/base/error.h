/* SPDX-License-Identifier: MIT */
/* How the library's own code fills in the calling thread's error record. Stands on nothing. */
#ifndef VFC_ERROR_H
#define VFC_ERROR_H

#include <stdbool.h>
#include <vfiocore/error.h>

struct error_where {
	const char *call;   /* system call or ioctl; NULL: none */
	const char *object; /* device, group, path; NULL: none */
	uint64_t iova;
	uint64_t length;
	bool has_iova; /* which may be 0 */
};

/*
 * Record a failure and return it: return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = name),
 * "BAR %u ...", n). @code may be positive or negative. The public function adds its own name by
 * vfc_done().
 */
int vfc_fail(int code, enum vfc_reason reason, struct error_where where, const char *hint, ...)
	__attribute__((format(printf, 4, 5)));

/* "%u device%s", n, PLURAL(n) */
#define PLURAL(count) ((count) == 1 ? "" : "s")

/*
 * Of functions whose time is measured, which the linker puts together, with all that they call in
 * their file; and of those that make the record when one fails.
 */
#define HOT __attribute__((hot, flatten))
#define COLD __attribute__((cold, noinline))

/* Of a mapping, inside of WHERE(): its IOVA, which is told even if it is 0, and its length. */
#define AT_IOVA(address, bytes) .iova = (address), .length = (bytes), .has_iova = true

#define WHERE(...) ((struct error_where){__VA_ARGS__})
#define NOWHERE ((struct error_where){0})

/*
 * Every public function returns through this: a failure gets the function's name.
 *   return vfc_done(rc);
 */
void vfc_error_operation(const char *operation);
static inline int vfc_done_in(const char *operation, int rc)
{
	if (rc < 0)
		vfc_error_operation(operation);
	return rc;
}
#define vfc_done(rc) vfc_done_in(__func__, (rc))

/* What failed one floor below, with the object as the caller knows it. Returns @rc. */
int vfc_failed_on(const char *object, int rc);

/*
 * Between the two, a failure of the calling thread leaves no record: for what may fail without the
 * public call's failing. They nest. A record that somebody reads inside is that of an earlier failure.
 */
void error_quiet_begin(void);
void error_quiet_end(void);

/* A failure whose record was read, and which was dealt with, leaves the record as it was. */
void vfc_error_restore(const struct vfc_error *before);

/* malloc failed: the same record everywhere. */
int vfc_no_memory(void);

#endif
