/* SPDX-License-Identifier: MIT */
/*
 * A model of the Intel 82574L as a driver without offloads sees it. Its transmitter is wired to its
 * own receiver. Source: Intel 82574 GbE Controller Family Datasheet; sections are of that.
 *
 * Limits of the model, beside those in fake.c:
 *  - A read cannot have an effect, so counters stay 0, and ICR reads as 0 and ignores writes.
 *  - IMS, IMC and ICS read as 0. Of the writes within one pass, IMC acts first.
 *  - There are no offloads: a context or data descriptor of the TCP/IP kind is dropped.
 *  - There is no multicast hash, no RSS (every frame goes to queue 0) and no interrupt moderation.
 *  - Memory never holds the FCS, and a frame must fit into one receive buffer.
 */
#include <string.h>

#include <vfiocore/abi.h>

#include "hw/e1000e.h"
#include "transport/model/fake.h"

#define BAR0_SIZE 0x20000
#define FRAME_SPACE 16384
#define FRAME_MAX 1518 /* without FCS, with a VLAN tag */
#define FRAME_MIN 60
#define BURST 64 /* descriptors of a queue in one pass, which bounds how long the lock is held */
#define PHY_REGISTERS 32

struct e1000e {
	uint32_t icr, ims;
	uint32_t fresh; /* causes that occurred, or were unmasked, in this pass */
	bool rx_halted[E1000E_QUEUES]; /* after a DMA fault, until reset */
	bool tx_halted[E1000E_QUEUES];
	bool link;
	uint16_t phy[PHY_REGISTERS];
	uint32_t length; /* bytes of the frame that is being gathered */
	uint8_t frame[FRAME_SPACE];
};

