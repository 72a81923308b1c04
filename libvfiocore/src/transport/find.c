/* SPDX-License-Identifier: MIT */
/* Which transports there are, and which one a caller gets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "transport/transport.h"

/*
 * Best first. A transport that cannot be used here is not taken unless it is named. If none can be
 * used, the group path is taken, because its errors say what is missing.
 */
static const struct transport *const transports[] = {
	&transport_cdev,     &transport_group,	 &transport_compat,	   &transport_fake,
	&transport_group_v1, &transport_noiommu, &transport_noiommu_group,
};

static const struct transport *best(struct candidate *device)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++)
		if (!transports[i]->by_name && transports[i]->usable(device))
			return transports[i];
	return &transport_group;
}

int transport_find(const char *name, struct candidate *device, const struct transport **transport)
{
	char names[100] = "";
	size_t i = 0, used = 0, count = sizeof(transports) / sizeof(*transports);

	if (!name)
		name = secure_getenv("VFIOCORE_TRANSPORT");
	if (!name || !*name) {
		*transport = best(device);
		return 0;
	}
	for (; i < count && strcmp(transports[i]->name, name); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
					 i == 0 ? "" : i + 1 < count ? ", " : " and ",
					 transports[i]->name);
	if (i == count)
		return vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
				"there is no transport \"%.30s\"; there are %s", name, names);
	*transport = transports[i];
	if (transports[i]->otherwise && !transports[i]->usable(device))
		*transport = transports[i]->otherwise;
	return 0;
}
