/* SPDX-License-Identifier: MIT */
#include "transport/lent.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernel/sys.h"

int lent_reserve(struct lent_list *list)
{
	size_t room = list->room ? 2 * list->room : 16;
	struct lent *all;

	if (list->count < list->room)
		return 0;
	all = sys_alloc(room * sizeof(*all));
	if (!all)
		return vfc_no_memory();
	if (list->count)
		memcpy(all, list->all, list->count * sizeof(*all));
	free(list->all);
	list->all = all;
	list->room = room;
	return 0;
}

/* The index of the first one that begins at @iova or above. */
static size_t position(const struct lent_list *list, uint64_t iova)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->all[middle].iova < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The library chooses IOVAs in ascending order, so there is rarely anything to move. */
void lent_add(struct lent_list *list, const struct lent *lent)
{
	size_t at = position(list, lent->iova);

	memmove(list->all + at + 1, list->all + at, (list->count - at) * sizeof(*list->all));
	list->all[at] = *lent;
	list->count++;
}

void lent_return(struct lent_list *list, uint64_t iova, uint64_t length)
{
	size_t first = position(list, iova), end = first;

	for (; end < list->count && list->all[end].iova - iova < length; end++)
		sys_munmap(list->all[end].va, list->all[end].length);
	memmove(list->all + first, list->all + end, (list->count - end) * sizeof(*list->all));
	list->count -= end - first;
}