static const uint8_t station[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static uint32_t *register_at(struct fake_device *device, uint32_t offset)
{
	return (uint32_t *)(void *)(device->memory + offset);
}

static uint32_t chip_get(struct fake_device *device, uint32_t offset)
{
	return VFC_LE32(__atomic_load_n(register_at(device, offset), __ATOMIC_ACQUIRE));
}

static void chip_set(struct fake_device *device, uint32_t offset, uint32_t value)
{
	__atomic_store_n(register_at(device, offset), VFC_LE32(value), __ATOMIC_RELEASE);
}

/* A register that acts when it is written: take what was written since the last pass. */
static uint32_t chip_take(struct fake_device *device, uint32_t offset)
{
	if (!chip_get(device, offset))
		return 0;
	return VFC_LE32(__atomic_exchange_n(register_at(device, offset), 0, __ATOMIC_ACQ_REL));
}

/*
 * STATUS follows the link and CTRL.GIO_Master_Disable: no request of the model ever stays under
 * way.
 */
static void show_link(struct fake_device *device)
{
	uint32_t master = chip_get(device, E1000E_CTRL) & E1000E_CTRL_MASTER_DISABLE
				  ? 0
				  : E1000E_STATUS_MASTER;
	uint32_t up = device->link ? E1000E_STATUS_FD | E1000E_STATUS_LU |
					     (2u << E1000E_STATUS_SPEED_SHIFT)
				   : 0;

	chip_set(device, E1000E_STATUS, master | up);
}

static void phy_reset(struct e1000e *chip)
{
	memset(chip->phy, 0, sizeof(chip->phy));
	chip->phy[0] = 0x1140;  /* control: autonegotiate, 1000 Mbit/s, full duplex */
	chip->phy[1] = 0x796d;  /* status: link up, autonegotiation done */
	chip->phy[2] = 0x0141;  /* identifier */
	chip->phy[3] = 0x0cb1;
}

/*
 * Chapter 10 gives the initial value of each register; these do not start as zero. CTRL is written
 * last, because a driver waits for its bit RST to clear.
 */
static void chip_reset(struct fake_device *device)
{
	struct e1000e *chip = device->state;
	uint32_t *registers = register_at(device, 0);

	for (uint32_t i = 1; i < BAR0_SIZE / 4; i++)
		__atomic_store_n(&registers[i], 0, __ATOMIC_RELAXED);
	memset(chip, 0, sizeof(*chip));
	phy_reset(chip);
	chip->link = device->link;
	chip_set(device, E1000E_EEC, E1000E_EEC_PRES | E1000E_EEC_AUTO_RD);
	chip_set(device, E1000E_RAL(0), station[0] | (uint32_t)station[1] << 8 |
						(uint32_t)station[2] << 16 | (uint32_t)station[3] << 24);
	chip_set(device, E1000E_RAH(0), E1000E_RAH_AV | station[4] | (uint32_t)station[5] << 8);
	chip_set(device, E1000E_TCTL, 0);
	chip_set(device, E1000E_TXDCTL(0), E1000E_TXDCTL_ONE);
	chip_set(device, E1000E_TXDCTL(1), E1000E_TXDCTL_ONE);
	chip_set(device, E1000E_CTRL, E1000E_CTRL_FD);
	show_link(device);
}

static void add_cause(struct e1000e *chip, uint32_t bits)
{
	chip->icr |= bits;
	chip->fresh |= bits;
}

/* EERD reads a word of the NVM, of which the first three have the station address. */
static void serve_nvm(struct fake_device *device)
{
	uint32_t eerd = chip_get(device, E1000E_EERD), address, data = 0;

	if (!(eerd & E1000E_EERD_START))
		return;
	address = (eerd >> E1000E_EERD_ADDRESS_SHIFT) & 0x3fff;
	if (address < 3)
		data = (uint32_t)station[2 * address] | (uint32_t)station[2 * address + 1] << 8;
	chip_set(device, E1000E_EERD, data << E1000E_EERD_DATA_SHIFT |
					      address << E1000E_EERD_ADDRESS_SHIFT | E1000E_EERD_DONE);
}

/* MDIC carries one access to a register of the PHY. */
static void serve_phy(struct fake_device *device)
{
	struct e1000e *chip = device->state;
	uint32_t mdic = chip_get(device, E1000E_MDIC);
	uint32_t reg = (mdic >> E1000E_MDIC_REGISTER_SHIFT) & (PHY_REGISTERS - 1);

	if (mdic & E1000E_MDIC_READY || !(mdic & (E1000E_MDIC_READ | E1000E_MDIC_WRITE)))
		return;
	if (mdic & E1000E_MDIC_WRITE)
		chip->phy[reg] = (uint16_t)mdic;
	else
		mdic = (mdic & 0xffff0000) | chip->phy[reg];
	chip_set(device, E1000E_MDIC, mdic | E1000E_MDIC_READY);
}

/* VFC_FAKE_LINK has plugged the cable in or out: the PHY shows it, and there is a cause. */
static void follow_link(struct fake_device *device)
{
	struct e1000e *chip = device->state;

	show_link(device);
	if (chip->link == device->link)
		return;
	chip->link = device->link;
	chip->phy[1] = (uint16_t)((chip->phy[1] & ~4) | (chip->link ? 4 : 0));
	add_cause(chip, E1000E_INT_LSC | E1000E_INT_OTHER);
}

/* IMC masks, IMS unmasks, ICS makes causes. A cause that is unmasked may send its message now. */
static void follow_masks(struct fake_device *device)
{
	struct e1000e *chip = device->state;
	uint32_t unmasked;

	chip->ims &= ~chip_take(device, E1000E_IMC);
	unmasked = chip_take(device, E1000E_IMS);
	chip->ims |= unmasked;
	chip->fresh |= unmasked;
	chip_take(device, E1000E_ICR);
	add_cause(chip, chip_take(device, E1000E_ICS));
}

/* With RCTL.VFE a tagged frame passes if the bit of its VLAN is set in VFTA. */
static bool passes_vlan_filter(struct fake_device *device, const uint8_t *frame)
{
	uint32_t vlan = (frame[14] & 0xfu) << 8 | frame[15];

	if (!(chip_get(device, E1000E_RCTL) & E1000E_RCTL_VFE) || frame[12] != 0x81 || frame[13])
		return true;
	return chip_get(device, E1000E_VFTA(vlan / 32)) & E1000E_BIT(vlan % 32);
}

/* Section 7.1.1, packet address filtering: does this frame pass? */
static bool passes_filter(struct fake_device *device, const uint8_t *frame)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint32_t rctl = chip_get(device, E1000E_RCTL), low, high;

	if (!passes_vlan_filter(device, frame))
		return false;
	if (!memcmp(frame, broadcast, 6) && rctl & E1000E_RCTL_BAM)
		return true;
	if (rctl & (frame[0] & 1 ? E1000E_RCTL_MPE : E1000E_RCTL_UPE))
		return true;
	low = frame[0] | (uint32_t)frame[1] << 8 | (uint32_t)frame[2] << 16 |
	      (uint32_t)frame[3] << 24;
	high = E1000E_RAH_AV | frame[4] | (uint32_t)frame[5] << 8;
	for (uint32_t i = 0; i < E1000E_RA_COUNT; i++)
		if (chip_get(device, E1000E_RAL(i)) == low &&
		    (chip_get(device, E1000E_RAH(i)) & (E1000E_RAH_AV | 0xffff)) == high)
			return true;
	return false;
}

