/* SPDX-License-Identifier: MIT */
/* What happens to a device while others watch it, and what two threads do to one at the same time. */
#include <errno.h>
#include <pthread.h>
#include <vfiocore.h>

#include "base/error.h"
#include "device/object.h"
#include "iommu/space.h"
#include "kernel/sys.h"
#include "test.h"

#define SECOND INT64_C(1000000000)
#define MOMENT (SECOND / 5)

/* A watcher that stops the thread which tells it of something, until it may go on. */
struct gate {
	struct device_watcher watcher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int entered;
	bool open;
};

static struct vfc_device *device;
static struct gate gate;
static bool finished; /* atomic: the thread that had to wait did not */

static void pass(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.entered++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void until_somebody_is_in(void)
{
	pthread_mutex_lock(&gate.lock);
	while (!gate.entered)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void open_the_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void hold(void *owner)
{
	(void)owner;
}

static int leaving(void *owner, struct vfc_device *of)
{
	CHECK(owner == &gate);
	pass();
	device_unwatch(of, &gate.watcher);
	return 0;
}

static void was_reset(struct device_watcher *watcher)
{
	CHECK(watcher == &gate.watcher);
	pass();
}

static const struct device_watcher_ops leaves = {.hold = hold, .put = hold, .leaving = leaving};
static const struct device_watcher_ops resets = {.hold = hold, .put = hold, .was_reset = was_reset};

static void up(const struct device_watcher_ops *ops)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	gate = (struct gate){.watcher = {.ops = ops, .owner = &gate}};
	pthread_mutex_init(&gate.lock, NULL);
	pthread_cond_init(&gate.changed, NULL);
	finished = false;
	CHECK_EQ(device_watch(device, &gate.watcher), 0);
}

static void *release_it(void *unused)
{
	CHECK_EQ(vfc_device_release(device), 0);
	return unused;
}

/* The second does nothing, and returns when the first is done: in between the device is in no state. */
static void given_back_by_two(void)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	pthread_t one, two;

	up(&leaves);
	CHECK_EQ(pthread_create(&one, NULL, release_it, NULL), 0);
	until_somebody_is_in();
	CHECK_EQ(pthread_create(&two, NULL, release_it, NULL), 0);
	sys_sleep(MOMENT); /* which is enough for the second to come as far as the first, if it can */
	CHECK_EQ(gate.entered, 1);
	open_the_gate();
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	CHECK_EQ(gate.entered, 1);
	CHECK_EQ(vfc_iommu_info(vfc_device_iommu(device), &info), 0);
	CHECK_EQ(info.devices, 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static void *reset_it(void *unused)
{
	CHECK_EQ(vfc_device_reset(device), 0);
	return unused;
}

static void *close_them(void *events)
{
	CHECK_EQ(vfc_events_close(events), 0);
	__atomic_store_n(&finished, true, __ATOMIC_RELEASE);
	return NULL;
}

/* The thread that resets a device knows nothing of the stream: that may not go away under it. */
static void stream_closed_during_a_reset(void)
{
	struct vfc_events *events;
	pthread_t resetter, closer;

	up(&resets);
	CHECK_EQ(vfc_events_open(NULL, &events), 0);
	CHECK_EQ(vfc_events_watch(events, device, 0), 0);
	CHECK_EQ(pthread_create(&resetter, NULL, reset_it, NULL), 0);
	until_somebody_is_in();
	CHECK_EQ(pthread_create(&closer, NULL, close_them, events), 0);
	sys_sleep(MOMENT);
	CHECK(!__atomic_load_n(&finished, __ATOMIC_ACQUIRE));
	open_the_gate();
	pthread_join(resetter, NULL);
	pthread_join(closer, NULL);
	device_unwatch(device, &gate.watcher);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* Both ways round: the device closes the watch, and the stream closes the watch. */
static void closed_at_the_same_time(void)
{
	for (int i = 0; i < 200; i++) {
		struct vfc_events *events;
		pthread_t closer;

		CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
		CHECK_EQ(vfc_events_open(NULL, &events), 0);
		CHECK_EQ(vfc_events_watch(events, device, 0), 0);
		CHECK_EQ(pthread_create(&closer, NULL, close_them, events), 0);
		while (vfc_device_close(device) == -EBUSY) /* between the end of the watch and of its sets */
			CHECK_EQ(vfc_error_last()->reason, VFC_REASON_BUSY);
		pthread_join(closer, NULL);
	}
}

static int refuse(void *owner, struct vfc_device *of)
{
	(void)owner;
	return vfc_fail(EIO, VFC_REASON_NONE, WHERE(.object = of->name), "not yet");
}

/* A watcher that refuses keeps the device as it was. */
static void refused(void)
{
	static const struct device_watcher_ops refuses = {.hold = hold, .put = hold, .leaving = refuse};
	struct vfc_device_info info = {.size = sizeof(info)};

	up(&refuses);
	CHECK_EQ(vfc_device_close(device), -EIO);
	CHECK_EQ(vfc_device_release(device), -EIO);
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(!(info.flags & VFC_DEVICE_RELEASED));
	CHECK_EQ(device_watch(device, &(struct device_watcher){.ops = &refuses}), -EBUSY);
	CHECK(device_watched_by(device, &refuses) == &gate);
	device_unwatch(device, &gate.watcher);
	CHECK(!device_watched_by(device, &refuses));
	CHECK_EQ(vfc_device_close(device), 0);
}

static int seen_by_the_host(struct transport_device *of)
{
	CHECK(of == device->transport);
	CHECK(device_is_released(device));
	return vfc_fail(EMFILE, VFC_REASON_NONE, NOWHERE, "not now");
}

/* The host can have the device before the call returns. A failure leaves it here. */
static void released_before_the_host_has_it(void)
{
	struct vfc_iommu *iommu;
	const struct transport *real;
	struct transport fails;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	real = iommu->ops;
	fails = *real;
	fails.give_back = seen_by_the_host;
	iommu->ops = &fails;
	CHECK_EQ(vfc_device_release(device), -EMFILE);
	CHECK(!device_is_released(device));
	iommu->ops = real;
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK(device_is_released(device));
	CHECK_EQ(vfc_device_close(device), 0);
}

int main(void)
{
	given_back_by_two();
	stream_closed_during_a_reset();
	closed_at_the_same_time();
	refused();
	released_before_the_host_has_it();
	return 0;
}
