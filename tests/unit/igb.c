/* SPDX-License-Identifier: MIT */
/*
 * The driver of the 82576 on a model of the device: what it writes to the registers, that frames come
 * back intact, that filters keep away what they should, and what it makes of a device that misbehaves.
 */
#include <errno.h>
#include <stdbool.h>

#include "igb_model.h"
#include "nic/nic.h"
#include "sweep.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define FRAME_MAX 1518

/* Of a received frame's completion. */
#define LENGTH(n) ((uint64_t)(n) << E1000E_RX_LENGTH_SHIFT)
#define GOOD (E1000E_RX_DD | E1000E_RX_EOP)

static struct igb_chip chip;
static struct vfc_device *device;
static struct vfc_nic *nic;

static uint32_t reg(uint32_t offset)
{
	return igb_get(&chip, offset);
}

static struct vfc_nic_stats stats(void)
{
	struct vfc_nic_stats now = {.size = sizeof(now)};

	CHECK_EQ(vfc_nic_stats(nic, &now), 0);
	return now;
}

static int open_nic(struct vfc_nic_opts opts)
{
	opts.size = sizeof(opts);
	return vfc_nic_open(device, &opts, &nic);
}

static void plug(struct igb_chip properties)
{
	chip = properties;
	CHECK_EQ(igb_open(&chip, NULL, &device), 0);
}

static void up(struct vfc_nic_opts opts)
{
	plug((struct igb_chip){0});
	CHECK_EQ(open_nic(opts), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, SECOND), 0);
}

static void unplug(void)
{
	uint64_t left;

	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &left), 0);
	CHECK_EQ(left, 0);
	CHECK_EQ(vfc_device_close(device), 0);
}

static void down(void)
{
	CHECK_EQ(chip.malformed, 0);
	CHECK_EQ(vfc_nic_close(nic), 0);
	unplug();
}

static void fill(uint8_t *frame, uint32_t length, uint8_t seed)
{
	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(seed + i * 7);
	memcpy(frame, igb_station, 6);
	memcpy(frame + 12, (uint8_t[2]){0x88, 0xb5}, 2);
}

/* Whether the frame comes back, and by which queue; what comes back is what was sent. */
static bool comes(const uint8_t *out, uint32_t length, uint32_t queue)
{
	uint32_t whole = length < 60 ? 60 : length;
	struct vfc_packet packet;

	CHECK_EQ(vfc_nic_send(nic, out, length), 0);
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	if (vfc_nic_rx_wait(nic, queue, 20 * MS) < 0)
		return false;
	if (vfc_nic_rx_burst(nic, queue, &packet, 1) == 0)
		return false; /* the device reports an error with it */
	CHECK_EQ(packet.length, whole);
	CHECK(!memcmp(packet.data, out, length));
	vfc_nic_free(nic, &packet, 1);
	CHECK_EQ(vfc_nic_rx_burst(nic, queue, &packet, 1), 0);
	return true;
}

static void round_trip(uint8_t seed)
{
	uint8_t out[100];

	fill(out, sizeof(out), seed);
	CHECK(comes(out, sizeof(out), 0));
}

