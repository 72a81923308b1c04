/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vfiocore/abi.h>

/* The record is per thread, so nothing is shared and nothing needs a constructor. */
static _Thread_local struct vfc_error record;
static _Thread_local unsigned quiet; /* quiet sections that the thread is in */

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

int vfc_fail(int code, enum vfc_reason reason, struct error_where where, const char *hint, ...)
{
	va_list args;

	if (quiet)
		return -abs(code);
	record.code = abs(code);
	record.reason = reason;
	record.operation[0] = '\0';
	copy(record.call, sizeof(record.call), where.call);
	copy(record.object, sizeof(record.object), where.object);
	record.iova = where.iova;
	record.length = where.length;
	record.flags = where.has_iova || where.iova ? VFC_ERROR_IOVA : 0;
	va_start(args, hint);
	vsnprintf(record.hint, sizeof(record.hint), hint, args);
	va_end(args);
	return -record.code;
}

void error_quiet_begin(void)
{
	quiet++;
}

void error_quiet_end(void)
{
	quiet--;
}

void vfc_error_operation(const char *operation)
{
	/*
	 * A public function may call another one. The outermost one is what the user called. It
	 * comes last.
	 */
	if (!quiet)
		copy(record.operation, sizeof(record.operation), operation);
}

int vfc_failed_on(const char *object, int rc)
{
	if (rc < 0 && !quiet)
		copy(record.object, sizeof(record.object), object);
	return rc;
}

void vfc_error_restore(const struct vfc_error *before)
{
	record = *before;
}

int vfc_no_memory(void)
{
	return vfc_fail(ENOMEM, VFC_REASON_NONE, NOWHERE, "this process is out of memory");
}

const struct vfc_error *vfc_error_last(void)
{
	return &record;
}

/* Describe the range of a mapping, or the length of memory or of an access, which have no IOVA. */
static void range_text(char *text, size_t size)
{
	if (record.flags & VFC_ERROR_IOVA && record.length)
		snprintf(text, size, " [IOVA 0x%" PRIx64 ", %" PRIu64 " bytes]", record.iova, record.length);
	else if (record.flags & VFC_ERROR_IOVA)
		snprintf(text, size, " [IOVA 0x%" PRIx64 "]", record.iova);
	else if (record.length)
		snprintf(text, size, " [%" PRIu64 " bytes]", record.length);
}

int vfc_error_text(char *buf, size_t size)
{
	char range[64] = "";
	const char *text = strerrordesc_np(record.code); /* thread-safe, untranslated */

	if (!record.code)
		return snprintf(buf, size, "no error");
	range_text(range, sizeof(range));
	return snprintf(buf, size, "%s%s%s%s%s: %s%s%s%s", record.object,
			record.object[0] ? ": " : "", record.operation, record.call[0] ? ": " : "",
			record.call, text ? text : "unknown error", range,
			record.hint[0] ? ": " : "", record.hint);
}

int vfc_abi(void)
{
	return VFC_ABI;
}

const char *vfc_version(void)
{
	return VFC_VERSION;
}
