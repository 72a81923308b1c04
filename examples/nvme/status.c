/* SPDX-License-Identifier: MIT */
/* The meaning of a completion's status: NVM Express 1.4, section 4.6.1. */
#include <errno.h>

#include "nvme.h"

enum { GENERIC = 0, COMMAND = 1, MEDIA = 2, PATH = 3, VENDOR = 7 };

static const struct {
	uint8_t type, code;
	int error;
	const char *text;
} meanings[] = {
	{GENERIC, 0x00, 0, "success"},
	{GENERIC, 0x01, EOPNOTSUPP, "invalid command opcode"},
	{GENERIC, 0x02, EINVAL, "invalid field in the command"},
	{GENERIC, 0x03, EEXIST, "command id conflict"},
	{GENERIC, 0x04, EIO, "data transfer error: the controller could not reach the memory"},
	{GENERIC, 0x05, EIO, "aborted, since power is being lost"},
	{GENERIC, 0x06, EIO, "internal error"},
	{GENERIC, 0x07, ECANCELED, "aborted on request"},
	{GENERIC, 0x08, ECANCELED, "aborted, since its submission queue was deleted"},
	{GENERIC, 0x0b, ENXIO, "invalid namespace or format"},
	{GENERIC, 0x0c, EINVAL, "command sequence error"},
	{GENERIC, 0x13, EINVAL, "invalid PRP offset"},
	{GENERIC, 0x20, EROFS, "the namespace is write protected"},
	{GENERIC, 0x80, ERANGE, "LBA out of range"},
	{GENERIC, 0x81, ENOSPC, "capacity exceeded"},
	{GENERIC, 0x82, EAGAIN, "namespace not ready"},
	{GENERIC, 0x83, EBUSY, "reservation conflict"},
	{COMMAND, 0x00, EINVAL, "completion queue invalid"},
	{COMMAND, 0x01, EINVAL, "invalid queue identifier"},
	{COMMAND, 0x02, EINVAL, "invalid queue size"},
	{COMMAND, 0x08, EINVAL, "invalid interrupt vector"},
	{COMMAND, 0x0c, EBUSY, "invalid queue deletion: its submission queue is still there"},
	{COMMAND, 0x80, EINVAL, "conflicting attributes"},
	{COMMAND, 0x82, EROFS, "attempted write to a read-only range"},
	{MEDIA, 0x80, EIO, "write fault"},
	{MEDIA, 0x81, EIO, "unrecovered read error"},
	{MEDIA, 0x82, EIO, "end-to-end guard check error"},
	{MEDIA, 0x85, EILSEQ, "compare failure"},
	{MEDIA, 0x86, EACCES, "access denied"},
	{MEDIA, 0x87, ENODATA, "block deallocated or never written"},
};

static const char *const types[] = {
	[GENERIC] = "a generic error", [COMMAND] = "an error of this command", [MEDIA] = "a media error",
	[PATH] = "an error of the path", [4] = "an error of a reserved type",
	[5] = "an error of a reserved type", [6] = "an error of a reserved type",
	[VENDOR] = "a vendor's error",
};

static int find(uint16_t status)
{
	for (unsigned i = 0; i < sizeof(meanings) / sizeof(*meanings); i++)
		if (meanings[i].type == NVME_STATUS_TYPE(status) &&
		    meanings[i].code == NVME_STATUS_CODE(status))
			return (int)i;
	return -1;
}

const char *nvme_status_text(uint16_t status)
{
	int i = find(status);

	return i >= 0 ? meanings[i].text : types[NVME_STATUS_TYPE(status)];
}

int nvme_status_errno(uint16_t status)
{
	int i = find(status);

	return i >= 0 ? meanings[i].error : EIO;
}