/* Sections 4.5.9 and 4.5.10: what the device is told when an interface is opened. */
static void told(void)
{
	struct vfc_nic_info info = {.size = sizeof(info)};

	up((struct vfc_nic_opts){.queues = 2, .rx_entries = 64, .tx_entries = 32});
	CHECK_EQ(vfc_nic_info(nic, &info), 0);
	CHECK(!strcmp(info.driver, "igb"));
	CHECK(!memcmp(info.mac, igb_station, 6));
	CHECK_EQ(info.frame_max, FRAME_MAX);
	CHECK_EQ(info.queues, 2);
	CHECK_EQ(reg(E1000E_RCTL),
		 E1000E_RCTL_EN | E1000E_RCTL_MPE | E1000E_RCTL_BAM | E1000E_RCTL_SECRC);
	CHECK_EQ(reg(E1000E_TCTL) & (E1000E_TCTL_EN | E1000E_TCTL_PSP), E1000E_TCTL_EN | E1000E_TCTL_PSP);
	CHECK_EQ(reg(IGB_GPIE), IGB_GPIE_MSIX | IGB_GPIE_EIAME | IGB_GPIE_PBA);
	CHECK_EQ(reg(IGB_IVAR_MISC), (IGB_IVAR_VALID | 2) << IGB_IVAR_OTHER_SHIFT);
	CHECK_EQ(reg(IGB_EIAM), 3);
	CHECK_EQ(reg(IGB_EIAC), 0);
	CHECK_EQ(reg(E1000E_CTRL) & E1000E_CTRL_MASTER_DISABLE, 0);
	for (uint32_t q = 0; q < 2; q++) {
		CHECK_EQ(reg(IGB_IVAR(q)), IGB_IVAR_VALID | q);
		CHECK_EQ(reg(IGB_RX(q) + IGB_RING_LENGTH), 64 * 16);
		CHECK_EQ(reg(IGB_TX(q) + IGB_RING_LENGTH), 32 * 16);
		CHECK_EQ(reg(IGB_RX(q) + IGB_RX_SRRCTL), 2 | IGB_SRRCTL_ONE_BUFFER | IGB_SRRCTL_DROP);
		CHECK_EQ(reg(IGB_RX(q) + IGB_RING_CONTROL), IGB_RING_ENABLE | 1 << IGB_RING_WTHRESH_SHIFT);
		CHECK_EQ(reg(IGB_TX(q) + IGB_RING_CONTROL), IGB_RING_ENABLE);
		CHECK_EQ(reg(IGB_RX(q) + IGB_RING_TAIL), 63); /* every buffer that a ring may hold */
	}
	CHECK_EQ(reg(IGB_RX(2) + IGB_RING_CONTROL), 0);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(reg(E1000E_RCTL) & E1000E_RCTL_EN, 0);
	CHECK_EQ(reg(E1000E_TCTL) & E1000E_TCTL_EN, 0);
	unplug();
}

static void lengths(uint32_t mtu)
{
	uint32_t most = mtu + VFC_NIC_HEADER;
	uint8_t out[IGB_RLPML_MAX];

	up((struct vfc_nic_opts){.rx_entries = 16, .tx_entries = 16, .mtu = mtu});
	CHECK_EQ(!(reg(E1000E_RCTL) & E1000E_RCTL_LPE), mtu <= 1500);
	CHECK_EQ(reg(IGB_RX(0) + IGB_RX_SRRCTL),
		 ((vfc_nic_chunk(mtu) - VFC_NIC_HEADROOM) / 1024) | IGB_SRRCTL_ONE_BUFFER);
	for (uint32_t length = 14; length <= most; length += length < 70 || length + 40 > most ? 1 : 97) {
		fill(out, length, (uint8_t)length);
		CHECK(comes(out, length, 0));
	}
	CHECK_EQ(vfc_nic_send(nic, out, most + 1), -EINVAL);
	CHECK_EQ(stats().rx_errors, 0);
	down();
}

static void bad_options(void)
{
	char text[64];

	plug((struct igb_chip){0});
	CHECK_EQ(open_nic((struct vfc_nic_opts){.mtu = IGB_RLPML_MAX - 4 - VFC_NIC_HEADER + 1}), -EINVAL);
	snprintf(text, sizeof(text), "igb has 68 to %d", IGB_RLPML_MAX - 4 - VFC_NIC_HEADER);
	CHECK(strstr(vfc_error_last()->hint, text));
	CHECK_EQ(open_nic((struct vfc_nic_opts){.queues = IGB_QUEUES + 1}), -EINVAL);
	CHECK_EQ(open_nic((struct vfc_nic_opts){.flags = VFC_NIC_PACKED}), -EOPNOTSUPP);
	CHECK_EQ(open_nic((struct vfc_nic_opts){.queues = IGB_QUEUES}), -EINVAL); /* it has 8 vectors here */
	unplug();
}

