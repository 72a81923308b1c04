/* SPDX-License-Identifier: MIT */
/* Structures of an older header and of a newer one: what is missing, and what is too much. */
#include "base/sized.h"
#include "space_test.h"

struct old {
	uint32_t size;
	uint32_t flags;
};

struct vfc_ours { /* OPTIONS() knows public structures by their names */
	uint32_t size;
	uint32_t flags;
	uint64_t a, b;
};

struct newer {
	struct vfc_ours ours;
	uint64_t c, d;
};

static void options(void)
{
	struct newer given = {.ours = {sizeof(struct vfc_ours), 1, 2, 3}};
	struct old old = {sizeof(old), 7};
	const struct vfc_ours *taken;
	struct vfc_ours own;

	CHECK(OPTIONS(vfc_ours, &given.ours, &own) == &given.ours); /* nothing is copied */
	taken = OPTIONS(vfc_ours, (struct vfc_ours *)NULL, &own);
	CHECK(taken == &own && own.size == sizeof(own) && !own.flags && !own.a && !own.b);
	taken = OPTIONS(vfc_ours, &old, &own);
	CHECK(taken == &own && own.size == sizeof(own) && own.flags == 7 && !own.a && !own.b);
	given.ours.size = 16;
	taken = OPTIONS(vfc_ours, &given, &own);
	CHECK(taken == &own && own.flags == 1 && own.a == 2 && !own.b);
	given.ours.size = sizeof(given);
	taken = OPTIONS(vfc_ours, &given, &own);
	CHECK(taken == &own && own.size == sizeof(own) && own.a == 2 && own.b == 3);
}

static void refused_options(void)
{
	static const uint32_t sizes[] = {0, 1, 4, 7, 4097, UINT32_MAX};
	struct newer given = {.ours = {sizeof(given), 1, 2, 3}, .d = UINT64_C(1) << 63};
	struct vfc_ours own;

	CHECK(!OPTIONS(vfc_ours, &given, &own));
	CHECK_EQ(OPTIONS_REFUSED, -E2BIG);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_UNSUPPORTED);
	CHECK(strstr(vfc_error_last()->hint, "struct vfc_ours has an option at byte "));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		given.ours.size = sizes[i];
		CHECK(!OPTIONS(vfc_ours, &given, &own));
		CHECK_EQ(OPTIONS_REFUSED, -EINVAL);
		CHECK(strstr(vfc_error_last()->hint, "sizeof(struct vfc_ours)"));
	}
	given.ours.size = 16; /* b has no default */
	CHECK(!OPTIONS_OF(sizeof(own), vfc_ours, &given, &own));
	CHECK_EQ(OPTIONS_REFUSED, -EINVAL);
}

static void answers(void)
{
	const struct vfc_ours from = {0, 1, 2, 3};
	struct newer answer;

	memset(&answer, 0xa5, sizeof(answer));
	answer.ours.size = 4;
	refused(vfc_done_in("vfc_test", ANSWER_CHECK(vfc_ours, &answer)), EINVAL, VFC_REASON_ARGUMENT);
	answer.ours.size = 16;
	CHECK_EQ(ANSWER_CHECK(vfc_ours, &answer), 0);
	sized_answer(&answer, &from, sizeof(from));
	CHECK_EQ(answer.ours.size, 16);
	CHECK(answer.ours.flags == 1 && answer.ours.a == 2);
	CHECK_EQ(answer.ours.b, UINT64_C(0xa5a5a5a5a5a5a5a5)); /* not the callee's */
	answer.ours.size = sizeof(answer);
	sized_answer(&answer, &from, sizeof(from));
	CHECK_EQ(answer.ours.size, sizeof(answer));
	CHECK(answer.ours.b == 3 && !answer.c && !answer.d);
}

/* As a program would do it that was compiled against another header. */
static void in_public(void)
{
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct {
		struct vfc_map_opts known;
		uint64_t later;
	} opts = {.known = {.size = 8, .flags = VFC_MAP_READ, .highest = 1}};
	struct {
		struct vfc_iommu_info known;
		uint64_t later;
	} info = {.known = {.size = 16}, .later = 5};
	struct vfc_device *device;
	struct vfc_iommu *iommu = open_space(NULL);
	uint8_t *memory = get_memory(PAGE);
	struct vfc_mapping found;
	uint64_t iova = 0;

	in.iommu = iommu;
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &device), 0);
	/* An older one: it knows nothing of "highest", which could not be met. */
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &opts.known, &iova), 0);
	CHECK_EQ(vfc_iommu_find_iova(iommu, iova, &found), 0);
	CHECK_EQ(found.flags, VFC_MAP_READ);
	info.known.mappings = 77;
	CHECK_EQ(vfc_iommu_info(iommu, &info.known), 0);
	CHECK(info.known.devices == 1 && info.known.page_sizes && info.known.mappings == 77);
	CHECK_EQ(vfc_iommu_unmap(iommu, iova, PAGE), 0);

	/* A newer one. */
	opts.known.size = sizeof(opts);
	opts.known.highest = 0;
	CHECK_EQ(vfc_iommu_map(iommu, memory, PAGE, &opts.known, &iova), 0);
	CHECK_EQ(vfc_iommu_unmap_all(iommu), PAGE);
	opts.later = 1;
	refused(vfc_iommu_map(iommu, memory, PAGE, &opts.known, &iova), E2BIG, VFC_REASON_UNSUPPORTED);
	info.known.size = sizeof(info);
	CHECK_EQ(vfc_iommu_info(iommu, &info.known), 0);
	CHECK(info.known.size == sizeof(info) && !info.known.mappings && !info.later);
	CHECK_EQ(live(device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(iommu), 0);
	CHECK_EQ(munmap(memory, PAGE), 0);
}

int main(void)
{
	options();
	refused_options();
	answers();
	in_public();
	return 0;
}
