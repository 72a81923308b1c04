/* SPDX-License-Identifier: MIT */
/*
 * All or nothing: each sequence of public calls is run again and again, and each time another of
 * its system calls or allocations fails. Whatever fails must say so, leave a record, and leave
 * nothing else: no descriptor, no mapping, no pin; memory is what the sanitizers watch.
 *
 * fault [DEVICE]: on the model, or on a real device (tests/lab/test_fault.py), with as much of it as
 * that one has: no frames come back there, and there is no second one for the shared space. By the
 * transports group and cdev, descriptors that others opened are adopted there, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfiocore.h>

#include "fault_irq.h"
#include "kernel/sys.h"
#include "kernel/uapi.h"
#include "sweep.h"
#include "test.h"

#define PAGE 4096
#define HUGE (2 << 20)
#define SECOND INT64_C(1000000000)

static uint8_t *memory; /* 4 pages */
static const char *name = "fake:e1000e";
static const char *by = ""; /* a transport */

static bool is_fake(void)
{
	return !strncmp(name, "fake:", 5);
}

static uint64_t knob(struct vfc_device *device, uint32_t which)
{
	uint64_t value;

	CHECK_EQ(vfc_fake_get(device, which, &value), 0);
	return value;
}

/* Nothing may be held any more. A close that failed changed nothing, so it can be repeated. */
static void close_device(struct vfc_device *device)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};

	if (vfc_iommu_info(vfc_device_iommu(device), &info) < 0) /* the call that was to fail */
		CHECK_EQ(vfc_iommu_info(vfc_device_iommu(device), &info), 0);
	CHECK_EQ(info.mappings, 0);
	if (is_fake()) { /* the kernel's side of it, too */
		CHECK_EQ(knob(device, VFC_FAKE_MAPPINGS), 0);
		CHECK_EQ(knob(device, VFC_FAKE_PINNED), 0);
	}
	if (vfc_device_close(device) < 0)
		CHECK_EQ(vfc_device_close(device), 0);
}

static int open_only(void)
{
	struct vfc_device *device;
	volatile void *map;
	struct vfc_pci_cap cap;
	uint64_t value;
	int rc = 0;

	if (note(&rc, vfc_device_open(name, NULL, &device)) < 0)
		return rc;
	note(&rc, vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value));
	if (is_fake()) { /* the region that can be mapped in parts only */
		note(&rc, vfc_region_map(device, 3, 0x1000, 0, &map));
		note(&rc, vfc_region_write(device, 3, 0x3000, 4, 1));
		note(&rc, vfc_device_reset(device));
	} else {
		note(&rc, vfc_region_map(device, VFC_REGION_BAR0, 0x1000, 0, &map));
	}
	note(&rc, vfc_pci_caps(device, NULL, 0));
	note(&rc, vfc_pci_find_cap(device, 1, false, 0, &cap)); /* power management */
	if (is_fake()) {
		note(&rc, vfc_device_hot_reset(device));
		note(&rc, vfc_power_low_enter(device, -1));
		note(&rc, vfc_power_set(device, VFC_POWER_D3HOT));
	}
	note(&rc, vfc_device_bus_master(device, true));
	close_device(device);
	return rc;
}

/* The second get takes the first's mapping into its own. */
static void use_cache(struct vfc_iommu *iommu, int *rc)
{
	struct vfc_mapcache *cache;
	struct vfc_reach reach;
	int opened = vfc_mapcache_open(iommu, NULL, &cache);

	/* Without an IOMMU there is none. */
	if (opened == -EOPNOTSUPP || note(rc, opened) < 0)
		return;
	for (uint64_t i = 1; i < 3; i++)
		if (note(rc, vfc_mapcache_get(cache, memory + PAGE / 2, i * PAGE, &reach)) == 0)
			vfc_mapcache_put(cache, &reach);
	if (note(rc, vfc_mapcache_forget(cache, memory, PAGE)) < 0)
		CHECK_EQ(vfc_mapcache_forget(cache, memory, PAGE), 0);
	if (note(rc, vfc_mapcache_get(cache, memory, PAGE, &reach)) == 0)
		vfc_mapcache_put(cache, &reach);
	if (note(rc, vfc_mapcache_close(cache)) < 0)
		CHECK_EQ(vfc_mapcache_close(cache), 0);
}

