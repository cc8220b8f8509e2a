/*
 * What libc unmaps by itself goes by no wrapper, and something that looks the same may be mapped in
 * its place before the next epoch: stacks of threads that have ended, libraries loaded again. And
 * code that is patched while it may be written for a moment. None of it is to come back.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "killed.h"

#define THREADS 10 /* libc keeps the stacks of five */
#define ROUNDS 10
#define STACK_BYTES (UINT64_C(8) << 20)
#define PAGE 4096u
#define A_FEW_EPOCHS_US 30000

static pthread_barrier_t all;
static int failures;

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	printf("not so: %s\n", what);
	failures++;
}

static void *dirty_stack(void *unused)
{
	volatile char bytes[64 * PAGE];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0x5a;
	pthread_barrier_wait(&all);
	return unused;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&all, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, dirty_stack, NULL);
	usleep(A_FEW_EPOCHS_US);
	pthread_barrier_wait(&all);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static bool is_zeros(const uint64_t *at)
{
	for (size_t i = 0; i < STACK_BYTES / sizeof(*at); i++)
		if (at[i])
			return false;
	return true;
}

static void test_stacks(void)
{
	uint64_t *fresh[ROUNDS * THREADS / 2];
	size_t count = 0;

	for (int round = 0; round < ROUNDS; round++) {
		run_threads();
		for (int i = 0; i < THREADS / 2; i++)
			fresh[count++] = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	die();
	for (size_t i = 0; i < count; i++) {
		must(is_zeros(fresh[i]), "memory is empty where a stack was");
		munmap(fresh[i], STACK_BYTES);
	}
}

typedef int library_function(int add);

static library_function *load(const char *path, const char *name, void **ret_library)
{
	*ret_library = dlopen(path, RTLD_NOW);
	return *ret_library ? (library_function *)dlsym(*ret_library, name) : NULL;
}

static void test_library(const char *path)
{
	void *library;
	library_function *add = load(path, "replaced_add", &library);

	must(add && add(3) == 13, "a library counts");
	usleep(A_FEW_EPOCHS_US);
	dlclose(library);
	add = load(path, "replaced_add", &library);
	die();
	must(add && add(0) == 10, "a library loaded again begins anew");
}

/* mov $1, %eax; ret: the 1 is exchanged. In a file, as code is. */
static void test_code(void)
{
	static const unsigned char code[PAGE] = {0xb8, 1, 0, 0, 0, 0xc3};
	char path[] = "/tmp/heapsake-code-XXXXXX";
	const int fd = mkstemp(path);

	must(write(fd, code, PAGE) == PAGE, "code is written");
	unsigned char *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
	usleep(A_FEW_EPOCHS_US);
	mprotect(at, PAGE, PROT_READ | PROT_WRITE);
	at[1] = 77;
	mprotect(at, PAGE, PROT_READ | PROT_EXEC);
	die();
	must(at[1] == 77, "patched code is");
	munmap(at, PAGE);
	unlink(path);
}

/* Not by libc's wrapper. */
static void test_given_back(void)
{
	int *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at[5] = 5;
	usleep(A_FEW_EPOCHS_US);
	syscall(SYS_madvise, at, PAGE, MADV_DONTNEED);
	die();
	must(at[5] == 0, "memory given back is empty");
}

/* Stored to, and closed before anybody could have looked. */
static void test_closed(void)
{
	int *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at[5] = at[5 + PAGE / sizeof(int)] = 5;
	usleep(A_FEW_EPOCHS_US);
	at[5] = 6;
	mprotect(at, 2 * PAGE, PROT_NONE);
	usleep(A_FEW_EPOCHS_US);
	die();
	mprotect(at, 2 * PAGE, PROT_READ | PROT_WRITE);
	must(at[5] == 6, "memory that was closed has what was stored last");
	must(at[5 + PAGE / sizeof(int)] == 5, "and before");
	mprotect(at, 2 * PAGE, PROT_NONE);
	syscall(SYS_madvise, at, PAGE, MADV_DONTNEED);
	die();
	mprotect(at, 2 * PAGE, PROT_READ | PROT_WRITE);
	must(at[5] == 0, "memory given back while it was closed is empty");
	munmap(at, 2 * PAGE);
}

/* Nothing of it was known before. */
static void test_closed_at_once(void)
{
	int *at = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int *middle = at + PAGE / sizeof(int);

	usleep(A_FEW_EPOCHS_US);
	*middle = 6;
	mprotect(middle, PAGE, PROT_NONE);
	usleep(A_FEW_EPOCHS_US);
	die();
	mprotect(middle, PAGE, PROT_READ | PROT_WRITE);
	must(*middle == 6, "memory that was closed after its first store has it");
	munmap(at, 3 * PAGE);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	test_stacks();
	test_library(argv[1]);
	test_code();
	test_given_back();
	test_closed();
	test_closed_at_once();
	return failures != 0;
}
