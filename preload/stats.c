/*
 * HEAPSAKE_STATS: what the heap looked like at exit, as text or as one line of JSON on stderr.
 *
 * Two things stand in the way. Programs that care about write errors (all of coreutils) close
 * stderr from an exit handler: so its descriptor is kept aside at start, and used only while it
 * is still the same file. And libc flushes stdout after every destructor: so we flush it first,
 * without its lock, as libc is about to do.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os.h"
#include "say.h"

#define FD_HIGH 512 /* out of the way of programs that expect small numbers */

/* The standard error of the start: descriptor, and which file it was. */
static struct {
	int fd;
	dev_t dev;
	ino_t ino;
} aside = {.fd = -1};

void stats_init(void)
{
	struct stat st;
	const int errno_before = errno;
	if (os_fstat(STDERR_FILENO, &st) == 0) {
		aside.dev = st.st_dev;
		aside.ino = st.st_ino;
		aside.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FD_HIGH);
		if (aside.fd < 0) /* a low RLIMIT_NOFILE */
			aside.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	errno = errno_before;
}

static int stderr_fd(void)
{
	struct stat st;
	if (aside.fd >= 0 && os_fstat(aside.fd, &st) == 0 && st.st_dev == aside.dev &&
	    st.st_ino == aside.ino)
		return aside.fd;
	return STDERR_FILENO;
}

static int format_json(char *text, size_t room, const struct heap_stats *stats)
{
	return snprintf(text, room,
			"{\"schema\":1,\"size_bytes\":%zu,\"open_bytes\":%zu,\"peak_bytes\":%zu,"
			"\"live_bytes\":%zu,\"live_blocks\":%zu,\"large_bytes\":%zu,"
			"\"large_blocks\":%zu,\"cached_bytes\":%zu,\"dirty_bytes\":%zu,"
			"\"meta_bytes\":%zu,\"threads\":%zu}\n",
			stats->size_bytes, stats->open_bytes, stats->peak_bytes, stats->live_bytes,
			stats->live_blocks, stats->large_bytes, stats->large_blocks,
			stats->cached_bytes, stats->dirty_bytes, stats->meta_bytes, stats->threads);
}

static int format_text(char *text, size_t room, const struct heap_stats *stats)
{
	return snprintf(text, room,
			"heapsake: stats: live %zu KiB in %zu blocks, of them %zu KiB in %zu large; "
			"cached %zu KiB in %zu threads, unused %zu KiB, metadata %zu KiB; "
			"peak %zu KiB, opened %zu KiB of %zu\n",
			stats->live_bytes >> 10, stats->live_blocks, stats->large_bytes >> 10,
			stats->large_blocks, stats->cached_bytes >> 10, stats->threads,
			stats->dirty_bytes >> 10, stats->meta_bytes >> 10, stats->peak_bytes >> 10,
			stats->open_bytes >> 10, stats->size_bytes >> 10);
}

void stats_print(enum stats_form form)
{
	char text[1024];
	struct heap_stats stats;
	const int errno_before = errno;

	heap_get_stats(&stats);
	const int length = form == STATS_JSON ? format_json(text, sizeof(text), &stats) :
						format_text(text, sizeof(text), &stats);
	say_write(stderr_fd(), text, (size_t)length);
	errno = errno_before;
}

void stats_print_at_exit(enum stats_form form)
{
	fflush_unlocked(stdout);
	stats_print(form);
}
