/* SPDX-License-Identifier: MIT */
/*
 * Open a device, print what it is, and read its first register.
 *   cc identify.c $(pkg-config --cflags --libs libvfiocore) -o identify && ./identify 0000:01:00.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <vfiocore.h>

static int failed(void)
{
	char text[700];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return 1;
}

int main(int argc, char **argv)
{
	struct vfc_device_info info = {sizeof(info), 0, 0, 0, 0, 0, "", ""};
	struct vfc_device *device;
	uint64_t ids, value;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DEVICE (0000:01:00.0, or fake:e1000e)\n", argv[0]);
		return 2;
	}
	if (vfc_device_open(argv[1], NULL, &device) < 0)
		return failed();
	if (vfc_device_info(device, &info) < 0 ||
	    vfc_region_read(device, VFC_REGION_CONFIG, 0, 4, &ids) < 0 ||
	    vfc_region_read(device, VFC_REGION_BAR0, 0, 4, &value) < 0)
		return failed();
	printf("%s: [%04" PRIx64 ":%04" PRIx64 "] by %s, register 0 is 0x%08" PRIx64 "\n", info.name,
	       ids & 0xffff, ids >> 16, info.transport, value);
	return vfc_device_close(device) < 0 ? failed() : 0;
}
