/* SPDX-License-Identifier: MIT */
/* Virtual functions on a sysfs tree made by the test, and their token on the model. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/uapi.h"
#include "pci/sysfs.h"
#include "sweep.h"
#include "test.h"
#include "tree.h"

#define PF "0000:01:00.0"
#define VF0 "0000:01:10.0"
#define VF1 "0000:01:10.2"
#define DEVICES "bus/pci/devices/"
#define DRIVERS "bus/pci/drivers/"

static void make_tree(void)
{
	static const char *const folders[] = {
		"bus", "bus/pci", "bus/pci/devices", "bus/pci/drivers", DRIVERS "vfio-pci", DRIVERS "igbvf",
		DEVICES PF, DEVICES VF0, DEVICES VF1, DEVICES "0000:02:00.0", "module", "module/vfio_pci",
		"module/vfio_pci/parameters"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		folder(folders[i]);
	file(DEVICES PF "/sriov_totalvfs", "8\n");
	file(DEVICES PF "/sriov_numvfs", "0\n");
	file("module/vfio_pci/parameters/enable_sriov", "Y\n");
	link_to(DEVICES PF "/driver", "../../drivers/vfio-pci");
	link_to(DEVICES PF "/virtfn0", "../" VF0);
	link_to(DEVICES PF "/virtfn1", "../" VF1);
	for (int i = 0; i < 2; i++) {
		link_to(i ? DEVICES VF1 "/physfn" : DEVICES VF0 "/physfn", "../" PF);
		link_to(i ? DEVICES VF1 "/driver" : DEVICES VF0 "/driver", "../../drivers/vfio-pci");
		file(i ? DEVICES VF1 "/driver_override" : DEVICES VF0 "/driver_override", "(null)\n");
	}
}

static bool hint_has(const char *text)
{
	return strstr(vfc_error_last()->hint, text);
}

static void made_and_removed(void)
{
	char names[4][VFC_PCI_NAME];

	CHECK_EQ(vfc_sriov_functions(PF, names, 4), 0);
	CHECK_EQ(vfc_sriov_enable("01:00.0", 2, NULL), 0);
	CHECK_EQ(vfc_sriov_enable(PF, 2, NULL), 0); /* as many already */
	CHECK_EQ(vfc_sriov_functions(PF, NULL, 0), 2);
	CHECK_EQ(vfc_sriov_functions(PF, names, 1), 2);
	CHECK_EQ(vfc_sriov_functions(PF, names, 4), 2);
	CHECK(!strcmp(names[0], VF0) && !strcmp(names[1], VF1));
	CHECK_EQ(vfc_sriov_enable(PF, 1, NULL), -EBUSY);
	CHECK(hint_has("has 2 virtual functions already"));
	CHECK_EQ(vfc_sriov_disable(PF), 0);
	CHECK_EQ(vfc_sriov_disable(PF), 0);
	CHECK_EQ(vfc_sriov_functions(PF, names, 4), 0);
}

static void refusals(void)
{
	CHECK_EQ(vfc_sriov_enable(PF, 0, NULL), -ERANGE);
	CHECK_EQ(vfc_sriov_enable(PF, 9, NULL), -ERANGE);
	CHECK(hint_has("1 to 8"));
	CHECK_EQ(vfc_sriov_enable("0000:02:00.0", 1, NULL), -EOPNOTSUPP);
	CHECK(hint_has("no SR-IOV capability"));
	CHECK_EQ(vfc_sriov_enable(VF0, 1, NULL), -EOPNOTSUPP);
	CHECK(hint_has("virtual function, of " PF));
	CHECK_EQ(vfc_sriov_enable("0000:09:00.0", 1, NULL), -ENODEV);
	CHECK_EQ(vfc_sriov_disable("nonsense"), -EINVAL);
	CHECK_EQ(vfc_sriov_functions(NULL, NULL, 0), -EINVAL);
	file("module/vfio_pci/parameters/enable_sriov", "N\n");
	CHECK_EQ(vfc_sriov_enable(PF, 1, NULL), -EOPNOTSUPP);
	CHECK(hint_has("enable_sriov=1"));
	file("module/vfio_pci/parameters/enable_sriov", "Y\n");
	link_to(DEVICES PF "/driver", NULL);
	CHECK_EQ(vfc_sriov_enable(PF, 1, NULL), -ENODEV);
	CHECK(hint_has("bound to no driver"));
	link_to(DEVICES PF "/driver", "../../drivers/vfio-pci");
}

/* Nothing stays of what could not be finished. */
static void all_or_nothing(void)
{
	CHECK_EQ(vfc_sriov_enable(PF, 3, NULL), -ENODEV);
	CHECK(hint_has("made 2 virtual functions of the 3"));
	CHECK_EQ(vfc_sriov_functions(PF, NULL, 0), 0);
	link_to(DEVICES VF1 "/driver", "../../drivers/igbvf"); /* and does not let go */
	CHECK(vfc_sriov_enable(PF, 2, NULL) < 0);
	CHECK_EQ(vfc_sriov_functions(PF, NULL, 0), 0);
	link_to(DEVICES VF1 "/driver", "../../drivers/vfio-pci");
}

static int enable_and_disable(void)
{
	int rc = 0;

	file(DEVICES PF "/sriov_numvfs", "0\n");
	if (note(&rc, vfc_sriov_enable(PF, 2, NULL)) < 0)
		CHECK_EQ(vfc_sriov_functions(PF, NULL, 0), 0);
	else if (note(&rc, vfc_sriov_disable(PF)) < 0)
		CHECK_EQ(vfc_sriov_disable(PF), 0);
	return rc;
}

