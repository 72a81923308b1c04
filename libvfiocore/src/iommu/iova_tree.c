/* SPDX-License-Identifier: MIT */
#include "iommu/iova_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"

#define TREE_WIDTH 32
/* A node with fewer is merged with a neighbour if the two leave room to grow. */
#define SPARSE (TREE_WIDTH / 4)
#define MERGED (TREE_WIDTH * 3 / 4)

/* More than tree_holds() asks for. */
#define SPARES_MAX 24

union tree_slot {
	uint64_t length;         /* leaf */
	struct tree_node *child; /* inner node */
};

struct rest {
	uint64_t tie;
	union tree_slot at;
	uint32_t flags, guard;
};

/*
 * The keys and the weights are apart, because searches read only those. In an inner node key and
 * tie are exactly those of the child's first range, and the weight is the greatest below it. Unused
 * keys are UINT64_MAX, which no range has for its key, so that a search need not stop at the count.
 */
struct tree_node {
	uint64_t key[TREE_WIDTH];
	unsigned count;
	uint64_t weight[TREE_WIDTH];
	struct rest rest[TREE_WIDTH];
};

struct entry {
	uint64_t key, weight;
	struct rest rest;
};

static struct tree_node *take(struct tree *tree)
{
	struct tree_node *node = tree->spare;

	tree->spare = node->rest[0].at.child;
	tree->spares--;
	node->count = 0;
	memset(node->key, 0xff, sizeof(node->key));
	return node;
}

static void give(struct tree *tree, struct tree_node *node)
{
	if (tree->spares > SPARES_MAX) {
		free(node);
		return;
	}
	node->rest[0].at.child = tree->spare;
	tree->spare = node;
	tree->spares++;
}

int tree_reserve(struct tree *tree, unsigned inserts)
{
	if (tree->levels == TREE_LEVELS)
		return vfc_no_memory();
	while (!tree_holds(tree, inserts)) {
		struct tree_node *node = sys_alloc(sizeof(*node));

		if (!node)
			return vfc_no_memory();
		give(tree, node);
	}
	return 0;
}

/* This is always at the first leaf. A node goes when its last child is gone. */
void tree_destroy(struct tree *tree)
{
	while (tree->levels) {
		tree_first(tree);
		tree->node[0]->count = 1;
		tree_remove(tree);
	}
	while (tree->spares)
		free(take(tree));
}

/*
 * How many ranges of the node are at or below (key, tie). Whole groups of four are counted first,
 * then the rest. The number of steps is fixed and no branch depends on a key, so none is
 * mispredicted.
 */
static unsigned rank(const struct tree_node *node, uint64_t key, uint64_t tie)
{
	unsigned n = 0, group;

#pragma GCC unroll 8
	for (unsigned i = 3; i < TREE_WIDTH - 4; i += 4)
		n += node->key[i] < key;
	group = n *= 4;
#pragma GCC unroll 4
	for (unsigned i = 0; i < 4; i++)
		n += node->key[group + i] < key;
	while (n < node->count && node->key[n] == key && node->rest[n].tie <= tie)
		n++;
	return n;
}

/*
 * The cursor's range is the one, because the next is above, in this leaf or, by the bound, in
 * another.
 */
static bool is_there(const struct tree *tree, uint64_t key, uint64_t tie)
{
	const struct tree_node *leaf = tree->node[0];
	unsigned i = tree->slot[0];

	return (leaf->key[i] < key || (leaf->key[i] == key && leaf->rest[i].tie <= tie)) &&
	       (i + 1 == TREE_WIDTH || key < leaf->key[i + 1]);
}

bool tree_floor(struct tree *tree, uint64_t key, uint64_t tie)
{
	struct tree_node *node = tree->root;
	unsigned n = 0;

	if (tree->near && key < tree->bound && is_there(tree, key, tie))
		return true;
	/*
	 * Equal keys may be in the leaf before this one as well. Only a key above this leaf's first
	 * is surely here.
	 */
	if (tree->near && tree->node[0]->key[0] < key && key < tree->bound) {
		tree->slot[0] = rank(tree->node[0], key, tie) - 1;
		return true;
	}
	tree->bound = UINT64_MAX;
	for (unsigned level = tree->levels; level-- > 0;) {
		n = rank(node, key, tie);
		tree->node[level] = node;
		tree->slot[level] = n ? n - 1 : 0;
		if (level == 0)
			break;
		if (tree->slot[level] + 1 < node->count)
			tree->bound = node->key[tree->slot[level] + 1];
		node = node->rest[tree->slot[level]].at.child;
	}
	tree->near = tree->levels > 0;
	return n > 0;
}

/* Go down from @level to the first range below the cursor's entry there. */
static void descend(struct tree *tree, unsigned level)
{
	while (level-- > 0) {
		tree->node[level] = tree->node[level + 1]->rest[tree->slot[level + 1]].at.child;
		tree->slot[level] = 0;
	}
}

