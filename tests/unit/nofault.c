/* SPDX-License-Identifier: MIT */
/*
 * SIGBUS in and beside checked accesses: by pages past the end of a file, which fault as a BAR does
 * that the kernel has taken away. Also built with VFC_FIXUP_PORTABLE.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfiocore.h>

#include "device/device.h"
#include "kernel/sys.h"
#include "device/nofault.h"
#include "test.h"

#define STATUS 8

static struct vfc_device *device;
static char *memory; /* 2 pages, of which the second faults */
static size_t page;
static sigjmp_buf back;
static volatile int caught;
static volatile uintptr_t caught_at;

static void theirs(int number, siginfo_t *info, void *context)
{
	(void)context;
	CHECK_EQ(number, SIGBUS);
	caught++;
	caught_at = (uintptr_t)info->si_addr;
	siglongjmp(back, 1);
}

static void handle(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO | flags};

	action.sa_sigaction = handler;
	CHECK_EQ(sigaction(SIGBUS, &action, NULL), 0);
}

static struct sigaction current(void)
{
	struct sigaction action;

	CHECK_EQ(sigaction(SIGBUS, NULL, &action), 0);
	return action;
}

static void make_memory(void)
{
	int fd = sys_memfd("nofault", page);
	void *address;

	CHECK(fd >= 0);
	CHECK_EQ(sys_mmap(2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &address), 0);
	memory = address;
	sys_close(fd);
}

/* What the accesses do where nothing faults, and where all does. */
static void accesses(void)
{
	static const uint64_t pattern = 0x8877665544332211;
	uint64_t value;

	for (uint32_t width = 1; width <= 8; width *= 2) {
		uint64_t mask = UINT64_MAX >> (64 - 8 * width);

		memset(memory, 0, 16);
		CHECK_EQ(nofault_store(memory, width, pattern & mask), 0);
		CHECK_EQ(nofault_load(memory, width, &value), 0);
		CHECK_EQ(value, pattern & mask);
		CHECK_EQ(memory[width], 0);
		for (int i = 0; i < 1000; i++) {
			CHECK_EQ(nofault_load(memory + page + width, width, &value), -EFAULT);
			CHECK_EQ(nofault_store(memory + page + width, width, 1), -EFAULT);
		}
	}
}

/* Faults that are not ours reach the handler that was there, on its terms. */
static void others(void)
{
	volatile char *bad = memory + page + 5;

	caught = 0;
	if (sigsetjmp(back, 1) == 0)
		*bad = 1;
	CHECK_EQ(caught, 1);
	CHECK_EQ(caught_at, bad);
	if (sigsetjmp(back, 1) == 0)
		vfc_mmio_read32(memory + page);
	CHECK_EQ(caught, 2);
	if (sigsetjmp(back, 1) == 0)
		raise(SIGBUS);
	CHECK_EQ(caught, 3);
}

/* A child dies as it would without us; @how: 0: by a fault, 1: by a signal that was sent. */
static int dies(int how, void (*handler)(int))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGBUS, handler);
		if (vfc_nofault_begin() < 0)
			_exit(2);
		if (how)
			raise(SIGBUS);
		else
			*(volatile char *)(memory + page) = 1;
		_exit(3);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	return status;
}

static void defaults(void)
{
	CHECK_EQ(WTERMSIG(dies(0, SIG_DFL)), SIGBUS);
	CHECK_EQ(WTERMSIG(dies(1, SIG_DFL)), SIGBUS);
	CHECK_EQ(WTERMSIG(dies(0, SIG_IGN)), SIGBUS);
	CHECK_EQ(WEXITSTATUS(dies(1, SIG_IGN)), 3);
}

static void registration(void)
{
	struct sigaction mine;

	handle(theirs, SA_NODEFER);
	mine = current();
	CHECK_EQ(vfc_nofault_end(), -EINVAL);
	CHECK_EQ(vfc_nofault_begin(), 0);
	CHECK_EQ(vfc_nofault_begin(), 0);
	CHECK(current().sa_sigaction != theirs);
	CHECK(current().sa_flags & SA_NODEFER);
	accesses();
	others();
	CHECK_EQ(vfc_nofault_end(), 0);
	CHECK(current().sa_sigaction != theirs);
	CHECK_EQ(vfc_nofault_end(), 0);
	CHECK_EQ(vfc_nofault_end(), -EINVAL);
	CHECK(current().sa_sigaction == theirs);
	CHECK_EQ(current().sa_flags, mine.sa_flags);
	others();
}

static struct sigaction below;

static void handing_on(int number, siginfo_t *info, void *context)
{
	caught++;
	below.sa_sigaction(number, info, context);
}

/* A handler that came later and hands on, as it should: it stays, and there is no circle. */
static void later_handler(void)
{
	uint64_t value;

	signal(SIGBUS, SIG_DFL);
	CHECK_EQ(vfc_nofault_begin(), 0);
	below = current();
	handle(handing_on, 0);
	caught = 0;
	CHECK_EQ(nofault_load(memory + page, 4, &value), -EFAULT);
	CHECK_EQ(caught, 1);
	CHECK_EQ(vfc_nofault_end(), 0);
	CHECK(current().sa_sigaction == handing_on);
	CHECK_EQ(vfc_nofault_begin(), 0);
	CHECK(current().sa_sigaction == handing_on);
	CHECK_EQ(nofault_load(memory + page, 4, &value), -EFAULT);
	CHECK_EQ(caught, 2);
	CHECK_EQ(vfc_nofault_end(), 0);
	signal(SIGBUS, SIG_DFL); /* nobody hands on any more */
	CHECK_EQ(vfc_nofault_begin(), 0);
	CHECK_EQ(nofault_load(memory + page, 4, &value), -EFAULT);
	CHECK_EQ(vfc_nofault_end(), 0);
	CHECK(current().sa_handler == SIG_DFL);
}

