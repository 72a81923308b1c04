/* SPDX-License-Identifier: MIT */
/*
 * An 82576 with virtual functions, each of them driven: the physical function's driver answers the
 * mailbox in a thread, and frames go from each function to each other one.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>

#include "igb_model.h"
#include "sweep.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define VFS 2
#define PF VFS /* its place among the functions, and the number of its pool */

static struct igb_chip chips[VFS + 1];
static struct vfc_device *devices[VFS + 1];
static struct vfc_nic *nics[VFS + 1];
static struct vfc_iommu *space;
static pthread_t server;
static bool stop, paused;

static int open_function(uint32_t n)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = 16, .tx_entries = 16};

	return vfc_nic_open(devices[n], &opts, &nics[n]);
}

static void serve(void)
{
	CHECK(igb_serve(&chips[PF], nics[PF]) >= 0);
}

static void *serve_all(void *argument)
{
	struct pollfd fd = {.fd = vfc_nic_vf_fd(nics[PF]), .events = POLLIN};

	(void)argument;
	CHECK(fd.fd >= 0);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		poll(&fd, 1, 1);
		if (!__atomic_load_n(&paused, __ATOMIC_ACQUIRE))
			serve();
	}
	return NULL;
}

/* The physical function's driver has written ones to clear these, and there is nothing to clear. */
static void settle(void)
{
	CHECK_SOON(igb_get(&chips[PF], IGB_MBVFICR) == 0);
	igb_put(&chips[PF], IGB_VFLRE, 0);
}

static void start_server(void)
{
	stop = paused = false;
	CHECK_EQ(pthread_create(&server, NULL, serve_all, NULL), 0);
}

static void stop_server(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(server, NULL);
}

static void plug(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "fake"};

	memset(chips, 0, sizeof(chips));
	chips[PF].vf_count = VFS;
	CHECK_EQ(pthread_mutex_init(&chips[PF].serving, NULL), 0);
	chips[PF].number = PF;
	CHECK_EQ(vfc_iommu_open(&opts, &space), 0);
	CHECK_EQ(igb_open(&chips[PF], space, &devices[PF]), 0);
	for (uint32_t n = 0; n < VFS; n++) {
		chips[n].physical = &chips[PF];
		chips[n].number = n;
		CHECK_EQ(igb_open(&chips[n], space, &devices[n]), 0);
	}
}

static void unplug(void)
{
	for (uint32_t n = 0; n < VFS; n++)
		igb_forget(&chips[n]);
	for (uint32_t n = 0; n <= PF; n++)
		CHECK_EQ(vfc_device_close(devices[n]), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
}

static void up(void)
{
	plug();
	CHECK_EQ(open_function(PF), 0);
	settle();
	start_server();
	for (uint32_t n = 0; n < VFS; n++)
		CHECK_EQ(open_function(n), 0);
	for (uint32_t n = 0; n <= PF; n++)
		CHECK_EQ(vfc_nic_wait_link(nics[n], SECOND), 0);
}

static void down(void)
{
	for (uint32_t n = 0; n < VFS; n++) {
		CHECK_EQ(vfc_nic_close(nics[n]), 0);
		CHECK_EQ(chips[n].malformed, 0);
	}
	stop_server();
	CHECK_EQ(vfc_nic_close(nics[PF]), 0);
	unplug();
}

static void address_of(uint32_t n, uint8_t mac[6])
{
	struct vfc_nic_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_nic_info(nics[n], &info), 0);
	memcpy(mac, info.mac, 6);
}

static struct vfc_nic_vf_info about(uint32_t vf)
{
	struct vfc_nic_vf_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_nic_vf_info(nics[PF], vf, &info), 0);
	return info;
}

static void fill(uint8_t *frame, uint32_t length, const uint8_t to[6], uint8_t seed)
{
	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(seed + i * 3);
	memcpy(frame, to, 6);
	memcpy(frame + 12, (uint8_t[2]){0x88, 0xb5}, 2);
}

static bool arrives(uint32_t from, uint32_t to, const uint8_t mac[6], uint32_t length)
{
	uint8_t out[1518], in[2048];

	fill(out, length, mac, (uint8_t)length);
	CHECK_EQ(vfc_nic_send(nics[from], out, length), 0);
	CHECK_EQ(vfc_nic_drain(nics[from], 0, SECOND), 0);
	if (vfc_nic_rx_wait(nics[to], 0, 20 * MS) < 0)
		return false;
	CHECK_EQ(vfc_nic_recv(nics[to], in, sizeof(in)), length);
	CHECK(!memcmp(in, out, length));
	return true;
}