/* Two runs, of two mappings and of one; a call that fails on a run is followed by one for each. */
static void unmap_neighbours(struct vfc_iommu *iommu, int *rc)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};
	const uint64_t at[] = {0x100000, 0x100000 + PAGE, 0x200000};
	uint64_t iova;

	if (!strncmp(by, "noiommu", 7)) /* where nobody chooses an address */
		return;
	for (size_t i = 0; i < 3; i++) {
		iova = at[i];
		if (note(rc, vfc_iommu_map(iommu, memory + i * PAGE, PAGE, &opts, &iova)) < 0)
			break;
	}
	if (note(rc, (int)vfc_iommu_unmap_range(iommu, 0x100000, 0x200000)) < 0)
		CHECK(vfc_iommu_unmap_range(iommu, 0x100000, 0x200000) >= 0);
}

static void use_space(struct vfc_iommu *iommu, int *rc)
{
	uint64_t iova = 0, most = strncmp(by, "noiommu", 7) ? 3 << 20 : 1 << 20; /* there in one piece */
	struct vfc_pool pool;
	struct vfc_dma dma;

	if (note(rc, vfc_iommu_map(iommu, memory, 4 * PAGE, NULL, &iova)) == 0)
		if (note(rc, vfc_iommu_unmap(iommu, iova, 4 * PAGE)) < 0)
			CHECK_EQ(vfc_iommu_unmap(iommu, iova, 4 * PAGE), 0);
	for (uint64_t length = 10000; length < most; length += 2 << 20)
		if (note(rc, vfc_dma_alloc(iommu, length, NULL, &dma)) == 0 && note(rc, vfc_dma_free(&dma)) < 0)
			CHECK_EQ(vfc_dma_free(&dma), 0);
	if (note(rc, vfc_pool_init(&pool, iommu, 2048, 4)) == 0)
		if (note(rc, vfc_pool_destroy(&pool)) < 0)
			CHECK_EQ(vfc_pool_destroy(&pool), 0);
	use_cache(iommu, rc);
	if (note(rc, vfc_iommu_map(iommu, memory, PAGE, NULL, &iova)) == 0)
		if (note(rc, (int)vfc_iommu_unmap_all(iommu)) < 0)
			CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
	unmap_neighbours(iommu, rc);
}

static int shared_space(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = is_fake() ? "fake" : NULL};
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *first, *second;
	int rc = 0;

	if (note(&rc, vfc_iommu_open(&opts, &in.iommu)) < 0)
		return rc;
	if (note(&rc, vfc_device_open(name, &in, &first)) == 0) {
		if (!is_fake()) {
			use_space(in.iommu, &rc);
		} else if (note(&rc, vfc_device_open(name, &in, &second)) == 0) {
			use_space(in.iommu, &rc);
			close_device(second);
		}
		close_device(first);
	}
	if (vfc_iommu_close(in.iommu) < 0)
		CHECK_EQ(vfc_iommu_close(in.iommu), 0);
	return rc;
}

/* As a privileged helper would open them; none of these calls is made to fail. */
struct handed {
	int space, group, device;
};

