/*
 * "Hello, World!" is longer than what a processor stores at once. What is there after a kill in
 * the middle of copying it?
 *
 * The copy stops after some of its bytes, for as long as it takes an epoch to be tried; then the
 * program dies. In a transaction the epoch is not taken, and the string is as it was. Without
 * one (bare) it is taken right there.
 *
 * usage: hello [BYTES [bare]]    prints what it finds; then dies after that many bytes
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "heapsake.h"

static const char hello[] = "Hello, World!";
HSK_KEEP static char text[sizeof(hello)];
static atomic_int is_midway;
static int patience_ms = -1; /* for the epoch: for ever */

static void *die(void *unused)
{
	while (!is_midway)
		;
	hsk_checkpoint(patience_ms);
	raise(SIGKILL);
	return unused;
}

static void copy(size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		text[i] = hello[i];
	is_midway = bytes < sizeof(hello);
	while (is_midway)
		;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	printf("'%s'\n", text);
	if (argc == 1)
		return 0;
	const size_t bytes = strtoul(argv[1], NULL, 10);
	pthread_create(&thread, NULL, die, NULL);
	if (argc == 2 && bytes < sizeof(hello))
		patience_ms = 100; /* the middle of a transaction never becomes one */
	if (argc > 2)
		copy(bytes);
	else
		HSK_TX { copy(bytes); }
	is_midway = 1; /* all of it is there */
	for (;;)
		;
}
