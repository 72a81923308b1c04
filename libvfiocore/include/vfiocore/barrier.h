/* SPDX-License-Identifier: MIT */
/*
 * Barriers between this CPU and a device. Each is named for what it orders; "memory" is DMA memory.
 * Stands on nothing.
 *
 *  vfc_to_device()      stores to memory, before a later store to a register: a doorbell
 *  vfc_to_memory()      stores to memory, before a later store to memory: an index, an owner's bit
 *  vfc_from_device()    a load of memory, before later loads of memory: a status, then its buffer
 *  vfc_from_register()  a load of a register, before later loads of memory
 *  vfc_store_load()     stores to memory, before later loads of memory
 *  vfc_flush_wc()       stores through a write-combining mapping, before all that follows
 *
 * vfc_from_register() is for code that learns from a register what it then looks for in memory: it
 * reads back an unmasked interrupt and looks at the ring for the last time, or it reads the cause
 * of an interrupt and then the buffer. vfc_mmio_read32() and the other unchecked accesses have no
 * barrier of their own, unlike Linux's readl() and writel(). vfc_mmio_wait32() ends with this one.
 *
 * vfc_store_load() is for a handshake in memory, where each side writes and then reads what the
 * other wrote: virtio's index and event.
 *
 * Compilers' own fences (__sync_synchronize(), atomic_thread_fence()) order one CPU against another
 * CPU. That is too little where devices are in a wider domain.
 */
#ifndef VFIOCORE_BARRIER_H
#define VFIOCORE_BARRIER_H

#include "abi.h"

VFC_BEGIN_DECLS

#define VFC_BARRIER(instruction) __asm__ volatile(instruction ::: "memory")

#if defined(__x86_64__)
/*
 * Stores stay in order, and loads do. A load or store of uncached memory is not passed by later
 * ones of write-back memory (Intel SDM volume 3A, sections 9.2.2 and 12.3). So the compiler alone
 * must be kept from moving accesses, but for a store that a later load may pass.
 */
VFC_INLINE void vfc_to_device(void) { VFC_BARRIER(""); }
VFC_INLINE void vfc_to_memory(void) { VFC_BARRIER(""); }
VFC_INLINE void vfc_from_device(void) { VFC_BARRIER(""); }
VFC_INLINE void vfc_from_register(void) { VFC_BARRIER(""); }
VFC_INLINE void vfc_store_load(void) { __sync_synchronize(); }
VFC_INLINE void vfc_flush_wc(void) { VFC_BARRIER("sfence"); }
#elif defined(__aarch64__)
/*
 * Devices are in the outer shareable domain, CPUs in the inner one. Linux has the same
 * instructions: dma_wmb(), dma_rmb() and dma_mb() in arch/arm64/include/asm/barrier.h, and
 * __iormb() of readl() in asm/io.h.
 */
VFC_INLINE void vfc_to_device(void) { VFC_BARRIER("dmb oshst"); }
VFC_INLINE void vfc_to_memory(void) { VFC_BARRIER("dmb oshst"); }
VFC_INLINE void vfc_from_device(void) { VFC_BARRIER("dmb oshld"); }
VFC_INLINE void vfc_from_register(void) { VFC_BARRIER("dmb oshld"); }
VFC_INLINE void vfc_store_load(void) { VFC_BARRIER("dmb osh"); }
VFC_INLINE void vfc_flush_wc(void) { VFC_BARRIER("dsb st"); }
#elif defined(__powerpc64__)
/*
 * "lwsync" orders cacheable accesses alone, and no load after a store. "sync" orders
 * cache-inhibited accesses too (Power ISA book II, section 4.6.3). Linux: mb(), rmb() and dma_wmb()
 * in arch/powerpc/include/asm/barrier.h. Its readl() waits for the value instead (twi and isync),
 * since it must also order a delay loop.
 */
VFC_INLINE void vfc_to_device(void) { VFC_BARRIER("sync"); }
VFC_INLINE void vfc_to_memory(void) { VFC_BARRIER("lwsync"); }
VFC_INLINE void vfc_from_device(void) { VFC_BARRIER("lwsync"); }
VFC_INLINE void vfc_from_register(void) { VFC_BARRIER("sync"); }
VFC_INLINE void vfc_store_load(void) { VFC_BARRIER("sync"); }
VFC_INLINE void vfc_flush_wc(void) { VFC_BARRIER("sync"); }
#elif defined(__riscv)
/*
 * A fence names memory (r, w) and devices (i, o) apart. Which of the two an access is follows from
 * the page's attributes, so a register that lies in memory (a model's, a shadow doorbell) is "w"
 * and "r": the two barriers for registers name both. Linux: __io_ar() of readl(), "fence i,ir", and
 * __io_bw() of writel(), "fence w,o", in arch/riscv/include/asm/mmio.h; __smp_wmb() and __smp_mb()
 * in asm/barrier.h.
 */
VFC_INLINE void vfc_to_device(void) { VFC_BARRIER("fence w,ow"); }
VFC_INLINE void vfc_to_memory(void) { VFC_BARRIER("fence w,w"); }
VFC_INLINE void vfc_from_device(void) { VFC_BARRIER("fence r,r"); }
VFC_INLINE void vfc_from_register(void) { VFC_BARRIER("fence ir,ir"); }
VFC_INLINE void vfc_store_load(void) { VFC_BARRIER("fence rw,rw"); }
VFC_INLINE void vfc_flush_wc(void) { VFC_BARRIER("fence iorw,iorw"); }
#else /* s390x and others: a full barrier, which is only slower */
VFC_INLINE void vfc_to_device(void) { __sync_synchronize(); }
VFC_INLINE void vfc_to_memory(void) { __sync_synchronize(); }
VFC_INLINE void vfc_from_device(void) { __sync_synchronize(); }
VFC_INLINE void vfc_from_register(void) { __sync_synchronize(); }
VFC_INLINE void vfc_store_load(void) { __sync_synchronize(); }
VFC_INLINE void vfc_flush_wc(void) { __sync_synchronize(); }
#endif

#undef VFC_BARRIER

/*
 * vfc_relax() - tell the CPU that this is the body of a loop which waits for another CPU or a
 * device. It orders nothing.
 */
#if defined(__x86_64__)
VFC_INLINE void vfc_relax(void) { __asm__ volatile("pause"); }
#elif defined(__aarch64__)
VFC_INLINE void vfc_relax(void) { __asm__ volatile("yield"); }
#else
VFC_INLINE void vfc_relax(void) { __asm__ volatile(""); }
#endif

/*
 * vfc_prefetch() - tell the CPU that this address will be read soon. It orders nothing and cannot
 * fault.
 */
VFC_TEMPLATE void vfc_prefetch(const void *address) { __builtin_prefetch(address); }

VFC_END_DECLS
#endif
