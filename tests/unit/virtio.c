/* SPDX-License-Identifier: MIT */
/*
 * The virtio-net driver on registers that nobody plays: the fake device's config space and a BAR of
 * plain memory are made to look like a virtio device, and each test plays the rings that it needs.
 * Both halves of the features are the same word here, so that bit 0 is VERSION_1 as well.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <vfiocore.h>

#include "device/device.h"
#include "nic/virtio/virtio.h"
#include "ring_device.h"
#include "sweep.h"
#include "test.h"
#include "transport/model/fake.h"

#define COMMON 0x0000
#define CONFIG 0x1000
#define NOTIFY 0x2000
#define BAR1 0x20000 /* in the fake device's memory */
#define AREA 0x1000
#define CAP_NOTIFY 0x40
#define CAP_COMMON 0x54
#define CAP_DEVICE 0x64
#define CAP_NONE 0xff

#define HIGH(feature) ((uint32_t)((feature) >> 32))
#define LEAST (HIGH(VIRTIO_F_VERSION_1) | HIGH(VIRTIO_F_ACCESS_PLATFORM) | (uint32_t)VIRTIO_NET_F_MAC)
#define CONTROL ((uint32_t)(VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_F_INDIRECT_DESC | \
			    VIRTIO_NET_F_CTRL_MAC_ADDR))

static struct vfc_device *device;
static struct fake_device *fake;
static struct vfc_nic *nic;
static uint8_t *registers;

static void put16(uint32_t offset, uint16_t value)
{
	VFC_RING_STORE16(registers + offset, value);
}

static void put32(uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(void *)(registers + offset) = VFC_LE32(value);
}

static uint64_t get64(uint32_t offset)
{
	return VFC_RING_LOAD64(registers + offset);
}

static void cap(uint32_t at, uint32_t next, uint8_t type, uint32_t length, uint32_t offset)
{
	uint8_t bytes[VIRTIO_CAP_NOTIFY_BYTES] = {VIRTIO_CAP_ID, (uint8_t)next, (uint8_t)length, type, 1};

	bytes[VIRTIO_CAP_OFFSET + 1] = (uint8_t)(offset >> 8);
	bytes[VIRTIO_CAP_SIZE + 1] = AREA >> 8;
	bytes[VIRTIO_CAP_MULTIPLIER] = 4;
	memcpy(fake->config + at, bytes, length);
}

static int be_virtio(uint32_t features)
{
	static const uint8_t ids[4] = {0xf4, 0x1a, 0x41, 0x10}, mac[6] = {0x52, 0x54, 0, 1, 2, 3};
	int rc = vfc_device_open("fake:e1000e", NULL, &device);

	if (rc < 0)
		return rc;
	fake = (struct fake_device *)device->transport;
	registers = fake->memory + BAR1;
	memcpy(fake->config, ids, sizeof(ids));
	cap(CAP_NOTIFY, CAP_COMMON, VIRTIO_CAP_NOTIFY, VIRTIO_CAP_NOTIFY_BYTES, NOTIFY);
	cap(CAP_COMMON, CAP_DEVICE, VIRTIO_CAP_COMMON, VIRTIO_CAP_BYTES, COMMON);
	cap(CAP_DEVICE, fake->config[0x34], VIRTIO_CAP_DEVICE, VIRTIO_CAP_BYTES, CONFIG);
	fake->config[0x34] = CAP_NOTIFY;
	put32(VIRTIO_DEVICE_FEATURE, features);
	put16(VIRTIO_QUEUE_SIZE, 256);
	memcpy(registers + CONFIG, mac, sizeof(mac));
	put16(CONFIG + VIRTIO_NET_LINK, VIRTIO_NET_LINK_UP);
	return 0;
}

static int open_nic(uint32_t flags, uint32_t queues, uint32_t entries)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .flags = flags, .queues = queues,
				    .rx_entries = entries, .tx_entries = entries};

	return vfc_nic_open(device, &opts, &nic);
}

static void up(uint32_t features, uint32_t flags, uint32_t entries)
{
	CHECK_EQ(be_virtio(features), 0);
	CHECK_EQ(open_nic(flags, 1, entries), 0);
}

