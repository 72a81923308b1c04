/* SPDX-License-Identifier: MIT */
/*
 * The mailbox between an 82576's functions, on registers that are plain memory: a physical function
 * that is told anything by its virtual ones, and a virtual function whose physical one answers badly.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore.h>

#include "device/device.h"
#include "nic/intel/igb.h"
#include "test.h"

#define FRAME_MAX 1518
#define VFS 3

static struct vfc_device device = {.name = "0000:01:00.0"};
static uint32_t registers[IGB_REGISTERS / 4];
static struct vfc_nic nic;

static volatile uint32_t *reg(uint32_t offset)
{
	return (volatile uint32_t *)registers + offset / 4;
}

static void blank(const struct nic_driver *driver)
{
	memset(registers, 0, sizeof(registers));
	nic = (struct vfc_nic){
		.driver = driver,
		.device = &device,
		.registers = (volatile uint8_t *)registers,
		.queues = 1,
		.frame_max = FRAME_MAX,
		.mac = {0x52, 0x54, 0, 1, 2, 3},
	};
}

/* -- the physical function -- */

static void physical(void)
{
	blank(&nic_igb);
	*reg(E1000E_STATUS) = VFS << 14;
	CHECK_EQ(igb_vfs_attach(&nic), 0);
	CHECK_EQ(igb_vfs_find(&nic), 0);
	igb_vfs_divide(&nic);
	igb_vfs_welcome(&nic);
	*reg(IGB_VFLRE) = 0;
	CHECK(*reg(E1000E_CTRL_EXT) & IGB_CTRL_EXT_PFRSTD);
}

/* Requests are plain memory and stay: only those of @vf are there. */
static uint32_t tell(uint32_t vf, uint32_t first, uint32_t second, uint32_t third)
{
	*reg(IGB_MBVFICR) = E1000E_BIT(vf);
	*reg(IGB_MEMORY(vf, 0)) = first;
	*reg(IGB_MEMORY(vf, 1)) = second;
	*reg(IGB_MEMORY(vf, 2)) = third;
	CHECK_EQ(igb_vf_driver.serve(&nic), 1);
	CHECK_EQ(*reg(IGB_MAILBOX(vf)), IGB_MAILBOX_STS | IGB_MAILBOX_ACK);
	return *reg(IGB_MEMORY(vf, 0));
}

static struct vfc_nic_vf_info about(uint32_t vf)
{
	struct vfc_nic_vf_info info = {.size = sizeof(info)};

	CHECK_EQ(vfc_nic_vf_info(&nic, vf, &info), 0);
	return info;
}

static void greeting(void)
{
	struct vfc_nic_vf_info info;

	physical();
	CHECK_EQ(tell(1, MAIL_SET_MAC, 0x00545202, 0), MAIL_SET_MAC | MAIL_NACK); /* not met yet */
	CHECK_EQ(*reg(IGB_VFTE), E1000E_BIT(VFS));
	CHECK_EQ(tell(1, MAIL_RESET, 0, 0), MAIL_RESET | MAIL_ACK);
	info = about(1);
	CHECK(info.active && info.granted == 1 && info.refused == 1);
	CHECK_EQ(info.mac[0] & 3, 2);
	CHECK_EQ(*reg(IGB_MEMORY(1, 1)), intel_mac_low(info.mac));
	CHECK_EQ(*reg(E1000E_RAL(2)), intel_mac_low(info.mac));
	CHECK_EQ(*reg(E1000E_RAH(2)), intel_mac_high(info.mac) | IGB_RAH_POOL(1) | E1000E_RAH_AV);
	CHECK_EQ(*reg(IGB_VFTE), E1000E_BIT(VFS) | E1000E_BIT(1));
	*reg(IGB_MBVFICR) = 0;
	*reg(IGB_VFLRE) = E1000E_BIT(1);
	CHECK_EQ(igb_vf_driver.serve(&nic), 0);
	CHECK(!about(1).active);
	CHECK_EQ(*reg(IGB_VFTE), E1000E_BIT(VFS));
	CHECK_EQ(*reg(E1000E_RAH(2)), 0);
	igb_vfs_detach(&nic);
}

