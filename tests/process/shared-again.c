/*
 * A child stores into memory that is shared with it; then other memory comes to the same place, and
 * another child stores the very same bytes: they are in the next epoch, too.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "killed.h"

#define LIVES 3
#define LEN (16 * 4096)
#define EPOCHS_US 100000

static char *map(char *wanted)
{
	char *memory = mmap(wanted, LEN, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | (wanted ? MAP_FIXED : 0), -1, 0);

	MUST(memory != MAP_FAILED);
	return memory;
}

static void store_by_child(char *memory)
{
	const pid_t child = fork();

	if (child == 0) {
		memset(memory, 7, LEN);
		_exit(0);
	}
	MUST(child > 0 && waitpid(child, NULL, 0) == child);
}

int main(void)
{
	char *memory = map(NULL);

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int life = 1; life < LIVES; life++) {
		store_by_child(memory);
		usleep(EPOCHS_US);
		MUST(munmap(memory, LEN) == 0);
		map(memory);
		store_by_child(memory);
		die();
		for (int i = 0; i < LEN; i++)
			MUST(memory[i] == 7);
	}
	return failures != 0;
}