static void hand_over(struct handed *handed)
{
	struct vfc_pci_info info = {.size = sizeof(info)};
	char node[64];

	sys_fault_arm(0);
	CHECK_EQ(vfc_pci_info(name, &info), 0);
	*handed = (struct handed){-1, -1, -1};
	if (!strcmp(by, "cdev")) {
		handed->space = open("/dev/iommu", O_RDWR);
		snprintf(node, sizeof(node), "/dev/vfio/devices/%s", info.vfio_cdev);
		handed->device = open(node, O_RDWR);
	} else {
		handed->space = open("/dev/vfio/vfio", O_RDWR);
		snprintf(node, sizeof(node), "/dev/vfio/%d", info.iommu_group);
		handed->group = open(node, O_RDWR);
		CHECK_EQ(ioctl(handed->group, VFIO_GROUP_SET_CONTAINER, &handed->space), 0);
		CHECK_EQ(ioctl(handed->space, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
		handed->device = ioctl(handed->group, VFIO_GROUP_GET_DEVICE_FD, name);
	}
	CHECK(handed->space >= 0 && handed->device >= 0);
	sys_fault_arm(sweep_armed);
}

/* What a call that failed did not take is still there. */
static void take_back(int fd)
{
	CHECK(fcntl(fd, F_GETFD) >= 0);
	CHECK_EQ(close(fd), 0);
}

static int adopted(void)
{
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *device;
	struct handed handed;
	int rc = 0;

	hand_over(&handed);
	if (note(&rc, vfc_iommu_adopt(handed.space, NULL, &in.iommu)) < 0) {
		take_back(handed.space);
		take_back(handed.device);
	} else {
		if (note(&rc, vfc_device_adopt(handed.device, name, &in, &device)) < 0) {
			take_back(handed.device);
		} else {
			use_space(in.iommu, &rc);
			close_device(device);
		}
		if (vfc_iommu_close(in.iommu) < 0)
			CHECK_EQ(vfc_iommu_close(in.iommu), 0);
	}
	if (handed.group >= 0)
		take_back(handed.group);
	return rc;
}

/* Sent to ourselves, and used by two objects. */
static void received(int from, int *rc)
{
	struct vfc_device *device;

	if (note(rc, vfc_device_receive(from, NULL, SECOND, &device)) < 0)
		return;
	use_space(vfc_device_iommu(device), rc);
	close_device(device);
}

static int sent(void)
{
	struct vfc_device *device;
	int pair[2], rc = 0;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	sys_fault_arm(0);
	CHECK_EQ(vfc_device_open(name, NULL, &device), 0);
	sys_fault_arm(sweep_armed);
	if (note(&rc, vfc_device_send(device, pair[0])) == 0)
		received(pair[1], &rc);
	close_device(device);
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
	return rc;
}

static int go_on(void *argument, uint64_t done, uint64_t length)
{
	(void)argument, (void)done, (void)length;
	return 0;
}

static int stop_at_the_end(void *argument, uint64_t done, uint64_t length)
{
	(void)argument;
	return done == length;
}

static void unmap(struct vfc_iommu *iommu, uint64_t iova, uint64_t length, int *rc)
{
	if (note(rc, vfc_iommu_unmap(iommu, iova, length)) < 0)
		CHECK_EQ(vfc_iommu_unmap(iommu, iova, length), 0);
}

/* Two pieces of the model's; of a real kernel one, which takes long enough to pin. */
static void in_pieces(struct vfc_iommu *iommu, int *rc)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_READ, .progress = go_on};
	uint64_t length = (is_fake() ? UINT64_C(64) << 20 : 0) + PAGE, iova = 0;
	void *large = mmap(NULL, length, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(large != MAP_FAILED);
	if (note(rc, vfc_iommu_map(iommu, large, length, &opts, &iova)) == 0)
		unmap(iommu, iova, length, rc);
	/* Undone, with the failing call among those that undo. */
	opts.progress = stop_at_the_end;
	CHECK(vfc_iommu_map(iommu, large, length, &opts, &iova) < 0);
	if (vfc_error_last()->code != ECANCELED)
		note(rc, -vfc_error_last()->code);
	CHECK_EQ(munmap(large, length), 0);
}

static void in_batches(struct vfc_iommu *iommu, int *rc)
{
	struct vfc_mapping vector[] = {{.va = memory, .length = PAGE},
				       {.va = memory + PAGE, .length = PAGE},
				       {.va = memory + 3 * PAGE, .length = PAGE}};
	int done;

	if (note(rc, vfc_iommu_map_batch(iommu, vector, 3, NULL)) < 0)
		return;
	done = note(rc, vfc_iommu_unmap_batch(iommu, vector, 3));
	if (done < 0) /* some of it may be unmapped */
		CHECK(vfc_iommu_unmap_all(iommu) >= 0);
}

static void dirty(struct vfc_iommu *iommu, uint64_t iova, int *rc)
{
	uint64_t bitmap = 0;

	if (note(rc, vfc_iommu_dirty_start(iommu)) < 0)
		return;
	note(rc, (int)vfc_iommu_dirty_read(iommu, iova, 2 * PAGE, PAGE, &bitmap));
	note(rc, vfc_iommu_dirty_stop(iommu));
}

/* A file, a region, a copy of what is mapped, and which of it is dirty. */
static void by_source(struct vfc_iommu *iommu, struct vfc_iommu *to, struct vfc_device *device, int fd,
		      int *rc)
{
	uint64_t iova = 0, copy = 0;

	if (note(rc, vfc_iommu_map_file(iommu, fd, 0, PAGE, NULL, &iova)) == 0)
		unmap(iommu, iova, PAGE, rc);
	if (is_fake() && note(rc, vfc_iommu_map_region(iommu, device, 1, 0, PAGE, NULL, &iova)) == 0)
		unmap(iommu, iova, PAGE, rc);
	if (note(rc, vfc_iommu_map(iommu, memory, 2 * PAGE, NULL, &iova)) < 0)
		return;
	if (note(rc, vfc_iommu_copy(to, iommu, iova, PAGE, NULL, &copy)) == 0)
		unmap(to, copy, PAGE, rc);
	if (is_fake() || !strcmp(by, "group"))
		dirty(iommu, iova, rc);
	unmap(iommu, iova, 2 * PAGE, rc);
}

static int memory_of_all_kinds(void)
{
	struct vfc_device *device;
	int rc = 0, fd;

	fd = memfd_create("fault", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
	if (note(&rc, vfc_device_open(name, NULL, &device)) == 0) {
		struct vfc_iommu *iommu = vfc_device_iommu(device);

		in_pieces(iommu, &rc);
		in_batches(iommu, &rc);
		by_source(iommu, iommu, device, fd, &rc);
		close_device(device);
	}
	close(fd);
	return rc;
}

/* Wherever it is when a call fails, it is in one space or in none, and goes on from there. */
static int moves(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts)};
	struct vfc_iommu *beside;
	struct vfc_device *device;
	int rc = 0;

	if (note(&rc, vfc_device_open(name, NULL, &device)) < 0)
		return rc;
	opts.beside = vfc_device_iommu(device);
	if (note(&rc, vfc_iommu_open(&opts, &beside)) == 0) {
		if (note(&rc, vfc_device_attach(device, beside)) < 0)
			CHECK(vfc_device_iommu(device) == opts.beside);
		note(&rc, vfc_device_detach(device));
		if (note(&rc, vfc_device_attach(device, opts.beside)) < 0)
			CHECK_EQ(vfc_device_attach(device, opts.beside), 0);
		CHECK(vfc_device_iommu(device) == opts.beside);
		use_space(opts.beside, &rc);
		CHECK_EQ(vfc_iommu_close(beside), 0);
	}
	close_device(device);
	return rc;
}

