/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as config space: the walk ends, reads nothing outside, and what it gives keeps the
 * rules that it refuses others for.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <vfiocore.h>

#include "../unit/test.h"
#include "input.h"

#define MOST (4096 / 4)

static bool starts[4096];

static void check_one(const struct vfc_pci_cap *cap, const uint8_t *space, size_t length)
{
	CHECK_EQ(cap->offset % 4, 0);
	CHECK(cap->extended ? cap->offset >= 0x100 : cap->offset >= 0x40 && cap->offset < 0x100);
	CHECK((size_t)cap->offset + 4 <= length);
	CHECK_EQ(cap->id, cap->extended ? space[cap->offset] | space[cap->offset + 1] << 8
					: space[cap->offset]);
	CHECK(!starts[cap->offset]);
	starts[cap->offset] = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t lengths[] = {64, 256, 4096};
	static struct vfc_pci_cap caps[MOST];
	uint8_t space[4096] = {0};

	memcpy(space, data, size < sizeof(space) ? size : sizeof(space));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		int found = vfc_pci_caps_of(space, lengths[i], caps, MOST);

		CHECK(found == -EBADMSG || (found >= 0 && found <= MOST));
		CHECK_EQ(vfc_pci_caps_of(space, lengths[i], NULL, 0), found);
		if (found < 0)
			CHECK(strstr(vfc_error_last()->hint, "offset 0x"));
		memset(starts, 0, sizeof(starts));
		for (int n = 0; n < found; n++)
			check_one(&caps[n], space, lengths[i]);
	}
	return 0;
}