/* A few thousand frames in bursts, from a window that the receive ring can hold. */
static void bursts(uint32_t burst, uint32_t mtu)
{
	uint32_t sent = 0, received = 0, total = 4000;
	struct vfc_packet packets[64];
	int64_t end;
	int n;

	up((struct vfc_nic_opts){.rx_entries = 256, .tx_entries = 64, .mtu = mtu});
	end = sys_now() + 20 * SECOND;
	while (received < total || received < sent) {
		CHECK(sys_now() < end);
		n = sent < total && sent - received < 128 ? vfc_nic_alloc(nic, packets, burst) : 0;
		for (int i = 0; i < n; i++) {
			packets[i].length = 60 + (sent + (uint32_t)i) % 1400;
			fill(packets[i].data, packets[i].length, (uint8_t)(sent + (uint32_t)i));
		}
		if (n) {
			int taken = vfc_nic_tx_burst(nic, 0, packets, (uint32_t)n);

			vfc_nic_free(nic, packets + taken, (uint32_t)(n - taken));
			sent += (uint32_t)taken;
		}
		n = vfc_nic_rx_burst(nic, 0, packets, burst);
		for (int i = 0; i < n; i++, received++) {
			const uint8_t *frame = packets[i].data;
			uint32_t last = packets[i].length - 1;

			CHECK_EQ(packets[i].length, 60 + received % 1400);
			CHECK_EQ(frame[last], (uint8_t)(received + last * 7));
		}
		vfc_nic_free(nic, packets, (uint32_t)n);
		if (n == 0)
			vfc_nic_rx_wait(nic, 0, MS);
	}
	CHECK_EQ(stats().rx_frames, sent);
	CHECK_EQ(stats().tx_frames, sent);
	down();
}

/* -- filters -- */

static void addresses(void)
{
	static const uint8_t other[6] = {0x02, 1, 2, 3, 4, 5};
	uint8_t out[64];

	up((struct vfc_nic_opts){.rx_entries = 16, .tx_entries = 16});
	fill(out, sizeof(out), 1);
	memcpy(out, other, 6);
	CHECK(!comes(out, sizeof(out), 0));
	CHECK_EQ(vfc_nic_promisc(nic, true), 0);
	CHECK(reg(E1000E_RCTL) & E1000E_RCTL_UPE);
	CHECK(comes(out, sizeof(out), 0));
	CHECK_EQ(vfc_nic_promisc(nic, false), 0);
	CHECK(!comes(out, sizeof(out), 0));
	CHECK_EQ(vfc_nic_set_mac(nic, other), 0);
	CHECK(comes(out, sizeof(out), 0));
	fill(out, sizeof(out), 2);
	CHECK(!comes(out, sizeof(out), 0));
	memset(out, 0xff, 6);
	CHECK(comes(out, sizeof(out), 0));
	out[0] = 1;
	CHECK(comes(out, sizeof(out), 0));
	CHECK_EQ(vfc_nic_reset(nic), 0); /* the address is the NVM's again */
	CHECK_EQ(vfc_nic_wait_link(nic, SECOND), 0);
	round_trip(3);
	down();
}

static bool tagged_comes(uint32_t tag)
{
	uint8_t out[64];

	fill(out, sizeof(out), (uint8_t)tag);
	memcpy(out + 12, (uint8_t[4]){0x81, 0, (uint8_t)(tag >> 8), (uint8_t)tag}, 4);
	return comes(out, sizeof(out), 0);
}

static void vlans(void)
{
	up((struct vfc_nic_opts){.flags = VFC_NIC_VLAN_FILTER, .rx_entries = 16, .tx_entries = 16});
	CHECK(reg(E1000E_RCTL) & E1000E_RCTL_VFE);
	CHECK(!tagged_comes(37));
	CHECK_EQ(vfc_nic_vlan(nic, 37, true), 0);
	CHECK_EQ(reg(E1000E_VFTA(1)), 1 << 5);
	CHECK(tagged_comes(37));
	CHECK(tagged_comes(0xe000 | 37));
	CHECK(!tagged_comes(5));
	CHECK_EQ(vfc_nic_reset(nic), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, SECOND), 0);
	CHECK(tagged_comes(37));
	CHECK_EQ(vfc_nic_vlan(nic, 37, false), 0);
	CHECK(!tagged_comes(37));
	down();
}

