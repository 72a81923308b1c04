/* SPDX-License-Identifier: MIT */
/* How the library's own code fills in the calling thread's error record. It depends on nothing. */
#ifndef VFC_ERROR_H
#define VFC_ERROR_H

#include <stdbool.h>
#include <vfiocore/error.h>

struct error_where {
	const char *call;   /* system call or ioctl; NULL: none */
	const char *object; /* device, group, path; NULL: none */
	uint64_t iova;
	uint64_t length;
	bool has_iova; /* @iova counts, even if it is 0 */
};

/*
 * Record a failure and return it:
 *   return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE(.object = name), "BAR %u ...", n);
 * @code may be positive or negative. The public function adds its own name with vfc_done().
 */
int vfc_fail(int code, enum vfc_reason reason, struct error_where where, const char *hint, ...)
	__attribute__((format(printf, 4, 5)));

/* "%u device%s", n, PLURAL(n) */
#define PLURAL(count) ((count) == 1 ? "" : "s")

/*
 * HOT is for functions whose time is measured. They inline what they call in their file, and the
 * linker puts them together. COLD is for functions that record a failure.
 */
#define HOT __attribute__((hot, flatten))
#define COLD __attribute__((cold, noinline))

/* The IOVA and length of a mapping, for use in WHERE(). The IOVA is told even if it is 0. */
#define AT_IOVA(address, bytes) .iova = (address), .length = (bytes), .has_iova = true

#define WHERE(...) ((struct error_where){__VA_ARGS__})
#define NOWHERE ((struct error_where){0})

/*
 * Every public function returns through this, so that a failure gets the function's name:
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

/* After a failure one layer below, name the object as the caller knows it. Returns @rc. */
int vfc_failed_on(const char *object, int rc);

/*
 * Between these two a failure of the calling thread leaves no record. Use them for what may fail
 * without making the public call fail. They nest. A record that is read between them is that of an
 * earlier failure.
 */
void error_quiet_begin(void);
void error_quiet_end(void);

/* Restore the record from before a failure that was read and dealt with. */
void vfc_error_restore(const struct vfc_error *before);

/* Record that an allocation failed, in the same words everywhere. */
int vfc_no_memory(void);

#endif
