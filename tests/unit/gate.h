/* SPDX-License-Identifier: MIT */
/* A gate in a scripted kernel, at which calls wait as they do while a function is reset. */
#ifndef VFC_GATE_H
#define VFC_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

static struct {
	bool shut;        /* atomic */
	unsigned waiting; /* atomic: calls that are at it */
} gate;

static inline void pass_gate(void)
{
	if (!__atomic_load_n(&gate.shut, __ATOMIC_ACQUIRE))
		return;
	__atomic_add_fetch(&gate.waiting, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&gate.shut, __ATOMIC_ACQUIRE))
		sys_sleep(100000);
	__atomic_sub_fetch(&gate.waiting, 1, __ATOMIC_ACQ_REL);
}

static inline void shut_gate(bool shut)
{
	__atomic_store_n(&gate.shut, shut, __ATOMIC_RELEASE);
}

/* Of which the others know nothing. */
struct opening {
	struct vfc_iommu *space;
	const char *name;
	struct vfc_device *device;
	int rc;
	pthread_t thread;
};

static void *open_device(void *argument)
{
	struct opening *opening = argument;
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = opening->space};

	opening->rc = vfc_device_open(opening->name, &opts, &opening->device);
	return NULL;
}

static void *close_device(void *argument)
{
	struct opening *opening = argument;

	opening->rc = vfc_device_close(opening->device);
	return NULL;
}

static inline void begin(struct opening *opening, void *(*run)(void *))
{
	CHECK_EQ(pthread_create(&opening->thread, NULL, run, opening), 0);
}

static inline void finish(struct opening *opening)
{
	CHECK_EQ(pthread_join(opening->thread, NULL), 0);
	CHECK_EQ(opening->rc, 0);
}

#define AT_THE_GATE(count) CHECK_SOON(__atomic_load_n(&gate.waiting, __ATOMIC_ACQUIRE) == (count))

/* Mappings are made and taken back while others wait at the gate. */
static inline void map_beside(struct vfc_iommu *space, unsigned waiting)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	unsigned done = 0;

	for (unsigned i = 0; i < 10; i++) {
		uint64_t iova = 0;

		done += vfc_iommu_map(space, (void *)0x10000, 0x1000, NULL, &iova) == 0 &&
			vfc_iommu_unmap(space, iova, 0x1000) == 0;
	}
	CHECK_EQ(done, 10);
	CHECK_EQ(vfc_iommu_info(space, &info), 0);
	CHECK_EQ(__atomic_load_n(&gate.waiting, __ATOMIC_ACQUIRE), waiting);
}

/*
 * @open is in the space; @names are of two more that are opened, and closed, both at once. A lock that was
 * held meanwhile would let this hang.
 */
static inline void all_at_once(struct vfc_iommu *space, const char *const names[2])
{
	struct opening both[2] = {{.space = space, .name = names[0]}, {.space = space, .name = names[1]}};

	for (unsigned closes = 0; closes < 2; closes++) {
		shut_gate(true);
		for (unsigned i = 0; i < 2; i++)
			begin(&both[i], closes ? close_device : open_device);
		AT_THE_GATE(2);
		map_beside(space, 2);
		CHECK_EQ(vfc_iommu_close(space), -EBUSY);
		shut_gate(false);
		for (unsigned i = 0; i < 2; i++)
			finish(&both[i]);
		AT_THE_GATE(0);
	}
}

#endif