void tree_first(struct tree *tree)
{
	tree->near = false;
	tree->node[tree->levels - 1] = tree->root;
	tree->slot[tree->levels - 1] = 0;
	descend(tree, tree->levels - 1);
}

bool tree_heavy(struct tree *tree, uint64_t weight)
{
	unsigned level = 0;

	tree->near = false;
	for (;;) {
		const struct tree_node *node = tree->node[level];
		unsigned slot = tree->slot[level];

		while (slot < node->count && node->weight[slot] < weight)
			slot++;
		if (slot < node->count) {
			tree->slot[level] = slot;
			if (level == 0)
				return true;
			level--;
			tree->node[level] = node->rest[slot].at.child;
			tree->slot[level] = 0;
			continue;
		}
		if (++level == tree->levels)
			return false;
		tree->slot[level]++;
	}
}

/* The lowest level at which there is something to the right; tree->levels: nowhere. */
static unsigned turn(const struct tree *tree)
{
	unsigned level = 0;

	while (level < tree->levels && tree->slot[level] + 1 >= tree->node[level]->count)
		level++;
	return level;
}

bool tree_next(struct tree *tree)
{
	unsigned level = turn(tree);

	if (level == tree->levels)
		return false;
	tree->slot[level]++;
	if (level)
		tree->near = false;
	descend(tree, level);
	return true;
}

bool tree_prev(struct tree *tree)
{
	unsigned level = 0;

	while (level < tree->levels && tree->slot[level] == 0)
		level++;
	if (level == tree->levels)
		return false;
	tree->slot[level]--;
	if (level)
		tree->near = false;
	while (level-- > 0) {
		tree->node[level] = tree->node[level + 1]->rest[tree->slot[level + 1]].at.child;
		tree->slot[level] = tree->node[level]->count - 1;
	}
	return true;
}

static struct tree_range range_at(const struct tree_node *leaf, unsigned i)
{
	return (struct tree_range){.key = leaf->key[i], .tie = leaf->rest[i].tie,
				   .weight = leaf->weight[i], .length = leaf->rest[i].at.length,
				   .flags = leaf->rest[i].flags, .guard = leaf->rest[i].guard};
}

bool tree_peek(const struct tree *tree, struct tree_range *range)
{
	unsigned level = turn(tree);
	const struct tree_node *node;
	unsigned i;

	if (level == tree->levels)
		return false;
	node = tree->node[level];
	for (i = tree->slot[level] + 1; level > 0; level--, i = 0)
		node = node->rest[i].at.child;
	*range = range_at(node, i);
	return true;
}

struct tree_range tree_get(const struct tree *tree)
{
	return range_at(tree->node[0], tree->slot[0]);
}

/* @n entries from @from[@j] on to @to[@i] on; the two may be one node. */
static void move(struct tree_node *to, unsigned i, struct tree_node *from, unsigned j, unsigned n)
{
	memmove(&to->key[i], &from->key[j], n * sizeof(*to->key));
	memmove(&to->weight[i], &from->weight[j], n * sizeof(*to->weight));
	memmove(&to->rest[i], &from->rest[j], n * sizeof(*to->rest));
}

static void put(struct tree_node *node, unsigned i, const struct entry *entry)
{
	move(node, i + 1, node, i, node->count - i);
	node->key[i] = entry->key;
	node->weight[i] = entry->weight;
	node->rest[i] = entry->rest;
	node->count++;
}

static void drop(struct tree_node *node, unsigned i)
{
	node->count--;
	move(node, i, node, i + 1, node->count - i);
	node->key[node->count] = UINT64_MAX;
}

/* Write the parent's entry for @node. */
static struct entry summary(struct tree_node *node)
{
	struct entry entry = {.key = node->key[0], .rest = {.tie = node->rest[0].tie, .at.child = node}};

	for (unsigned i = 0; i < node->count; i++)
		if (entry.weight < node->weight[i])
			entry.weight = node->weight[i];
	return entry;
}

/* Tell the parents what has changed at @level, as far up as it shows. */
static void update(struct tree *tree, unsigned level)
{
	for (; level + 1 < tree->levels; level++) {
		struct entry now = summary(tree->node[level]);
		struct tree_node *parent = tree->node[level + 1];
		unsigned i = tree->slot[level + 1];

		if (parent->key[i] == now.key && parent->rest[i].tie == now.rest.tie &&
		    parent->weight[i] == now.weight)
			return;
		parent->key[i] = now.key;
		parent->rest[i].tie = now.rest.tie;
		parent->weight[i] = now.weight;
	}
}

/* Some weight in the leaf is now this, and those above may be less. */
static void raise_weight(struct tree *tree, uint64_t weight)
{
	for (unsigned level = 1; level < tree->levels; level++)
		if (tree->node[level]->weight[tree->slot[level]] < weight)
			tree->node[level]->weight[tree->slot[level]] = weight;
}

