/* SPDX-License-Identifier: MIT */
/*
 * A model of the Intel 82576 and of its virtual functions, for tests of their drivers. It takes the
 * place of the fake transport's own model, so the library opens it, maps its registers, gives it
 * memory and hears its interrupts as it would with a real device. Source: Intel 82576EB Gigabit
 * Ethernet Controller Datasheet; sections are of that.
 *
 * What the physical function sends comes back to it, or reaches the virtual functions, which are
 * devices of the same address space. Limits, beside those in fake.c: a register that acts on a write
 * reads as 0 afterwards, a register that is cleared by reading is not, EICR is cleared by the message
 * itself, and the model knows no checksums of TCP and UDP.
 */
#ifndef VFC_IGB_MODEL_H
#define VFC_IGB_MODEL_H

#include <string.h>
#include <vfiocore.h>

#include "device/object.h"
#include "hw/igbvf.h"
#include "kernel/sys.h"
#include "test.h"
#include "transport/model/fake.h"

#define IGB_FRAME_SPACE 16384
#define IGB_TX_TYPE_MASK (UINT64_C(0xf) << 20)
#define IGB_VFS_MAX 7
#define IGB_MODEL_VECTORS 8
#define IGB_OTHER_CAUSE UINT32_MAX

/* One function: the physical one, or one of its virtual ones. */
struct igb_chip {
	struct fake_device *fake;
	struct igb_chip *physical; /* NULL: it is the physical one */
	struct igb_chip *virtuals[IGB_VFS_MAX];
	uint32_t number, vf_count;
	uint32_t eims, eicr, ims;
	pthread_mutex_t serving; /* of the physical one: no virtual one is reset while somebody has it */
	uint32_t requests; /* of virtual functions that were not answered yet */
	uint16_t phy[32];
	bool phy_dead, link_needs_phy, reset_hangs, no_station, silent; /* set by a test before igb_open() */
	bool refuses;      /* every answer to a virtual function becomes a refusal */
	bool halted;       /* by a DMA fault, until it is reset */
	uint64_t malformed; /* transmit descriptors that the device would not understand */
	uint32_t length;
	uint8_t frame[IGB_FRAME_SPACE];
	uint32_t last_queue; /* that a frame was received by */
};

static const uint8_t igb_station[6] = {0x52, 0x54, 0x00, 0x82, 0x57, 0x60}; /* as the NVM has it */
static struct fake_model igb_pf_model, igb_vf_model;

static inline uint32_t *igb_at(const struct igb_chip *chip, uint32_t offset)
{
	return (uint32_t *)(void *)(chip->fake->memory + offset);
}

static inline uint32_t igb_get(const struct igb_chip *chip, uint32_t offset)
{
	return VFC_LE32(__atomic_load_n(igb_at(chip, offset), __ATOMIC_ACQUIRE));
}

static inline void igb_put(const struct igb_chip *chip, uint32_t offset, uint32_t value)
{
	__atomic_store_n(igb_at(chip, offset), VFC_LE32(value), __ATOMIC_RELEASE);
}

/* Of a register that acts on a write: what was written since the last time. */
static inline uint32_t igb_take(const struct igb_chip *chip, uint32_t offset)
{
	return VFC_LE32(__atomic_exchange_n(igb_at(chip, offset), 0, __ATOMIC_ACQ_REL));
}

static inline struct igb_chip *igb_chip_of(struct fake_device *device)
{
	return *(struct igb_chip **)device->state;
}

static inline uint32_t igb_rx_at(const struct igb_chip *chip, uint32_t queue)
{
	return chip->physical ? IGBVF_RX : IGB_RX(queue);
}

/* -- interrupts: section 7.3 -- */

