/* SPDX-License-Identifier: MIT */
/* What the kernel has counted of a device's errors, from files made by the test, and how it is told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "pci/aer.h"
#include "test.h"

#define NAME "0000:01:00.0"
#define BIT(n) (UINT32_C(1) << (n))

static char root[] = "/tmp/vfiocore-aer-XXXXXX";

static void path_of(char path[256], const char *file)
{
	snprintf(path, 256, "%s/bus/pci/devices/" NAME "/%s", root, file);
}

static void counts(const char *file, const char *text)
{
	char path[256];
	FILE *f;

	path_of(path, file);
	f = fopen(path, "w");
	CHECK(f);
	CHECK(fputs(text, f) >= 0);
	CHECK_EQ(fclose(f), 0);
}

static void remove_counts(const char *file)
{
	char path[256];

	path_of(path, file);
	CHECK_EQ(unlink(path), 0);
}

static struct aer_status look(struct aer *aer)
{
	struct aer_status status = {0};

	aer_count(aer, &status);
	return status;
}

static void counted(void)
{
	struct aer aer = {.name = NAME};
	struct aer_status status;

	CHECK_EQ(look(&aer).uncorrectable, 0); /* there are no such files */
	counts("aer_dev_nonfatal", "Undefined 0\nDLP 0\nTLP 2\nCmpltTO 1\nTOTAL_ERR_NONFATAL 3\n");
	counts("aer_dev_fatal", "DLP 0\nMalfTLP 1\nTLP 0\nTOTAL_ERR_FATAL 1\n");
	status = look(&aer);
	CHECK_EQ(status.uncorrectable, BIT(12) | BIT(14) | BIT(18));
	CHECK_EQ(status.fatal, BIT(18));
	CHECK_EQ(look(&aer).uncorrectable, 0); /* each is told once */
	counts("aer_dev_nonfatal", "DLP 0\nTLP 3\nCmpltTO 1\n");
	CHECK_EQ(look(&aer).uncorrectable, BIT(12));
	aer.name[0] = '\0'; /* a device that is not in sysfs */
	counts("aer_dev_nonfatal", "TLP 9\n");
	CHECK_EQ(look(&aer).uncorrectable, 0);
}

/* What cannot be read, or makes no sense, is no error of the device; nor is a count that starts again. */
static void nonsense(void)
{
	static const char *const texts[] = {"", "\n\n\n", "TLP", "TLP\n", "TL 5\n", "TLPX 5\n", " TLP 5\n",
					    "TLP -\n", "TLP \xff\n", "total 7\n"};
	struct aer aer = {.name = NAME};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		counts("aer_dev_nonfatal", texts[i]);
		counts("aer_dev_fatal", "");
		CHECK_EQ(look(&aer).uncorrectable, 0);
	}
	counts("aer_dev_nonfatal", "TLP 5\n");
	CHECK_EQ(look(&aer).uncorrectable, BIT(12));
	counts("aer_dev_nonfatal", "TLP 1\n");
	CHECK_EQ(look(&aer).uncorrectable, 0);
	counts("aer_dev_nonfatal", "TLP 2\n");
	CHECK_EQ(look(&aer).uncorrectable, BIT(12));
	remove_counts("aer_dev_nonfatal"); /* gone with the driver's binding: the counts are kept */
	CHECK_EQ(look(&aer).uncorrectable, 0);
	counts("aer_dev_nonfatal", "TLP 2\n");
	CHECK_EQ(look(&aer).uncorrectable, 0);
	for (unsigned n = 1; n <= 4; n++) { /* a file that cannot be opened, or read, this time */
		counts("aer_dev_nonfatal", "TLP 3\n");
		aer.counts[0][12] = 2;
		sys_fault_arm(n);
		CHECK_EQ(look(&aer).uncorrectable, n <= 2 ? 0 : BIT(12));
		sys_fault_arm(0);
		CHECK_EQ(look(&aer).uncorrectable, n <= 2 ? BIT(12) : 0);
	}
}

static void told(struct aer_status status, const char *text)
{
	char now[300];

	aer_text(&status, now, sizeof(now));
	CHECK(!strcmp(now, text));
}

static void texts(void)
{
	const struct aer_status all = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	char text[3000];

	told((struct aer_status){0}, "");
	told((struct aer_status){.uncorrectable = BIT(15)}, "Completer Abort");
	told((struct aer_status){.uncorrectable = BIT(15) | BIT(18), .fatal = BIT(18)},
	     "Completer Abort, Malformed TLP (fatal)");
	told((struct aer_status){.correctable = BIT(0) | BIT(6)}, "Receiver Error, Bad TLP");
	told((struct aer_status){.uncorrectable = BIT(4), .correctable = BIT(15), .device = 5},
	     "Data Link Protocol Error, Header Log Overflow; device status: Correctable Error Detected, "
	     "Fatal Error Detected");
	told((struct aer_status){.device = 8}, "device status: Unsupported Request Detected");
	told((struct aer_status){.uncorrectable = BIT(0) | BIT(31), .correctable = BIT(1), .device = 16}, "");
	aer_text(&all, text, sizeof(text));
	CHECK(strstr(text, "TLP Prefix Blocked (fatal), Poisoned TLP Egress Blocked (fatal), Receiver Error"));
	for (size_t size = 1; size < 200; size++) { /* cut off, and never past the end */
		char cut[201];

		memset(cut, 'x', sizeof(cut));
		aer_text(&all, cut, size);
		CHECK_EQ(cut[size], 'x');
		CHECK_EQ(strlen(cut), size - 1);
		CHECK(!strncmp(cut, text, size - 1));
	}
}

int main(void)
{
	char command[200];

	CHECK(mkdtemp(root));
	snprintf(command, sizeof(command), "mkdir -p %s/bus/pci/devices/" NAME, root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(setenv("VFIOCORE_SYSFS", root, 1), 0);
	counted();
	nonsense();
	texts();
	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK_EQ(system(command), 0);
	return 0;
}