/* RCTL.FLXBUF gives KiB. Without it BSIZE and BSEX give the length. */
static uint32_t buffer_size(struct fake_device *device)
{
	uint32_t rctl = chip_get(device, E1000E_RCTL), size = 2048u >> ((rctl >> 16) & 3);
	uint32_t flexible = rctl >> E1000E_RCTL_FLXBUF_SHIFT & 0xf;

	if (flexible)
		return flexible * 1024;
	return rctl & E1000E_BIT(25) ? size * 16 : size; /* BSEX */
}

/* Write a receive descriptor back: the legacy format (section 7.1.3) or the extended (7.1.4). */
static bool write_back(struct fake_device *device, uint64_t descriptor, uint64_t length)
{
	if (!(chip_get(device, E1000E_RFCTL) & E1000E_RFCTL_EXSTEN))
		return fake_dma_store64(device, descriptor + 8,
					length | E1000E_RX_LEGACY_DD | E1000E_RX_LEGACY_EOP);
	return fake_dma_store64(device, descriptor, 0) && /* no RSS hash */
	       fake_dma_store64(device, descriptor + 8,
				length << E1000E_RX_LENGTH_SHIFT | E1000E_RX_DD | E1000E_RX_EOP);
}

static uint64_t ring_base(struct fake_device *device, uint32_t low)
{
	return chip_get(device, low) | (uint64_t)chip_get(device, low + 4) << 32;
}

/* A frame arrives. It goes into the next buffer of queue 0, or is lost. */
static void receive_frame(struct fake_device *device, const uint8_t *frame, uint32_t length)
{
	struct e1000e *chip = device->state;
	uint32_t entries = chip_get(device, E1000E_RDLEN(0)) / 16;
	uint32_t head = chip_get(device, E1000E_RDH(0));
	uint64_t descriptor = ring_base(device, E1000E_RDBAL(0)) + UINT64_C(16) * head, buffer;
	uint32_t claim = device->rx_length ? device->rx_length & 0xffff : length;

	if (!(chip_get(device, E1000E_RCTL) & E1000E_RCTL_EN) || chip->rx_halted[0] ||
	    head >= entries)
		return;
	if (!passes_filter(device, frame))
		return;
	if (head == chip_get(device, E1000E_RDT(0))) {
		device->dropped++; /* not in MPC: plain memory cannot clear when it is read */
		return;
	}
	if (length > buffer_size(device) ||
	    (length > FRAME_MAX && !(chip_get(device, E1000E_RCTL) & E1000E_RCTL_LPE)))
		return;
	if (!fake_dma_read(device, descriptor, &buffer, sizeof(buffer)) ||
	    !fake_dma_write(device, VFC_LE64(buffer), frame, length) ||
	    !write_back(device, descriptor, claim)) {
		chip->rx_halted[0] = true;
		return;
	}
	chip_set(device, E1000E_RDH(0), (head + 1) % entries);
	add_cause(chip, E1000E_INT_RXQ(0) | E1000E_INT_RXT0);
}

/* The frame is complete. It goes over the wire, which ends at the receiver of the same device. */
static void emit_frame(struct fake_device *device)
{
	struct e1000e *chip = device->state;

	if (chip->length < FRAME_MIN && chip_get(device, E1000E_TCTL) & E1000E_TCTL_PSP) {
		memset(chip->frame + chip->length, 0, FRAME_MIN - chip->length);
		chip->length = FRAME_MIN;
	}
	if (chip->length >= 14 && device->link)
		receive_frame(device, chip->frame, chip->length);
	chip->length = 0;
}