static inline void igb_raise(struct igb_chip *chip)
{
	bool masks = chip->physical || igb_get(chip, IGB_GPIE) & IGB_GPIE_EIAME;
	uint32_t due = chip->eicr & chip->eims;

	for (uint32_t v = 0; v < IGB_MODEL_VECTORS; v++) {
		if (!(due & E1000E_BIT(v)) || !fake_bus_master(chip->fake))
			continue;
		fake_raise(chip->fake, v);
		chip->eicr &= ~E1000E_BIT(v);
		if (masks && igb_get(chip, IGB_EIAM) & E1000E_BIT(v))
			chip->eims &= ~E1000E_BIT(v);
	}
}

/* @queue: a receive queue, or IGB_OTHER_CAUSE. */
static inline void igb_cause(struct igb_chip *chip, uint32_t queue)
{
	bool other = queue == IGB_OTHER_CAUSE;
	uint32_t entry = other
				 ? igb_get(chip, IGB_IVAR_MISC) >> IGB_IVAR_OTHER_SHIFT
				 : igb_get(chip, IGB_IVAR(queue));

	if (!chip->physical && !(igb_get(chip, IGB_GPIE) & IGB_GPIE_MSIX))
		return;
	if (other && !(chip->ims & IGB_INT_VMMB))
		return;
	if (entry & IGB_IVAR_VALID)
		chip->eicr |= E1000E_BIT(entry & 7);
	igb_raise(chip);
}

static inline void igb_follow_masks(struct igb_chip *chip)
{
	chip->eims &= ~igb_take(chip, IGB_EIMC);
	igb_take(chip, IGB_EICR);
	if (!chip->physical) {
		chip->ims &= ~igb_take(chip, E1000E_IMC);
		chip->ims |= igb_take(chip, E1000E_IMS);
	}
	chip->eims |= igb_take(chip, IGB_EIMS);
	igb_raise(chip);
}

/* -- receive: sections 7.1 and 7.10.3 -- */

/* Section 7.1.1.7.2: Toeplitz, with the key as the registers have it. */
static inline uint32_t igb_toeplitz(const struct igb_chip *chip, const uint8_t *input, uint32_t bytes)
{
	uint8_t key[4 * E1000E_RSSRK_COUNT];
	uint32_t hash = 0;

	for (uint32_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(igb_get(chip, E1000E_RSSRK(i / 4)) >> 8 * (i % 4));
	for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
		uint32_t window = 0;

		if (!(input[bit / 8] & 0x80 >> bit % 8))
			continue;
		for (uint32_t k = bit; k < bit + 32; k++)
			window = window << 1 | (key[k / 8] >> (7 - k % 8) & 1);
		hash ^= window;
	}
	return hash;
}

static inline bool igb_is_ip(const uint8_t *frame)
{
	return frame[12] == 0x08 && frame[13] == 0x00;
}

/* The hash of two IPv4 addresses; what is not IPv4 goes to queue 0. */
static inline uint32_t igb_spread(const struct igb_chip *chip, const uint8_t *frame)
{
	uint32_t entry;

	if ((igb_get(chip, E1000E_MRQC) & 7) != IGB_MRQC_RSS || !igb_is_ip(frame))
		return 0;
	entry = igb_toeplitz(chip, frame + 26, 8) & 0x7f;
	return igb_get(chip, E1000E_RETA(entry / 4)) >> 8 * (entry % 4) & 0xff;
}

static inline bool igb_is_for(const struct igb_chip *chip, uint32_t entry, const uint8_t *frame)
{
	uint32_t low = frame[0] | (uint32_t)frame[1] << 8 | (uint32_t)frame[2] << 16 |
		       (uint32_t)frame[3] << 24;
	uint32_t high = E1000E_RAH_AV | frame[4] | (uint32_t)frame[5] << 8;

	return igb_get(chip, E1000E_RAL(entry)) == low &&
	       (igb_get(chip, E1000E_RAH(entry)) & (E1000E_RAH_AV | 0xffff)) == high;
}

