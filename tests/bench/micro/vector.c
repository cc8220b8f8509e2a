/*
 * Arrays that grow by realloc: thousands of short ones, or a few that reach tens of megabytes.
 *
 * usage: vector PERCENT small|large
 *
 * Small: strings and vectors appended to in turn, by half their size each time. Large: buffers
 * grown side by side, so that none can simply be extended in place; moving pages instead of
 * bytes (mremap) is the way out where the memory allows it.
 */
#include "bench.h"

struct vector {
	uint64_t *items;
	size_t count, room;
};

static void vector_append(struct vector *vector, uint64_t item)
{
	if (vector->count == vector->room) {
		vector->room += vector->room / 2 + 2;
		vector->items = realloc(vector->items, vector->room * sizeof(*vector->items));
		bench_check(vector->items != NULL, "out of memory");
	}
	vector->items[vector->count++] = item;
}

static void vector_clear(struct vector *vector, uint64_t first)
{
	for (size_t i = 0; i < vector->count; i++)
		bench_check(vector->items[i] == first + i, "realloc lost bytes");
	free(vector->items);
	*vector = (struct vector){0};
}

static void grow_small(unsigned long steps)
{
	enum { COUNT = 4096 };
	static struct vector vectors[COUNT];
	struct bench_random random = {5};

	for (unsigned long step = 0; step < steps; step++) {
		uint32_t which = bench_below(&random, COUNT);
		struct vector *vector = &vectors[which];

		if (vector->count > 40 + which % 200)
			vector_clear(vector, which);
		for (unsigned i = 0; i < 8; i++)
			vector_append(vector, which + vector->count);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		vector_clear(&vectors[i], i);
}

static void grow_large(unsigned long rounds)
{
	enum { COUNT = 4, ITEMS = 3 << 20, STRIDE = 4096 };
	struct vector vectors[COUNT] = {0};

	for (unsigned long round = 0; round < rounds; round++) {
		for (size_t from = 0; from < ITEMS; from += STRIDE)
			for (unsigned v = 0; v < COUNT; v++)
				for (size_t i = from; i < from + STRIDE; i++)
					vector_append(&vectors[v], v + i);
		for (unsigned v = 0; v < COUNT; v++)
			vector_clear(&vectors[v], v);
	}
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[2], "large") == 0)
		grow_large(bench_scaled(argc, argv, 500) / 100 + 1);
	else
		grow_small(bench_scaled(argc, argv, 12000000));
	return 0;
}