static void traffic(void)
{
	uint8_t mac[6];

	for (uint32_t to = 0; to <= PF; to++) {
		address_of(to, mac);
		for (uint32_t from = 0; from <= PF; from++) {
			CHECK(arrives(from, to, mac, 60));
			CHECK(arrives(from, to, mac, 1518));
			for (uint32_t other = 0; other <= PF; other++)
				CHECK_EQ(vfc_nic_recv(nics[other], (uint8_t[2048]){0}, 2048), 0);
		}
	}
}

/* What each was told, and that it is met. */
static void greeted(void)
{
	struct vfc_nic_info info = {.size = sizeof(info)};
	uint8_t mac[6];

	for (uint32_t n = 0; n < VFS; n++) {
		address_of(n, mac);
		CHECK(!memcmp(about(n).mac, mac, 6));
		CHECK(about(n).active);
		CHECK_EQ(about(n).refused, 0);
		CHECK_EQ(igb_get(&chips[n], IGB_IVAR(0)), IGB_IVAR_VALID);
		CHECK_EQ(igb_get(&chips[n], IGB_EIAM), 1);
		CHECK_EQ(igb_get(&chips[n], IGBVF_RX + IGB_RING_LENGTH), 256);
	}
	CHECK_EQ(vfc_nic_info(nics[0], &info), 0);
	CHECK(!strcmp(info.driver, "igbvf"));
	CHECK_EQ(info.queues, 1);
	CHECK_EQ(igb_get(&chips[PF], IGB_VFRE), E1000E_BIT(PF + 1) - 1);
}

static void filters(void)
{
	static const uint8_t wanted[6] = {0x02, 9, 8, 7, 6, 5}, strange[6] = {0x02, 1, 1, 1, 1, 1};
	uint8_t taken[6];

	CHECK_EQ(vfc_nic_set_mac(nics[0], wanted), 0);
	CHECK(!memcmp(about(0).mac, wanted, 6));
	CHECK(arrives(1, 0, wanted, 64));
	address_of(1, taken);
	CHECK_EQ(vfc_nic_set_mac(nics[0], taken), -EACCES);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_PERMISSION);
	address_of(0, taken);
	CHECK(!memcmp(taken, wanted, 6));
	CHECK_EQ(vfc_nic_promisc(nics[0], true), -EACCES);
	CHECK_EQ(vfc_nic_promisc(nics[0], false), 0);
	CHECK(!arrives(0, PF, strange, 64));
	CHECK_EQ(vfc_nic_promisc(nics[PF], true), 0); /* strangers go to the default pool */
	CHECK(arrives(0, PF, strange, 64));
	CHECK_EQ(vfc_nic_promisc(nics[PF], false), 0);
	CHECK(!arrives(0, PF, strange, 64));
}

static void counters(void)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};

	igb_put(&chips[0], IGBVF_RX + IGB_RX_DROPPED, 5);
	CHECK_EQ(vfc_nic_stats(nics[0], &stats), 0);
	CHECK_EQ(stats.rx_missed, 5);
	igb_put(&chips[0], IGBVF_RX + IGB_RX_DROPPED, 0);
	CHECK(stats.rx_frames > 0);
	CHECK(stats.tx_frames > 0);
}

/* A reset of the physical function takes the others with it, until each is reset itself. */
static void physical_resets(void)
{
	uint8_t before[6], after[6];
	struct vfc_nic_link link = {.size = sizeof(link)};

	address_of(1, before);
	__atomic_store_n(&paused, true, __ATOMIC_RELEASE);
	sys_sleep(5 * MS);
	CHECK_EQ(vfc_nic_reset(nics[PF]), 0);
	settle();
	__atomic_store_n(&paused, false, __ATOMIC_RELEASE);
	CHECK_EQ(vfc_nic_wait_link(nics[PF], SECOND), 0);
	for (uint32_t n = 0; n < VFS; n++) {
		CHECK_EQ(vfc_nic_link(nics[n], &link), 0);
		CHECK(!link.up && !link.speed);
		CHECK_EQ(vfc_nic_promisc(nics[n], false), -EIO);
		CHECK(strstr(vfc_error_last()->hint, "vfc_nic_reset()"));
		CHECK_EQ(vfc_nic_reset(nics[n]), 0);
		CHECK_EQ(vfc_nic_wait_link(nics[n], SECOND), 0);
	}
	address_of(1, after);
	CHECK(!memcmp(before, after, 6));
	traffic();
}

static void together(void)
{
	up();
	greeted();
	traffic();
	filters();
	counters();
	physical_resets();
	down();
}

