/* SPDX-License-Identifier: MIT */
/*
 * Every constant, size and offset of our kernel interface equals that of the installed headers.
 * Sizes of structures that the kernel has grown since are left out: what we use of them is compared
 * field by field.
 */
#include <string.h>

#ifdef UAPI_IOMMUFD
#include "kernel/iommufd.h"
#endif
#include "kernel/kvm.h"
#include "kernel/uapi.h"
#include "test.h"
#include "uapi_list.h"

static const struct uapi_entry uapi_ours[] = {UAPI_LIST, UAPI_KVM_LIST UAPI_IOMMUFD_LIST, {0}};

int main(void)
{
	size_t i;

	for (i = 0; uapi_ours[i].name; i++) {
		CHECK(!strcmp(uapi_ours[i].name, uapi_kernel[i].name));
		if (uapi_ours[i].value != uapi_kernel[i].value)
			fprintf(stderr, "%s differs\n", uapi_ours[i].name);
		CHECK_EQ(uapi_ours[i].value, uapi_kernel[i].value);
	}
	CHECK(i > 80);
	return 0;
}