static inline bool igb_passes_vlan(const struct igb_chip *chip, const uint8_t *frame)
{
	uint32_t vlan = (frame[14] & 0xfu) << 8 | frame[15];

	if (!(igb_get(chip, E1000E_RCTL) & E1000E_RCTL_VFE) || frame[12] != 0x81 || frame[13])
		return true;
	return igb_get(chip, E1000E_VFTA(vlan / 32)) & E1000E_BIT(vlan % 32);
}

static inline bool igb_passes(const struct igb_chip *chip, const uint8_t *frame)
{
	uint32_t rctl = igb_get(chip, E1000E_RCTL);

	if (!(rctl & E1000E_RCTL_EN) || !igb_passes_vlan(chip, frame))
		return false;
	if (frame[0] == 0xff)
		return rctl & E1000E_RCTL_BAM;
	if (rctl & (frame[0] & 1 ? E1000E_RCTL_MPE : E1000E_RCTL_UPE))
		return true;
	for (uint32_t i = 0; i < E1000E_RA_COUNT; i++)
		if (igb_is_for(chip, i, frame))
			return true;
	return false;
}

/* What the device finds out of the header's checksum. */
static inline uint64_t igb_checksum(const struct igb_chip *chip, const uint8_t *frame)
{
	uint32_t sum = 0;

	if (!(igb_get(chip, E1000E_RXCSUM) & E1000E_RXCSUM_IPOFLD) || !igb_is_ip(frame))
		return 0;
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return E1000E_RX_IPCS | (sum + (sum >> 16) == 0xffff ? 0 : E1000E_RX_IPE);
}

/* Section 8.10.15 and section 8.14: the longest frame, with FCS. */
static inline uint32_t igb_length_max(const struct igb_chip *pf, uint32_t pool)
{
	uint32_t rules = igb_get(pf, IGB_VMOLR(pool));

	if ((igb_get(pf, E1000E_MRQC) & 7) == IGB_MRQC_VMDQ)
		return rules & IGB_VMOLR_LPE ? rules & IGB_VMOLR_LENGTH : 1522;
	return igb_get(pf, E1000E_RCTL) & E1000E_RCTL_LPE ? IGB_RLPML_MAX : 1522;
}

/* Into the next buffer of a queue, or nowhere. @at: the queue's registers in @chip. */
static inline void igb_store(struct igb_chip *chip, uint32_t at, uint32_t queue, const uint8_t *frame,
			     uint32_t length, uint64_t found)
{
	uint32_t entries = igb_get(chip, at + IGB_RING_LENGTH) / 16;
	uint32_t head = igb_get(chip, at + IGB_RING_HEAD);
	uint64_t descriptor = igb_get(chip, at + IGB_RING_LOW) |
			      (uint64_t)igb_get(chip, at + IGB_RING_HIGH) << 32;
	uint32_t room = (igb_get(chip, at + IGB_RX_SRRCTL) & 0x7f) * 1024;
	uint64_t words[2];

	if (!(igb_get(chip, at + IGB_RING_CONTROL) & IGB_RING_ENABLE) || head >= entries ||
	    !fake_bus_master(chip->fake))
		return;
	if (head == igb_get(chip, at + IGB_RING_TAIL) || length > room) {
		igb_put(chip, at + IGB_RX_DROPPED, igb_get(chip, at + IGB_RX_DROPPED) + 1);
		return;
	}
	descriptor += UINT64_C(16) * head;
	chip->halted = !fake_dma_read(chip->fake, descriptor, words, sizeof(words)) ||
		       VFC_LE64(words[1]) & E1000E_RX_DD ||
		       !fake_dma_write(chip->fake, VFC_LE64(words[0]), frame, length) ||
		       !fake_dma_store64(chip->fake, descriptor, 0) ||
		       !fake_dma_store64(chip->fake, descriptor + 8,
					 (uint64_t)length << E1000E_RX_LENGTH_SHIFT | E1000E_RX_DD |
						 E1000E_RX_EOP | found);
	if (chip->halted)
		return;
	igb_put(chip, at + IGB_RING_HEAD, (head + 1) % entries);
	chip->last_queue = queue;
	igb_cause(chip, chip->physical ? 0 : queue);
}

