/* SPDX-License-Identifier: MIT */
/*
 * No descriptor of the library is inherited by the programs that its process starts: a VFIO descriptor
 * there would be a right to DMA. The functions of kernel/sys.h that make descriptors are asked one by
 * one, because the model opens no file; then objects of all kinds are open at once.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

#define SECOND INT64_C(1000000000)
#define FDS 256

/* What was open at the start of the test is not the library's. */
static bool was_open[FDS];

static void each_descriptor(void (*look)(int fd))
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	CHECK(folder);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
			look(atoi(entry->d_name));
	closedir(folder);
}

static void note_open(int fd)
{
	CHECK(fd < FDS);
	was_open[fd] = true;
}

static int opened; /* descriptors since the start of the test */

static void check_flag(int fd)
{
	char path[64], target[128] = "";

	CHECK(fd < FDS);
	if (was_open[fd])
		return;
	opened++;
	if (fcntl(fd, F_GETFD) & FD_CLOEXEC)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, target, sizeof(target) - 1) >= 0);
	fprintf(stderr, "descriptor %d (%s) would be inherited\n", fd, target);
	exit(1);
}

/* At least @count were opened, and none of them is inherited. */
static void none_inherited(int count)
{
	opened = 0;
	each_descriptor(check_flag);
	CHECK(opened >= count);
}

static void calls(void)
{
	char folder[] = "/tmp/vfiocore-cloexec-XXXXXX", file[64];
	int fds[16], n = 0, pair[2], sent[2], received[2];
	unsigned count;
	bool whole;
	char byte;

	CHECK(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/file", folder);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	CHECK((fds[n++] = sys_open("/dev/null", O_RDWR)) >= 0);
	CHECK((fds[n++] = sys_create(file, 0600)) >= 0);
	CHECK((fds[n++] = sys_dup(fds[0])) >= 0);
	CHECK((fds[n++] = sys_eventfd()) >= 0);
	CHECK((fds[n++] = sys_eventfd_blocking()) >= 0);
	CHECK((fds[n++] = sys_epoll()) >= 0);
	CHECK((fds[n++] = sys_memfd("cloexec", 4096)) >= 0);
	CHECK((fds[n++] = sys_uevents(4096)) >= 0);
	CHECK((fds[n++] = sys_timer(SECOND)) >= 0);
	CHECK((fds[n++] = sys_timer_clock_set()) >= 0);
	/* Descriptors that came in a message, and one that takes another's place. */
	sent[0] = fds[0];
	sent[1] = fds[1];
	CHECK_EQ(sys_send_fds(pair[0], "x", 1, sent), 0);
	CHECK_EQ(sys_receive_fds(pair[1], &byte, 1, received, &count, &whole), 1);
	CHECK_EQ(count, 2);
	fds[n++] = received[0];
	fds[n++] = received[1];
	CHECK((fds[n++] = eventfd(0, 0)) >= 0); /* is inherited until it is replaced */
	CHECK(sys_replace(fds[n - 1], fds[0]) >= 0);
	none_inherited(n + 2);
	while (n)
		CHECK_EQ(close(fds[--n]), 0);
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
	CHECK_EQ(unlink(file) | rmdir(folder), 0);
	none_inherited(0);
	CHECK_EQ(opened, 0);
}

static void ignore(void *argument, uint32_t vector, uint64_t count)
{
	(void)argument, (void)vector, (void)count;
}

static void objects(void)
{
	struct vfc_device *device, *network;
	struct vfc_irq_thread *thread;
	struct vfc_events *stream;
	struct vfc_irq *irq;
	struct vfc_nic *nic;
	volatile void *map;
	struct vfc_dma dma;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &network), 0);
	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &map), 0);
	CHECK_EQ(vfc_dma_alloc(vfc_device_iommu(device), 4096, NULL, &dma), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 5, &irq), 0);
	CHECK(vfc_irq_fd(irq, 0) >= 0);
	CHECK(vfc_irq_poll_fd(irq) >= 0);
	CHECK_EQ(vfc_irq_thread_start(irq, ignore, NULL, NULL, &thread), 0);
	CHECK_EQ(vfc_events_open(NULL, &stream), 0);
	CHECK_EQ(vfc_events_watch(stream, device, 0), 0);
	CHECK_EQ(vfc_nic_open(network, NULL, &nic), 0);
	none_inherited(10);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(vfc_irq_thread_stop(thread), 0);
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(vfc_events_close(stream), 0);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(vfc_device_close(device) | vfc_device_close(network), 0);
	none_inherited(0);
	CHECK_EQ(opened, 0);
}

int main(void)
{
	each_descriptor(note_open);
	calls();
	objects();
	return 0;
}