static int open_fake(struct vfc_iommu *iommu, const uint8_t *token, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = iommu, .vf_token = token};

	return vfc_device_open("fake:e1000e", &opts, device);
}

static void guarded(void)
{
	static const uint8_t token[VFC_VF_TOKEN] = {1, 2, 3}, other[VFC_VF_TOKEN] = {1, 2, 4};
	struct vfc_device *pf, *vf;
	struct vfc_iommu *iommu;

	CHECK_EQ(open_fake(NULL, NULL, &pf), 0);
	iommu = vfc_device_iommu(pf);
	CHECK_EQ(open_fake(iommu, NULL, &vf), 0);
	CHECK_EQ(vfc_device_close(vf), 0);
	CHECK_EQ(vfc_sriov_set_token(pf, NULL), -EINVAL);
	CHECK_EQ(vfc_sriov_set_token(pf, token), 0);
	CHECK_EQ(open_fake(iommu, NULL, &vf), -EACCES);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_PERMISSION);
	CHECK(hint_has("vf_token"));
	CHECK_EQ(open_fake(iommu, other, &vf), -EACCES);
	CHECK_EQ(open_fake(iommu, token, &vf), 0);
	CHECK_EQ(vfc_sriov_set_token(pf, other), 0);
	CHECK_EQ(vfc_device_close(vf), 0);
	CHECK_EQ(open_fake(iommu, token, &vf), -EACCES);
	CHECK_EQ(open_fake(iommu, other, &vf), 0);
	CHECK_EQ(vfc_device_close(vf), 0);
	CHECK_EQ(vfc_device_release(pf), 0);
	CHECK_EQ(vfc_sriov_set_token(pf, token), -ENODEV);
	CHECK_EQ(vfc_device_close(pf), 0);
}

static int token_sequence(void)
{
	static const uint8_t token[VFC_VF_TOKEN] = {7};
	struct vfc_device *pf, *vf;
	int rc = 0;

	if (note(&rc, open_fake(NULL, token, &pf)) < 0)
		return rc;
	note(&rc, vfc_sriov_set_token(pf, token));
	if (note(&rc, open_fake(vfc_device_iommu(pf), token, &vf)) == 0)
		CHECK_EQ(vfc_device_close(vf), 0);
	CHECK_EQ(vfc_device_close(pf), 0);
	return rc;
}

/* Other spellings of a UUID exist; the kernel's documents and uuidgen have this one. */
static void tokens_as_text(void)
{
	static const uint8_t expected[VFC_VF_TOKEN] = {0x2a, 0xb7, 0x49, 0x24, 0xc3, 0x35, 0x45, 0xf4,
						       0x9b, 0x16, 0x85, 0x69, 0xe5, 0xb0, 0x82, 0x58};
	static const char *const bad[] = {
		"", "2", "2ab74924", "2ab74924-c335-45f4-9b16-8569e5b0825", "2ab74924-c335-45f4-9b16-8569e5b082588",
		"2ab74924c335-45f4-9b16-8569e5b08258-", "2ab74924-c335-45f4-9b16-8569e5b0825g",
		" ab74924-c335-45f4-9b16-8569e5b08258", "2ab74924-c335-45f4-9b16-8569e5b08258\n",
		"{2ab74924-c335-45f4-9b16-8569e5b08258}", "2ab74924-c335-45f4-9b16--569e5b08258"};
	uint8_t token[VFC_VF_TOKEN] = {0};

	CHECK_EQ(vfc_token_parse("2ab74924-c335-45f4-9b16-8569e5b08258", token), 0);
	CHECK(!memcmp(token, expected, sizeof(token)));
	memset(token, 0, sizeof(token));
	CHECK_EQ(vfc_token_parse("2AB74924-C335-45F4-9B16-8569E5B08258", token), 0);
	CHECK(!memcmp(token, expected, sizeof(token)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK_EQ(vfc_token_parse(bad[i], token), -EINVAL);
		CHECK(!memcmp(token, expected, sizeof(token))); /* it is as it was */
	}
	CHECK_EQ(vfc_token_parse(NULL, token), -EINVAL);
	CHECK(hint_has("is no UUID"));
}

/* What no other function is for goes to the kernel as it is. */
static void features(void)
{
	uint8_t token[VFC_VF_TOKEN] = {1};
	struct vfc_device *device;

	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, token,
				    sizeof(token)), 0);
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, token,
				    sizeof(token) - 1), -EINVAL); /* the kernel's */
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | 77, NULL, 0), -EOPNOTSUPP);
	CHECK(hint_has("feature 77"));
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | 77, NULL, 1), -EINVAL);
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | 77, token, SIZE_MAX), -EINVAL);
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
				    NULL, 0), -EINVAL);
	CHECK(hint_has("vfc_power_low_enter()"));
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(vfc_device_feature(device, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, token,
				    sizeof(token)), -ENODEV);
	CHECK_EQ(vfc_device_close(device), 0);
}

int main(void)
{
	tree_begin();
	make_tree();
	made_and_removed();
	refusals();
	all_or_nothing();
	sweep("sriov", enable_and_disable);
	guarded();
	sweep("token", token_sequence);
	tree_end();
	tokens_as_text();
	features();
	return 0;
}
