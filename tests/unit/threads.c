/* SPDX-License-Identifier: MIT */
/*
 * One address space and eight threads that map, unmap, look up and allocate in it, while another
 * attaches and detaches a device. No two live mappings share a page, and none lies in the guard of
 * another: each thread claims the pages of its mappings in a table, after it mapped and until before
 * it unmaps. For VFC_TEST_SECONDS seconds, 2 by default; 20 under the thread sanitizer (ci/test).
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <vfiocore.h>

#include "kernel/sys.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define THREADS 8
#define KEEP 40        /* mappings a thread */
#define SPACE_BITS 39  /* of the fake IOMMU */
#define CROWDED 2048   /* pages at which all of them want to map */
#define MEMORY_PAGES 64

struct mine {
	uint64_t iova, length, guard;
	struct vfc_dma dma; /* va: NULL when it is no DMA buffer */
};

struct worker {
	pthread_t thread;
	uint8_t id; /* from 1 */
	uint64_t state;
	struct mine mine[KEEP];
	unsigned count;
	uint64_t mapped, refused, found, buffers;
};

static struct vfc_iommu *iommu;
static uint8_t *memory;
static uint8_t *claims; /* whose each page of the space is; 0: nobody's */
static uint64_t attached;
static bool stop;

static uint64_t below(struct worker *w, uint64_t n)
{
	return test_random(&w->state) % n;
}

static void check_guard(const struct mine *m)
{
	uint64_t page = m->iova / PAGE, pages = m->length / PAGE, guard = m->guard / PAGE;

	for (uint64_t i = 1; i <= guard; i++) {
		if (page >= i)
			CHECK_EQ(__atomic_load_n(&claims[page - i], __ATOMIC_RELAXED), 0);
		if (page + pages - 1 + i < UINT64_C(1) << SPACE_BITS >> 12)
			CHECK_EQ(__atomic_load_n(&claims[page + pages - 1 + i], __ATOMIC_RELAXED), 0);
	}
}

static void claim(const struct worker *w, const struct mine *m)
{
	CHECK(m->iova + m->length <= UINT64_C(1) << SPACE_BITS);
	for (uint64_t i = 0; i < m->length / PAGE; i++)
		CHECK_EQ(__atomic_exchange_n(&claims[m->iova / PAGE + i], w->id, __ATOMIC_RELAXED), 0);
	check_guard(m);
}

static void drop_claim(const struct worker *w, const struct mine *m)
{
	check_guard(m);
	for (uint64_t i = 0; i < m->length / PAGE; i++)
		CHECK_EQ(__atomic_exchange_n(&claims[m->iova / PAGE + i], 0, __ATOMIC_RELAXED), w->id);
}

static void map(struct worker *w)
{
	struct mine *m = &w->mine[w->count];
	struct vfc_map_opts opts = {.size = sizeof(opts), .guard = below(w, 3) ? 0 : below(w, 4) * PAGE};
	uint64_t at = below(w, MEMORY_PAGES - 8);
	int rc;

	*m = (struct mine){.length = (1 + below(w, 8)) * PAGE, .guard = opts.guard};
	if (below(w, 2)) {
		opts.flags = VFC_MAP_FIXED;
		m->iova = (1 + below(w, CROWDED)) * PAGE;
	} else if (below(w, 2)) {
		opts.highest = (CROWDED + 100) * PAGE - 1;
	}
	rc = vfc_iommu_map(iommu, memory + at * PAGE, m->length, &opts, &m->iova);
	if (rc < 0) {
		CHECK(opts.flags ? rc == -EEXIST : rc == -ENOSPC && opts.highest);
		CHECK_EQ(vfc_error_last()->code, -rc);
		w->refused++;
		return;
	}
	claim(w, m);
	w->count++;
	w->mapped++;
}

static void allocate(struct worker *w)
{
	struct mine *m = &w->mine[w->count];
	struct vfc_map_opts opts = {.size = sizeof(opts), .guard = below(w, 3) * PAGE};

	*m = (struct mine){.guard = opts.guard};
	CHECK_EQ(vfc_dma_alloc(iommu, 1 + below(w, 4 * PAGE), &opts, &m->dma), 0);
	m->iova = m->dma.iova;
	m->length = m->dma.length;
	*(volatile uint8_t *)m->dma.va = w->id;
	claim(w, m);
	w->count++;
	w->buffers++;
}

