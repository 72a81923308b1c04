/* SPDX-License-Identifier: MIT */
/*
 * Included before a source file whose code is to be looked at (barriers.py): each access to a register
 * or a ring becomes a call, which shows in the disassembly as what it is. A call and a barrier are
 * where the source has them, whatever the compiler does to the code around them.
 *
 * With WITHOUT_<barrier> that barrier is left out, to prove that its absence is seen.
 */
#ifndef TESTS_CROSS_MARKS_H
#define TESTS_CROSS_MARKS_H

#include <vfiocore/barrier.h>
#include <vfiocore/mmio.h>
#include <vfiocore/ring_layout.h>

uint32_t mark_register_load(const volatile void *address);
void mark_register_store(volatile void *address, uint64_t value);
uint64_t mark_ring_load(const void *where);  /* of the control word, the status or an index */
uint32_t mark_ring_load32(const void *where);
uint16_t mark_ring_load16(const void *where);
void mark_ring_store64(void *where, uint64_t value);
void mark_ring_store16(void *where, uint16_t value);

#define vfc_mmio_read32(address) mark_register_load(address)
#define vfc_mmio_write16(address, value) mark_register_store(address, value)
#define vfc_mmio_write32(address, value) mark_register_store(address, value)
#define vfc_mmio_write64(address, value) mark_register_store(address, value)

#undef VFC_RING_STORE64
#undef VFC_RING_STORE16
#undef VFC_RING_LOAD64
#undef VFC_RING_LOAD32
#undef VFC_RING_LOAD16
#define VFC_RING_STORE64(where, value) mark_ring_store64(where, value)
#define VFC_RING_STORE16(where, value) mark_ring_store16(where, value)
#define VFC_RING_LOAD64(where) mark_ring_load(where)
#define VFC_RING_LOAD32(where) mark_ring_load32(where)
#define VFC_RING_LOAD16(where) mark_ring_load16(where)

#define NO_BARRIER() __asm__ volatile("" ::: "memory")
#ifdef WITHOUT_vfc_to_device
#define vfc_to_device() NO_BARRIER()
#endif
#ifdef WITHOUT_vfc_to_memory
#define vfc_to_memory() NO_BARRIER()
#endif
#ifdef WITHOUT_vfc_from_device
#define vfc_from_device() NO_BARRIER()
#endif
#ifdef WITHOUT_vfc_from_register
#define vfc_from_register() NO_BARRIER()
#endif
#ifdef WITHOUT_vfc_store_load
#define vfc_store_load() NO_BARRIER()
#endif

#endif
