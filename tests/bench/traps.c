/* SPDX-License-Identifier: MIT */
/*
 * Registers: their pages are made inaccessible, so that each access faults; the handler opens them
 * for one instruction (the trap flag) and closes them behind it. System calls: syscall user
 * dispatch (Linux 5.11, Documentation/admin-guide/syscall-user-dispatch.rst) gives each to a
 * handler, which makes it from the one place that is let through.
 */
#include "traps.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define RANGES 32
#define DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */
#define DISPATCH_BLOCK 1
#define RESTORER 0x04000000 /* SA_RESTORER: return from a handler by our own code */
#define FAULT_WRITE 2       /* of a page fault's error code */
#define TRAP_FLAG 0x100

/* The kernel's sigaction, which is not libc's. */
struct action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct {
	uintptr_t start, size;
} ranges[RANGES];
static int range_count;
static struct traps counted;
static char selector = DISPATCH_BLOCK;

/* All of it may make system calls. The kernel compares the address behind the instruction. */
long traps_call(long number, long a, long b, long c, long d, long e, long f);
void traps_return(void);
extern const char traps_let_through[], traps_let_through_end[];

__asm__(".text\n"
	"traps_let_through:\n"
	"traps_call:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	ret\n"
	"traps_return:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n"
	"	ud2\n"
	"traps_let_through_end:\n");

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
	fprintf(stderr, "traps: %s\n", what);
	exit(1);
}

static void protect(int protection)
{
	for (int i = 0; i < range_count; i++)
		traps_call(SYS_mprotect, (long)ranges[i].start, (long)ranges[i].size, protection, 0, 0, 0);
}

static int is_register(uintptr_t address)
{
	for (int i = 0; i < range_count; i++)
		if (address - ranges[i].start < ranges[i].size)
			return 1;
	return 0;
}

static void on_access(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	if (!is_register((uintptr_t)info->si_addr))
		abort();
	if (registers[REG_ERR] & FAULT_WRITE)
		counted.writes++;
	else
		counted.reads++;
	protect(PROT_READ | PROT_WRITE);
	registers[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info;
	protect(PROT_NONE);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void on_call(int number, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	counted.calls++;
	r[REG_RAX] = traps_call(info->si_syscall, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10],
				r[REG_R8], r[REG_R9]);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct action action = {handler, SA_SIGINFO | RESTORER, traps_return, 0};

	if (traps_call(SYS_rt_sigaction, number, (long)&action, 0, sizeof(action.mask), 0, 0) != 0)
		die("rt_sigaction");
}

/* VFIO's mappings are of a node (cdev) or of what a group gave. */
static void find_registers(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	uintptr_t end;

	if (!maps)
		die("/proc/self/maps");
	for (range_count = 0; range_count < RANGES && fgets(line, sizeof(line), maps);)
		if ((strstr(line, "/dev/vfio/devices/") || strstr(line, "[vfio-device]")) &&
		    sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &ranges[range_count].start, &end) == 2) {
			ranges[range_count].size = end - ranges[range_count].start;
			range_count++;
		}
	fclose(maps);
}

void traps_begin(void)
{
	find_registers();
	handle(SIGSEGV, on_access);
	handle(SIGTRAP, on_step);
	handle(SIGSYS, on_call);
	memset(&counted, 0, sizeof(counted));
	protect(PROT_NONE);
	if (traps_call(SYS_prctl, DISPATCH, 1, (long)traps_let_through,
		       traps_let_through_end - traps_let_through, (long)&selector, 0) != 0)
		die("this kernel has no syscall user dispatch");
}

void traps_end(struct traps *traps)
{
	traps_call(SYS_prctl, DISPATCH, 0, 0, 0, 0, 0);
	protect(PROT_READ | PROT_WRITE);
	*traps = counted;
}
