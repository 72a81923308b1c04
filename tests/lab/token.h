/* SPDX-License-Identifier: MIT */
/* The token that opens a virtual function, as an argument: 32 hexadecimal digits. */
#ifndef VFC_LAB_TOKEN_H
#define VFC_LAB_TOKEN_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <vfiocore.h>

/* False: it is none. */
static inline bool parse_token(const char *text, uint8_t token[VFC_VF_TOKEN])
{
	unsigned byte;

	if (strlen(text) != 2 * VFC_VF_TOKEN)
		return false;
	for (int i = 0; i < VFC_VF_TOKEN; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		token[i] = (uint8_t)byte;
	}
	return true;
}

#endif