static void ipv4(uint8_t *out, uint32_t length, const uint8_t addresses[8])
{
	uint32_t sum = 0;

	fill(out, length, 9);
	memcpy(out + 12, (uint8_t[2]){0x08, 0x00}, 2);
	out[14] = 0x45;
	out[24] = out[25] = 0;
	memcpy(out + 26, addresses, 8);
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)out[i] << 8 | out[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	out[24] = (uint8_t)(sum >> 8);
	out[25] = (uint8_t)sum;
}

static void checksums(uint32_t mtu)
{
	static const uint8_t some[8] = {10, 0, 0, 1, 10, 0, 0, 2};
	uint8_t out[64];

	up((struct vfc_nic_opts){.flags = VFC_NIC_RX_CHECKSUM, .rx_entries = 16, .tx_entries = 16,
				 .mtu = mtu});
	CHECK_EQ(reg(E1000E_RXCSUM), E1000E_RXCSUM_IPOFLD | E1000E_RXCSUM_TUOFLD);
	ipv4(out, sizeof(out), some);
	CHECK(comes(out, sizeof(out), 0));
	out[24] ^= 0x10;
	CHECK(!comes(out, sizeof(out), 0));
	CHECK_EQ(stats().rx_checksum, 1);
	CHECK_EQ(stats().rx_errors, 0);
	round_trip(4);
	down();
	up((struct vfc_nic_opts){.rx_entries = 16, .tx_entries = 16, .mtu = mtu});
	CHECK_EQ(reg(E1000E_RXCSUM), 0);
	CHECK(comes(out, sizeof(out), 0)); /* nobody asked for checksums */
	down();
}

/* The published vectors of the hash, from the key in the registers; each queue gets what it should. */
static void spreading(void)
{
	static const uint8_t addresses_of[3][8] = {
		{66, 9, 149, 187, 161, 142, 100, 80},
		{199, 92, 111, 2, 65, 69, 140, 83},
		{24, 19, 198, 95, 12, 22, 207, 184},
	};
	static const uint32_t hashes[3] = {0x323e8fc2, 0xd718262a, 0xd2d0a5de};
	uint32_t hit = 0;
	uint8_t out[64];

	up((struct vfc_nic_opts){.queues = 4, .rx_entries = 16, .tx_entries = 16});
	CHECK_EQ(reg(E1000E_MRQC), IGB_MRQC_RSS | E1000E_MRQC_FIELDS);
	CHECK(reg(E1000E_RXCSUM) & E1000E_RXCSUM_PCSD);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(igb_toeplitz(&chip, addresses_of[i], 8), hashes[i]);
	for (uint8_t i = 0; i < 64; i++) {
		const uint8_t to[8] = {10, 0, i, 1, 10, 9, 8, (uint8_t)(i * 5)};
		uint32_t queue = (igb_toeplitz(&chip, to, 8) & 0x7f) % 4;

		ipv4(out, sizeof(out), to);
		CHECK(comes(out, sizeof(out), queue));
		CHECK_EQ(chip.last_queue, queue);
		hit |= 1u << queue;
	}
	CHECK_EQ(hit, 0xf);
	down();
	up((struct vfc_nic_opts){.rx_entries = 16, .tx_entries = 16});
	CHECK_EQ(reg(E1000E_MRQC), 0);
	down();
}

/* -- a device that misbehaves -- */

/* What a device would write for the frame that is so many ahead, while the model is quiet. */
static void complete(uint32_t ahead, uint64_t control)
{
	const struct vfc_ring *ring = &nic->rx[0].ring;
	volatile uint64_t *descriptors = (volatile uint64_t *)(void *)ring->descriptors;

	descriptors[2 * ((ring->head + ahead) % ring->entries) + 1] = control;
}

/* The lengths of the frames that are taken, as bits. */
static uint32_t taken(void)
{
	struct vfc_packet packet;
	uint32_t came = 0;

	while (vfc_nic_rx_burst(nic, 0, &packet, 1) == 1) {
		CHECK(packet.length >= 64 && packet.length < 96);
		came |= 1u << (packet.length - 64);
		vfc_nic_free(nic, &packet, 1);
	}
	return came;
}

static void none_lost(void)
{
	CHECK_EQ(nic->pool->chunks, nic->pool->free + nic->rx[0].ring.used + nic->tx[0].ring.used);
}

