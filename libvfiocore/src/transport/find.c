/* SPDX-License-Identifier: MIT */
/* Which transports there are, and which one a caller gets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "transport.h"

/* Best first: the first one is taken when nobody chose. */
static const struct transport *const transports[] = {&transport_group, &transport_fake};

int transport_find(const char *name, const struct transport **transport)
{
	if (!name)
		name = secure_getenv("VFIOCORE_TRANSPORT");
	if (!name || !*name)
		name = transports[0]->name;
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		if (!strcmp(transports[i]->name, name)) {
			*transport = transports[i];
			return 0;
		}
	}
	return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
			"there is no transport \"%.30s\"; there are group and fake", name);
}
