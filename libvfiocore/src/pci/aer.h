/* SPDX-License-Identifier: MIT */
/* What Advanced Error Reporting tells about a device's errors. */
#ifndef VFC_PCI_AER_H
#define VFC_PCI_AER_H

#include <stddef.h>
#include <stdint.h>

/* Where to look, and what the kernel had counted before. */
struct aer {
	char name[32];        /* its name in sysfs; "": not there */
	uint32_t express;     /* offset of the PCI Express capability; 0: none */
	uint32_t extended;    /* offset of the AER capability; 0: none */
	uint64_t counts[2][32]; /* errors that the kernel has counted so far: nonfatal, fatal */
};

struct aer_status {
	uint32_t uncorrectable; /* status register, and what the kernel has counted since */
	uint32_t correctable;
	uint32_t device;        /* PCI Express Device Status */
	uint32_t fatal;         /* those of @uncorrectable that are, or were counted as, fatal */
};

/* Read the kernel's counts. @status gets the errors since the last call with the same @aer. */
void aer_count(struct aer *aer, struct aer_status *status);

/*
 * Describe the errors: "Completer Abort (fatal), Poisoned TLP Received; device status: ...". The
 * text is "" if nothing is set.
 */
void aer_text(const struct aer_status *status, char *text, size_t size);

#endif