/* Carry out one transmit descriptor (section 7.2). False: its DMA met a fault. */
static bool transmit_one(struct fake_device *device, uint64_t descriptor)
{
	struct e1000e *chip = device->state;
	uint64_t words[2], control;
	uint32_t length;

	if (!fake_dma_read(device, descriptor, words, sizeof(words)))
		return false;
	control = VFC_LE64(words[1]);
	length = (uint32_t)(control & 0xffff);
	if (!(control & E1000E_TX_DEXT) && length <= FRAME_SPACE - chip->length) {
		if (!fake_dma_read(device, VFC_LE64(words[0]), chip->frame + chip->length, length))
			return false;
		chip->length += length;
	}
	if (control & E1000E_TX_EOP)
		emit_frame(device);
	if (!(control & E1000E_TX_RS))
		return true;
	return fake_dma_store64(device, descriptor + 8, control | E1000E_TX_DD);
}

/* Some descriptors of one queue, from head to tail. Return: whether there were any. */
static bool transmit_ring(struct fake_device *device, uint32_t q)
{
	struct e1000e *chip = device->state;
	uint32_t entries = chip_get(device, E1000E_TDLEN(q)) / 16;
	uint32_t tail = chip_get(device, E1000E_TDT(q));
	uint32_t head = chip_get(device, E1000E_TDH(q)), n = 0;

	if (!(chip_get(device, E1000E_TCTL) & E1000E_TCTL_EN) || chip->tx_halted[q] ||
	    tail >= entries || head >= entries)
		return false;
	for (; head != tail && n < BURST; n++) {
		uint64_t descriptor = ring_base(device, E1000E_TDBAL(q)) + UINT64_C(16) * head;

		if (!transmit_one(device, descriptor)) {
			chip->tx_halted[q] = true;
			break;
		}
		head = (head + 1) % entries;
		chip_set(device, E1000E_TDH(q), head);
	}
	if (n)
		add_cause(chip, E1000E_INT_TXQ(q) | E1000E_INT_TXDW);
	return n != 0;
}

/*
 * Section 7.4: a cause sends the message of its vector, which clears it (EIAC) and masks it (IAM).
 */
static void send_message(struct fake_device *device, unsigned index)
{
	struct e1000e *chip = device->state;
	uint32_t bit = E1000E_BIT(20 + index), field;

	if (!(chip->icr & chip->ims & chip->fresh & bit))
		return;
	field = chip_get(device, E1000E_IVAR) >> (4 * index);
	if (field & 8)
		fake_raise(device, field & 7);
	if (!(chip_get(device, E1000E_EIAC) & bit))
		return;
	chip->icr &= ~bit;
	if (chip_get(device, E1000E_CTRL_EXT) & E1000E_CTRL_EXT_EIAME)
		chip->ims &= ~(bit & chip_get(device, E1000E_IAM));
}

/* MSI-X has a message for each cause. INTx and MSI have one interrupt for all of them. */
static void raise_interrupts(struct fake_device *device)
{
	struct e1000e *chip = device->state;

	if (device->irq_type == VFIO_PCI_MSIX_IRQ_INDEX && fake_bus_master(device)) {
		for (unsigned i = 0; i < E1000E_VECTORS; i++)
			send_message(device, i);
	} else if (device->irq_type == VFIO_PCI_INTX_IRQ_INDEX ||
		   (device->irq_type == VFIO_PCI_MSI_IRQ_INDEX && fake_bus_master(device))) {
		/* Hardware clears ICR when it is read. Here, raising the interrupt clears it. */
		if (chip->icr & chip->ims && fake_raise(device, 0))
			chip->icr = 0;
	}
	chip->fresh = 0;
}

/* One pass: everything that the driver may have written is looked at once. */
static bool chip_step(struct fake_device *device)
{
	bool busy = false;

	if (chip_get(device, E1000E_CTRL) & E1000E_CTRL_RST)
		chip_reset(device);
	serve_nvm(device);
	serve_phy(device);
	follow_link(device);
	follow_masks(device);
	if (fake_bus_master(device))
		for (uint32_t q = 0; q < E1000E_QUEUES; q++)
			busy |= transmit_ring(device, q);
	raise_interrupts(device);
	return busy;
}