static inline void igb_to_pool(struct igb_chip *pf, uint32_t pool, const uint8_t *frame, uint32_t length)
{
	uint64_t found = igb_checksum(pf, frame);

	if (length + 4 > igb_length_max(pf, pool))
		return;
	if (pool < pf->vf_count && pf->virtuals[pool])
		igb_store(pf->virtuals[pool], IGBVF_RX, 0, frame, length, found);
	else
		igb_store(pf, IGB_RX(pool), pool, frame, length, found);
}

/* Section 7.10.3: a frame belongs to the pools of its address, or to the default one. */
static inline void igb_switch(struct igb_chip *pf, const uint8_t *frame, uint32_t length)
{
	uint32_t pools = 0, control = igb_get(pf, IGB_VT_CTL);

	for (uint32_t i = 0; i < E1000E_RA_COUNT; i++)
		if (igb_is_for(pf, i, frame))
			pools |= igb_get(pf, E1000E_RAH(i)) >> 18 & 0xff;
	if (frame[0] & 1)
		pools = 0xff;
	else if (!pools && !(control & IGB_VT_CTL_NO_DEFAULT))
		pools = E1000E_BIT(control >> IGB_VT_CTL_POOL_SHIFT & 7);
	pools &= igb_get(pf, IGB_VFRE);
	for (uint32_t pool = 0; pool < IGB_POOLS; pool++)
		if (pools & E1000E_BIT(pool))
			igb_to_pool(pf, pool, frame, length);
}

/* -- transmit: section 7.2 -- */

static inline void igb_emit(struct igb_chip *chip)
{
	struct igb_chip *pf = chip->physical ? chip->physical : chip;
	uint32_t length = chip->length;

	if (length < 60 && igb_get(pf, E1000E_TCTL) & E1000E_TCTL_PSP) {
		memset(chip->frame + length, 0, 60 - length);
		length = 60;
	}
	if (!(igb_get(pf, E1000E_STATUS) & E1000E_STATUS_LU))
		return;
	if ((igb_get(pf, E1000E_MRQC) & 7) == IGB_MRQC_VMDQ) {
		if (igb_get(pf, IGB_VFTE) & E1000E_BIT(chip->number))
			igb_switch(pf, chip->frame, length);
	} else if (igb_passes(chip, chip->frame) && length + 4 <= igb_length_max(chip, 0)) {
		uint32_t queue = igb_spread(chip, chip->frame);

		igb_store(chip, IGB_RX(queue), queue, chip->frame, length,
			  igb_checksum(chip, chip->frame));
	}
}

static inline bool igb_transmit_one(struct igb_chip *chip, uint64_t descriptor)
{
	uint64_t words[2], control;
	uint32_t length;

	if (!fake_dma_read(chip->fake, descriptor, words, sizeof(words)))
		return false;
	control = VFC_LE64(words[1]);
	length = control & 0xffff;
	if (length > IGB_FRAME_SPACE || !(control & E1000E_TX_DEXT) || !(control & E1000E_TX_EOP) ||
	    !(control & E1000E_TX_IFCS) || (control & IGB_TX_TYPE_MASK) != IGB_TX_DATA ||
	    control >> IGB_TX_PAYLOAD_SHIFT != length) {
		chip->malformed++;
		return true;
	}
	if (!fake_dma_read(chip->fake, VFC_LE64(words[0]), chip->frame, length))
		return false;
	chip->length = length;
	igb_emit(chip);
	return !(control & E1000E_TX_RS) ||
	       fake_dma_store64(chip->fake, descriptor + 8, control | E1000E_TX_DD);
}

