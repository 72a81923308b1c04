/* SPDX-License-Identifier: MIT */
/*
 * The token of the fake transport: a device on which one was set is a physical function, and those
 * that are opened later in its iommufd are its virtual ones (vfio_pci_validate_vf_token()).
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "transport/model/fake.h"

int fake_token_set(struct fake_iommufd *iommufd, const void *token, size_t length)
{
	if (length < sizeof(iommufd->token))
		return -EINVAL;
	memcpy(iommufd->token, token, sizeof(iommufd->token));
	iommufd->guarded = true;
	return 0;
}

static bool fits(struct fake_iommufd *iommufd, const uint8_t *token)
{
	if (token && !iommufd->guarded)
		fake_token_set(iommufd, token, sizeof(iommufd->token));
	return !iommufd->guarded ||
	       (token && !memcmp(token, iommufd->token, sizeof(iommufd->token)));
}

int fake_token_check(struct fake_iommufd *iommufd, const char *name, const uint8_t *token)
{
	bool may;

	pthread_mutex_lock(&iommufd->lock);
	may = fits(iommufd, token);
	pthread_mutex_unlock(&iommufd->lock);
	if (may)
		return 0;
	return vfc_fail(EACCES, VFC_REASON_PERMISSION, WHERE(.object = name), "%s",
			token ? "it is not the token that was set there: give that one as vf_token"
			      : "a token guards the devices there: give it as vf_token");
}