static void down(void)
{
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(registers[VIRTIO_STATUS], 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

/* What was told to the device is what the rings are; the last queue started is that of tx. */
static void told(uint32_t flags)
{
	struct vfc_nic_info info = {.size = sizeof(info)};
	const struct vfc_ring *ring;

	up(LEAST | (uint32_t)HIGH(VIRTIO_F_RING_PACKED), flags, 0);
	ring = &nic->tx[0].ring;
	CHECK_EQ(nic->driver == &nic_virtio_packed, flags != 0);
	CHECK_EQ(registers[VIRTIO_STATUS],
		 VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |
			 VIRTIO_STATUS_FEATURES_OK);
	CHECK_EQ(get64(VIRTIO_QUEUE_DESCRIPTORS), ring->memory.iova);
	CHECK_EQ(get64(VIRTIO_QUEUE_DRIVER), vfc_ring_iova(ring, ring->available));
	CHECK_EQ(get64(VIRTIO_QUEUE_DEVICE), vfc_ring_iova(ring, ring->completions));
	CHECK_EQ(VFC_RING_LOAD16(registers + VIRTIO_QUEUE_VECTOR), VIRTIO_NO_VECTOR);
	CHECK_EQ(VFC_RING_LOAD32(registers + VIRTIO_DRIVER_FEATURE),
		 HIGH(VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM) |
			 (flags ? HIGH(VIRTIO_F_RING_PACKED) : 0));
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	CHECK_EQ(info.rx_entries, 256);
	CHECK_EQ(info.frame_max, 1518);
	CHECK_EQ(info.mac[5], 3);
	down();
}

static const struct vfc_pool *pool(void)
{
	return nic->pool;
}

/* A frame lies in its chunk with a header of zeros before it, and the device is told of both. */
static void sent(uint32_t flags)
{
	struct vfc_packet packet[2];
	struct ring_device tx;
	struct vfc_ring *ring;
	uint8_t *data;

	up(LEAST | (uint32_t)HIGH(VIRTIO_F_RING_PACKED), flags, 16);
	ring = &nic->tx[0].ring;
	ring_device_start(&tx, ring, nic->driver->tx_layout);
	CHECK_EQ(vfc_nic_alloc(nic, packet, 2), 2);
	data = packet[0].data;
	memset(data - VFC_NIC_HEADROOM, 0xee, VFC_NIC_HEADROOM + 100);
	packet[0].length = packet[1].length = 100;
	packet[1].iova -= VFC_NIC_HEADROOM; /* no room for the header */
	CHECK_EQ(vfc_nic_tx_burst(nic, 0, packet, 2), 1);
	CHECK_EQ(ring_device_take(&tx), 1);
	CHECK_EQ(VFC_RING_LOAD64(ring->descriptors), packet[0].iova - VIRTIO_NET_HEADER);
	CHECK_EQ(VFC_RING_LOAD32(ring->descriptors + 8), 100 + VIRTIO_NET_HEADER);
	for (int i = 1; i <= VFC_NIC_HEADROOM; i++)
		CHECK_EQ(data[-i], i <= VIRTIO_NET_HEADER ? 0 : 0xee);
	CHECK_EQ(data[0], 0xee);
	for (uint64_t wrong = 0; wrong < 3; wrong++) {
		packet[1].iova = wrong == 0 ? vfc_pool_iova(pool(), packet[1].chunk) + 11 :
				 wrong == 1 ? vfc_pool_iova(pool(), packet[1].chunk) + NIC_CHUNK - 99 :
					      packet[0].iova;
		CHECK_EQ(vfc_nic_tx_burst(nic, 0, packet + 1, 1), 0);
	}
	CHECK_EQ(vfc_nic_drain(nic, 0, 0), -ETIMEDOUT);
	ring_device_finish(&tx, 0, 0);
	CHECK_EQ(vfc_nic_drain(nic, 0, 0), 0);
	down();
}

/* What is no frame, or one longer than was asked for, is dropped and counted, and its buffer comes back. */
static void hostile_lengths(uint32_t flags)
{
	static const struct {
		uint32_t claim, frame, errors;
	} cases[] = {
		{0, 0, 0}, {11, 0, 0}, {12, 0, 0}, {13, 1, 0}, {12 + 1518, 1518, 0}, {13 + 1518, 0, 1},
		{12 + NIC_ROOM, 0, 1}, {13 + NIC_ROOM, 0, 0}, {65535, 0, 0}, {UINT32_MAX, 0, 0},
	};
	struct vfc_nic_stats stats = {.size = sizeof(stats)};
	struct vfc_packet packet;
	struct ring_device rx;
	uint32_t bad = 0, errors = 0, free;

	up(LEAST | (uint32_t)HIGH(VIRTIO_F_RING_PACKED), flags, 16);
	ring_device_start(&rx, &nic->rx[0].ring, nic->driver->rx_layout);
	CHECK_EQ(ring_device_take(&rx), 16);
	free = pool()->free;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ring_device_finish(&rx, 0, cases[i].claim);
		errors += cases[i].errors;
		bad += !cases[i].frame && !cases[i].errors;
		CHECK_EQ(vfc_nic_rx_burst(nic, 0, &packet, 1), cases[i].frame != 0);
		if (cases[i].frame) {
			CHECK_EQ(packet.length, cases[i].frame);
			CHECK(packet.data == (uint8_t *)vfc_pool_va(pool(), packet.chunk) +
						     VFC_NIC_HEADROOM);
			vfc_nic_free(nic, &packet, 1);
		}
		CHECK_EQ(vfc_nic_stats(nic, &stats), 0);
		CHECK_EQ(stats.rx_malformed, bad);
		CHECK_EQ(stats.rx_errors, errors);
		CHECK_EQ(pool()->free + nic->rx[0].ring.used, free + 16);
	}
	down();
}

static void refused(int rc, const char *hint)
{
	CHECK_EQ(open_nic(VFC_NIC_PACKED, 1, 0), rc);
	CHECK(strstr(vfc_error_last()->hint, hint));
	CHECK_EQ(registers[VIRTIO_STATUS] & VIRTIO_STATUS_DRIVER_OK, 0);
}

static void missing_features(void)
{
	uint32_t all = LEAST | (uint32_t)HIGH(VIRTIO_F_RING_PACKED);

	CHECK_EQ(be_virtio(all & ~(uint32_t)HIGH(VIRTIO_F_VERSION_1)), 0);
	refused(-EOPNOTSUPP, "VERSION_1");
	put32(VIRTIO_DEVICE_FEATURE, all & ~(uint32_t)HIGH(VIRTIO_F_ACCESS_PLATFORM));
	refused(-EOPNOTSUPP, "ACCESS_PLATFORM");
	put32(VIRTIO_DEVICE_FEATURE, all & ~(uint32_t)VIRTIO_NET_F_MAC);
	refused(-EOPNOTSUPP, "NET_F_MAC");
	put32(VIRTIO_DEVICE_FEATURE, LEAST);
	refused(-EOPNOTSUPP, "RING_PACKED");
	put32(VIRTIO_DEVICE_FEATURE, all);
	CHECK_EQ(open_nic(0, 2, 0), -EOPNOTSUPP);
	CHECK_EQ(open_nic(VFC_NIC_PROMISC, 1, 0), -EOPNOTSUPP);
	CHECK_EQ(open_nic(VFC_NIC_VLAN_FILTER, 1, 0), -EOPNOTSUPP);
	CHECK(strstr(vfc_error_last()->hint, "virtio-net has no filter of VLANs"));
	CHECK_EQ(open_nic(VFC_NIC_RX_CHECKSUM, 1, 0), -EOPNOTSUPP);
	CHECK(strstr(vfc_error_last()->hint, "virtio-net has no verification of checksums"));
	put32(VIRTIO_DEVICE_FEATURE, all | CONTROL | (uint32_t)VIRTIO_NET_F_MQ);
	put16(CONFIG + VIRTIO_NET_PAIRS, 1);
	CHECK_EQ(open_nic(0, 2, 0), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "has 1"));
	CHECK_EQ(vfc_device_close(device), 0);
}

