/* SPDX-License-Identifier: MIT */
/*
 * A device is not trusted. Its list may loop, leave the config space or be unaligned, and
 * structures may overlap or run past the end. Such a list is refused, and the record tells the
 * offset.
 */
#include "pci/caps.h"

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"

/* PCI Local Bus 3.0, 6.7: the list's status bit and head. */
#define STATUS		0x06
#define STATUS_CAP_LIST 0x10
#define CAP_POINTER	0x34
/* PC Card Standard 8.0, 4.5: a CardBus bridge has the pointer elsewhere. */
#define HEADER_TYPE	    0x0e
#define HEADER_TYPE_MASK    0x7f
#define HEADER_CARDBUS	    2
#define CARDBUS_CAP_POINTER 0x14
#define HEADER_END	    0x40
#define STD_FIRST	    0x40
#define STD_END		    0x100
/* Extended config space begins after the conventional 256 bytes (PCI Express Base, 7.6). */
#define EXT_FIRST 0x100
#define EXT_END	  0x1000

struct walk {
	const struct caps_source *source;
	struct vfc_pci_cap *caps;
	size_t count, found;
	uint32_t seen[EXT_END / 4 / 32];  /* where structures start: one bit per dword */
	uint32_t taken[EXT_END / 4 / 32]; /* which dwords belong to a structure */
};

/*
 * The least number of bytes that each structure has, whatever it contains. Those not listed have 4.
 */
static const uint8_t standard_lengths[] = {
	[0x01] = 8,  [0x02] = 12, [0x03] = 8, [0x05] = 10, [0x07] = 8, [0x0c] = 8,    [0x0d] = 8,
	[0x0e] = 12, [0x11] = 12, [0x12] = 8, [0x13] = 6,  [0x14] = 4, [0x15] = 0x24,
};
static const uint8_t extended_lengths[] = {
	[0x01] = 0x2c, [0x02] = 0x1c, [0x03] = 12,   [0x04] = 16,   [0x05] = 16, [0x06] = 12,
	[0x07] = 8,    [0x08] = 0x1c, [0x09] = 0x1c, [0x0a] = 16,   [0x0b] = 8,	 [0x0d] = 8,
	[0x0e] = 8,    [0x0f] = 8,    [0x10] = 0x40, [0x12] = 0x28, [0x13] = 16, [0x15] = 12,
	[0x16] = 16,   [0x17] = 12,   [0x18] = 8,    [0x19] = 12,   [0x1b] = 8,	 [0x1c] = 8,
	[0x1d] = 12,   [0x1e] = 16,   [0x1f] = 12,   [0x21] = 16,   [0x22] = 12, [0x23] = 12,
	[0x24] = 12,   [0x25] = 12,   [0x26] = 0x20, [0x27] = 8,    [0x29] = 16, [0x2a] = 0x20,
	[0x2e] = 0x18, [0x2f] = 16,   [0x30] = 12,   [0x31] = 16,
};

#define ID_MSI	  0x05
#define MSI_WIDE  0x80
#define MSI_MASKS 0x100
/* Version and port type decide which registers there are (PCI Express Base, 7.5.3.2). */
#define ID_EXPRESS	    0x10
#define EXPRESS_VERSION	    0xf
#define EXPRESS_TYPE(flags) ((flags) >> 4 & 0xf)
#define EXPRESS_INTEGRATED  9
#define EXPRESS_COLLECTOR   10

static int get(const struct walk *walk, uint32_t offset, uint32_t width, uint32_t *value)
{
	return walk->source->read(walk->source->cookie, offset, width, value);
}

static int malformed(const struct walk *walk, const char *what, uint32_t from, uint32_t to)
{
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE(.object = walk->source->name),
			"the capability list %s: offset 0x%x points at 0x%x", what, from, to);
}

/* Check that a capability can stand at @to and that we have not been there before. */
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

static uint32_t msi_length(uint32_t control)
{
	/* A wide address shifts what follows, and masks come in twos (PCI Local Bus 3.0, 6.8.1). */
	return (control & MSI_MASKS ? 0x14 : 10) + (control & MSI_WIDE ? 4 : 0);
}

static uint32_t express_length(uint32_t flags)
{
	bool linkless = EXPRESS_TYPE(flags) == EXPRESS_INTEGRATED ||
			EXPRESS_TYPE(flags) == EXPRESS_COLLECTOR;

	if ((flags & EXPRESS_VERSION) < 2)
		return linkless ? 0x0c : 0x14;
	return linkless ? 0x2c : 0x3c;
}

