/* SPDX-License-Identifier: MIT */
/*
 * A whole driver in a hundred lines, for QEMU's teaching device "edu" (QEMU docs/specs/edu.rst):
 * registers, an interrupt, and DMA by a device that has 28 address bits.
 *   cc edu.c $(pkg-config --cflags --libs libvfiocore) -o edu && ./edu 0000:00:03.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <vfiocore.h>

#define SECOND INT64_C(1000000000)

enum { ID = 0x00, LIVENESS = 0x04, FACTORIAL = 0x08, STATUS = 0x20 };
enum { IRQ_STATUS = 0x24, IRQ_ACK = 0x64 };
enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, COMMAND = 0x98 };
enum { STATUS_IRQ = 0x80, IRQ_FACTORIAL = 1, IRQ_DMA = 0x100 };
enum { START = 1, TO_MEMORY = 2, RAISE = 4 };
/*
 * Where its DMA finds its own 4,096 bytes. Half of them are used: QEMU 7.2 aborts at the last byte.
 */
enum { INSIDE = 0x40000, LENGTH = 2048 };

static int failed(const char *what)
{
	char text[700];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	return -1;
}

static int wrong(const char *what, uint64_t value)
{
	fprintf(stderr, "%s: the device answers 0x%" PRIx64 "\n", what, value);
	return -1;
}

/*
 * Sleep until the device raises its interrupt, check that it was for @reason, and acknowledge it.
 */
static int finish(struct vfc_irq *irq, volatile uint8_t *bar, uint32_t reason)
{
	uint32_t status;

	if (vfc_irq_wait(irq, 0, 5 * SECOND, NULL) < 0)
		return failed("interrupt");
	status = vfc_mmio_read32(bar + IRQ_STATUS);
	vfc_mmio_write32(bar + IRQ_ACK, status);
	vfc_from_register(); /* what the device wrote is looked at after its status was read */
	return status == reason ? 0 : wrong("interrupt status", status);
}

static int identify(volatile uint8_t *bar)
{
	uint32_t id = vfc_mmio_read32(bar + ID);

	if ((id & 0xffff) != 0x00ed)
		return wrong("this is no edu", id);
	printf("edu, version %u.%u\n", id >> 24, id >> 16 & 0xff);
	vfc_mmio_write32(bar + LIVENESS, 0x12345678);
	id = vfc_mmio_read32(bar + LIVENESS);
	return id == (uint32_t)~0x12345678 ? 0 : wrong("it is not alive", id);
}

static int factorial(struct vfc_irq *irq, volatile uint8_t *bar)
{
	vfc_mmio_write32(bar + STATUS, STATUS_IRQ);
	vfc_mmio_write32(bar + FACTORIAL, 10);
	if (finish(irq, bar, IRQ_FACTORIAL) < 0)
		return -1;
	printf("10! is %" PRIu32 "\n", vfc_mmio_read32(bar + FACTORIAL));
	return 0;
}

static int copy(struct vfc_irq *irq, volatile uint8_t *bar, uint64_t source, uint64_t destination,
		uint64_t command)
{
	vfc_mmio_write64(bar + SOURCE, source);
	vfc_mmio_write64(bar + DESTINATION, destination);
	vfc_mmio_write64(bar + COUNT, LENGTH);
	vfc_to_device(); /* what the device will read is in memory before the command */
	vfc_mmio_write64(bar + COMMAND, command | START | RAISE);
	return finish(irq, bar, IRQ_DMA);
}

/* Copy from memory into the device, and from the device into other memory. */
static int both_ways(struct vfc_irq *irq, volatile uint8_t *bar, const struct vfc_dma *memory)
{
	uint8_t *first = memory->va, *second = first + LENGTH;

	for (int i = 0; i < LENGTH; i++)
		first[i] = (uint8_t)(i * 7 + i / 256);
	if (copy(irq, bar, memory->iova, INSIDE, 0) < 0 ||
	    copy(irq, bar, INSIDE, memory->iova + LENGTH, TO_MEMORY) < 0)
		return -1;
	if (memcmp(first, second, LENGTH))
		return wrong("what came back is not what was sent", second[0]);
	printf("%d bytes went there and back at IOVA 0x%" PRIx64 "\n", LENGTH, memory->iova);
	return 0;
}

static int use(struct vfc_device *device)
{
	/* The device has 28 address bits, so it cannot reach memory above that. */
	struct vfc_map_opts opts = {.size = sizeof(opts), .highest = (1 << 28) - 1};
	struct vfc_dma memory = {0};
	struct vfc_irq *irq = NULL;
	volatile void *address;
	volatile uint8_t *bar;
	int bad;

	/*
	 * An MSI is a write by the device. Without bus mastering it has neither DMA nor interrupts.
	 */
	if (vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &address) < 0 ||
	    vfc_device_bus_master(device, true) < 0 ||
	    vfc_irq_open(device, VFC_IRQ_MSI, 1, &irq) < 0)
		return failed("setting up");
	bar = address;
	bad = identify(bar) < 0 || factorial(irq, bar) < 0;
	if (!bad && vfc_dma_alloc(vfc_device_iommu(device), 2 * LENGTH, &opts, &memory) < 0)
		bad = failed("memory");
	bad = bad || both_ways(irq, bar, &memory) < 0;
	vfc_device_bus_master(device, false); /* no DMA is under way when the memory is freed */
	if (vfc_dma_free(&memory) < 0 || vfc_irq_close(irq) < 0)
		bad = failed("clearing up");
	return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct vfc_device *device;
	int bad;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DEVICE (0000:00:03.0)\n", argv[0]);
		return 2;
	}
	if (vfc_device_open(argv[1], NULL, &device) < 0)
		return failed("opening it") < 0;
	bad = use(device);
	return vfc_device_close(device) < 0 ? failed("closing it") < 0 : bad < 0;
}