/* Errors, lengths that cannot be, and frames over several buffers are dropped and counted. */
static void hostile(struct vfc_nic_opts opts)
{
	const uint64_t error = IGB_RX_ERRORS;
	uint32_t frame_max = (opts.mtu ? opts.mtu : 1500) + VFC_NIC_HEADER;
	uint64_t room = vfc_nic_chunk(opts.mtu) - VFC_NIC_HEADROOM, too_long = 0;

	opts.rx_entries = opts.tx_entries = 16;
	up(opts);
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	complete(0, LENGTH(64) | GOOD | error);
	complete(1, LENGTH(65) | GOOD);
	CHECK_EQ(taken(), 2);
	CHECK_EQ(stats().rx_errors, 1);
	/* With the usual MTU a device keeps long frames away, and the driver looks at the buffer's length only. */
	if (opts.mtu || opts.flags) {
		too_long = 1;
		complete(0, LENGTH(frame_max + 1) | GOOD);
		CHECK_EQ(taken(), 0);
		CHECK_EQ(stats().rx_errors + stats().rx_malformed, 2);
	}
	complete(0, LENGTH(0) | GOOD);
	complete(1, LENGTH(0xffff) | GOOD);
	complete(2, LENGTH(room + 1) | GOOD);
	complete(3, LENGTH(66) | GOOD);
	CHECK_EQ(taken(), 4);
	CHECK_EQ(stats().rx_errors + stats().rx_malformed, 4 + too_long);
	CHECK(stats().rx_malformed >= 3);
	complete(0, LENGTH(100) | E1000E_RX_DD);
	complete(1, LENGTH(100) | GOOD);
	complete(2, LENGTH(67) | GOOD);
	CHECK_EQ(taken(), 8);
	none_lost();
	down();
}

static void link_by_phy(void)
{
	struct vfc_nic_link link = {.size = sizeof(link)};

	plug((struct igb_chip){.link_needs_phy = true});
	CHECK_EQ(open_nic((struct vfc_nic_opts){.rx_entries = 16}), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, SECOND), 0);
	CHECK_EQ(chip.phy[IGB_PHY_CONTROL], IGB_PHY_NEGOTIATE | IGB_PHY_RESTART);
	CHECK_EQ(vfc_nic_link(nic, &link), 0);
	CHECK_EQ(link.speed, 1000);
	CHECK(link.full_duplex);
	round_trip(5);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_LINK, 0), 0);
	CHECK_SOON(vfc_nic_link(nic, &link) == 0 && !link.up);
	CHECK_EQ(link.speed, 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 20 * MS), -ETIMEDOUT);
	down();
	plug((struct igb_chip){.link_needs_phy = true, .phy_dead = true});
	CHECK_EQ(open_nic((struct vfc_nic_opts){.rx_entries = 16}), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 20 * MS), -ETIMEDOUT);
	CHECK(strstr(vfc_error_last()->hint, "link is down"));
	down();
}

static void does_not_start(void)
{
	plug((struct igb_chip){.no_station = true});
	CHECK_EQ(open_nic((struct vfc_nic_opts){.queues = 1}), -ENODEV);
	CHECK(strstr(vfc_error_last()->hint, "NVM"));
	unplug();
	plug((struct igb_chip){.reset_hangs = true});
	CHECK_EQ(open_nic((struct vfc_nic_opts){.queues = 1}), -EIO);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_TIMEOUT);
	CHECK(strstr(vfc_error_last()->hint, "CTRL.RST"));
	unplug();
}

static void pulled(void)
{
	struct vfc_nic_stats before;
	struct vfc_nic_link link = {.size = sizeof(link)};

	up((struct vfc_nic_opts){.queues = 2, .rx_entries = 16, .tx_entries = 16});
	round_trip(6);
	before = stats();
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 1), 0);
	CHECK_EQ(stats().rx_missed, before.rx_missed);
	CHECK_EQ(stats().rx_errors, before.rx_errors);
	CHECK_EQ(vfc_nic_link(nic, &link), 0);
	CHECK(!link.up);
	CHECK_EQ(vfc_nic_rx_wait(nic, 0, MS), -ETIMEDOUT);
	CHECK(vfc_nic_reset(nic) < 0);
	CHECK_EQ(vfc_nic_close(nic), 0);
	CHECK_EQ(open_nic((struct vfc_nic_opts){.queues = 1}), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
	unplug();
}