/* Where the registers are is the device's word: each lie is refused, and leaves nothing behind. */
static void hostile_structures(void)
{
	CHECK_EQ(be_virtio(LEAST | (uint32_t)HIGH(VIRTIO_F_RING_PACKED)), 0);
	put16(VIRTIO_QUEUE_NOTIFY, AREA / 4);
	refused(-EBADMSG, "notified at 0x1000");
	put16(VIRTIO_QUEUE_NOTIFY, AREA / 4 - 1);
	put16(VIRTIO_QUEUE_SIZE, 7);
	refused(-EBADMSG, "too few");
	put16(VIRTIO_QUEUE_SIZE, 256);
	fake->config[CAP_COMMON + VIRTIO_CAP_LENGTH] = 15;
	refused(-EBADMSG, "too short for its type");
	fake->config[CAP_COMMON + VIRTIO_CAP_LENGTH] = VIRTIO_CAP_BYTES;
	fake->config[CAP_COMMON + VIRTIO_CAP_SIZE + 1] = 0;
	refused(-EBADMSG, "too short or askew");
	fake->config[CAP_COMMON + VIRTIO_CAP_SIZE + 1] = AREA >> 8;
	fake->config[CAP_COMMON + VIRTIO_CAP_OFFSET] = 2;
	refused(-EBADMSG, "askew");
	fake->config[CAP_COMMON + VIRTIO_CAP_OFFSET] = 0;
	fake->config[CAP_COMMON + VIRTIO_CAP_OFFSET + 3] = 0xff;
	CHECK_EQ(open_nic(0, 1, 0), -EINVAL);
	fake->config[CAP_COMMON + VIRTIO_CAP_OFFSET + 3] = 0;
	fake->config[CAP_COMMON + VIRTIO_CAP_BAR] = 6; /* reserved: passed over */
	refused(-EOPNOTSUPP, "common");
	fake->config[CAP_COMMON + VIRTIO_CAP_BAR] = 1;
	CHECK_EQ(open_nic(VFC_NIC_PACKED, 1, 0), 0);
	down();
}