/* The function's config space (chapter 9), and the bits of it that can be written. */
static void chip_config(uint8_t *c, uint8_t *w)
{
	fake_put32(c + 0x00, E1000E_DEVICE << 16 | E1000E_VENDOR);
	fake_put32(c + 0x04, 0x00100003); /* capabilities; memory and I/O decoding on */
	fake_put32(c + 0x08, 0x02000000); /* Ethernet controller, revision 0 */
	fake_put32(c + 0x10, 0xfebc0000);
	fake_put32(c + 0x14, 0xfeba0000);
	fake_put32(c + 0x18, 0x0000c041);
	fake_put32(c + 0x1c, 0xfebd0000);
	fake_put32(c + 0x2c, 0x00008086);
	c[0x34] = 0xc8;
	c[0x3d] = 1; /* INTA */

	fake_put32(c + FAKE_POWER_CAP, 0xc822d001); /* power management, version 2 */
	fake_put32(c + FAKE_MSI_CAP, 0x0080e005); /* MSI, 64 bits, one vector */
	fake_put32(c + FAKE_EXPRESS_CAP, 0x0001a010); /* PCI Express endpoint */
	fake_put32(c + 0xe4, 0x00008cc1);
	fake_put32(c + 0xec, 0x00031c11); /* link: 2.5 GT/s, x1 */
	fake_put16(c + 0xf2, 0x1011);
	fake_put32(c + FAKE_MSIX_CAP, (E1000E_VECTORS - 1) << 16 | 0x0011);
	fake_put32(c + FAKE_MSIX_CAP + 4, 0x00000003); /* table: BAR3 offset 0 */
	fake_put32(c + FAKE_MSIX_CAP + 8, 0x00002003); /* pending bits: BAR3 offset 0x2000 */
	fake_put32(c + FAKE_AER_CAP, 0x14010001); /* AER, next 0x140 */
	fake_put32(c + 0x140, 0x00010003); /* device serial number */
	fake_put32(c + 0x144, 0xff123456);
	fake_put32(c + 0x148, 0x525400ff);

	fake_put16(w + 0x04, 0x0547);
	w[0x0c] = 0xff;
	fake_put32(w + 0x10, 0xfffe0000); /* the BARs' sizes */
	fake_put32(w + 0x14, 0xfffe0000);
	fake_put32(w + 0x18, 0xffffffe0);
	fake_put32(w + 0x1c, 0xffffc000);
	w[0x3c] = 0xff;
	fake_put16(w + 0xcc, 0x0103); /* PMCSR: power state, PME enable */
	fake_put16(w + 0xe8, 0x7fff); /* device control */
	fake_put16(w + 0xf0, 0x00c3); /* link control */
	fake_put32(w + 0x108, 0x0ff7f010); /* AER masks and severity */
	fake_put32(w + 0x10c, 0x0ff7f010);
	fake_put32(w + 0x114, 0x000031c1);
}

#define READ_WRITE (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define MAPPED (READ_WRITE | VFIO_REGION_INFO_FLAG_MMAP)

const struct fake_model fake_model_e1000e = {
	.name = "e1000e",
	.state_size = sizeof(struct e1000e),
	.memory_length = 0x60000,
	.regions = {
		[VFIO_PCI_BAR0_REGION_INDEX] = {BAR0_SIZE, 0, MAPPED, 0, {{0, 0}}},
		[VFIO_PCI_BAR0_REGION_INDEX + 1] = {0x20000, 0x20000, MAPPED, 0, {{0, 0}}}, /* flash */
		[VFIO_PCI_BAR0_REGION_INDEX + 2] = {32, 0x50000, READ_WRITE, 0, {{0, 0}}}, /* I/O */
		/* The pages of the MSI-X table and of its pending bits cannot be mapped. */
		[VFIO_PCI_BAR0_REGION_INDEX + 3] = {0x4000, 0x40000, MAPPED | VFIO_REGION_INFO_FLAG_CAPS, 2,
					 {{0x1000, 0x1000}, {0x3000, 0x1000}}},
		[VFIO_PCI_CONFIG_REGION_INDEX] = {FAKE_CONFIG_SIZE, 0, READ_WRITE, 0, {{0, 0}}},
	},
	.vectors = {
		[VFIO_PCI_INTX_IRQ_INDEX] = 1,
		[VFIO_PCI_MSI_IRQ_INDEX] = 1,
		[VFIO_PCI_MSIX_IRQ_INDEX] = E1000E_VECTORS,
		[VFIO_PCI_ERR_IRQ_INDEX] = 1,
		[VFIO_PCI_REQ_IRQ_INDEX] = 1,
	},
	.config = chip_config,
	.reset = chip_reset,
	.step = chip_step,
};
