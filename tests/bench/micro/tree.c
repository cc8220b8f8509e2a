/*
 * Binary trees built and torn down: small blocks, freed in another order than they were made.
 *
 * usage: tree PERCENT THREADS
 *
 * One long-lived tree stands while many short-lived ones of mixed depths come and go, as syntax
 * trees do in a compiler. They are felled right to left, so that blocks come back in another
 * order than they were taken.
 */
#include "bench.h"

struct node {
	struct node *left, *right;
	uint32_t depth;
};

static unsigned long rounds_each;

static struct node *tree_build(unsigned depth)
{
	struct node *node = malloc(sizeof(*node));

	bench_check(node != NULL, "out of memory");
	node->depth = depth;
	node->left = depth ? tree_build(depth - 1) : NULL;
	node->right = depth ? tree_build(depth - 1) : NULL;
	return node;
}

static unsigned long tree_count(const struct node *node)
{
	return node ? 1 + tree_count(node->left) + tree_count(node->right) : 0;
}

static void tree_free(struct node *node)
{
	if (!node)
		return;
	tree_free(node->right);
	tree_free(node->left);
	free(node);
}

static void grow_and_fell(unsigned index)
{
	struct bench_random random = {index + 7};
	struct node *old_tree = tree_build(17);

	for (unsigned long round = 0; round < rounds_each; round++) {
		unsigned depth = 4 + bench_below(&random, 13);
		struct node *tree = tree_build(depth);

		bench_check(tree_count(tree) == (2UL << depth) - 1, "a tree lost nodes");
		tree_free(tree);
	}
	bench_check(tree_count(old_tree) == (2UL << 17) - 1, "the old tree lost nodes");
	tree_free(old_tree);
}

int main(int argc, char **argv)
{
	unsigned thread_count = (unsigned)bench_argument(argc, argv, 2, 1);

	rounds_each = bench_scaled(argc, argv, 1600) / thread_count + 1;
	bench_parallel(thread_count, grow_and_fell);
	return 0;
}