/* @header is the structure's first four bytes. */
static uint32_t length_of(uint32_t header, bool extended)
{
	uint32_t id = header & (extended ? 0xffff : 0xff), length = 0;

	if (extended)
		length = id < sizeof(extended_lengths) ? extended_lengths[id] : 0;
	else if (id == ID_MSI)
		length = msi_length(header >> 16);
	else if (id == ID_EXPRESS)
		length = express_length(header >> 16);
	else if (id < sizeof(standard_lengths))
		length = standard_lengths[id];
	return length ? length : 4;
}

/*
 * Take @length bytes for the structure at @to, which @from points at. They must belong to no other.
 */
static int take(struct walk *walk, uint32_t from, uint32_t to, uint32_t length, uint32_t end)
{
	if (length > end - to)
		return malformed(walk, "runs past the end", from, to);
	for (uint32_t at = to; at < to + length; at += 4) {
		uint32_t *word = &walk->taken[at / 128], bit = 1u << (at / 4 % 32);

		if (*word & bit)
			return malformed(walk, "overlaps", from, to);
		*word |= bit;
	}
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

/* Find the list's head. The kind of header decides where it is. */
static int find_head(const struct walk *walk, uint32_t *from)
{
	uint32_t status, type;
	int rc = get(walk, STATUS, 2, &status);

	*from = 0;
	if (rc < 0 || !(status & STATUS_CAP_LIST) || walk->source->length < STD_END)
		return rc;
	rc = get(walk, HEADER_TYPE, 1, &type);
	if (rc == 0)
		*from = (type & HEADER_TYPE_MASK) == HEADER_CARDBUS ? CARDBUS_CAP_POINTER
								    : CAP_POINTER;
	return rc;
}

static int walk_standard(struct walk *walk)
{
	uint32_t from, to = 0, header;
	int rc = find_head(walk, &from);

	if (rc == 0 && from)
		rc = get(walk, from, 1, &to);
	/* The two low bits are reserved and software must mask them (6.7). */
	for (to &= 0xfc; rc == 0 && to; from = to, to = header >> 8 & 0xfc) {
		rc = check(walk, from, to, STD_FIRST, STD_END);
		if (rc == 0)
			rc = get(walk, to, 4, &header);
		if (rc == 0)
			rc = take(walk, from, to, length_of(header, false), STD_END);
		if (rc < 0)
			break;
		add(walk, header & 0xff, to, 0, false);
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
		/* An empty list is one header of zeros. All ones mean that nothing is there. */
		if (to == EXT_FIRST && (header == 0 || header == UINT32_MAX))
			return 0;
		rc = take(walk, from, to, length_of(header, true), EXT_END);
		/*
		 * The kernel hides a capability by an id of 0 and keeps the link
		 * (vfio_pci_config.c).
		 */
		if (rc == 0 && header & 0xffff)
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

struct copy {
	const uint8_t *bytes;
	size_t length;
};

static int read_copy(void *cookie, uint32_t offset, uint32_t width, uint32_t *value)
{
	const struct copy *copy = cookie;

	*value = 0;
	for (uint32_t i = 0; i < width && offset + i < copy->length; i++)
		*value |= (uint32_t)copy->bytes[offset + i] << 8 * i;
	return 0;
}

int vfc_pci_caps_of(const void *space, size_t length, struct vfc_pci_cap *caps, size_t count)
{
	struct copy copy = {.bytes = space, .length = length};
	struct caps_source source = {.read = read_copy, .cookie = &copy, .name = ""};

	if (length < HEADER_END || length > EXT_END)
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "config space has 64 to 4096 bytes, not %zu", length));
	source.length = (uint32_t)length;
	return vfc_done(caps_walk(&source, caps, count));
}

const struct vfc_pci_cap *caps_find(const struct vfc_pci_cap *caps, size_t count, uint32_t id,
				    bool extended, uint32_t after)
{
	const struct vfc_pci_cap *cap = caps, *end = caps + count;

	while (after && cap < end && cap++->offset != after)
		;
	for (; cap < end; cap++)
		if (cap->id == id && !!cap->extended == extended)
			return cap;
	return NULL;
}
