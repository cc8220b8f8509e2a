/*
 * Random numbers are not given out twice.
 *
 * The problem: a generator in a library (OpenSSL's, libgcrypt's) is memory like any other, so every
 * life of a program that goes on from one epoch would draw the same numbers: the same nonces, the
 * same keys. To seed it anew after a resume is too late: a thread may draw before. The trick: such
 * libraries know the problem from fork(), and ask getpid() before each number whether they are
 * still in the process that they were seeded in. So what they alone are told is a number that
 * differs in each life. The guarantee: the first number each draws after a resume is of a new seed.
 *
 * Whoever else asks is told the truth. What a program has drawn before the epoch and uses after it
 * is used in both lives; so is the one number that was being made in that instant. The kernel's
 * numbers (getrandom(), arc4random() in glibc 2.36, /dev/urandom) are new in any case.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "os.h"
#include "preload.h"
#include "process/process.h"

/* The beginnings of their names, before a version; a copy that a package brings has a "-" there.
 * GnuTLS is none: it has itself told by pthread_atfork(). */
static const char *const generators[] = {"libcrypto", "libgcrypt"};

/* Which library an address is of: no lock, no memory, from a signal handler, too. */
static __typeof__(&_dl_find_object) find_object;

void random_init(void)
{
	find_object = (__typeof__(find_object))foreign_symbol("_dl_find_object");
}

static bool is_generator(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (unsigned i = 0; i < sizeof(generators) / sizeof(generators[0]); i++) {
		const size_t len = strlen(generators[i]);
		if (strncmp(name, generators[i], len) == 0 && (name[len] == '.' || name[len] == '-'))
			return true;
	}
	return false;
}

static __attribute__((noinline)) bool is_asked_by_generator(void *caller)
{
	struct dl_find_object found;

	return find_object && find_object(caller, &found) == 0 && found.dlfo_link_map->l_name &&
	       is_generator(found.dlfo_link_map->l_name);
}

INTERPOSE pid_t getpid(void)
{
	const pid_t pid = os_getpid();

	if (likely(!process_is_kept) || !is_asked_by_generator(__builtin_return_address(0)))
		return pid;
	return (pid_t)(((uint32_t)pid ^ process_life()) & INT32_MAX);
}
