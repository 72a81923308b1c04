/* SPDX-License-Identifier: MIT */
/*
 * A device is not trusted: a list may loop, leave its space or be unaligned. Each is refused with
 * the offset, none is followed for ever.
 */
#include "caps.h"

#include <errno.h>
#include <stdbool.h>

#include "../error.h"

/* PCI Local Bus 3.0, 6.7: the list's status bit and head. */
#define STATUS 0x06
#define STATUS_CAP_LIST 0x10
#define CAP_POINTER 0x34
#define STD_FIRST 0x40
#define STD_END 0x100
/* PCI Express Base, 7.6: extended config space begins behind the conventional 256 bytes. */
#define EXT_FIRST 0x100
#define EXT_END 0x1000

struct walk {
	const struct caps_source *source;
	struct vfc_pci_cap *caps;
	size_t count, found;
	uint32_t seen[EXT_END / 4 / 32]; /* one bit a dword */
};

static int get(const struct walk *walk, uint32_t offset, uint32_t width, uint32_t *value)
{
	return walk->source->read(walk->source->cookie, offset, width, value);
}

static int malformed(const struct walk *walk, const char *what, uint32_t from, uint32_t to)
{
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE(.object = walk->source->name),
			"the capability list %s: offset 0x%x points at 0x%x", what, from, to);
}

/* Is @to a place where a capability can stand that we have not been to? */
static int check(struct walk *walk, uint32_t from, uint32_t to, uint32_t first, uint32_t end)
{
	if (to < first || to > end - 4)
		return malformed(walk, "leaves its space", from, to);
	if (to % 4)
		return malformed(walk, "is not aligned", from, to);
	if (walk->seen[to / 128] & 1u << (to / 4 % 32))
		return malformed(walk, "loops", from, to);
	walk->seen[to / 128] |= 1u << (to / 4 % 32);
	return 0;
}

static void add(struct walk *walk, uint16_t id, uint32_t offset, uint8_t version, bool extended)
{
	if (walk->found < walk->count)
		walk->caps[walk->found] = (struct vfc_pci_cap){
			.id = id,
			.offset = (uint16_t)offset,
			.version = version,
			.extended = extended,
		};
	walk->found++;
}

static int walk_standard(struct walk *walk)
{
	uint32_t status, from = CAP_POINTER, to, header;
	int rc = get(walk, STATUS, 2, &status);

	if (rc < 0 || !(status & STATUS_CAP_LIST))
		return rc;
	rc = get(walk, CAP_POINTER, 1, &to);
	/* The two low bits are reserved and software must mask them (6.7). */
	for (to &= 0xfc; rc == 0 && to; from = to, to = header >> 8 & 0xfc) {
		rc = check(walk, from, to, STD_FIRST, STD_END);
		if (rc == 0)
			rc = get(walk, to, 2, &header);
		if (rc == 0)
			add(walk, header & 0xff, to, 0, false);
		else
			header = 0;
	}
	return rc;
}

static int walk_extended(struct walk *walk)
{
	uint32_t from = 0, to = EXT_FIRST, header = 0;
	int rc = 0;

	if (walk->source->length < EXT_END)
		return 0;
	for (; rc == 0 && to; from = to, to = header >> 20) {
		rc = check(walk, from, to, EXT_FIRST, EXT_END);
		if (rc == 0)
			rc = get(walk, to, 4, &header);
		if (rc < 0)
			break;
		/* An empty list is one header of zeros; all ones means that nothing is there. */
		if (to == EXT_FIRST && (header == 0 || header == UINT32_MAX))
			return 0;
		/* The kernel hides a capability by an id of 0 and keeps the link (vfio_pci_config.c). */
		if (header & 0xffff)
			add(walk, header & 0xffff, to, header >> 16 & 0xf, true);
	}
	return rc;
}

int caps_walk(const struct caps_source *source, struct vfc_pci_cap *caps, size_t count)
{
	struct walk walk = {.source = source, .caps = caps, .count = count};
	int rc = walk_standard(&walk);

	if (rc == 0)
		rc = walk_extended(&walk);
	return rc < 0 ? rc : (int)walk.found;
}
