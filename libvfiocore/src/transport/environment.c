/* SPDX-License-Identifier: MIT */
#include "transport/environment.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

#define VARIABLE "VFIOCORE_FDS"

static int malformed(const char *list)
{
	return vfc_fail(
		EINVAL, VFC_REASON_ARGUMENT, WHERE(.object = VARIABLE),
		"\"%.100s\" is no list such as iommu=3,0000:01:00.0=4, which `vfio run` makes: "
		"unset it",
		list);
}

int environment_find(const char *name, int *fd)
{
	const char *list = secure_getenv(VARIABLE), *entry = list;
	size_t length = strlen(name);

	while (entry && *entry) {
		const char *number = strchr(entry, '=');
		char *end = NULL;
		long value = number ? strtol(number + 1, &end, 10) : -1;

		if (value < 0 || value > INT_MAX || end == number + 1 || (*end && *end != ','))
			return malformed(list);
		if ((size_t)(number - entry) == length && !strncmp(entry, name, length)) {
			*fd = (int)value;
			return 1;
		}
		entry = *end ? end + 1 : end;
	}
	return 0;
}

int environment_find_device(const char *name, char *canonical, int *fd)
{
	bool is_pci;

	if (!secure_getenv(VARIABLE))
		return 0;
	/* An invalid name fails later, when the caller opens it. */
	error_quiet_begin();
	is_pci = pci_canonical(name, canonical) == 0;
	error_quiet_end();
	return is_pci ? environment_find(canonical, fd) : 0;
}

int environment_find_iommu(int *fd)
{
	int rc = environment_find(ENVIRONMENT_IOMMU, fd);

	return rc ? rc : malformed(secure_getenv(VARIABLE));
}

void environment_taken(int fd)
{
	sys_close_on_exec(fd);
}