/* The kernel takes the BAR away and the library is not told. */
static void take_away(void)
{
	volatile void *bar;
	void *hole;

	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &bar), 0);
	CHECK_EQ(sys_mmap(page, PROT_READ | PROT_WRITE, MAP_SHARED, sys_memfd("hole", 0), 0, &hole), 0);
	CHECK_EQ(sys_move(hole, page, (void *)(uintptr_t)bar), 0);
}

static void set_decoding(bool on)
{
	uint16_t command = on ? 2 : 0;

	/* Past access.c, as another process would. */
	CHECK_EQ(device->ops->write(device->transport,
				    device->regions[VFC_REGION_CONFIG].position + 4, &command, 2), 0);
}

static int64_t status(void)
{
	return vfc_region_load(device, VFC_REGION_BAR0, STATUS, 4);
}

static void *answer; /* atomic: what the thread's access said, as a pointer to the device; NULL: nothing yet */
static int answered;

static void read_status(void *argument, uint32_t vector, uint64_t count)
{
	CHECK_EQ(vector, 0);
	CHECK(count > 0);
	answered = status();
	__atomic_store_n(&answer, argument, __ATOMIC_RELEASE);
}

/* A blocked SIGBUS would kill the process, without running any handler. */
static void in_an_interrupt_thread(void)
{
	struct vfc_irq_thread *thread;
	struct vfc_irq *irq;

	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 1, &irq), 0);
	CHECK_EQ(vfc_irq_thread_start(irq, read_status, device, NULL, &thread), 0);
	CHECK_EQ(vfc_irq_trigger(irq, 0), 0);
	CHECK_SOON(__atomic_load_n(&answer, __ATOMIC_ACQUIRE));
	CHECK_EQ(answered, -EIO);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	CHECK_EQ(vfc_irq_close(irq), 0);
}

static void *masked(void *unused)
{
	static const int synchronous[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	sigset_t set;

	(void)unused;
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &set), 0);
	for (size_t i = 0; i < sizeof(synchronous) / sizeof(*synchronous); i++)
		CHECK_EQ(sigismember(&set, synchronous[i]), 0);
	CHECK_EQ(sigismember(&set, SIGTERM), 1);
	CHECK_EQ(sigismember(&set, SIGALRM), 1);
	return NULL;
}

/* Handlers of faults, such as those of crash reporters, run in the library's threads, too. */
static void masks(void)
{
	pthread_t thread;

	CHECK_EQ(sys_thread(&thread, masked, NULL, -1), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void devices(void)
{
	uint64_t value;

	handle(theirs, 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK(status() >= 0);
	take_away();
	caught = 0;
	if (sigsetjmp(back, 1) == 0)
		status();
	CHECK_EQ(caught, 1); /* this thread has not opted in */
	CHECK_EQ(vfc_nofault_begin(), 0);
	CHECK_EQ(status(), -EIO);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_DECODING);
	CHECK(strstr(vfc_error_last()->hint, "although decoding is on"));
	CHECK_EQ(vfc_region_write(device, VFC_REGION_BAR0, STATUS, 4, 1), -EIO);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, STATUS, 8, &value), -EIO);
	set_decoding(false);
	CHECK(device->decodes);
	CHECK_EQ(status(), -EIO);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_DECODING);
	CHECK(!device->decodes); /* from now on without a fault */
	set_decoding(true);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 1), 0);
	device->decodes = true;
	CHECK_EQ(status(), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 0), 0);
	CHECK_EQ(vfc_nofault_end(), 0);
	CHECK_EQ(caught, 1);

	CHECK_EQ(vfc_nofault_device(device), 0);
	CHECK_EQ(vfc_nofault_device(device), 0);
	device->decodes = true;
	CHECK_EQ(status(), -EIO);
	device->decodes = true;
	in_an_interrupt_thread();
	others();
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK(current().sa_sigaction == theirs);
	CHECK_EQ(caught, 3);
}

/* A call that fails leaves the handlers and the counts as they were. */
static void failures(void)
{
	handle(theirs, 0);
	for (unsigned n = 1; n <= 2; n++) {
		sys_fault_arm(n);
		CHECK(vfc_nofault_begin() < 0);
		sys_fault_arm(0);
		CHECK(!strcmp(vfc_error_last()->operation, "vfc_nofault_begin"));
		CHECK(current().sa_sigaction == theirs);
		CHECK_EQ(vfc_nofault_end(), -EINVAL);
	}
	CHECK_EQ(vfc_nofault_begin(), 0);
	CHECK_EQ(vfc_nofault_end(), 0);
	CHECK(current().sa_sigaction == theirs);
}

int main(void)
{
	page = sys_page_size();
	make_memory();
	registration();
	defaults();
	later_handler();
	masks();
	devices();
	failures();
	return 0;
}
