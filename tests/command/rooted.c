/* Written for keep=heap: a list that grows by one node a run, and a kept counter beside it. Prints
 * both; with an argument, goes on for ever, adding a node a millisecond; with two, beside a child
 * that does nothing, and ends when its parent has. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "heapsake.h"

struct node {
	struct node *next;
	char text[100];
};

HSK_KEEP static long counter;

static void add(void)
{
	HSK_TX {
		struct node *node = malloc(sizeof(*node));
		node->next = hsk_root("list");
		snprintf(node->text, sizeof(node->text), "%ld", counter);
		hsk_set_root("list", node);
		counter++;
	}
}

static void have_a_child(void)
{
	const pid_t parent = getpid();

	if (fork() != 0)
		return;
	while (getppid() == parent)
		usleep(10000);
	_exit(0);
}

int main(int argc, char **argv)
{
	long count = 0;

	(void)argv;
	if (argc > 2)
		have_a_child();
	add();
	for (const struct node *node = hsk_root("list"); node; node = node->next)
		count++;
	printf("%d %ld %ld\n", hsk_resumed(), count, counter);
	fflush(stdout);
	while (argc > 1) {
		usleep(1000);
		add();
	}
	return 0;
}
