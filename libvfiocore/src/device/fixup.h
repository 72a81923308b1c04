/* SPDX-License-Identifier: MIT */
/*
 * Accesses that a signal handler can make return: struct fixup vfc_fixup_load4(address), and so on.
 *
 * On x86-64, arm64 and ppc64le an access is a few instructions between two labels, which keep
 * nothing on the stack. A handler that finds the program counter between the labels moves it to a
 * third label, whose code returns "failed" to the caller. This costs the access a call and nothing
 * else. It changes no signal mask, and it returns through other handlers as any signal does.
 *
 * Other architectures use sigsetjmp(). It has to save the signal mask so that the mask does not
 * change either, and that costs a system call.
 */
#ifndef VFC_FIXUP_H
#define VFC_FIXUP_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vfiocore/mmio.h>

/* This is returned in two registers. */
struct fixup {
	uint64_t value;
	uint64_t failed;
};

#if !defined(VFC_FIXUP_PORTABLE) && defined(__x86_64__)
#define FIXUP_PC(context) ((context)->uc_mcontext.gregs[REG_RIP])
#define FIXUP_LOAD(width, insn) FIXUP_FUNCTION("load" #width, insn, "xorl %edx, %edx\nret")
#define FIXUP_STORE(width, insn) FIXUP_FUNCTION("store" #width, insn, "xorl %edx, %edx\nret")
#define FIXUP_ACCESSES                                                       \
	FIXUP_LOAD(1, "movzbl (%rdi), %eax")                                 \
	FIXUP_LOAD(2, "movzwl (%rdi), %eax")                                 \
	FIXUP_LOAD(4, "movl (%rdi), %eax")                                   \
	FIXUP_LOAD(8, "movq (%rdi), %rax")                                   \
	FIXUP_STORE(1, "movb %sil, (%rdi)")                                  \
	FIXUP_STORE(2, "movw %si, (%rdi)")                                   \
	FIXUP_STORE(4, "movl %esi, (%rdi)")                                  \
	FIXUP_STORE(8, "movq %rsi, (%rdi)")                                  \
	FIXUP_FUNCTION("failed", "movl $1, %edx", "ret")
#elif !defined(VFC_FIXUP_PORTABLE) && defined(__aarch64__) && defined(__AARCH64EL__)
#define FIXUP_PC(context) ((context)->uc_mcontext.pc)
#define FIXUP_LOAD(width, insn) FIXUP_FUNCTION("load" #width, insn, "mov x1, xzr\nret")
#define FIXUP_STORE(width, insn) FIXUP_FUNCTION("store" #width, insn, "mov x1, xzr\nret")
#define FIXUP_ACCESSES                                                       \
	FIXUP_LOAD(1, "ldrb w0, [x0]")                                       \
	FIXUP_LOAD(2, "ldrh w0, [x0]")                                       \
	FIXUP_LOAD(4, "ldr w0, [x0]")                                        \
	FIXUP_LOAD(8, "ldr x0, [x0]")                                        \
	FIXUP_STORE(1, "strb w1, [x0]")                                      \
	FIXUP_STORE(2, "strh w1, [x0]")                                      \
	FIXUP_STORE(4, "str w1, [x0]")                                       \
	FIXUP_STORE(8, "str x1, [x0]")                                       \
	FIXUP_FUNCTION("failed", "mov x1, #1", "ret")