static inline bool igb_transmit(struct igb_chip *chip, uint32_t at)
{
	uint32_t entries = igb_get(chip, at + IGB_RING_LENGTH) / 16, n = 0;
	uint32_t head = igb_get(chip, at + IGB_RING_HEAD), tail = igb_get(chip, at + IGB_RING_TAIL);
	uint64_t ring = igb_get(chip, at + IGB_RING_LOW) |
			(uint64_t)igb_get(chip, at + IGB_RING_HIGH) << 32;

	if (!(igb_get(chip, at + IGB_RING_CONTROL) & IGB_RING_ENABLE) || chip->halted ||
	    head >= entries || tail >= entries || !fake_bus_master(chip->fake))
		return false;
	for (; head != tail && n < 64; n++) {
		if (!igb_transmit_one(chip, ring + UINT64_C(16) * head)) {
			chip->halted = true;
			break;
		}
		head = (head + 1) % entries;
		igb_put(chip, at + IGB_RING_HEAD, head);
	}
	return n != 0;
}

/* -- life -- */

static inline void igb_show_status(struct igb_chip *pf)
{
	bool up = pf->fake->link && igb_get(pf, E1000E_CTRL) & E1000E_CTRL_SLU &&
		  (!pf->link_needs_phy || pf->phy[0] & IGB_PHY_NEGOTIATE);
	uint32_t status = igb_get(pf, E1000E_CTRL) & E1000E_CTRL_MASTER_DISABLE ? 0
									       : E1000E_STATUS_MASTER;

	if (up)
		status |= E1000E_STATUS_FD | E1000E_STATUS_LU | 2u << E1000E_STATUS_SPEED_SHIFT;
	igb_put(pf, E1000E_STATUS, status | pf->vf_count << 14);
	for (uint32_t n = 0; n < pf->vf_count; n++)
		if (pf->virtuals[n] && !pf->virtuals[n]->fake->gone)
			igb_put(pf->virtuals[n], E1000E_STATUS, status & ~E1000E_STATUS_MASTER);
}

/* CTRL comes last: a driver that waits for RST sees all the rest. */
static inline void igb_vf_reset(struct igb_chip *vf)
{
	memset(vf->fake->memory + 4, 0, IGBVF_REGISTERS - 4);
	vf->eims = vf->eicr = 0;
	vf->halted = false;
	if (!(igb_get(vf->physical, E1000E_CTRL_EXT) & IGB_CTRL_EXT_PFRSTD))
		igb_put(vf, IGBVF_MAILBOX, IGBVF_MAILBOX_RSTI);
	igb_put(vf->physical, IGB_VFLRE, igb_get(vf->physical, IGB_VFLRE) | E1000E_BIT(vf->number));
	igb_cause(vf->physical, IGB_OTHER_CAUSE);
	igb_put(vf, E1000E_CTRL, 0);
}

static inline void igb_pf_reset(struct igb_chip *pf)
{
	memset(pf->fake->memory + 4, 0, IGB_REGISTERS - 4);
	pf->eims = pf->eicr = pf->ims = pf->requests = 0;
	pf->halted = false;
	igb_put(pf, E1000E_EEC, E1000E_EEC_PRES | E1000E_EEC_AUTO_RD);
	if (!pf->no_station) {
		igb_put(pf, E1000E_RAL(0), 0x82005452);
		igb_put(pf, E1000E_RAH(0), E1000E_RAH_AV | 0x6057);
	}
	for (uint32_t n = 0; n < pf->vf_count; n++)
		if (pf->virtuals[n])
			igb_vf_reset(pf->virtuals[n]);
	igb_put(pf, IGB_VFLRE, 0);
	igb_put(pf, E1000E_CTRL, E1000E_CTRL_FD);
	igb_show_status(pf);
	if (pf->silent)
		memset(pf->fake->memory, 0xff, IGB_REGISTERS);
}

