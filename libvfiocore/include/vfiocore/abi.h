/* SPDX-License-Identifier: MIT */
/* Linkage macros and the ABI handshake of a binding. */
#ifndef VFIOCORE_ABI_H
#define VFIOCORE_ABI_H

#include <stddef.h>
#include <stdint.h>

#if __SIZEOF_POINTER__ < 8
#error "libvfiocore needs a 64-bit CPU: a 64-bit register or descriptor word must be one access"
#endif

#ifdef __cplusplus
#define VFC_BEGIN_DECLS extern "C" {
#define VFC_END_DECLS }
#else
#define VFC_BEGIN_DECLS
#define VFC_END_DECLS
#endif

/*
 * Hot-path functions are inline for C callers and exported once, from the same source, for
 * callers that can only dlsym(): src/exports.c includes these headers with VFC_EXPORT_INLINES.
 */
#ifdef VFC_EXPORT_INLINES
#define VFC_INLINE __attribute__((visibility("default"))) extern
#else
#define VFC_INLINE static inline __attribute__((always_inline, unused))
#endif

/*
 * A loop that is compiled into its caller, with the layout and the functions that it is given
 * folded away: there is nothing to export.
 */
#define VFC_TEMPLATE static inline __attribute__((always_inline, unused))

/* Before a loop: a few of its rounds at a time. */
#ifdef __clang__
#define VFC_UNROLL _Pragma("clang loop unroll_count(8)")
#else
#define VFC_UNROLL _Pragma("GCC unroll 8")
#endif

/* Between host order and the little-endian order of PCI devices, either way. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VFC_LE16(x) ((uint16_t)(x))
#define VFC_LE32(x) ((uint32_t)(x))
#define VFC_LE64(x) ((uint64_t)(x))
#else
#define VFC_LE16(x) __builtin_bswap16(x)
#define VFC_LE32(x) __builtin_bswap32(x)
#define VFC_LE64(x) __builtin_bswap64(x)
#endif

#define VFC_API __attribute__((visibility("default")))

/* Grows when a public struct or prototype changes in a way an old caller cannot survive. */
#define VFC_ABI 0

VFC_BEGIN_DECLS

/*
 * vfc_abi() - the library's VFC_ABI, to be compared with the header's by whoever loads it at run
 * time.
 * vfc_version() - "MAJOR.MINOR.PATCH" of the library, static storage.
 * Thread-safe, never fail.
 */
VFC_API int vfc_abi(void);
VFC_API const char *vfc_version(void);

VFC_END_DECLS
#endif
