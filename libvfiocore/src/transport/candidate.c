/* SPDX-License-Identifier: MIT */
#include "transport/candidate.h"

int candidate_look(struct candidate *candidate)
{
	int rc = 0;

	candidate->info.size = sizeof(candidate->info);
	if (!candidate->known)
		rc = vfc_bus_info(candidate->name, &candidate->info);
	candidate->known = rc == 0;
	return rc;
}