#elif !defined(VFC_FIXUP_PORTABLE) && defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define FIXUP_PC(context) ((context)->uc_mcontext.gp_regs[32]) /* PT_NIP */
#define FIXUP_LOAD(width, insn) FIXUP_FUNCTION("load" #width, insn, "li 4, 0\nblr")
#define FIXUP_STORE(width, insn) FIXUP_FUNCTION("store" #width, insn, "li 4, 0\nblr")
#define FIXUP_ACCESSES                                                       \
	FIXUP_LOAD(1, "lbz 3, 0(3)")                                         \
	FIXUP_LOAD(2, "lhz 3, 0(3)")                                         \
	FIXUP_LOAD(4, "lwz 3, 0(3)")                                         \
	FIXUP_LOAD(8, "ld 3, 0(3)")                                          \
	FIXUP_STORE(1, "stb 4, 0(3)")                                        \
	FIXUP_STORE(2, "sth 4, 0(3)")                                        \
	FIXUP_STORE(4, "stw 4, 0(3)")                                        \
	FIXUP_STORE(8, "std 4, 0(3)")                                        \
	FIXUP_FUNCTION("failed", "li 4, 1", "blr")
#endif

#ifdef FIXUP_ACCESSES
#define FIXUP_FUNCTION(name, insn, rest)              \
	".globl vfc_fixup_" name "\n"                 \
	".hidden vfc_fixup_" name "\n"                \
	".type vfc_fixup_" name ", %function\n"       \
	"vfc_fixup_" name ":\n.cfi_startproc\n" insn "\n" rest "\n.cfi_endproc\n" \
	".size vfc_fixup_" name ", . - vfc_fixup_" name "\n"

/* "failed" comes last. Its address is the end of the instructions that may fault. */
__asm__(".pushsection .text\n.balign 16\n" FIXUP_ACCESSES ".popsection\n");

#define FIXUP_DECLARE(width)                                              \
	struct fixup vfc_fixup_load##width(const volatile void *address); \
	struct fixup vfc_fixup_store##width(volatile void *address, uint64_t value);
FIXUP_DECLARE(1)
FIXUP_DECLARE(2)
FIXUP_DECLARE(4)
FIXUP_DECLARE(8)
void vfc_fixup_failed(void);

/*
 * Called by a signal handler. If the fault was in one of these accesses, the access will have
 * failed.
 */
static inline bool fixup(siginfo_t *info, void *context)
{
	uintptr_t pc = (uintptr_t)FIXUP_PC((ucontext_t *)context);

	(void)info;
	if (pc < (uintptr_t)vfc_fixup_load1 || pc >= (uintptr_t)vfc_fixup_failed)
		return false;
	FIXUP_PC((ucontext_t *)context) = (uintptr_t)vfc_fixup_failed;
	return true;
}

#else

struct fixup_point {
	sigjmp_buf back;
	uintptr_t address;
};

/* initial-exec keeps a signal handler from being the first to use the variable and allocate it. */
static _Thread_local struct fixup_point *volatile fixup_point
	__attribute__((tls_model("initial-exec")));

static inline bool fixup(siginfo_t *info, void *context)
{
	struct fixup_point *point = fixup_point;

	(void)context;
	if (!point || (uintptr_t)info->si_addr - point->address >= 8)
		return false;
	siglongjmp(point->back, 1);
}

#define FIXUP_RUN(access)                                                \
	struct fixup_point point = {.address = (uintptr_t)address};      \
	volatile struct fixup result = {.failed = 1};                    \
	if (sigsetjmp(point.back, 1) == 0) {                             \
		fixup_point = &point;                                    \
		access;                                                  \
		result.failed = 0;                                       \
	}                                                                \
	fixup_point = NULL;                                              \
	return (struct fixup){result.value, result.failed};

#define FIXUP_DEFINE(width, bits)                                                           \
	static struct fixup vfc_fixup_load##width(const volatile void *address)             \
	{                                                                                   \
		FIXUP_RUN(result.value = vfc_mmio_read##bits(address))                      \
	}                                                                                   \
	static struct fixup vfc_fixup_store##width(volatile void *address, uint64_t value)  \
	{                                                                                   \
		FIXUP_RUN(vfc_mmio_write##bits(address, (uint##bits##_t)value))             \
	}
FIXUP_DEFINE(1, 8)
FIXUP_DEFINE(2, 16)
FIXUP_DEFINE(4, 32)
FIXUP_DEFINE(8, 64)

#endif
#endif