static inline void igb_serve_phy(struct igb_chip *pf)
{
	uint32_t mdic = igb_get(pf, E1000E_MDIC), reg = mdic >> E1000E_MDIC_REGISTER_SHIFT & 31;

	if (pf->phy_dead || mdic & E1000E_MDIC_READY ||
	    !(mdic & (E1000E_MDIC_READ | E1000E_MDIC_WRITE)))
		return;
	CHECK_EQ(mdic >> E1000E_MDIC_PHY_SHIFT & 31, IGB_MDIC_PHY);
	if (mdic & E1000E_MDIC_WRITE)
		pf->phy[reg] = (uint16_t)mdic;
	igb_put(pf, E1000E_MDIC, (mdic & 0xffff0000) | pf->phy[reg] | E1000E_MDIC_READY);
}

/* Section 7.10.2.9: an answer goes over to its virtual function. What stays open is shown again. */
static inline void igb_pf_mail(struct igb_chip *pf)
{
	for (uint32_t n = 0; n < pf->vf_count; n++) {
		struct igb_chip *vf = pf->virtuals[n];

		if (!vf || !(igb_get(pf, IGB_MAILBOX(n)) & IGB_MAILBOX_STS))
			continue;
		igb_put(pf, IGB_MAILBOX(n), 0);
		for (uint32_t i = 0; i < IGB_MAILBOX_WORDS; i++)
			igb_put(vf, IGBVF_MEMORY(i), igb_get(pf, IGB_MEMORY(n, i)));
		if (pf->refuses)
			igb_put(vf, IGBVF_MEMORY(0), (igb_get(vf, IGBVF_MEMORY(0)) & 0x3fffffff) | 1u << 30);
		pf->requests &= ~E1000E_BIT(n);
		igb_put(vf, IGBVF_MAILBOX, IGBVF_MAILBOX_PFSTS | IGBVF_MAILBOX_PFACK);
	}
	igb_put(pf, IGB_MBVFICR, pf->requests);
}

static inline void igb_pf_welcomes(struct igb_chip *pf)
{
	if (!(igb_get(pf, E1000E_CTRL_EXT) & IGB_CTRL_EXT_PFRSTD))
		return;
	for (uint32_t n = 0; n < pf->vf_count; n++)
		if (pf->virtuals[n] && igb_get(pf->virtuals[n], IGBVF_MAILBOX) & IGBVF_MAILBOX_RSTI)
			igb_put(pf->virtuals[n], IGBVF_MAILBOX, IGBVF_MAILBOX_RSTD);
}

static inline bool igb_pf_step(struct fake_device *device)
{
	struct igb_chip *pf = igb_chip_of(device);
	bool busy = false;

	if (pf->silent)
		return false;
	if (igb_get(pf, E1000E_CTRL) & E1000E_CTRL_RST && !pf->reset_hangs)
		igb_pf_reset(pf);
	igb_serve_phy(pf);
	igb_show_status(pf);
	igb_follow_masks(pf);
	igb_pf_mail(pf);
	igb_pf_welcomes(pf);
	for (uint32_t q = 0; q < IGB_QUEUES; q++)
		if (igb_get(pf, E1000E_TCTL) & E1000E_TCTL_EN)
			busy |= igb_transmit(pf, IGB_TX(q));
	return busy;
}

/* A request goes over to the physical function, and the memory is free again. */
static inline void igb_vf_mail(struct igb_chip *vf)
{
	uint32_t mailbox = igb_get(vf, IGBVF_MAILBOX), before = VFC_LE32(mailbox), n = vf->number;
	struct igb_chip *pf = vf->physical;

	if (!(mailbox & (IGBVF_MAILBOX_REQ | IGBVF_MAILBOX_ACK)))
		return;
	/* The driver may have written again: then that is looked at in the next step. */
	if (!__atomic_compare_exchange_n(igb_at(vf, IGBVF_MAILBOX), &before, 0, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED) ||
	    !(mailbox & IGBVF_MAILBOX_REQ))
		return;
	for (uint32_t i = 0; i < IGB_MAILBOX_WORDS; i++)
		igb_put(pf, IGB_MEMORY(n, i), igb_get(vf, IGBVF_MEMORY(i)));
	pf->requests |= E1000E_BIT(n);
	igb_put(pf, IGB_MBVFICR, pf->requests);
	igb_cause(pf, IGB_OTHER_CAUSE);
}

