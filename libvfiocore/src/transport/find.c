/* SPDX-License-Identifier: MIT */
/* Which transports there are, and which one a caller gets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "transport.h"

/*
 * Best first. What nobody can use here is not taken by itself; when nothing can be used it is the
 * group path, whose errors say what is missing.
 */
static const struct transport *const transports[] = {&transport_cdev, &transport_group,
						     &transport_compat, &transport_fake};

static const struct transport *best(const char *device)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++)
		if (transports[i]->usable(device))
			return transports[i];
	return &transport_group;
}

int transport_find(const char *name, const char *device, const struct transport **transport)
{
	if (!name)
		name = secure_getenv("VFIOCORE_TRANSPORT");
	if (!name || !*name) {
		*transport = best(device);
		return 0;
	}
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		if (!strcmp(transports[i]->name, name)) {
			*transport = transports[i];
			return 0;
		}
	}
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"there is no transport \"%.30s\"; there are cdev, group, compat and fake", name);
}
