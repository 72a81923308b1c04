/* SPDX-License-Identifier: MIT */
/*
 * nofault BDF TRANSPORT: three threads and one device whose memory decoding goes on and off behind the
 * library's back. One has opted in: each of its 10,000 checked accesses is a value or an error. One has
 * not, and one uses bare accesses: their SIGBUS reaches the handler that this program had before.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vfiocore.h>

#define ACCESSES 10000 /* and more, */
#define ERRORS 10      /* until so many were refused */
#define CONFIG_COMMAND ((off_t)(7ull << 40 | 4)) /* VFIO_PCI_INDEX_TO_OFFSET() */

static struct vfc_device *device;
static volatile void *bar;
static int device_fd;
static bool done, stop;
static uint32_t status;
static _Thread_local sigjmp_buf back;
static _Thread_local unsigned *signals; /* of this thread; others read it */

static void check(bool good, const char *what)
{
	char text[600];

	if (good)
		return;
	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s; latest error: %s\n", what, text);
	_exit(1);
}

static void handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	__atomic_add_fetch(signals, 1, __ATOMIC_RELAXED);
	siglongjmp(back, 1);
}

/* The device's own descriptor, as a process has it that it was passed to. */
static int find_fd(void)
{
	char path[64], target[256];

	for (int fd = 3; fd < 100; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strstr(target, "vfio-device") || strstr(target, "/dev/vfio/devices/"))
			return fd;
	}
	return -1;
}

static void decode(bool on)
{
	uint16_t command = 0;

	check(pread(device_fd, &command, 2, CONFIG_COMMAND) == 2, "read of Command");
	command = on ? command | 2 : command & ~2;
	check(pwrite(device_fd, &command, 2, CONFIG_COMMAND) == 2, "write of Command");
}

static void *opted_in(void *out)
{
	unsigned *errors = out;

	check(vfc_nofault_begin() == 0, "vfc_nofault_begin");
	for (int i = 0; i < ACCESSES || *errors < ERRORS; i++) {
		int64_t value = i % 2 ? vfc_region_load(device, VFC_REGION_BAR0, 8, 4)
				      : vfc_region_write(device, VFC_REGION_BAR0, 0x5400, 4, 1);

		if (value == -EIO) {
			check(vfc_error_last()->reason == VFC_REASON_DECODING, "reason");
			++*errors;
		} else {
			check(value == (i % 2 ? status : 0), "an access");
		}
	}
	check(vfc_nofault_end() == 0, "vfc_nofault_end");
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *stranger(void *out)
{
	signals = out;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		if (sigsetjmp(back, 1) == 0)
			vfc_region_load(device, VFC_REGION_BAR0, 8, 4);
	return NULL;
}

/* Has opted in, but not for these. */
static void *bare(void *out)
{
	signals = out;
	check(vfc_nofault_begin() == 0, "vfc_nofault_begin");
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		if (sigsetjmp(back, 1) == 0)
			vfc_mmio_read32((volatile char *)bar + 8);
	check(vfc_nofault_end() == 0, "vfc_nofault_end");
	return NULL;
}

static bool finished(const unsigned *counts)
{
	return __atomic_load_n(&done, __ATOMIC_ACQUIRE) && __atomic_load_n(&counts[1], __ATOMIC_RELAXED) &&
	       __atomic_load_n(&counts[2], __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	void *(*const roles[])(void *) = {opted_in, stranger, bare};
	struct vfc_device_opts opts = {.size = sizeof(opts), .transport = argv[2]};
	struct sigaction action = {.sa_flags = SA_SIGINFO}, now;
	unsigned counts[3] = {0}, turns = 0;
	pthread_t threads[3];

	check(argc == 3, "usage: nofault BDF TRANSPORT");
	action.sa_sigaction = handler;
	check(sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
	check(vfc_device_open(argv[1], &opts, &device) == 0, "vfc_device_open");
	check(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &bar) == 0, "vfc_region_map");
	device_fd = find_fd();
	check(device_fd >= 0, "the device's descriptor");
	status = vfc_mmio_read32((volatile char *)bar + 8);
	for (int i = 0; i < 3; i++)
		check(pthread_create(&threads[i], NULL, roles[i], &counts[i]) == 0, "pthread_create");
	for (; !finished(counts); turns++) {
		decode(turns % 2);
		/* Decoding is noticed to be off by a fault, to be on again by a write of ours. */
		if (turns % 2)
			check(vfc_device_bus_master(device, false) == 0, "vfc_device_bus_master");
		usleep(200);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	decode(true);
	check(sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction == handler, "what was before is back");
	check(vfc_device_close(device) == 0, "vfc_device_close");
	printf("%u turns: %u errors; %u and %u signals\n", turns, counts[0], counts[1], counts[2]);
	return 0;
}