static void unmap(struct worker *w, unsigned i)
{
	struct mine *m = &w->mine[i];
	struct vfc_mapping found;

	CHECK_EQ(vfc_iommu_find_iova(iommu, m->iova + m->length - 1, &found), 0);
	CHECK(found.iova == m->iova && found.length == m->length);
	drop_claim(w, m);
	if (m->dma.va)
		CHECK_EQ(vfc_dma_free(&m->dma), 0);
	else
		CHECK_EQ(vfc_iommu_unmap(iommu, m->iova, m->length), 0);
	*m = w->mine[--w->count];
}

/* What others have comes and goes; the answer must only be one that was true. */
static void look_up(struct worker *w)
{
	struct vfc_iommu_info info = {.size = sizeof(info)};
	uint8_t *va = memory + below(w, MEMORY_PAGES * PAGE);
	uint64_t iova = below(w, CROWDED * PAGE);
	struct vfc_iova_range ranges[4];
	struct vfc_mapping found;

	if (vfc_iommu_find_iova(iommu, iova, &found) == 0)
		CHECK(found.iova <= iova && iova - found.iova < found.length);
	if (vfc_iommu_find_va(iommu, va, &found) == 0)
		CHECK((uint8_t *)found.va <= va && va < (uint8_t *)found.va + found.length);
	CHECK_EQ(vfc_iommu_info(iommu, &info), 0);
	CHECK(info.mappings >= w->count && info.mappings <= THREADS * KEEP);
	CHECK_EQ(vfc_iommu_ranges(iommu, ranges, 4), 2);
	w->found++;
}

static void *work(void *argument)
{
	struct worker *w = argument;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t what = below(w, 16);

		if (w->count == KEEP || (what < 6 && w->count))
			unmap(w, (unsigned)below(w, w->count));
		else if (what < 8)
			look_up(w);
		else if (what < 10)
			allocate(w);
		else
			map(w);
	}
	while (w->count)
		unmap(w, 0);
	return NULL;
}

static void *attach(void *argument)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = iommu};
	struct vfc_device *device;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		CHECK_EQ(vfc_device_open("fake:e1000e", &opts, &device), 0);
		sys_sleep(1000000);
		CHECK_EQ(vfc_device_close(device), 0);
		attached++;
	}
	return argument;
}

static void run(double seconds)
{
	static struct worker workers[THREADS];
	uint64_t mapped = 0, refused = 0, found = 0, buffers = 0;
	pthread_t attacher;

	CHECK_EQ(pthread_create(&attacher, NULL, attach, NULL), 0);
	for (uint8_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.id = i + 1, .state = 1000003u * (i + 1u)};
		CHECK_EQ(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	sys_sleep((int64_t)(seconds * 1e9));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
		mapped += workers[i].mapped;
		refused += workers[i].refused;
		found += workers[i].found;
		buffers += workers[i].buffers;
	}
	CHECK_EQ(pthread_join(attacher, NULL), 0);
	CHECK(mapped && refused && found && buffers && attached);
	printf("%" PRIu64 " mapped and unmapped, %" PRIu64 " DMA buffers, %" PRIu64 " refused, %" PRIu64
	       " looked up, %" PRIu64 " devices attached\n",
	       mapped, buffers, refused, found, attached);
}

int main(void)
{
	const char *seconds = getenv("VFC_TEST_SECONDS");
	struct vfc_device_opts opts = {.size = sizeof(opts)};
	struct vfc_iommu_opts space = {.size = sizeof(space), .transport = "fake"};
	struct vfc_iommu_info info = {.size = sizeof(info)};
	struct vfc_device *device;
	uint64_t left;

	memory = mmap(NULL, MEMORY_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	claims = mmap(NULL, UINT64_C(1) << SPACE_BITS >> 12, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(memory != MAP_FAILED && claims != MAP_FAILED);
	CHECK_EQ(vfc_iommu_open(&space, &iommu), 0);
	opts.iommu = iommu;
	CHECK_EQ(vfc_device_open("fake:e1000e", &opts, &device), 0);
	run(seconds ? atof(seconds) : 2);
	CHECK_EQ(vfc_iommu_info(iommu, &info), 0);
	CHECK(info.mappings == 0 && info.mapped == 0 && info.devices == 1);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_MAPPINGS, &left), 0);
	CHECK_EQ(left, 0);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_PINNED, &left), 0);
	CHECK_EQ(left, 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(iommu), 0);
	return 0;
}