/* The same, cheaper: one weight in the leaf was @old and is @now; its first range may be new. */
static void update_leaf(struct tree *tree, uint64_t old, uint64_t now)
{
	const struct tree_node *leaf = tree->node[0];
	struct tree_node *parent;
	unsigned level = 1;

	/* The first range of the first child is the first of the parent too, and so on. */
	for (; level < tree->levels; level++) {
		unsigned i = tree->slot[level];

		parent = tree->node[level];
		if (parent->key[i] == leaf->key[0] && parent->rest[i].tie == leaf->rest[0].tie)
			break;
		parent->key[i] = leaf->key[0];
		parent->rest[i].tie = leaf->rest[0].tie;
		if (i)
			break;
	}
	if (tree->levels < 2)
		return;
	parent = tree->node[1];
	/* Mostly the greatest weight is that of another entry. */
	if (parent->weight[tree->slot[1]] < now)
		raise_weight(tree, now);
	else if (parent->weight[tree->slot[1]] == old && old != now)
		update(tree, 0);
}

void tree_set_weight(struct tree *tree, uint64_t weight)
{
	uint64_t *at = &tree->node[0]->weight[tree->slot[0]], old = *at;

	*at = weight;
	update_leaf(tree, old, weight);
}

static bool rightmost(const struct tree *tree, unsigned level)
{
	while (++level < tree->levels)
		if (tree->slot[level] + 1 < tree->node[level]->count)
			return false;
	return true;
}

/*
 * A tree that grows at its end leaves nodes behind that are nearly full. A few entries are left out
 * so that the next removal does not undo the split.
 */
static struct tree_node *split(struct tree *tree, unsigned level, unsigned i,
			       const struct entry *entry)
{
	struct tree_node *left = tree->node[level], *right = take(tree);
	unsigned keep = TREE_WIDTH / 2;

	tree->near = false;
	if (i == TREE_WIDTH && rightmost(tree, level))
		keep = TREE_WIDTH - SPARSE / 2;
	move(right, 0, left, keep, TREE_WIDTH - keep);
	memset(&left->key[keep], 0xff, (TREE_WIDTH - keep) * sizeof(*left->key));
	right->count = TREE_WIDTH - keep;
	left->count = keep;
	if (i > keep)
		put(right, i - keep, entry);
	else
		put(left, i, entry);
	return right;
}

static void grow(struct tree *tree)
{
	struct tree_node *root = take(tree);

	tree->near = false;
	if (tree->levels) {
		struct entry old = summary(tree->root);

		put(root, 0, &old);
	}
	tree->node[tree->levels] = root;
	tree->slot[tree->levels] = 0;
	tree->root = root;
	tree->levels++;
}

void tree_insert(struct tree *tree, bool first, const struct tree_range *range)
{
	struct entry entry = {.key = range->key, .weight = range->weight,
			      .rest = {range->tie, {.length = range->length}, range->flags,
				       range->guard}};
	unsigned level = 0, i;

	if (!tree->levels)
		grow(tree);
	i = first ? 0 : tree->slot[0] + 1;
	while (tree->node[level]->count == TREE_WIDTH) {
		struct tree_node *right = split(tree, level, i, &entry);

		if (level + 1 == tree->levels)
			grow(tree);
		update(tree, level);
		entry = summary(right);
		level++;
		i = tree->slot[level] + 1;
	}
	put(tree->node[level], i, &entry);
	if (level) {
		update(tree, level);
	} else {
		update_leaf(tree, 0, entry.weight);
		tree->slot[0] = i; /* mostly the next range is inserted behind it */
	}
}

/*
 * Join the cursor's node at @level with a neighbour. True: the cursor's entry above must be
 * removed.
 */
static bool merge(struct tree *tree, unsigned level)
{
	struct tree_node *parent = tree->node[level + 1], *left, *right;
	unsigned i = tree->slot[level + 1];

	if (i + 1 == parent->count) {
		if (i == 0)
			return false;
		i--;
	}
	left = parent->rest[i].at.child;
	right = parent->rest[i + 1].at.child;
	if (left->count + right->count > MERGED)
		return false;
	tree->near = false;
	move(left, left->count, right, 0, right->count);
	left->count += right->count;
	give(tree, right);
	tree->node[level] = left;
	tree->slot[level + 1] = i;
	update(tree, level);
	tree->slot[level + 1] = i + 1;
	return true;
}

/* A root with one child is one level too many. */
static void shrink(struct tree *tree)
{
	while (tree->levels && tree->root->count <= (tree->levels > 1)) {
		struct tree_node *root = tree->root;

		tree->near = false;
		tree->root = --tree->levels ? root->rest[0].at.child : NULL;
		give(tree, root);
	}
}

void tree_remove(struct tree *tree)
{
	for (unsigned level = 0;; level++) {
		struct tree_node *node = tree->node[level];
		uint64_t weight = node->weight[tree->slot[level]];

		drop(node, tree->slot[level]);
		if (level + 1 == tree->levels)
			break;
		if (node->count == 0) {
			tree->near = false;
			give(tree, node);
			continue;
		}
		if (node->count < SPARSE && merge(tree, level))
			continue;
		if (level)
			update(tree, level);
		else
			update_leaf(tree, weight, 0);
		return;
	}
	shrink(tree);
}
