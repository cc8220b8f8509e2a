/*
 * Linked lists: built by insertion, merge-sorted, thinned out, freed along the links.
 *
 * usage: list PERCENT
 *
 * After the sort, walking the list is walking memory at random; every third node is then
 * replaced by one of another size. What an allocator saves in the space between nodes shows
 * here as cache misses saved.
 */
#include "bench.h"

struct item {
	struct item *next;
	uint64_t key;
	unsigned char padding[];
};

static struct item *item_new(struct bench_random *random, struct item *next)
{
	struct item *item = malloc(sizeof(*item) + bench_below(random, 3) * 16);

	bench_check(item != NULL, "out of memory");
	item->next = next;
	item->key = bench_random(random);
	return item;
}

static struct item *list_merge(struct item *a, struct item *b)
{
	struct item *head = NULL, **tail = &head;

	while (a && b) {
		struct item **least = a->key <= b->key ? &a : &b;

		*tail = *least;
		tail = &(*least)->next;
		*least = *tail;
	}
	*tail = a ? a : b;
	return head;
}

static struct item *list_sort(struct item *list)
{
	struct item *runs[64] = {0};
	struct item *sorted = NULL;

	while (list) {
		struct item *run = list;
		unsigned level = 0;

		list = list->next;
		run->next = NULL;
		for (; runs[level]; level++) {
			run = list_merge(runs[level], run);
			runs[level] = NULL;
		}
		runs[level] = run;
	}
	for (unsigned level = 0; level < 64; level++)
		sorted = list_merge(runs[level], sorted);
	return sorted;
}

static void list_replace_thirds(struct bench_random *random, struct item *list)
{
	while (list && list->next && list->next->next) {
		struct item *old = list->next->next;
		struct item *item = item_new(random, old->next);

		item->key = old->key;
		list->next->next = item;
		free(old);
		list = item;
	}
}

static unsigned long list_free(struct item *list)
{
	unsigned long count = 0;
	uint64_t last_key = 0;

	while (list) {
		struct item *next = list->next;

		bench_check(list->key >= last_key, "the list is not sorted");
		last_key = list->key;
		count++;
		free(list);
		list = next;
	}
	return count;
}

int main(int argc, char **argv)
{
	unsigned long count = bench_scaled(argc, argv, 300000);
	struct bench_random random = {3};

	for (unsigned round = 0; round < 4; round++) {
		struct item *list = NULL;

		for (unsigned long i = 0; i < count; i++)
			list = item_new(&random, list);
		list = list_sort(list);
		list_replace_thirds(&random, list);
		bench_check(list_free(list) == count, "the list lost items");
	}
	return 0;
}
