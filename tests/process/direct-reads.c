/*
 * Two threads read a file past the page cache, again and again, one into the heap, one beside it,
 * and change what they have read: each epoch is compared with memory (verified.c).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "killed.h"

#define BYTES ((size_t)4 << 20)
#define SECONDS 3

static char path[] = "/var/tmp/heapsake-direct-XXXXXX";

static void *read_often(void *memory)
{
	const int file = open(path, O_RDONLY | O_DIRECT);
	const time_t end = time(NULL) + SECONDS;

	MUST(file >= 0);
	while (time(NULL) < end) {
		MUST(pread(file, memory, BYTES, 0) == BYTES);
		usleep(1000);
		memset(memory, 0, BYTES);
	}
	close(file);
	return NULL;
}

int main(void)
{
	char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *heap = aligned_alloc(4096, BYTES);
	const int file = mkstemp(path);
	pthread_t threads[2];

	MUST(memory != MAP_FAILED);
	memset(heap, 7, BYTES);
	MUST(file >= 0 && write(file, heap, BYTES) == BYTES);
	fsync(file);
	close(file);
	pthread_create(&threads[0], NULL, read_often, memory);
	pthread_create(&threads[1], NULL, read_often, heap);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	unlink(path);
	return failures != 0;
}