static int interrupts(void)
{
	struct vfc_device *device;
	int rc = 0;

	if (note(&rc, vfc_device_open(name, NULL, &device)) < 0)
		return rc;
	fault_interrupts(device, &rc);
	if (is_fake()) { /* as before Linux 6.5, too */
		CHECK_EQ(vfc_fake_set(device, VFC_FAKE_NORESIZE, 1), 0);
		fault_interrupts(device, &rc);
	}
	close_device(device);
	return rc;
}

/* What is watched is let go of; a stream that is closed before its device and one after. */
static int events(void)
{
	struct vfc_event event = {.size = sizeof(event)};
	struct vfc_events_opts opts = {.size = sizeof(opts), .interval = SECOND};
	struct vfc_events *stream = NULL;
	struct vfc_device *device;
	volatile void *map;
	int rc = 0;

	if (note(&rc, vfc_device_open(name, NULL, &device)) < 0)
		return rc;
	note(&rc, vfc_region_map(device, VFC_REGION_BAR0, 0, PAGE, &map));
	if (note(&rc, vfc_events_open(&opts, &stream)) == 0) {
		if (note(&rc, vfc_events_watch(stream, device, 0)) == 0 && is_fake()) {
			note(&rc, vfc_fake_set(device, VFC_FAKE_ERROR, 1 << 15));
			if (note(&rc, vfc_events_wait(stream, SECOND, &event)) == 0)
				CHECK_EQ(event.kind, VFC_EVENT_ERROR);
			CHECK_EQ(vfc_events_unwatch(stream, device), 0);
			note(&rc, vfc_events_watch(stream, device, VFC_WATCH_RELEASE));
		}
	}
	if (note(&rc, vfc_device_release(device)) < 0)
		CHECK_EQ(vfc_device_release(device), 0);
	if (vfc_region_write(device, VFC_REGION_BAR0, 0, 4, 0) != -ENODEV)
		CHECK_EQ(vfc_region_write(device, VFC_REGION_BAR0, 0, 4, 0), -ENODEV);
	close_device(device);
	CHECK_EQ(vfc_events_close(stream), 0);
	return rc;
}

