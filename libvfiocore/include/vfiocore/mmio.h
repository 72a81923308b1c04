/* SPDX-License-Identifier: MIT */
/*
 * Width-exact register access through a mapped region. Stands on nothing.
 *
 * Each function is one load or store of exactly that width, in the device's little-endian order.
 * They are unchecked: the address must be aligned and inside of a live mapping; a device whose
 * memory decoding is off or that was pulled raises SIGBUS or answers with all ones. The checked
 * ones are vfc_region_read() and vfc_region_write(); nofault.h tells what they do then.
 *
 * The assembly on x86-64 and arm64 keeps the compiler from splitting, merging or widening the
 * access, which volatile alone promises only by convention.
 */
#ifndef VFIOCORE_MMIO_H
#define VFIOCORE_MMIO_H

#include "abi.h"

VFC_BEGIN_DECLS

#if defined(__x86_64__)
#define VFC_MMIO_LOAD(insn_x86, insn_arm, reg, ptr, val) \
	__asm__ volatile(insn_x86 : "=" reg(val) : "m"(*(ptr)) : "memory")
#define VFC_MMIO_STORE(insn_x86, insn_arm, reg, ptr, val) \
	__asm__ volatile(insn_x86 : : reg(val), "m"(*(ptr)) : "memory")
#define VFC_MMIO_REG8 "q"
#elif defined(__aarch64__)
/*
 * The base register alone: an access with write-back cannot be emulated by a hypervisor (no ISS).
 */
#define VFC_MMIO_LOAD(insn_x86, insn_arm, reg, ptr, val) \
	__asm__ volatile(insn_arm : "=r"(val) : "r"(ptr) : "memory")
#define VFC_MMIO_STORE(insn_x86, insn_arm, reg, ptr, val) \
	__asm__ volatile(insn_arm : : "r"(val), "r"(ptr) : "memory")
#define VFC_MMIO_REG8 "r"
#else
#define VFC_MMIO_LOAD(insn_x86, insn_arm, reg, ptr, val) ((val) = *(ptr))
#define VFC_MMIO_STORE(insn_x86, insn_arm, reg, ptr, val) (*(ptr) = (val))
#define VFC_MMIO_REG8 "r"
#endif

VFC_INLINE uint8_t vfc_mmio_read8(const volatile void *address)
{
	const volatile uint8_t *p = (const volatile uint8_t *)address;
	uint8_t value;

	VFC_MMIO_LOAD("movb %1, %0", "ldrb %w0, [%1]", VFC_MMIO_REG8, p, value);
	return value;
}

VFC_INLINE uint16_t vfc_mmio_read16(const volatile void *address)
{
	const volatile uint16_t *p = (const volatile uint16_t *)address;
	uint16_t value;

	VFC_MMIO_LOAD("movw %1, %0", "ldrh %w0, [%1]", "r", p, value);
	return VFC_LE16(value);
}

VFC_INLINE uint32_t vfc_mmio_read32(const volatile void *address)
{
	const volatile uint32_t *p = (const volatile uint32_t *)address;
	uint32_t value;

	VFC_MMIO_LOAD("movl %1, %0", "ldr %w0, [%1]", "r", p, value);
	return VFC_LE32(value);
}

VFC_INLINE uint64_t vfc_mmio_read64(const volatile void *address)
{
	const volatile uint64_t *p = (const volatile uint64_t *)address;
	uint64_t value;

	VFC_MMIO_LOAD("movq %1, %0", "ldr %0, [%1]", "r", p, value);
	return VFC_LE64(value);
}

VFC_INLINE void vfc_mmio_write8(volatile void *address, uint8_t value)
{
	volatile uint8_t *p = (volatile uint8_t *)address;

	VFC_MMIO_STORE("movb %0, %1", "strb %w0, [%1]", VFC_MMIO_REG8, p, value);
}

VFC_INLINE void vfc_mmio_write16(volatile void *address, uint16_t value)
{
	volatile uint16_t *p = (volatile uint16_t *)address;
	uint16_t wire = VFC_LE16(value);

	VFC_MMIO_STORE("movw %0, %1", "strh %w0, [%1]", "r", p, wire);
}

VFC_INLINE void vfc_mmio_write32(volatile void *address, uint32_t value)
{
	volatile uint32_t *p = (volatile uint32_t *)address;
	uint32_t wire = VFC_LE32(value);

	VFC_MMIO_STORE("movl %0, %1", "str %w0, [%1]", "r", p, wire);
}

VFC_INLINE void vfc_mmio_write64(volatile void *address, uint64_t value)
{
	volatile uint64_t *p = (volatile uint64_t *)address;
	uint64_t wire = VFC_LE64(value);

	VFC_MMIO_STORE("movq %0, %1", "str %0, [%1]", "r", p, wire);
}

#undef VFC_MMIO_LOAD
#undef VFC_MMIO_STORE
#undef VFC_MMIO_REG8

/*
 * vfc_mmio_wait32() - read a register until (value read & @mask) == @value.
 * @timeout: ns; negative: without end. It reads once at least, and once more after the time has
 * passed, so a thread that got no CPU meanwhile does not miss what the device did. Between two
 * reads it sleeps, from 1 us at first to 1 ms.
 * A device that is gone answers with all ones, in which any bit that is awaited seems to be set. So
 * all ones are never a success, and end the wait at once, unless they are what is awaited: @mask
 * and
 * @value UINT32_MAX. After a reset, sleep first for as long as the device may not be touched.
 * Loads of DMA memory that follow are ordered behind the last read (vfc_from_register()).
 * Return: how many times it was read. Errors: -ETIMEDOUT; -ENODEV (VFC_REASON_GONE: all ones).
 * Thread-safe. Source: xhci_handshake() and nvme_wait_ready() of Linux give up on all ones
 * likewise.
 */
VFC_API int vfc_mmio_wait32(const volatile void *address, uint32_t mask, uint32_t value,
			    int64_t timeout);

VFC_END_DECLS
#endif