static uint32_t chance(void)
{
	static uint32_t state = 1;

	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

/* Words near those that mean something, or any. */
static uint32_t word(void)
{
	static const uint32_t known[] = {0, 1, 0x00545202, 0x03020100, 1522, 1523, 4095, 4096, 0x10000};

	return chance() % 2 ? known[chance() % 9] : chance();
}

static uint32_t first_word(void)
{
	uint32_t type = chance() % 9, info = chance() % 4 ? 0 : chance() % 256;

	return chance() % 8 ? type | MAIL_INFO(info) : word();
}

/* What is ours, and what is the other functions', a message cannot change. */
static void check_bounds(uint32_t vf, uint32_t before)
{
	struct igb_vfs *vfs = nic.state;

	CHECK_EQ(*reg(IGB_VMOLR(VFS)) & IGB_VMOLR_LENGTH, FRAME_MAX + 4);
	CHECK_EQ(*reg(E1000E_RAH(0)), IGB_RAH_POOL(VFS));
	CHECK_EQ((*reg(IGB_VFTE) ^ before) & ~E1000E_BIT(vf), 0);
	CHECK_EQ(*reg(IGB_VFTE), *reg(IGB_VFRE));
	CHECK((*reg(IGB_VMOLR(vf)) & IGB_VMOLR_LENGTH) <= FRAME_MAX + 4);
	CHECK(memcmp(vfs->vf[vf].mac, nic.mac, 6));
	CHECK_EQ(vfs->vf[vf].mac[0] & 1, 0);
	for (uint32_t n = 0; n < VFS; n++)
		CHECK(n == vf || memcmp(vfs->vf[vf].mac, vfs->vf[n].mac, 6));
	for (uint32_t i = VFS + 1; i < E1000E_RA_COUNT; i++)
		CHECK_EQ(*reg(E1000E_RAH(i)), 0);
}

static void anything(void)
{
	uint64_t told[VFS] = {0};

	physical();
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t vf = chance() % VFS, before = *reg(IGB_VFTE);
		uint32_t answer = tell(vf, first_word(), word(), word());

		CHECK(!(answer & MAIL_ACK) != !(answer & MAIL_NACK));
		CHECK_EQ(answer & MAIL_CTS && !about(vf).active, 0);
		check_bounds(vf, before);
		told[vf]++;
	}
	for (uint32_t vf = 0; vf < VFS; vf++) {
		CHECK_EQ(about(vf).granted + about(vf).refused, told[vf]);
		CHECK(about(vf).granted > 1000 && about(vf).refused > 1000);
	}
	igb_vfs_detach(&nic);
}

static void given_addresses(void)
{
	static const uint8_t given[6] = {0x02, 1, 2, 3, 4, 5}, group[6] = {0x01, 1, 2, 3, 4, 5};

	physical();
	CHECK_EQ(vfc_nic_vf_set_mac(&nic, VFS, given), -ERANGE);
	CHECK_EQ(vfc_nic_vf_set_mac(&nic, 0, group), -EINVAL);
	CHECK_EQ(vfc_nic_vf_set_mac(&nic, 0, nic.mac), -EINVAL);
	CHECK_EQ(vfc_nic_vf_set_mac(&nic, 0, given), 0);
	CHECK_EQ(vfc_nic_vf_set_mac(&nic, 1, given), -EINVAL);
	CHECK_EQ(tell(0, MAIL_RESET, 0, 0), MAIL_RESET | MAIL_ACK);
	CHECK_EQ(memcmp(about(0).mac, given, 6), 0);
	CHECK_EQ(tell(0, MAIL_SET_MAC, 0x00545202, 0), MAIL_SET_MAC | MAIL_NACK | MAIL_CTS);
	CHECK_EQ(tell(0, MAIL_SET_MAC, intel_mac_low(given), intel_mac_high(given)),
		 MAIL_SET_MAC | MAIL_ACK | MAIL_CTS);
	CHECK_EQ(tell(1, MAIL_RESET, 0, 0), MAIL_RESET | MAIL_ACK);
	CHECK_EQ(tell(1, MAIL_SET_MAC, intel_mac_low(given), intel_mac_high(given)),
		 MAIL_SET_MAC | MAIL_NACK | MAIL_CTS);
	igb_vfs_detach(&nic);
}

static void how_many(void)
{
	physical();
	*reg(E1000E_STATUS) = (VFS - 1) << 14;
	CHECK_EQ(igb_vf_driver.serve(&nic), -EBUSY);
	*reg(E1000E_STATUS) = UINT32_MAX;
	CHECK_EQ(igb_vf_driver.serve(&nic), -ENODEV);
	*reg(E1000E_STATUS) = 8 << 14;
	CHECK_EQ(igb_vfs_find(&nic), -EOPNOTSUPP);
	*reg(E1000E_STATUS) = 1 << 14;
	nic.queues = 2;
	CHECK_EQ(igb_vfs_find(&nic), -EINVAL);
	*reg(E1000E_STATUS) = 0;
	CHECK_EQ(igb_vfs_find(&nic), 0);
	CHECK_EQ(vfc_nic_vf_serve(&nic), -EOPNOTSUPP);
	CHECK_EQ(vfc_nic_vf_fd(&nic), -EOPNOTSUPP);
	igb_vfs_detach(&nic);
	nic.driver = &nic_virtio;
	CHECK_EQ(vfc_nic_vf_serve(&nic), -EOPNOTSUPP);
}

static void out_of_everything(void)
{
	blank(&nic_igb);
	*reg(E1000E_STATUS) = 1 << 14;
	sys_fault_arm(1);
	CHECK_EQ(igb_vfs_attach(&nic), -ENOMEM);
	CHECK_EQ(igb_vfs_detach(&nic), 0);
	CHECK_EQ(igb_vfs_attach(&nic), 0);
	sys_fault_arm(1);
	CHECK_EQ(igb_vfs_find(&nic), -EIO);
	sys_fault_arm(0);
	CHECK_EQ(igb_vfs_find(&nic), 0);
	CHECK_EQ(igb_vfs_detach(&nic), 0);
}

