/* What a conformance program needs: MUST(), which names the clause that does not hold. */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition); \
			_exit(1); \
		} \
	} while (0)

/* Keeps the compiler from knowing what it is looking at. */
static inline void *hide(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static inline size_t hide_size(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

/* Every byte depends on its place and the seed. */
static inline void fill(void *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		((unsigned char *)p)[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static inline bool is_filled(const void *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)p)[i] != (unsigned char)(seed * 31 + i * 7 + (i >> 8)))
			return false;
	return true;
}

static inline bool is_zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)p)[i] != 0)
			return false;
	return true;
}

/* Is p in the pool's window? Its default base is part of the interface. */
static inline bool is_in_pool(const void *p)
{
	return (uintptr_t)p - 0x200000000000u < (uintptr_t)256 << 20;
}

/* Broken invariants of the heap; 0 where there is no way to ask (all but the private library). */
static inline size_t heap_violations(void)
{
	size_t (*check)(void) = (size_t (*)(void))dlsym(RTLD_DEFAULT, "hsk_test_check");
	return check ? check() : 0;
}

/* Status of a child that ended by itself; the clause fails if it did not. */
static inline int child_status(pid_t pid)
{
	int status;
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status));
	return WEXITSTATUS(status);
}
