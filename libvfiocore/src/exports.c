/* SPDX-License-Identifier: MIT */
/*
 * Emits each inline function of the public headers once, for callers that can only dlsym(): the
 * very source that C callers inline. Nothing else may be in this file.
 */
#define VFC_EXPORT_INLINES

/* "extern" definitions whose only declaration is themselves are the point here. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wmissing-variable-declarations"
#endif

#include <vfiocore.h>