static void fewer_entries_and_mtu(void)
{
	struct vfc_nic_info info = {.size = sizeof(info)};

	CHECK_EQ(be_virtio(LEAST | (uint32_t)VIRTIO_NET_F_MTU), 0);
	put16(VIRTIO_QUEUE_SIZE, 100);
	put16(CONFIG + VIRTIO_NET_MTU, 1000);
	CHECK_EQ(open_nic(0, 1, 0), 0);
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	CHECK_EQ(info.rx_entries, 64);
	CHECK_EQ(info.tx_entries, 64);
	CHECK_EQ(info.frame_max, 1018);
	CHECK_EQ(vfc_nic_send(nic, registers, 1019), -EINVAL);
	down();
}

/* A larger MTU is told to the device in its buffers; not where it says that it has less. */
static void other_mtu(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .rx_entries = 8, .tx_entries = 8, .mtu = 9000};
	struct ring_device rx;

	CHECK_EQ(be_virtio(LEAST | (uint32_t)VIRTIO_NET_F_MTU), 0);
	put16(CONFIG + VIRTIO_NET_MTU, 8999);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "9000 bytes: the device says 8999"));
	put16(CONFIG + VIRTIO_NET_MTU, 9000);
	CHECK_EQ(vfc_nic_open(device, &opts, &nic), 0);
	CHECK_EQ(nic->frame_max, 9018);
	ring_device_start(&rx, &nic->rx[0].ring, nic->driver->rx_layout);
	CHECK_EQ(VFC_RING_LOAD32(nic->rx[0].ring.descriptors + 8), 9216 + VIRTIO_NET_HEADER);
	down();
}

/* The control queue of a split device: it is the queue that was told last. */
struct answers {
	bool stop; /* atomic, as the other two */
	uint32_t answer; /* to give; CAP_NONE: none */
	uint32_t commands;
	uint8_t last[16];
};

static void answer_one(struct answers *answers, uint16_t seen)
{
	uint64_t ring = get64(VIRTIO_QUEUE_DEVICE), table, request, answer;
	uint32_t length, entry[2] = {seen % 2};
	uint16_t index = (uint16_t)(seen + 1);
	uint8_t value = (uint8_t)__atomic_load_n(&answers->answer, __ATOMIC_RELAXED);

	CHECK(fake_dma_read(fake, get64(VIRTIO_QUEUE_DRIVER) + 4 + 2 * (seen % 2), entry, 2));
	CHECK(fake_dma_read(fake, get64(VIRTIO_QUEUE_DESCRIPTORS) + 16 * entry[0], &table, 8));
	CHECK(fake_dma_read(fake, table, &request, 8));
	CHECK(fake_dma_read(fake, table + 8, &length, 4));
	CHECK(length <= sizeof(answers->last));
	CHECK(fake_dma_read(fake, request, answers->last, length));
	CHECK(fake_dma_read(fake, table + 16, &answer, 8));
	CHECK(fake_dma_write(fake, answer, &value, 1));
	CHECK(fake_dma_write(fake, ring + 4 + 8 * (seen % 2), entry, 8));
	CHECK(fake_dma_write(fake, ring + 2, &index, 2));
	__atomic_fetch_add(&answers->commands, 1, __ATOMIC_RELEASE);
}

