/* SPDX-License-Identifier: MIT */
/* The tree of ranges against a sorted array. Runs of keys make it deep with few bytes of input. */
#include <string.h>

#include "../unit/test.h"
#include "input.h"
#include "iommu/iova_tree.h"

#define MOST 4000
#define KEYS 2048 /* few enough for equal ones, which the tie tells apart */

static struct tree_range model[MOST]; /* in order of key and tie */
static size_t count;
static struct tree tree;
static struct input in;

static bool below(const struct tree_range *range, uint64_t key, uint64_t tie)
{
	return range->key < key || (range->key == key && range->tie < tie);
}

/* How many are below (@key, @tie). */
static size_t place_of(uint64_t key, uint64_t tie)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (below(&model[middle], key, tie))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void same(const struct tree_range *actual, size_t i)
{
	CHECK(i < count);
	CHECK_EQ(actual->key, model[i].key);
	CHECK_EQ(actual->tie, model[i].tie);
	CHECK_EQ(actual->weight, model[i].weight);
	CHECK_EQ(actual->length, model[i].length);
	CHECK_EQ(actual->flags, model[i].flags);
	CHECK_EQ(actual->guard, model[i].guard);
}

/* The cursor is at the range with this index. */
static void cursor_at(size_t i)
{
	struct tree_range range = tree_get(&tree);

	same(&range, i);
	CHECK_EQ(tree_peek(&tree, &range), i + 1 < count);
	if (i + 1 < count)
		same(&range, i + 1);
}

/* Move there. Return: its index + 1; 0: all are above, and the cursor is at the first. */
static size_t floor_of(uint64_t key, uint64_t tie)
{
	size_t n = place_of(key, tie);

	if (n < count && model[n].key == key && model[n].tie == tie)
		n++;
	CHECK_EQ(tree_floor(&tree, key, tie), n > 0);
	if (count)
		cursor_at(n ? n - 1 : 0);
	return n;
}

static void insert(uint64_t key, uint64_t tie, uint64_t weight)
{
	struct tree_range range = {key, tie, weight, key * 3, (uint32_t)key, (uint32_t)~key};
	size_t n;

	if (count == MOST)
		return;
	n = floor_of(key, tie);
	if (n && model[n - 1].key == key && model[n - 1].tie == tie)
		return;
	CHECK_EQ(tree_reserve(&tree, 1), 0);
	tree_insert(&tree, n == 0, &range);
	memmove(&model[n + 1], &model[n], (count - n) * sizeof(*model));
	model[n] = range;
	count++;
}

static void erase(uint64_t key, uint64_t tie)
{
	size_t n = floor_of(key, tie);

	if (!n)
		return;
	tree_remove(&tree);
	count--;
	memmove(&model[n - 1], &model[n], (count - n + 1) * sizeof(*model));
}

static void run_of(void (*what)(uint64_t, uint64_t, uint64_t), uint64_t key)
{
	uint64_t length = input_below(&in, 32), stride = 1 + input_below(&in, 8);
	uint64_t tie = input_below(&in, 8), weight = input_below(&in, 4), down = input_below(&in, 2);

	for (uint64_t i = 0; i < length; i++)
		what((key + (down ? length - i : i) * stride) % KEYS, tie, weight);
}

static void erase_any(uint64_t key, uint64_t tie, uint64_t weight)
{
	(void)weight;
	erase(key, tie);
}

static void heavy(uint64_t key, uint64_t weight)
{
	size_t n = floor_of(key, UINT64_MAX), i = n ? n - 1 : 0;
	struct tree_range range;
	bool found;

	if (!count)
		return;
	while (i < count && model[i].weight < weight)
		i++;
	found = tree_heavy(&tree, weight);
	CHECK_EQ(found, i < count);
	if (!found)
		return;
	range = tree_get(&tree);
	same(&range, i);
	CHECK_EQ(tree_next(&tree), i + 1 < count);
	cursor_at(i + 1 < count ? i + 1 : i);
}

static void reweigh(uint64_t key, uint64_t weight)
{
	size_t n = floor_of(key, UINT64_MAX);

	if (!n)
		return;
	tree_set_weight(&tree, weight);
	model[n - 1].weight = weight;
	cursor_at(n - 1);
}

static void walk(void)
{
	if (!count)
		return;
	tree_first(&tree);
	for (size_t i = 0; i < count; i++) {
		cursor_at(i);
		CHECK_EQ(tree_next(&tree), i + 1 < count);
	}
	for (size_t i = count; i-- > 0;) {
		cursor_at(i);
		CHECK_EQ(tree_prev(&tree), i > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = (struct input){data, size};
	count = 0;
	while (in.left) {
		uint64_t what = input_byte(&in), key = input_below(&in, KEYS);

		if (what < 40)
			run_of(insert, key);
		else if (what < 70)
			run_of(erase_any, key);
		else if (what < 120)
			insert(key, input_below(&in, 8), input_below(&in, 70));
		else if (what < 170)
			erase(key, input_below(&in, 8));
		else if (what < 210)
			heavy(key, input_below(&in, 70));
		else if (what < 255)
			reweigh(key, input_below(&in, 70));
		else if (key < KEYS / 16)
			walk();
	}
	walk();
	tree_destroy(&tree);
	CHECK(!tree.levels && !tree.spares);
	return 0;
}
