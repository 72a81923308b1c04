/* SPDX-License-Identifier: MIT */
/* Capability lists as a hostile device may show them: each ends, each fault has its offset. */
#include <errno.h>
#include <string.h>
#include <vfiocore.h>

#include "pci/caps.h"
#include "test.h"

static uint8_t space[4096];

static int read_space(void *cookie, uint32_t offset, uint32_t width, uint32_t *value)
{
	(void)cookie;
	CHECK(offset + width <= sizeof(space));
	*value = 0;
	for (uint32_t i = 0; i < width; i++)
		*value |= (uint32_t)space[offset + i] << 8 * i;
	return 0;
}

static void put32(uint32_t offset, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		space[offset + i] = (uint8_t)(value >> 8 * i);
}

static void standard(uint8_t offset, uint8_t id, uint8_t next)
{
	space[offset] = id;
	space[offset + 1] = next;
}

static void extended(uint16_t offset, uint16_t id, uint16_t next)
{
	put32(offset, id | 1u << 16 | (uint32_t)next << 20);
}

static void start(uint8_t first)
{
	memset(space, 0, sizeof(space));
	space[0x06] = 0x10;
	space[0x34] = first;
}

static int walk(uint32_t length, struct vfc_pci_cap *caps, size_t count)
{
	struct caps_source source = {.read = read_space, .length = length, .name = "test"};

	return caps_walk(&source, caps, count);
}

static void malformed(const char *what)
{
	CHECK_EQ(walk(4096, NULL, 0), -EBADMSG);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_MALFORMED);
	CHECK(strstr(vfc_error_last()->hint, what));
}

static void good_lists(void)
{
	struct vfc_pci_cap caps[8];

	start(0x40);
	standard(0x40, 0x01, 0x50);
	standard(0x50, 0x10, 0);
	extended(0x100, 0x0001, 0x140);
	extended(0x140, 0x0003, 0);
	CHECK_EQ(walk(4096, caps, 8), 4);
	CHECK_EQ(caps[0].id, 0x01);
	CHECK_EQ(caps[1].offset, 0x50);
	CHECK_EQ(caps[2].extended, 1);
	CHECK_EQ(caps[3].id, 0x0003);
	CHECK_EQ(caps[3].version, 1);
	CHECK_EQ(walk(256, caps, 8), 2);  /* conventional PCI */
	CHECK_EQ(walk(4096, caps, 1), 4); /* counts on where there is no room */
}

static void empty_lists(void)
{
	struct vfc_pci_cap caps[2];

	start(0);
	CHECK_EQ(walk(4096, caps, 2), 0);
	space[0x06] = 0; /* no list at all: the pointer means nothing */
	space[0x34] = 0x77;
	CHECK_EQ(walk(4096, caps, 2), 0);
	put32(0x100, UINT32_MAX);
	CHECK_EQ(walk(4096, caps, 2), 0);
}

static void hidden_capability(void)
{
	struct vfc_pci_cap caps[2];

	start(0);
	extended(0x100, 0, 0x140); /* what the kernel leaves of one that it hides */
	extended(0x140, 0x000b, 0);
	CHECK_EQ(walk(4096, caps, 2), 1);
	CHECK_EQ(caps[0].offset, 0x140);
}

static void reserved_bits(void)
{
	struct vfc_pci_cap caps[2];

	start(0x43); /* software must mask the two low bits */
	standard(0x40, 0x05, 0);
	CHECK_EQ(walk(4096, caps, 2), 1);
	CHECK_EQ(caps[0].offset, 0x40);
}

static void hostile_lists(void)
{
	start(0x40);
	standard(0x40, 1, 0x40);
	malformed("loops: offset 0x40 points at 0x40");
	start(0x40);
	standard(0x40, 1, 0x60);
	standard(0x60, 5, 0x40);
	malformed("loops: offset 0x60 points at 0x40");
	start(0x20);
	malformed("leaves its space: offset 0x34 points at 0x20");
	start(0);
	extended(0x100, 1, 0x200);
	extended(0x200, 2, 0x100);
	malformed("loops: offset 0x200 points at 0x100");
	start(0);
	extended(0x100, 1, 0x80);
	malformed("leaves its space: offset 0x100 points at 0x80");
	start(0);
	extended(0x100, 1, 0x142);
	malformed("not aligned: offset 0x100 points at 0x142");
	start(0);
	extended(0x100, 1, 0xffe);
	malformed("leaves its space");
}

static void overlaps(void)
{
	struct vfc_pci_cap caps[2];

	start(0x40);
	standard(0x40, 0x11, 0x48); /* MSI-X has 12 bytes */
	standard(0x48, 0x01, 0);
	malformed("overlaps: offset 0x40 points at 0x48");
	standard(0x40, 0x11, 0x4c);
	standard(0x4c, 0x01, 0);
	CHECK_EQ(walk(256, caps, 2), 2);
	start(0x40);
	standard(0x40, 0x05, 0x50);
	standard(0x50, 0x01, 0);
	CHECK_EQ(walk(256, caps, 2), 2);
	space[0x43] = 1; /* MSI with masks ends at 0x54 */
	malformed("overlaps: offset 0x40 points at 0x50");
	start(0x50); /* backwards */
	standard(0x50, 0x01, 0x4c);
	standard(0x4c, 0x11, 0);
	malformed("overlaps: offset 0x50 points at 0x4c");
	start(0);
	extended(0x100, 0x0001, 0x128);
	extended(0x128, 0x0003, 0);
	malformed("overlaps: offset 0x100 points at 0x128");
	extended(0x100, 0x0001, 0x12c);
	extended(0x12c, 0x0003, 0);
	CHECK_EQ(walk(4096, caps, 2), 2);
}

