/* SPDX-License-Identifier: MIT */
/*
 * The token that guards the virtual functions of a physical function. Setting it needs the open
 * device.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <vfiocore/sriov.h>

#include "device/feature.h"
#include "base/error.h"

static int set_token(struct vfc_device *device, const uint8_t token[VFC_VF_TOKEN])
{
	static const char call[] = "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN";
	uint8_t copy[VFC_VF_TOKEN];

	if (!token)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE(call, device->name),
				"the token is NULL");
	memcpy(copy, token, sizeof(copy));
	return device_feature(device, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, copy,
			      sizeof(copy), call, "the device is no physical function with SR-IOV");
}

int vfc_sriov_set_token(struct vfc_device *device, const uint8_t token[VFC_VF_TOKEN])
{
	return vfc_done(set_token(device, token));
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/*
 * Groups of 4, 2, 2, 2 and 6 bytes with dashes between them. Each digit is checked before the next
 * one is read, so the end of the text is never passed.
 */
static bool parse(const char *text, uint8_t token[VFC_VF_TOKEN])
{
	for (int i = 0; i < VFC_VF_TOKEN; i++, text += 2) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;

		if (dash && *text++ != '-')
			return false;
		if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
			return false;
		token[i] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
	}
	return !*text;
}

int vfc_token_parse(const char *text, uint8_t token[VFC_VF_TOKEN])
{
	uint8_t copy[VFC_VF_TOKEN];

	if (!text || !parse(text, copy))
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE, "\"%.60s\" is no UUID; one "
					 "looks like 2ab74924-c335-45f4-9b16-8569e5b08258", text ? text : ""));
	memcpy(token, copy, sizeof(copy));
	return 0;
}
