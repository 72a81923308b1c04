/* SPDX-License-Identifier: MIT */
/*
 * Barriers, named for what they order between this CPU and a device. Stands on nothing.
 *
 *  vfc_to_device()    my stores to DMA memory are visible to the device before a later doorbell
 *  vfc_from_device()  a completion that I read is ordered before my loads of what it covers
 *  vfc_flush_wc()     stores through a write-combining mapping have left the CPU
 *
 * x86-64: TSO keeps stores in order and a store to uncached MMIO is not passed by earlier
 * write-back stores, so the first two are compiler barriers: an sfence there would only cost
 * (Intel SDM vol. 3A, 9.2.2 and 12.3). arm64: the outer shareable domain is where devices live.
 * ppc64: "sync" orders cacheable stores against cache-inhibited ones, lwsync does not
 * (Power ISA book II, 4.6.3). RISC-V: a fence names memory (r, w) and devices (i, o) apart.
 */
#ifndef VFIOCORE_BARRIER_H
#define VFIOCORE_BARRIER_H

#include "abi.h"

VFC_BEGIN_DECLS

#if defined(__x86_64__)
VFC_INLINE void vfc_to_device(void) { __asm__ volatile("" ::: "memory"); }
VFC_INLINE void vfc_from_device(void) { __asm__ volatile("" ::: "memory"); }
VFC_INLINE void vfc_flush_wc(void) { __asm__ volatile("sfence" ::: "memory"); }
#elif defined(__aarch64__)
VFC_INLINE void vfc_to_device(void) { __asm__ volatile("dmb oshst" ::: "memory"); }
VFC_INLINE void vfc_from_device(void) { __asm__ volatile("dmb oshld" ::: "memory"); }
VFC_INLINE void vfc_flush_wc(void) { __asm__ volatile("dsb st" ::: "memory"); }
#elif defined(__powerpc64__)
VFC_INLINE void vfc_to_device(void) { __asm__ volatile("sync" ::: "memory"); }
VFC_INLINE void vfc_from_device(void) { __asm__ volatile("lwsync" ::: "memory"); }
VFC_INLINE void vfc_flush_wc(void) { __asm__ volatile("sync" ::: "memory"); }
#elif defined(__riscv)
/* Compilers fence memory alone; devices are another class (unprivileged ISA, chapter "fence"). */
VFC_INLINE void vfc_to_device(void) { __asm__ volatile("fence w,o" ::: "memory"); }
VFC_INLINE void vfc_from_device(void) { __asm__ volatile("fence r,r" ::: "memory"); }
VFC_INLINE void vfc_flush_wc(void) { __asm__ volatile("fence iorw,iorw" ::: "memory"); }
#else /* s390x and others: a full barrier, only slower */
VFC_INLINE void vfc_to_device(void) { __sync_synchronize(); }
VFC_INLINE void vfc_from_device(void) { __sync_synchronize(); }
VFC_INLINE void vfc_flush_wc(void) { __sync_synchronize(); }
#endif

/* vfc_relax() - a hint that this is the body of a loop that waits for another CPU. Orders nothing. */
#if defined(__x86_64__)
VFC_INLINE void vfc_relax(void) { __asm__ volatile("pause"); }
#elif defined(__aarch64__)
VFC_INLINE void vfc_relax(void) { __asm__ volatile("yield"); }
#else
VFC_INLINE void vfc_relax(void) { __asm__ volatile(""); }
#endif

/* vfc_prefetch() - a hint that this will be read soon. Orders nothing, and cannot fault. */
VFC_TEMPLATE void vfc_prefetch(const void *address) { __builtin_prefetch(address); }

VFC_END_DECLS
#endif
