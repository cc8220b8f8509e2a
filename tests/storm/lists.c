/*
 * Two doubly linked lists: nodes move from one to the other, and every 16th step the heap changes:
 * a node is made anew. Two named roots are all that is kept.
 *
 * Every node is in exactly one list, once, and both lists read the same from either end: a link of
 * another epoch than its neighbour shows.
 */
#include "storm.h"

#define NODES 3000

struct node {
	struct node *next, *prev;
	uint64_t number;
	uint64_t moves;
};

struct lists {
	struct node ends[2]; /* each a circle through this sentinel */
	uint64_t steps;
	uint64_t moves;
};

static void node_link(struct node *node, struct node *after)
{
	node->prev = after;
	node->next = after->next;
	after->next->prev = node;
	after->next = node;
}

static void node_unlink(struct node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
}

static struct lists *lists_new(void)
{
	struct lists *lists = calloc(1, sizeof(*lists));

	MUST(lists);
	for (int i = 0; i < 2; i++)
		lists->ends[i].next = lists->ends[i].prev = &lists->ends[i];
	for (uint64_t i = 0; i < NODES; i++) {
		struct node *node = calloc(1, sizeof(*node));
		MUST(node);
		node->number = i;
		node_link(node, &lists->ends[0]);
	}
	return lists;
}

static struct node *renew(struct node *old)
{
	struct node *node = malloc(sizeof(*node));

	MUST(node);
	node->number = old->number;
	node->moves = old->moves;
	free(old);
	return node;
}

static void step(struct lists *lists)
{
	const uint64_t dice = storm_dice(3, lists->steps);
	struct node *from = &lists->ends[dice & 1], *to = &lists->ends[~dice & 1];
	struct node *node = dice & 2 ? from->next : from->prev;

	lists->steps++;
	if (node == from)
		return;
	node_unlink(node);
	storm_linger(dice);
	if (dice % 16 == 0)
		node = renew(node);
	node->moves++;
	lists->moves++;
	node_link(node, dice & 4 ? to : to->prev);
}

static void verify(const struct lists *lists)
{
	static bool is_seen[NODES];
	uint64_t forth = 0, back = 0, moves = 0;

	for (int i = 0; i < 2; i++) {
		const struct node *end = &lists->ends[i];
		for (const struct node *node = end->next; node != end; node = node->next, forth++) {
			MUST(node->number < NODES && !is_seen[node->number]);
			is_seen[node->number] = true;
			MUST(node->next->prev == node);
			moves += node->moves;
		}
		for (const struct node *node = end->prev; node != end; node = node->prev)
			back++;
	}
	MUST(forth == NODES && back == NODES);
	MUST(moves == lists->moves);
}

int main(void)
{
	struct lists *lists = hsk_root("lists");

	if (!lists)
		HSK_TX {
			lists = lists_new();
			MUST(hsk_set_root("lists", lists) == 0);
		}
	verify(lists);
	storm_found(0, lists->steps);
	for (;;)
		STORM_BLOCK(0, lists->steps) {
			for (int i = 0; i < 3; i++)
				HSK_TX { step(lists); }
		}
}
