/* SPDX-License-Identifier: MIT */
/*
 * Receive a device from give.py, which had the right to open it, and use it.
 *   cc receive.c $(pkg-config --cflags --libs libvfiocore) -o receive && ./receive /run/my-device
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <vfiocore.h>

#define SECOND INT64_C(1000000000)

static int failed(void)
{
	char text[700];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return 1;
}

static int use(struct vfc_device *device)
{
	struct vfc_device_info info = {.size = sizeof(info)};
	struct vfc_dma memory;
	uint64_t ids, value;

	if (vfc_device_info(device, &info) < 0 ||
	    vfc_region_read(device, VFC_REGION_CONFIG, 0, 4, &ids) < 0 ||
	    vfc_region_read(device, VFC_REGION_BAR0, 0, 4, &value) < 0 ||
	    vfc_dma_alloc(vfc_device_iommu(device), 4096, NULL, &memory) < 0)
		return failed();
	printf("%s: [%04" PRIx64 ":%04" PRIx64 "] by %s, register 0 is 0x%08" PRIx64
	       ", memory at IOVA 0x%" PRIx64 "\n",
	       info.name, ids & 0xffff, ids >> 16, info.transport, value, memory.iova);
	return vfc_dma_free(&memory) < 0 ? failed() : 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int peer = socket(AF_UNIX, SOCK_STREAM, 0), bad;
	struct vfc_device *device;

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	if (connect(peer, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(argv[1]);
		return 1;
	}
	if (vfc_device_receive(peer, NULL, 10 * SECOND, &device) < 0)
		return failed();
	bad = use(device);
	return vfc_device_close(device) < 0 ? failed() : bad;
}