static void past_the_end(void)
{
	start(0xf8);
	standard(0xf8, 0x11, 0);
	malformed("runs past the end: offset 0x34 points at 0xf8");
	start(0xe0); /* 20 bytes with version 1, 60 with 2 */
	standard(0xe0, 0x10, 0);
	space[0xe2] = 1;
	CHECK_EQ(walk(256, NULL, 0), 1);
	space[0xe2] = 2;
	malformed("runs past the end: offset 0x34 points at 0xe0");
	start(0);
	extended(0x100, 0x0003, 0xff8);
	extended(0xff8, 0x0003, 0);
	malformed("runs past the end: offset 0x100 points at 0xff8");
}

static void cardbus_bridge(void)
{
	struct vfc_pci_cap caps[2];

	start(0x20); /* which is a window's upper half there */
	space[0x0e] = 2;
	space[0x14] = 0x80;
	standard(0x80, 0x01, 0);
	CHECK_EQ(walk(256, caps, 2), 1);
	CHECK_EQ(caps[0].offset, 0x80);
}

static void copies(void)
{
	struct vfc_pci_cap caps[2];

	start(0x40);
	standard(0x40, 0x01, 0);
	extended(0x100, 0x0003, 0);
	CHECK_EQ(vfc_pci_caps_of(space, 4096, caps, 2), 2);
	CHECK_EQ(vfc_pci_caps_of(space, 256, caps, 2), 1);
	CHECK_EQ(vfc_pci_caps_of(space, 64, caps, 2), 0); /* what sysfs shows to anybody */
	CHECK_EQ(vfc_pci_caps_of(space, 63, caps, 2), -EINVAL);
	CHECK_EQ(vfc_pci_caps_of(space, 4097, caps, 2), -EINVAL);
	standard(0x40, 0x01, 0x40);
	CHECK_EQ(vfc_pci_caps_of(space, 4096, caps, 2), -EBADMSG);
	CHECK(strstr(vfc_error_last()->hint, "loops: offset 0x40"));
}

/* Whatever bytes are there, the walk ends and never reads outside. */
static void random_bytes(void)
{
	struct vfc_pci_cap caps[4];
	uint32_t state = 1;

	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(space); i += 4)
			put32((uint32_t)i, state = state * 1664525 + 1013904223);
		space[0x06] |= 0x10;
		CHECK(walk(4096, caps, 4) <= 1024);
	}
}

/* Vendor-specific ones come several times, and an id means another thing in each list. */
static void found_one_by_one(void)
{
	struct vfc_pci_cap caps[8];
	const struct vfc_pci_cap *cap;

	start(0x40);
	standard(0x40, 0x09, 0x50);
	standard(0x50, 0x01, 0x60);
	standard(0x60, 0x09, 0);
	extended(0x100, 0x0009, 0x140);
	extended(0x140, 0x000b, 0);
	CHECK_EQ(walk(4096, caps, 8), 5);
	cap = caps_find(caps, 5, 0x09, false, 0);
	CHECK(cap && cap->offset == 0x40);
	cap = caps_find(caps, 5, 0x09, false, cap->offset);
	CHECK(cap && cap->offset == 0x60);
	CHECK(!caps_find(caps, 5, 0x09, false, cap->offset));
	cap = caps_find(caps, 5, 0x09, true, 0);
	CHECK(cap && cap->offset == 0x100);
	CHECK(!caps_find(caps, 5, 0x09, true, 0x100));
	CHECK(!caps_find(caps, 5, 0x09, false, 0x44)); /* nothing is there */
	CHECK(!caps_find(caps, 5, 0x05, false, 0));
	CHECK(!caps_find(caps, 0, 0x09, false, 0));
}

/* What vfc_pci_caps() has of an open device is found there, and nothing else. */
static void found_in_a_device(void)
{
	struct vfc_pci_cap caps[64], cap;
	struct vfc_device *device;
	int n;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	n = vfc_pci_caps(device, caps, 64);
	CHECK(n > 0);
	for (int i = 0; i < n; i++) {
		CHECK_EQ(vfc_pci_find_cap(device, caps[i].id, caps[i].extended, 0, &cap), 1);
		CHECK_EQ(cap.offset, caps[i].offset);
		CHECK_EQ(vfc_pci_find_cap(device, cap.id, cap.extended, cap.offset, &cap), 0);
	}
	CHECK_EQ(vfc_pci_find_cap(device, 0x7f, false, 0, &cap), 0);
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(vfc_pci_find_cap(device, 0x01, false, 0, &cap), -ENODEV);
	CHECK(!strcmp(vfc_error_last()->operation, "vfc_pci_find_cap"));
	CHECK_EQ(vfc_device_close(device), 0);
}

int main(void)
{
	good_lists();
	empty_lists();
	hidden_capability();
	reserved_bits();
	hostile_lists();
	overlaps();
	past_the_end();
	cardbus_bridge();
	copies();
	random_bytes();
	found_one_by_one();
	found_in_a_device();
	return 0;
}