/* -- the virtual function -- */

struct script {
	uint32_t answers[4][3];
	uint32_t count, repeat; /* the last one again and again */
	bool stop;
};

/* The physical function: an answer to a request, and to each acknowledgement while there are some. */
static void *play(void *argument)
{
	struct script *script = (struct script *)argument;

	for (uint32_t i = 0; i < script->count || script->repeat; i++) {
		const uint32_t *answer = script->answers[i < script->count ? i : script->count - 1];
		uint32_t seen;

		do {
			seen = __atomic_load_n(reg(IGBVF_MAILBOX), __ATOMIC_ACQUIRE);
			if (__atomic_load_n(&script->stop, __ATOMIC_RELAXED))
				return NULL;
			sys_sleep(10000);
		} while (!(seen & (IGBVF_MAILBOX_REQ | IGBVF_MAILBOX_ACK)));
		for (uint32_t k = 0; k < 3; k++)
			*reg(IGBVF_MEMORY(k)) = answer[k];
		__atomic_store_n(reg(IGBVF_MAILBOX), IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK,
				 __ATOMIC_RELEASE);
	}
	return NULL;
}

static struct igbvf state;

static pthread_t virtual(struct script *script)
{
	pthread_t thread;

	blank(&nic_igbvf);
	state = (struct igbvf){0};
	nic.state = &state;
	CHECK_EQ(pthread_create(&thread, NULL, play, script), 0);
	return thread;
}

static int meet(struct script script, uint8_t mac[6])
{
	pthread_t thread = virtual(&script);
	int rc = igbvf_meet(&nic, mac);

	pthread_join(thread, NULL);
	return rc;
}

static int ask(struct script script)
{
	uint32_t message[2] = {MAIL_LENGTH, 1522};
	pthread_t thread = virtual(&script);
	int rc = igbvf_ask(&nic, message, 2);

	if (script.repeat)
		__atomic_store_n(&script.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return rc;
}

static void answers(void)
{
	uint32_t good = MAIL_LENGTH | MAIL_ACK | MAIL_CTS, control = 0x100;
	uint8_t mac[6];

	CHECK_EQ(meet((struct script){{{MAIL_RESET | MAIL_ACK, 0x00545202, 0x0100}}, 1, 0}, mac), 1);
	CHECK_EQ(mac[0] << 8 | mac[5], 0x0201);
	CHECK_EQ(meet((struct script){{{MAIL_RESET | MAIL_NACK, 0x00545202, 1}}, 1, 0}, mac), 0);
	CHECK_EQ(meet((struct script){{{MAIL_RESET | MAIL_ACK, 0, 0}}, 1, 0}, mac), 0);
	CHECK_EQ(meet((struct script){{{MAIL_RESET | MAIL_ACK, 0x005e0001, 1}}, 1, 0}, mac), 0);
	CHECK_EQ(ask((struct script){{{good}}, 1, 0}), 1);
	CHECK_EQ(ask((struct script){{{control | MAIL_CTS}, {control}, {good}}, 3, 0}), 1);
	CHECK_EQ(ask((struct script){{{MAIL_LENGTH | MAIL_NACK | MAIL_CTS}}, 1, 0}), 0);
	CHECK_EQ(ask((struct script){{{good | MAIL_NACK}}, 1, 0}), 0);
	CHECK_EQ(ask((struct script){{{MAIL_LENGTH | MAIL_NACK}}, 1, 0}), -EIO);
	CHECK(state.lost);
	CHECK_EQ(ask((struct script){{{control}}, 1, 1}), -ETIMEDOUT);
}

static void no_answers(void)
{
	uint32_t message[1] = {MAIL_RESET};
	uint8_t mac[6];

	blank(&nic_igbvf);
	state = (struct igbvf){0};
	nic.state = &state;
	CHECK_EQ(igbvf_ask(&nic, message, 1), -ETIMEDOUT);
	CHECK(strstr(vfc_error_last()->hint, "vfc_nic_vf_serve"));
	*reg(IGBVF_MAILBOX) = IGBVF_MAILBOX_RSTI;
	CHECK_EQ(igbvf_meet(&nic, mac), -ETIMEDOUT);
	CHECK(igbvf_lost(&nic));
	CHECK_EQ(igbvf_ask(&nic, message, 1), -EIO);
	CHECK(strstr(vfc_error_last()->hint, "vfc_nic_reset"));
	memset(registers, 0xff, sizeof(registers));
	CHECK_EQ(igbvf_ask(&nic, message, 1), -ENODEV);
	CHECK_EQ(igbvf_meet(&nic, mac), -ENODEV);
}

int main(void)
{
	greeting();
	anything();
	given_addresses();
	how_many();
	out_of_everything();
	answers();
	no_answers();
	return 0;
}
