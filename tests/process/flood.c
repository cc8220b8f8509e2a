/*
 * More is dirty at every cut than there may be copies of: a thread stores to each page of some 350
 * MiB, over and over, and to one that nobody may read in between, which needs a copy. Epochs have to come all the same, and each has to be of one instant: of a
 * round of stores, all pages up to some point have it, and none behind.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 90000u
#define PAGE 4096u
#define LIVES 3

static char *memory;
static uint64_t *closed;
static _Atomic int is_over, is_to_stand, stands;
static _Atomic uint64_t round_done;

static uint64_t *word_of(unsigned page)
{
	return (uint64_t *)(memory + (size_t)page * PAGE);
}

static void *flood(void *unused)
{
	(void)unused;
	for (uint64_t round = 1; !is_over; round++) {
		while (is_to_stand)
			stands = 1;
		stands = 0;
		mprotect(closed, PAGE, PROT_READ | PROT_WRITE);
		*closed = round;
		mprotect(closed, PAGE, PROT_NONE);
		for (unsigned page = 0; page < PAGES; page++)
			*word_of(page) = round;
		round_done = round;
	}
	return NULL;
}

static void check(void)
{
	is_to_stand = 1; /* between two rounds */
	while (!stands)
		usleep(1000);
	for (unsigned page = 0; page < PAGES; page++) {
		if (*word_of(page) == round_done)
			continue;
		printf("page %u is of round %llu, not %llu\n", page,
		       (unsigned long long)*word_of(page), (unsigned long long)round_done);
		exit(1);
	}
	mprotect(closed, PAGE, PROT_READ);
	if (*closed != round_done) {
		printf("the closed page is of round %llu, not %llu\n", (unsigned long long)*closed,
		       (unsigned long long)round_done);
		exit(1);
	}
	mprotect(closed, PAGE, PROT_NONE);
	is_to_stand = 0;
}

int main(void)
{
	pthread_t flooding;
	char line[16];

	memory = calloc(PAGES, PAGE);
	closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!memory || closed == MAP_FAILED || pthread_create(&flooding, NULL, flood, NULL) != 0)
		return 1;
	for (int life = 0; life < LIVES; life++) {
		while (round_done < (uint64_t)(life + 1) * 3)
			usleep(1000);
		if (write(1, "kill\n", 5) != 5 || !fgets(line, sizeof(line), stdin))
			return 1;
		check();
	}
	is_over = 1;
	pthread_join(flooding, NULL);
	return 0;
}