/* Config space answers and the registers do not, as between a device's failure and the host's notice. */
static void silent(void)
{
	plug((struct igb_chip){.silent = true});
	CHECK_EQ(open_nic((struct vfc_nic_opts){.queues = 1}), -ENODEV);
	CHECK(strstr(vfc_error_last()->hint, "STATUS"));
	unplug();
}

/* Reading clears these counters in the device, and here it does not: so each look adds them again. */
static void counters(void)
{
	up((struct vfc_nic_opts){.queues = 2, .rx_entries = 16, .tx_entries = 16});
	igb_put(&chip, E1000E_MPC, 1);
	igb_put(&chip, IGB_RX(1) + IGB_RX_DROPPED, 2);
	igb_put(&chip, E1000E_CRCERRS, 3);
	igb_put(&chip, E1000E_RXERRC, 4);
	igb_put(&chip, E1000E_ROC, 5);
	CHECK_EQ(vfc_nic_reset(nic), 0); /* counts what is there before it is lost */
	CHECK_EQ(stats().rx_missed, 3);
	CHECK_EQ(stats().rx_errors, 12);
	down();
}

/* Nobody takes what is to be sent: the ring fills up, and nothing is lost when it is taken down. */
static void stuck(void)
{
	uint8_t out[60];
	int sent = 0, rc;

	up((struct vfc_nic_opts){.rx_entries = 16, .tx_entries = 16});
	CHECK_EQ(vfc_device_bus_master(device, false), 0);
	fill(out, sizeof(out), 1);
	while ((rc = vfc_nic_send(nic, out, sizeof(out))) == 0)
		sent++;
	CHECK_EQ(rc, -EAGAIN);
	CHECK(sent >= 15 && sent <= 16);
	CHECK_EQ(vfc_nic_drain(nic, 0, MS), -ETIMEDOUT);
	none_lost();
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	CHECK_EQ(vfc_nic_drain(nic, 0, SECOND), 0);
	down();
}

static int life(void)
{
	struct vfc_nic_opts opts = {.size = sizeof(opts), .queues = 2, .mtu = 4000};
	struct vfc_nic_stats now = {.size = sizeof(now)};
	uint8_t out[60];
	int rc = 0;

	chip = (struct igb_chip){0};
	if (note(&rc, igb_open(&chip, NULL, &device)) < 0)
		return rc;
	if (note(&rc, vfc_nic_open(device, &opts, &nic)) == 0) {
		fill(out, sizeof(out), 1);
		note(&rc, vfc_nic_wait_link(nic, SECOND));
		note(&rc, vfc_nic_send(nic, out, sizeof(out)));
		note(&rc, vfc_nic_rx_wait(nic, 0, SECOND));
		note(&rc, vfc_nic_stats(nic, &now));
		if (note(&rc, vfc_nic_reset(nic)) < 0)
			CHECK_EQ(vfc_nic_reset(nic), 0);
		CHECK_EQ(vfc_nic_close(nic), 0);
	}
	if (vfc_device_close(device) < 0)
		CHECK_EQ(vfc_device_close(device), 0);
	return rc;
}

int main(void)
{
	told();
	lengths(1500);
	lengths(1000);
	lengths(IGB_RLPML_MAX - 4 - VFC_NIC_HEADER);
	bad_options();
	bursts(1, 0);
	bursts(32, 0);
	bursts(32, 4000);
	addresses();
	vlans();
	checksums(0);
	checksums(4000);
	spreading();
	hostile((struct vfc_nic_opts){.mtu = 0});
	hostile((struct vfc_nic_opts){.flags = VFC_NIC_RX_CHECKSUM});
	hostile((struct vfc_nic_opts){.mtu = 4000});
	link_by_phy();
	does_not_start();
	pulled();
	silent();
	counters();
	stuck();
	sweep("igb", life);
	return 0;
}
