/* SPDX-License-Identifier: MIT */
/*
 * An ordinary user's program that gets its device from somebody with the right to open it:
 * adopt SOCKET receives the address space's descriptor, the device's, and its name (or nothing),
 * maps memory, and has QEMU's edu copy from one half of it to the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vfiocore.h>

/* QEMU docs/specs/edu.rst; the device has 28 address bits. */
#define SOURCE 0x80
#define DESTINATION 0x88
#define COUNT 0x90
#define COMMAND 0x98
#define START 1
#define TO_MEMORY 2
#define INSIDE 0x40000
#define HIGHEST 0xfffffff
#define HALF 2048 /* of a page; the device's buffer has one */

static int fail(const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	return 1;
}

static int receive(int from, int fds[2], char name[32])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec data = {name, 31};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);

	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
	name[n] = '\0';
	return 0;
}

static int run(struct vfc_device *device, uint64_t source, uint64_t destination, uint64_t command)
{
	const uint64_t registers[][2] = {
		{SOURCE, source}, {DESTINATION, destination}, {COUNT, HALF}, {COMMAND, command | START}};
	uint64_t busy = START;

	for (int i = 0; i < 4; i++)
		if (vfc_region_write(device, VFC_REGION_BAR0, registers[i][0], 8, registers[i][1]) < 0)
			return fail("edu");
	for (int tries = 0; busy & START; tries++, usleep(10000))
		if (tries == 500 || vfc_region_read(device, VFC_REGION_BAR0, COMMAND, 8, &busy) < 0)
			return fail("edu");
	return 0;
}

static int copy(struct vfc_device *device)
{
	struct vfc_map_opts opts = {.size = sizeof(opts), .highest = HIGHEST};
	struct vfc_dma memory;
	char *data;
	int bad;

	if (vfc_dma_alloc(vfc_device_iommu(device), 2 * HALF, &opts, &memory) < 0)
		return fail("memory");
	data = memory.va;
	memset(data, 0x5a, HALF);
	bad = vfc_device_bus_master(device, true) < 0 || run(device, memory.iova, INSIDE, 0) ||
	      run(device, INSIDE, memory.iova + HALF, TO_MEMORY) || memcmp(data, data + HALF, HALF);
	return vfc_dma_free(&memory) < 0 || bad;
}

int main(int argc, char **argv)
{
	struct vfc_device_opts opts = {.size = sizeof(opts)};
	struct vfc_device_info info = {.size = sizeof(info)};
	struct vfc_device *device;
	char name[32];
	int fds[2], bad;

	if (argc != 2 || receive(atoi(argv[1]), fds, name) < 0)
		return 2;
	if (vfc_iommu_adopt(fds[0], NULL, &opts.iommu) < 0)
		return fail("address space");
	if (vfc_device_adopt(fds[1], name[0] ? name : NULL, &opts, &device) < 0)
		return fail("device");
	bad = copy(device);
	vfc_device_info(device, &info);
	printf("%s %s %d\n", info.name, info.transport, (int)geteuid());
	return vfc_device_close(device) < 0 || vfc_iommu_close(opts.iommu) < 0 || bad;
}
