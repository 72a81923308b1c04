/* SPDX-License-Identifier: MIT */
/*
 * A B+ tree of ranges in order of (key, tie) that also answers "the first range from here on whose
 * weight is at least w": each inner node knows the greatest weight below each of its children. The
 * caller decides what a weight is; iova.c has two kinds.
 *
 * Why a B+ tree: a random range among 100,000 is not in the cache, so time goes by cache misses.
 * With nodes of 32 the levels above the leaves, 4 % of the memory, stay in the cache and a search
 * misses in the leaf alone; a binary tree has 17 levels. Of 16, 32 and 64 to a node, 32 measured
 * best from 100,000 on (tests/bench/iova.c).
 */
#ifndef VFC_IOMMU_IOVA_TREE_H
#define VFC_IOMMU_IOVA_TREE_H

#include <stdbool.h>
#include <stdint.h>

/* Nodes merge before they are sparse, so 16 levels hold more ranges than memory does. */
#define TREE_LEVELS 16

struct tree_node;

struct tree {
	struct tree_node *root;
	unsigned levels; /* 0: empty */
	unsigned spares;
	struct tree_node *spare; /* reserved; linked by their first child */
	/*
	 * The cursor: a range, and the nodes above it; [0] is the leaf. Work comes in runs on one
	 * leaf (find and remove, allocate and insert), so tree_floor() first looks there. @near:
	 * the leaf holds all keys between its first and @bound, the first of the next leaf.
	 */
	struct tree_node *node[TREE_LEVELS];
	unsigned slot[TREE_LEVELS];
	uint64_t bound;
	bool near;
};

struct tree_range {
	uint64_t key, tie;
	uint64_t weight;
	uint64_t length;
	uint32_t flags;
	uint32_t guard; /* kept for the caller, as the flags are */
};

void tree_destroy(struct tree *tree);
/*
 * Nodes for the next @inserts calls of tree_insert(), which then cannot fail. They put ranges one
 * behind another, so that a leaf that was split holds 15 more of them; a removal in between needs none.
 */
static inline bool tree_holds(const struct tree *tree, unsigned inserts)
{
	/* The most that an insertion takes: a split at each level, and a new root. */
	return tree->spares > tree->levels + inserts / 16;
}

int tree_reserve(struct tree *tree, unsigned inserts);

/*
 * The functions below move the cursor, or work on what it is at. After an insertion or a removal it
 * is nowhere. Only tree_floor() and tree_insert() may be called on an empty tree.
 *
 * tree_floor() - to the last range at or below (@key, @tie).
 * False: there is none, and the cursor is at the first range, if any.
 */
bool tree_floor(struct tree *tree, uint64_t key, uint64_t tie);
void tree_first(struct tree *tree);
/*
 * Move to the first range of at least @weight from here on. False: there is none, and the cursor is
 * nowhere.
 */
bool tree_heavy(struct tree *tree, uint64_t weight);
/* Move to the next range, or the one before. False: there is none, and the cursor stays. */
bool tree_next(struct tree *tree);
bool tree_prev(struct tree *tree);
/* The range that tree_next() would move to. */
bool tree_peek(const struct tree *tree, struct tree_range *range);
struct tree_range tree_get(const struct tree *tree);
void tree_set_weight(struct tree *tree, uint64_t weight);
/* Put @range behind the cursor, or before all (@first). */
void tree_insert(struct tree *tree, bool first, const struct tree_range *range);
void tree_remove(struct tree *tree);

#endif
