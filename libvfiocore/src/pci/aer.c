/* SPDX-License-Identifier: MIT */
/*
 * The kernel clears a device's status registers once it has recovered from an error
 * (drivers/pci/pcie/err.c). This may be before we look. It also counts the errors in sysfs
 * (Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats), so both are read.
 */
#include "pci/aer.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/sys.h"
#include "pci/sysfs.h"

/*
 * The bits of PCI Express Base 5.0, 7.8.4.2. The second name is the kernel's
 * (drivers/pci/pcie/aer.c).
 */
static const struct {
	const char *name, *counted;
} uncorrectable[32] = {
	[4] = {"Data Link Protocol Error", "DLP"},
	[5] = {"Surprise Down Error", "SDES"},
	[12] = {"Poisoned TLP Received", "TLP"},
	[13] = {"Flow Control Protocol Error", "FCP"},
	[14] = {"Completion Timeout", "CmpltTO"},
	[15] = {"Completer Abort", "CmpltAbrt"},
	[16] = {"Unexpected Completion", "UnxCmplt"},
	[17] = {"Receiver Overflow", "RxOF"},
	[18] = {"Malformed TLP", "MalfTLP"},
	[19] = {"ECRC Error", "ECRC"},
	[20] = {"Unsupported Request", "UnsupReq"},
	[21] = {"ACS Violation", "ACSViol"},
	[22] = {"Uncorrectable Internal Error", "UncorrIntErr"},
	[23] = {"MC Blocked TLP", "BlockedTLP"},
	[24] = {"AtomicOp Egress Blocked", "AtomicOpBlocked"},
	[25] = {"TLP Prefix Blocked", "TLPBlockedErr"},
	[26] = {"Poisoned TLP Egress Blocked", "PoisonTLPBlocked"},
};

/* 7.8.4.5 */
static const char *const correctable[32] = {
	[0] = "Receiver Error",		 [6] = "Bad TLP",
	[7] = "Bad DLLP",		 [8] = "REPLAY_NUM Rollover",
	[12] = "Replay Timer Timeout",	 [13] = "Advisory Non-Fatal Error",
	[14] = "Corrected Internal Error", [15] = "Header Log Overflow",
};

/* 7.5.3.5 */
static const char *const device_status[4] = {"Correctable Error Detected", "Non-Fatal Error Detected",
					     "Fatal Error Detected", "Unsupported Request Detected"};

/* Read lines "NAME COUNT". Names that we do not know, such as that of the total, are skipped. */
static void read_counts(const char *name, const char *file, uint64_t counts[32])
{
	char path[SYSFS_PATH], text[4096], *line, *rest = text;
	ssize_t n = -1;
	int fd;

	sysfs_path(path, "bus/pci/devices/%s/%s", name, file);
	fd = sys_open(path, O_RDONLY);
	if (fd >= 0)
		n = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	text[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		size_t length = strcspn(line, " ");

		for (int bit = 0; bit < 32 && line[length]; bit++)
			if (uncorrectable[bit].counted &&
			    strlen(uncorrectable[bit].counted) == length &&
			    !strncmp(uncorrectable[bit].counted, line, length))
				counts[bit] = strtoull(line + length, NULL, 10);
	}
}

void aer_count(struct aer *aer, struct aer_status *status)
{
	static const char *const files[2] = {"aer_dev_nonfatal", "aer_dev_fatal"};

	for (int severity = 0; severity < 2 && aer->name[0]; severity++) {
		uint64_t now[32];

		memcpy(now, aer->counts[severity], sizeof(now));
		read_counts(aer->name, files[severity], now);
		for (int bit = 0; bit < 32; bit++) {
			if (now[bit] <= aer->counts[severity][bit])
				continue;
			status->uncorrectable |= 1u << bit;
			status->fatal |= severity ? 1u << bit : 0;
		}
		memcpy(aer->counts[severity], now, sizeof(now));
	}
}

static size_t add(char *text, size_t size, size_t used, const char *before, const char *name)
{
	if (used < size)
		used += (size_t)snprintf(text + used, size - used, "%s%s", before, name);
	return used;
}

void aer_text(const struct aer_status *status, char *text, size_t size)
{
	const char *separator = "";
	size_t used = 0;

	text[0] = '\0';
	for (int bit = 0; bit < 32; bit++) {
		if (status->uncorrectable & 1u << bit && uncorrectable[bit].name) {
			used = add(text, size, used, separator, uncorrectable[bit].name);
			used = add(text, size, used, "", status->fatal & 1u << bit ? " (fatal)" : "");
			separator = ", ";
		}
	}
	for (int bit = 0; bit < 32; bit++) {
		if (status->correctable & 1u << bit && correctable[bit]) {
			used = add(text, size, used, separator, correctable[bit]);
			separator = ", ";
		}
	}
	separator = used ? "; device status: " : "device status: ";
	for (int bit = 0; bit < 4; bit++) {
		if (status->device & 1u << bit) {
			used = add(text, size, used, separator, device_status[bit]);
			separator = ", ";
		}
	}
}
