/*
 * DESIGN 2.1: an epoch is the exact image of kept memory. Pages of a block that the program gives
 * back by madvise() are zeros, in memory and in the epoch: those of this run, and those that are
 * home's, which would show its bytes again.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: fill
 * run: give => signal SIGKILL
 * run: look
 * inert: fill
 */
#include <sys/mman.h>

#include "step.h"

#define PAGE 4096
#define BYTES (256 * PAGE)

HSK_KEEP static unsigned char *block;
HSK_KEEP static unsigned char *other;

static size_t count_zeros(const unsigned char *bytes, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += bytes[i] == 0;
	return count;
}

static unsigned char *filled(void)
{
	unsigned char *bytes = aligned_alloc(PAGE, BYTES);

	MUST(bytes);
	memset(bytes, 7, BYTES);
	return bytes;
}

static void give_back(unsigned char *bytes)
{
	MUST(madvise(bytes + PAGE, BYTES / 2, MADV_DONTNEED) == 0);
	bytes[2 * PAGE] = 1;
}

static void must_be_given_back(const unsigned char *bytes)
{
	MUST(count_zeros(bytes, PAGE) == 0);
	MUST(count_zeros(bytes + PAGE, BYTES / 2) == BYTES / 2 - 1 && bytes[2 * PAGE] == 1);
	MUST(count_zeros(bytes + PAGE + BYTES / 2, BYTES / 2 - PAGE) == 0);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("fill")) {
		block = filled();
		hsk_checkpoint(-1);
		return 0; /* the end of a run brings it home */
	}
	if (step_is("give")) {
		other = filled();
		MUST(hsk_checkpoint(-1) == 0);
		give_back(block);
		give_back(other);
	}
	must_be_given_back(block);
	must_be_given_back(other);
	if (step_is("give")) {
		MUST(hsk_checkpoint(-1) == 0);
		step_kill();
	}
	return 0;
}
