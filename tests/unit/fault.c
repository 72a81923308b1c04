/* SPDX-License-Identifier: MIT */
/*
 * All or nothing: each sequence of public calls is run again and again, and each time another of
 * its system calls or allocations fails. Whatever fails must say so, leave a record, and leave
 * nothing else: no descriptor, no mapping, no pin; memory is what the sanitizers watch.
 *
 * fault [DEVICE]: on the model, or on a real device (tests/lab/test_fault.py), with as much of it as
 * that one has: no frames come back there, and there is no second one for the shared space.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

#define PAGE 4096
#define SECOND INT64_C(1000000000)
#define TOO_MANY 2000

static uint8_t *memory; /* 4 pages */
static const char *name = "fake:e1000e";

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The first failure is what counts; it has just left its record. */
static int note(int *rc, int now)
{
	if (now < 0 && *rc == 0) {
		const struct vfc_error *record = vfc_error_last();

		CHECK_EQ(record->code, -now);
		CHECK(!strncmp(record->operation, "vfc_", 4));
		*rc = now;
	}
	return now;
}

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
	if (is_fake()) {
		note(&rc, vfc_device_hot_reset(device));
		note(&rc, vfc_power_low_enter(device, -1));
		note(&rc, vfc_power_set(device, VFC_POWER_D3HOT));
	}
	note(&rc, vfc_device_bus_master(device, true));
	close_device(device);
	return rc;
}

static void use_space(struct vfc_iommu *iommu, int *rc)
{
	uint64_t iova = 0;
	struct vfc_pool pool;
	struct vfc_dma dma;

	if (note(rc, vfc_iommu_map(iommu, memory, 4 * PAGE, &iova, NULL)) == 0)
		if (note(rc, vfc_iommu_unmap(iommu, iova, 4 * PAGE)) < 0)
			CHECK_EQ(vfc_iommu_unmap(iommu, iova, 4 * PAGE), 0);
	if (note(rc, vfc_dma_alloc(iommu, 10000, NULL, &dma)) == 0)
		if (note(rc, vfc_dma_free(&dma)) < 0)
			CHECK_EQ(vfc_dma_free(&dma), 0);
	if (note(rc, vfc_pool_init(&pool, iommu, 2048, 4)) == 0)
		if (note(rc, vfc_pool_destroy(&pool)) < 0)
			CHECK_EQ(vfc_pool_destroy(&pool), 0);
	if (note(rc, vfc_iommu_map(iommu, memory, PAGE, &iova, NULL)) == 0)
		if (note(rc, (int)vfc_iommu_unmap_all(iommu)) < 0)
			CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
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

static int interrupts(void)
{
	struct vfc_device *device;
	struct vfc_irq *irq;
	int rc = 0;

	if (note(&rc, vfc_device_open(name, NULL, &device)) < 0)
		return rc;
	for (uint32_t i = 0; i < 5; i++) {
		struct vfc_irq_info info = {.size = sizeof(info)};

		if (note(&rc, vfc_irq_info(device, i, &info)) < 0 || !info.count)
			continue;
		if (note(&rc, vfc_irq_open(device, i, info.count, &irq)) < 0)
			continue;
		note(&rc, vfc_irq_trigger(irq, 0));
		note(&rc, vfc_irq_wait(irq, 0, SECOND, NULL));
		note(&rc, vfc_irq_rearm(irq));
		CHECK_EQ(vfc_irq_close(irq), 0);
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

	note(rc, vfc_nic_wait_link(nic, SECOND));
	note(rc, vfc_nic_send(nic, frame, sizeof(frame)));
	note(rc, vfc_nic_rx_wait(nic, 0, SECOND));
	if (*rc == 0)
		CHECK_EQ(vfc_nic_recv(nic, in, sizeof(in)), sizeof(frame));
	note(rc, vfc_nic_drain(nic, 0, SECOND));
	note(rc, vfc_nic_stats(nic, &stats));
}

static int network(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .queues = 2};
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

/* A run in which the n-th call failed must fail; the first without a failing call ends it. */
static void sweep(const char *what, int (*run)(void))
{
	int fds = count_fds(), rc;
	unsigned n = 0, calls;

	do {
		sys_fault_arm(++n);
		rc = run();
		calls = sys_fault_count();
		sys_fault_arm(0);
		CHECK_EQ(count_fds(), fds);
		if (calls >= n && rc == 0)
			fprintf(stderr, "%s: call %u failed and did no harm\n", what, n);
		CHECK(n < TOO_MANY);
	} while (calls >= n);
	CHECK_EQ(rc, 0);
	fprintf(stderr, "%s: %u points of failure\n", what, n - 1);
	CHECK(n > 10);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		name = argv[1];
	memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	sweep("open", open_only);
	sweep("shared space", shared_space);
	sweep("interrupts", interrupts);
	sweep("events", events);
	if (is_fake())
		sweep("network", network);
	CHECK_EQ(munmap(memory, 4 * PAGE), 0);
	return 0;
}
