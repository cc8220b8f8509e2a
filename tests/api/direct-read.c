/*
 * DESIGN 5: what a device stores into memory while an epoch is taken is in a later one. (Where the
 * file system takes O_DIRECT for a manner of speaking, as tmpfs does, this finds nothing.)
 *
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * run: read => signal SIGKILL
 * run: look
 * run: again => signal SIGKILL
 * run: look
 * inert: read
 */
#include "step.h"

#include <fcntl.h>
#include <sys/uio.h>

#define PIECE ((size_t)4 << 20)
#define PIECES 12

static int make_file(char *piece)
{
	const int fd = open("read-directly", O_RDWR | O_CREAT | O_DIRECT, 0600);

	if (fd < 0 && errno == EINVAL)
		exit(0);
	MUST(fd >= 0);
	for (int i = 0; i < PIECES; i++) {
		memset(piece, i + 1, PIECE);
		MUST(pwrite(fd, piece, PIECE, i * (off_t)PIECE) == (ssize_t)PIECE);
	}
	return fd;
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	char *p = hsk_root("read");
	if (!p || step_is("again")) {
		free(p);
		p = aligned_alloc(4096, PIECE * PIECES);
		const int fd = make_file(p);
		memset(p, 99, PIECE * PIECES);
		HSK_TX { /* from now on this thread may be stopped anywhere else */
			hsk_set_root("read", p);
		}
		hsk_checkpoint(-1);
		for (int i = 0; i < PIECES; i++) {
			char *to = p + i * PIECE;
			const struct iovec halves[] = {{to, PIECE / 2}, {to + PIECE / 2, PIECE / 2}};
			const off_t at = i * (off_t)PIECE;
			MUST((step_is("again") ? preadv2(fd, halves, 2, at, 0) :
			      i % 2 ? pread(fd, to, PIECE, at) :
				      preadv(fd, halves, 2, at)) == (ssize_t)PIECE);
		}
		unlink("read-directly");
		if (hsk_checkpoint(-1) == 0)
			step_kill();
	}
	for (size_t at = 0; at < PIECE * PIECES; at += 64)
		MUST(p[at] == (char)(at / PIECE + 1));
}
