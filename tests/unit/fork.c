/* SPDX-License-Identifier: MIT */
/*
 * A child of fork() has its parent's spaces and devices before it, and may do nothing with them. The
 * model is not asked there: its thread is not in the child, and may have had a lock.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "iommu/space.h"
#include "kernel/sys.h"
#include "space_test.h"

#define AT UINT64_C(0x40000000)

static struct vfc_device *device;
static struct vfc_nic *nic;
static struct vfc_iommu *iommu, *other;
static uint8_t *memory; /* 4 pages */

static void no(int64_t rc)
{
	refused(rc, ECHILD, VFC_REASON_NONE);
	CHECK(strstr(vfc_error_last()->hint, "parent process"));
}

static void mappings(void)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_mapping vector[] = {{.va = memory, .length = PAGE}}, found;
	uint64_t iova = AT + 8 * PAGE;
	struct vfc_dma dma;

	no(vfc_iommu_map(iommu, memory, PAGE, NULL, &iova));
	no(vfc_iommu_map(iommu, memory, PAGE, &fixed, &iova));
	no(vfc_iommu_map_file(iommu, 0, 0, PAGE, NULL, &iova));
	no(vfc_iommu_map_region(iommu, device, VFC_REGION_BAR0, 0, PAGE, NULL, &iova));
	no(vfc_iommu_map_batch(iommu, vector, 1, NULL));
	no(vfc_iommu_copy(iommu, other, AT, PAGE, NULL, &iova));
	no(vfc_iommu_copy(other, iommu, AT, PAGE, NULL, &iova));
	no(vfc_dma_alloc(iommu, PAGE, NULL, &dma));
	vector[0].iova = AT;
	no(vfc_iommu_unmap(iommu, AT, PAGE));
	no(vfc_iommu_unmap_batch(iommu, vector, 1));
	no(vfc_iommu_unmap_range(iommu, AT, PAGE));
	no(vfc_iommu_unmap_all(iommu));
	no(vfc_iommu_find_iova(iommu, AT, &found));
	no(vfc_iommu_find_va(iommu, memory, &found));
}

static void spaces(void)
{
	struct vfc_iommu_opts beside = {.size = sizeof(beside), .beside = iommu};
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_mapcache *cache;
	struct vfc_iova_range range;
	struct vfc_iommu *space;
	uint64_t bitmap;

	no(vfc_iommu_open(&beside, &space));
	no(vfc_iommu_info(iommu, &info));
	no(vfc_iommu_ranges(iommu, &range, 1));
	no(vfc_iommu_dirty_start(iommu));
	no(vfc_iommu_dirty_stop(iommu));
	no(vfc_iommu_dirty_read(iommu, AT, PAGE, PAGE, &bitmap));
	no(vfc_iommu_iommufd(iommu, NULL));
	no(vfc_iommu_fd(iommu, NULL));
	no(vfc_mapcache_open(iommu, NULL, &cache));
	no(vfc_iommu_close(iommu));
	no(vfc_iommu_close(other));
}

static void devices(void)
{
	struct vfc_device_opts in = {.size = sizeof(in), .iommu = other};
	struct vfc_device *second;

	no(vfc_device_open("fake:e1000e", &in, &second));
	no(vfc_device_adopt(0, NULL, &in, &second));
	no(vfc_device_attach(device, other));
	no(vfc_device_detach(device));
	no(vfc_device_attach_pasid(device, 1, other));
	no(vfc_device_detach_pasid(device, 1));
	no(vfc_device_release(device));
	no(vfc_device_close(device));
}

/* To close it would stop the parent's. */
static void interfaces(void)
{
	no(vfc_nic_close(nic));
}

/* What the child opens is its own. */
static void its_own(void)
{
	struct vfc_device *own = open_in(NULL);
	uint64_t iova;

	CHECK_EQ(vfc_iommu_map(vfc_device_iommu(own), memory, PAGE, NULL, &iova), 0);
	CHECK_EQ(vfc_iommu_unmap(vfc_device_iommu(own), iova, PAGE), 0);
	CHECK_EQ(vfc_device_close(own), 0);
}

static void in_a_child(void (*body)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		body();
		_exit(7);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void *hold_the_lock(void *ready)
{
	lock_take(&iommu->lock);
	__atomic_store_n((bool *)ready, true, __ATOMIC_RELEASE);
	sys_sleep(INT64_C(300000000));
	lock_give(&iommu->lock);
	return NULL;
}

/* A lock that another thread had would never be opened in the child. */
static void whoever_had_the_lock(void)
{
	bool ready = false;
	pthread_t thread;

	CHECK_EQ(sys_thread(&thread, hold_the_lock, &ready, -1), 0);
	CHECK_SOON(__atomic_load_n(&ready, __ATOMIC_ACQUIRE));
	in_a_child(mappings);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

int main(void)
{
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_mapping found;
	uint64_t iova = AT, command;

	device = open_in(NULL);
	iommu = vfc_device_iommu(device);
	other = open_space(iommu);
	memory = get_memory(4 * PAGE);
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &fixed, &iova), 0);
	in_a_child(mappings);
	in_a_child(spaces);
	in_a_child(devices);
	in_a_child(its_own);
	whoever_had_the_lock();
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	in_a_child(interfaces);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, 4, 2, &command), 0);
	CHECK(command & 4); /* bus mastering */
	CHECK_EQ(vfc_nic_close(nic), 0);
	/* The parent goes on as if nothing had been. */
	CHECK_EQ(vfc_iommu_find_iova(iommu, AT, &found), 0);
	CHECK_EQ(live(device), 1);
	CHECK_EQ(vfc_iommu_unmap(iommu, AT, PAGE), 0);
	CHECK_EQ(vfc_iommu_close(other), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(munmap(memory, 4 * PAGE), 0);
	return 0;
}