static void leaves(void)
{
	up();
	CHECK_EQ(vfc_nic_close(nics[0]), 0);
	CHECK_SOON(!about(0).active);
	CHECK(about(1).active);
	CHECK_EQ(igb_get(&chips[PF], IGB_VFRE) & 3, 2);
	CHECK_EQ(open_function(0), 0);
	CHECK(about(0).active);
	down();
}

static void options(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .mtu = 1501};

	plug();
	CHECK_EQ(vfc_nic_open(devices[0], &opts, &nics[0]), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "igbvf has 68 to 1500"));
	opts = (struct vfc_nic_opts){.size = sizeof(opts), .queues = 2};
	CHECK_EQ(vfc_nic_open(devices[0], &opts, &nics[0]), -EINVAL);
	opts = (struct vfc_nic_opts){.size = sizeof(opts), .flags = VFC_NIC_VLAN_FILTER};
	CHECK_EQ(vfc_nic_open(devices[0], &opts, &nics[0]), -EOPNOTSUPP);
	/* With virtual functions the physical one has one queue, and no filter of its own. */
	CHECK_EQ(vfc_nic_open(devices[PF], &opts, &nics[PF]), -EOPNOTSUPP);
	opts = (struct vfc_nic_opts){.size = sizeof(opts), .queues = 2};
	CHECK_EQ(vfc_nic_open(devices[PF], &opts, &nics[PF]), -EINVAL);
	unplug();
}

/* Nobody drives the physical function; then somebody does, and does not answer; then it refuses. */
static void no_help(void)
{
	struct vfc_nic_info info = {.size = sizeof(info)};

	plug();
	CHECK_EQ(open_function(0), -ETIMEDOUT);
	CHECK(strstr(vfc_error_last()->hint, "in reset"));
	CHECK_EQ(open_function(PF), 0);
	settle();
	CHECK_EQ(open_function(0), -ETIMEDOUT);
	CHECK(strstr(vfc_error_last()->hint, "was not answered"));
	serve(); /* what it said lies there still */
	chips[PF].refuses = true;
	start_server();
	CHECK_EQ(open_function(0), -EACCES);
	CHECK(strstr(vfc_error_last()->hint, "the address"));
	chips[PF].refuses = false;
	CHECK_EQ(open_function(0), 0);
	CHECK_EQ(vfc_nic_info(nics[0], &info), 0);
	CHECK_EQ(vfc_nic_close(nics[0]), 0);
	stop_server();
	CHECK_EQ(vfc_nic_close(nics[PF]), 0);
	unplug();
}

static void pulled(void)
{
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	struct vfc_nic_link link = {.size = sizeof(link)};

	up();
	CHECK_EQ(vfc_fake_set(devices[0], VFC_FAKE_GONE, 1), 0);
	CHECK_EQ(vfc_nic_stats(nics[0], &stats), 0);
	CHECK_EQ(stats.rx_missed, 0);
	CHECK_EQ(vfc_nic_link(nics[0], &link), 0);
	CHECK(!link.up);
	CHECK_EQ(vfc_nic_promisc(nics[0], false), -ENODEV);
	CHECK_EQ(vfc_nic_close(nics[0]), 0);
	CHECK_EQ(open_function(0), -ENODEV);
	stop_server();
	CHECK_EQ(vfc_nic_close(nics[1]), 0);
	CHECK_EQ(vfc_nic_close(nics[PF]), 0);
	unplug();
}

/*
 * Any call fails, be it one of the virtual function's or of the server's, which tries again: how many
 * there are depends on which thread runs when. The server makes calls for what was asked alone.
 */
static void *serve_stubbornly(void *argument)
{
	(void)argument;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		if (igb_get(&chips[PF], IGB_MBVFICR))
			igb_serve(&chips[PF], nics[PF]);
		sys_sleep(MS / 10);
	}
	return NULL;
}

static int life(void)
{
	int rc = 0;

	if (note(&rc, open_function(0)) < 0)
		return rc;
	note(&rc, vfc_nic_promisc(nics[0], false));
	if (note(&rc, vfc_nic_reset(nics[0])) < 0)
		CHECK_EQ(vfc_nic_reset(nics[0]), 0);
	CHECK_EQ(vfc_nic_close(nics[0]), 0);
	return rc;
}

static void out_of_everything(void)
{
	plug();
	CHECK_EQ(open_function(PF), 0);
	settle();
	stop = false;
	CHECK_EQ(pthread_create(&server, NULL, serve_stubbornly, NULL), 0);
	CHECK_EQ(life(), 0); /* maps the registers, which stay mapped with the device */
	sweep("igbvf", life);
	stop_server();
	CHECK_EQ(vfc_nic_close(nics[PF]), 0);
	unplug();
}

int main(void)
{
	together();
	leaves();
	options();
	no_help();
	pulled();
	out_of_everything();
	return 0;
}