static inline bool igb_vf_step(struct fake_device *device)
{
	struct igb_chip *vf = igb_chip_of(device);

	if (igb_get(vf, E1000E_CTRL) & E1000E_CTRL_RST && !pthread_mutex_trylock(&vf->physical->serving)) {
		igb_vf_reset(vf);
		pthread_mutex_unlock(&vf->physical->serving);
	}
	igb_follow_masks(vf);
	igb_vf_mail(vf);
	return igb_transmit(vf, IGBVF_TX);
}

static inline void igb_config(uint8_t *config, uint8_t *writable, uint32_t id)
{
	fake_model_e1000e.config(config, writable);
	fake_put32(config, id << 16 | IGB_VENDOR);
	fake_put32(config + FAKE_MSIX_CAP, (IGB_MODEL_VECTORS - 1) << 16 | 0x0011);
}

static inline void igb_reset_model(struct fake_device *device)
{
	struct igb_chip *chip = igb_chip_of(device);

	if (chip->physical)
		igb_put(chip, E1000E_CTRL, E1000E_CTRL_RST); /* the next step does it */
	else
		igb_pf_reset(chip);
}

/*
 * vfc_nic_vf_serve(), after which VFLRE and the requests that were answered are clear, as the driver
 * wrote: the model cannot see that in memory. For virtual functions that are reset meanwhile it is one
 * step.
 */
static inline int igb_serve(struct igb_chip *pf, struct vfc_nic *nic)
{
	int rc;

	pthread_mutex_lock(&pf->serving);
	rc = vfc_nic_vf_serve(nic);
	if (rc >= 0)
		igb_put(pf, IGB_VFLRE, 0);
	pthread_mutex_lock(&pf->fake->iommufd->lock);
	igb_pf_mail(pf);
	pthread_mutex_unlock(&pf->fake->iommufd->lock);
	pthread_mutex_unlock(&pf->serving);
	return rc;
}

/*
 * Open a function in @iommu (NULL: a space of its own). Return: a negative error of
 * vfc_device_open(). @chip is zero but for physical and number; it outlives the device.
 */
static inline int igb_open(struct igb_chip *chip, struct vfc_iommu *iommu, struct vfc_device **device)
{
	struct fake_model *model = chip->physical ? &igb_vf_model : &igb_pf_model;
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = iommu};
	struct fake_device *fake;
	int rc = vfc_device_open("fake:e1000e", &opts, device);

	if (rc < 0)
		return rc;
	*model = fake_model_e1000e;
	model->vectors[VFC_IRQ_MSIX] = IGB_MODEL_VECTORS;
	model->reset = igb_reset_model;
	model->step = chip->physical ? igb_vf_step : igb_pf_step;
	fake = chip->fake = (struct fake_device *)(*device)->transport;
	pthread_mutex_lock(&fake->iommufd->lock);
	*(struct igb_chip **)fake->state = chip;
	fake->model = model;
	igb_config(fake->config, fake->writable, chip->physical ? IGBVF_DEVICE : IGB_DEVICE);
	if (chip->physical)
		chip->physical->virtuals[chip->number] = chip;
	igb_reset_model(fake);
	pthread_mutex_unlock(&fake->iommufd->lock);
	return 0;
}

/* The physical function sees it no more before its memory goes. */
static inline void igb_forget(struct igb_chip *vf)
{
	struct fake_device *fake = vf->fake;

	pthread_mutex_lock(&fake->iommufd->lock);
	vf->physical->virtuals[vf->number] = NULL;
	pthread_mutex_unlock(&fake->iommufd->lock);
}

#endif
