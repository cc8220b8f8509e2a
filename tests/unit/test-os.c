/* System calls of our own: what the kernel's manual does not promise in so many words. */
#include "os.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)

Test(os, unreadable_memory_is_told_without_a_signal_and_read_all_the_same)
{
	char copy[4096];
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	memset(p, 5, 4 * PAGE);
	mprotect(p + PAGE, PAGE, PROT_NONE);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	munmap(p + 3 * PAGE, PAGE);
	cr_assert(os_is_readable(p, PAGE));
	cr_assert(!os_is_readable(p + PAGE, PAGE));
	cr_assert(os_is_readable(p + 2 * PAGE, PAGE));
	cr_assert(!os_is_readable(p + 3 * PAGE, PAGE));
	cr_assert(!os_is_readable(p + 64, PAGE), "which ends in the next page");
	cr_assert(os_is_readable(p + 64, PAGE - 64));
	cr_assert_eq(os_read_memory(copy, p + PAGE + 100, 200), 0);
	cr_assert(memcmp(copy, p, 200) == 0);
	cr_assert_lt(os_read_memory(copy, p + 3 * PAGE, 1), 0);
}
