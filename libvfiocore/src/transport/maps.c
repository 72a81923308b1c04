/* SPDX-License-Identifier: MIT */
#include "transport/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kernel/sys.h"
#include "kernel/uapi.h"

struct reader {
	int fd;
	size_t used;
	bool ended;
	char text[4096 + 256]; /* a line has a path, which the kernel cuts at a page */
};

struct area {
	uint64_t start, end;
	char rights[5]; /* "rw-s" */
	char path[128]; /* as much of it as a hint has room for */
};

/* The line is valid until the next call. NULL: there are no more lines. */
static char *next_line(struct reader *reader, size_t *length)
{
	char *end = memchr(reader->text, '\n', reader->used);

	while (!end && reader->used < sizeof(reader->text) - 1) {
		ssize_t n = sys_read(reader->fd, reader->text + reader->used,
				     sizeof(reader->text) - 1 - reader->used);

		reader->ended = n == 0;
		if (n <= 0)
			return NULL;
		end = memchr(reader->text + reader->used, '\n', (size_t)n);
		reader->used += (size_t)n;
	}
	*length = end ? (size_t)(end - reader->text) + 1 : reader->used;
	reader->text[*length - 1] = '\0';
	return reader->text;
}

/* "7f61a2b3c000-7f61a2b5c000 rw-s 00000000 00:0d 1043    anon_inode:[vfio-device]" */
static bool next_area(struct reader *reader, struct area *area)
{
	size_t length;
	char *line = next_line(reader, &length);
	int saved = errno, fields;

	*area = (struct area){0};
	if (!line)
		return false;
	fields = sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %127[^\n]", &area->start, &area->end,
			area->rights, area->path);
	errno = saved; /* sscanf() sets it at the end of the text */
	memmove(reader->text, reader->text + length, reader->used - length);
	reader->used -= length;
	return fields >= 3;
}

static bool is_device(const struct area *area)
{
	return strstr(area->path, "[vfio-device]") || !strncmp(area->path, "/dev/vfio/", 10);
}

static const char *missing(const struct area *area, uint32_t flags)
{
	if (area->rights[0] != 'r')
		return "readable";
	return flags & VFIO_DMA_MAP_FLAG_WRITE && area->rights[1] != 'w' ? "writable" : NULL;
}

/* Is this area at fault? @next: the first address that no area before has. */
static bool explain(char *text, size_t size, const struct area *area, uint64_t next, uint32_t flags,
		    const char *device)
{
	const char *path = area->path[0] ? area->path : "anonymous";

	if (area->start > next)
		snprintf(text, size, "the memory at 0x%" PRIx64 " is not mapped in this process", next);
	else if (is_device(area))
		snprintf(text, size, "the memory at 0x%" PRIx64 " is a device's (%s): %s", next, path, device);
	else if (missing(area, flags))
		snprintf(text, size, "the memory at 0x%" PRIx64 " (%s) is not %s in this process", next, path,
			 missing(area, flags));
	else
		return false;
	return true;
}

void maps_explain(char *text, size_t size, const void *va, uint64_t length, uint32_t flags,
		  const char *device)
{
	struct reader reader = {.fd = sys_open("/proc/self/maps", O_RDONLY)};
	uint64_t next = (uintptr_t)va, end = next + length;
	struct area area;
	bool found = false;

	snprintf(text, size, "the kernel cannot pin all of the memory at 0x%" PRIx64, next);
	if (reader.fd < 0)
		return;
	while (!found && next < end && next_area(&reader, &area)) {
		if (area.end <= next)
			continue;
		found = explain(text, size, &area, next, flags, device);
		next = area.end;
	}
	if (!found && next < end && reader.ended)
		snprintf(text, size, "the memory at 0x%" PRIx64 " is not mapped in this process", next);
	sys_close(reader.fd);
}
