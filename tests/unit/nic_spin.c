/* SPDX-License-Identifier: MIT */
/* Waiting that polls first: no interrupt while frames come, a sleep when none do. */
#include <pthread.h>

#include "nic_test.h"

static int open_spin(uint64_t spin)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .queues = 2, .spin = spin};
	struct vfc_nic_info info = {.size = sizeof(info)};
	int rc = vfc_nic_open(device, &opts, &nic);

	if (rc < 0)
		return rc;
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	memcpy(mac, info.mac, 6);
	CHECK_EQ(vfc_nic_wait_link(nic, 60 * SECOND), 0);
	return 0;
}

static void refused(void)
{
	CHECK_EQ(open_spin((uint64_t)SECOND + 1), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "opts->spin is 1000000001 ns"));
	CHECK_EQ(open_spin(UINT64_MAX), -EINVAL);
}

/* Each frame is there within the second that is looked for it. */
static void under_load(void)
{
	CHECK_EQ(open_spin((uint64_t)SECOND), 0);
	for (uint32_t n = 0; n < 1000; n++)
		round_trip((uint8_t)n);
	CHECK_EQ(stats().rx_frames, 1000);
	CHECK_EQ(stats().rx_arms, 0);
	CHECK_EQ(stats().rx_interrupts, 0);
	CHECK_EQ(vfc_nic_close(nic), 0);
}

static void *send_later(void *frame)
{
	CHECK_SOON(stats().rx_arms == 3);
	CHECK_EQ(vfc_nic_send(nic, frame, 60), 0);
	return NULL;
}

/* The time given is not exceeded; then it sleeps, until one interrupt. */
static void idle(void)
{
	uint8_t frame[60], in[2048];
	pthread_t thread;

	CHECK_EQ(open_spin(1000), 0);
	CHECK_EQ(vfc_nic_rx_wait(nic, 0, 5 * MS), -ETIMEDOUT);
	CHECK_EQ(vfc_nic_rx_wait(nic, 1, 0), -ETIMEDOUT);
	CHECK_EQ(stats().rx_arms, 2);
	fill(frame, mac, sizeof(frame), 1);
	CHECK_EQ(pthread_create(&thread, NULL, send_later, frame), 0);
	CHECK_EQ(receive(in, sizeof(in)), 60);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(stats().rx_arms, 3);
	CHECK_EQ(stats().rx_interrupts, 1);
	CHECK_EQ(vfc_nic_rx_arm(nic, 0), 0);
	CHECK_EQ(stats().rx_arms, 4);
	CHECK_EQ(vfc_nic_close(nic), 0);
}

int main(void)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	refused();
	under_load();
	idle();
	CHECK_EQ(knob(VFC_FAKE_MAPPINGS), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
