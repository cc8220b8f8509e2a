/* Is all mapped as it was? Every change of a mapping is seen, and nothing else. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "process/mapped.h"
#include "process/mappings.h"

#define PAGE 4096ul

static char *place;
static int file;

static void open_place(void)
{
	mapped_note();
	if (!mapped_is_as_noted())
		cr_skip("needs PROCMAP_QUERY (Linux 6.11)");
	file = open("/proc/self/exe", O_RDONLY);
	place = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(file >= 0 && place != MAP_FAILED);
	mapped_note();
	cr_assert(mapped_is_as_noted());
}

TestSuite(mapped, .init = open_place, .timeout = 60);

static void must_be_seen(const char *what)
{
	cr_assert_not(mapped_is_as_noted(), "%s: not seen", what);
	mapped_note();
	cr_assert(mapped_is_as_noted());
}

static char *put(char *at, int protection, int flags, int fd, off_t offset)
{
	char *got = mmap(at, PAGE, protection, flags | MAP_FIXED, fd, offset);

	cr_assert_eq(got, at);
	return got;
}

Test(mapped, stores_change_nothing)
{
	place[0] = place[15 * PAGE] = 1;
	cr_assert(mapped_is_as_noted());
	cr_assert_eq(madvise(place, PAGE, MADV_DONTNEED), 0);
	cr_assert(mapped_is_as_noted());
}

/* A thread may map something between the text and the note: the list would be believed though it
 * is not what was noted. */
Test(mapped, a_list_made_while_threads_run_is_not_believed)
{
	static struct mappings lists[2];

	for (int i = 0; i < 8; i++) /* they take memory for themselves */
		cr_assert_eq(mappings_read(&lists[i % 2], NULL, true), 0);
	cr_assert(mapped_is_as_noted());
	cr_assert_eq(mappings_read(&lists[0], NULL, false), 0);
	cr_assert_not(mapped_is_as_noted());
}

Test(mapped, what_is_left_out_does_not_count)
{
	mapped_leave_out((uintptr_t)place + 2 * PAGE, (uintptr_t)place + 10 * PAGE);
	cr_assert_eq(mprotect(place + 2 * PAGE, 8 * PAGE, PROT_READ), 0);
	must_be_seen("its borders");
	cr_assert_eq(munmap(place + 4 * PAGE, PAGE), 0);
	cr_assert_eq(mprotect(place + 6 * PAGE, PAGE, PROT_NONE), 0);
	cr_assert(mapped_is_as_noted());
	cr_assert_eq(munmap(place + 12 * PAGE, PAGE), 0);
	must_be_seen("behind it");
}

Test(mapped, what_comes_and_goes_is_seen)
{
	cr_assert_eq(munmap(place, PAGE), 0);
	must_be_seen("the first page is gone");
	cr_assert_eq(munmap(place + 8 * PAGE, PAGE), 0);
	must_be_seen("one in the middle is gone");
	cr_assert_eq(munmap(place + 15 * PAGE, PAGE), 0);
	must_be_seen("the last is gone");
	put(place + 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must_be_seen("one has come");
	cr_assert_neq(mremap(place + 10 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     place + 2 * PAGE), MAP_FAILED);
	must_be_seen("one has moved");
}

Test(mapped, what_is_in_a_place_is_seen)
{
	put(place + 4 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	must_be_seen("a file");
	put(place + 4 * PAGE, PROT_READ, MAP_PRIVATE, file, PAGE);
	must_be_seen("another part of it");
	put(place + 4 * PAGE, PROT_READ, MAP_SHARED, file, PAGE);
	must_be_seen("shared");
	const int other = open("/bin/sh", O_RDONLY);
	put(place + 4 * PAGE, PROT_READ, MAP_SHARED, other, PAGE);
	must_be_seen("another file");
	cr_assert_eq(mprotect(place + 6 * PAGE, PAGE, PROT_READ), 0);
	must_be_seen("read-only");
	cr_assert_eq(mprotect(place + 6 * PAGE, PAGE, PROT_NONE), 0);
	must_be_seen("closed");
}