static void *answering(void *context)
{
	struct answers *answers = context;
	uint16_t seen = 0, index;

	while (!__atomic_load_n(&answers->stop, __ATOMIC_RELAXED)) {
		pthread_mutex_lock(&fake->iommufd->lock);
		if (registers[VIRTIO_STATUS] & VIRTIO_STATUS_DRIVER_OK &&
		    __atomic_load_n(&answers->answer, __ATOMIC_RELAXED) != CAP_NONE &&
		    fake_dma_read(fake, get64(VIRTIO_QUEUE_DRIVER) + 2, &index, 2) && index != seen)
			answer_one(answers, seen++);
		pthread_mutex_unlock(&fake->iommufd->lock);
		sys_sleep(10000);
	}
	return NULL;
}

static void control_queue(void)
{
	static const uint8_t mac[6] = {2, 4, 6, 8, 10, 12};
	struct answers answers = {.answer = VIRTIO_NET_OK};
	pthread_t thread;

	CHECK_EQ(be_virtio(LEAST | CONTROL | (uint32_t)VIRTIO_NET_F_MQ), 0);
	put16(CONFIG + VIRTIO_NET_PAIRS, 3);
	CHECK_EQ(pthread_create(&thread, NULL, answering, &answers), 0);
	CHECK_EQ(open_nic(0, 2, 16), 0);
	CHECK_EQ(virtio_of(nic)->control.ring.queue, 6);
	CHECK_EQ(__atomic_load_n(&answers.commands, __ATOMIC_ACQUIRE), 3);
	CHECK_EQ(answers.last[0], VIRTIO_NET_CTRL_MQ);
	CHECK_EQ(answers.last[2], 2);
	CHECK_EQ(vfc_nic_set_mac(nic, mac), 0);
	CHECK(!memcmp(answers.last + 2, mac, 6));
	CHECK_EQ(vfc_nic_promisc(nic, true), 0);
	CHECK_EQ(answers.last[2], 1);
	__atomic_store_n(&answers.answer, 1, __ATOMIC_RELAXED);
	CHECK_EQ(vfc_nic_promisc(nic, false), -EIO);
	CHECK(nic->promisc);
	__atomic_store_n(&answers.answer, CAP_NONE, __ATOMIC_RELAXED);
	CHECK_EQ(vfc_nic_promisc(nic, false), -ETIMEDOUT);
	CHECK_EQ(vfc_nic_promisc(nic, false), -EBUSY);
	__atomic_store_n(&answers.stop, true, __ATOMIC_RELAXED);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	down();
}

static int each_call_fails(void)
{
	int rc = 0;

	device = NULL;
	if (note(&rc, be_virtio(LEAST | (uint32_t)HIGH(VIRTIO_F_RING_PACKED))) < 0)
		return rc;
	if (note(&rc, open_nic(VFC_NIC_PACKED, 1, 16)) == 0) {
		if (note(&rc, vfc_nic_reset(nic)) < 0)
			CHECK_EQ(vfc_nic_reset(nic), 0);
		if (note(&rc, vfc_nic_close(nic)) < 0)
			CHECK_EQ(vfc_nic_close(nic), 0);
	}
	CHECK_EQ(vfc_device_close(device), 0);
	return rc;
}

int main(void)
{
	for (uint32_t flags = 0; flags <= VFC_NIC_PACKED; flags += VFC_NIC_PACKED) {
		told(flags);
		sent(flags);
		hostile_lengths(flags);
	}
	missing_features();
	hostile_structures();
	fewer_entries_and_mtu();
	other_mtu();
	control_queue();
	sweep("virtio-net", each_call_fails);
	return 0;
}
