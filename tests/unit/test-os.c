/* System calls of our own: what the kernel's manual does not promise in so many words. */
#include "os.h"
#include "ours.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* V8 has each of its heap's pages at a random address. */
Test(os, what_cannot_be_mapped_leaves_no_hole_in_the_zone)
{
	const uint64_t len = UINT64_C(64) << 30;
	const int fd = socket(AF_UNIX, SOCK_DGRAM, 0); /* refuses when the place is cleared already */

	cr_assert(fd >= 0);
	ours_open_zone();
	char *const before = os_mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(ours_zone_holds(before));
	const void *failed = os_mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	cr_assert(os_is_error(failed));
	char *const after = os_mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(ours_zone_holds(after) && after > before + len);
	for (char *hint = before + PAGE; hint < after; hint += len / 64) {
		char *got = mmap(hint, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		cr_assert(!ours_has((uintptr_t)got), "%p", (void *)got);
		munmap(got, PAGE);
	}
	close(fd);
}

Test(os, what_is_opened_aside_leaves_the_low_numbers_free_where_others_can_be_had)
{
	const struct rlimit few = {20, 20};
	const int low = open("/dev/null", O_RDONLY);

	cr_assert(low >= 0 && close(low) == 0);
	const int aside = os_open_aside("/proc/self/status", 0);
	cr_assert(aside >= 100 && fcntl(aside, F_GETFD) == FD_CLOEXEC);
	cr_assert_eq(open("/dev/null", O_RDONLY), low);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	cr_assert_eq(os_open_aside("/proc/self/status", 0), -EMFILE);
	close(low);
	cr_assert_eq(os_open_aside("/proc/self/status", 0), low, "the only one there is");
}

Test(os, a_number_of_ours_that_another_file_of_ours_has_got_is_lost_to_its_holder)
{
	static int first, second;

	first = open("/proc/self/status", O_RDONLY);
	ours_fd_add(&first);
	cr_assert(ours_fd_stands(&first));
	close(first); /* by a program that closes all it finds */
	second = open("/proc/self/stat", O_RDONLY);
	cr_assert_eq(second, first);
	ours_fd_add(&second);
	cr_assert(ours_fd_has(first));
	cr_assert(ours_fd_stands(&second));
	cr_assert_not(ours_fd_stands(&first));
	ours_forget();
	cr_assert_not(ours_fd_stands(&second));
}
