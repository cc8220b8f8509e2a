/*
 * Named semaphores whose names are gone as soon as they are there, as Python's multiprocessing makes
 * them: what is mapped from an instant before, no next process can open.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS 20000

static char name[32];

/* One of its own, the same in all lives: whoever is killed in between leaves it there. */
static void choose_name(void)
{
	char place[4096];
	uint32_t hash = 7;

	if (!getcwd(place, sizeof(place)))
		abort();
	for (const char *at = place; *at; at++)
		hash = hash * 31 + (unsigned char)*at;
	snprintf(name, sizeof(name), "/zoo-%u-%08x", getuid(), hash);
	sem_unlink(name);
}

static int use_semaphore(unsigned start)
{
	sem_t *semaphore;
	int value;

	while ((semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, start)) == SEM_FAILED)
		sem_unlink(name);
	sem_unlink(name);
	sem_post(semaphore);
	sem_post(semaphore);
	if (sem_wait(semaphore) != 0 || sem_getvalue(semaphore, &value) != 0)
		abort();
	sem_close(semaphore);
	return value;
}

int main(void)
{
	uint64_t sum = 0, number = 1;

	choose_name();
	for (unsigned step = 1; step <= STEPS; step++) {
		sum += (unsigned)use_semaphore(step % 7);
		for (int i = 0; i < 10000; i++)
			number = number * 6364136223846793005 + step;
		if (step % 500 == 0)
			printf("%u %llu %llx\n", step, (unsigned long long)sum, (unsigned long long)number),
				fflush(stdout);
	}
	return fclose(stdout);
}