static void traffic(struct vfc_nic *nic, int *rc)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, in[2048];

	note(rc, vfc_nic_wait_link(nic, 60 * SECOND));
	note(rc, vfc_nic_send(nic, frame, sizeof(frame)));
	note(rc, vfc_nic_rx_wait(nic, 0, 60 * SECOND));
	if (*rc == 0)
		CHECK_EQ(vfc_nic_recv(nic, in, sizeof(in)), sizeof(frame));
	note(rc, vfc_nic_drain(nic, 0, 60 * SECOND));
	note(rc, vfc_nic_stats(nic, &stats));
}

static int network(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .queues = 2, .mtu = 4000};
	struct vfc_device *device;
	struct vfc_nic *nic;
	int rc = 0;

	if (note(&rc, vfc_device_open(name, NULL, &device)) < 0)
		return rc;
	if (note(&rc, vfc_nic_open(device, &opts, &nic)) == 0) {
		traffic(nic, &rc);
		/* A reset that failed can be repeated. */
		if (note(&rc, vfc_nic_reset(nic)) < 0)
			CHECK_EQ(vfc_nic_reset(nic), 0);
		if (rc == 0)
			traffic(nic, &rc);
		CHECK_EQ(vfc_nic_close(nic), 0);
	}
	close_device(device);
	return rc;
}

int main(int argc, char **argv)
{
	if (getenv("VFIOCORE_TRANSPORT"))
		by = getenv("VFIOCORE_TRANSPORT");
	if (argc > 1)
		name = argv[1];
	/* Where no IOMMU translates it must lie together: there the machine has huge pages. */
	memory = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
		      0);
	if (memory == MAP_FAILED)
		memory = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	sweep("open", open_only);
	sweep("shared space", shared_space);
	if (strncmp(by, "noiommu", 7)) /* there it has no two addresses */
		sweep("memory", memory_of_all_kinds);
	if (is_fake() || !strcmp(by, "cdev"))
		sweep("moves", moves);
	sweep("interrupts", interrupts);
	sweep("events", events);
	if (is_fake())
		sweep("network", network);
	else if (!strcmp(by, "group") || !strcmp(by, "cdev"))
		sweep("adopted", adopted), sweep("sent", sent);
	CHECK_EQ(munmap(memory, HUGE), 0);
	return 0;
}
