/*
 * Fork storms: children look at the heap of the moment they were forked at, while their parent
 * goes on storing, committing and merging. After a restart most of the heap is still a view of the
 * pool file, shared with the children through the page cache: where a merge would show.
 *
 *   forks LOOK [END [WAIT]]   in milliseconds: how long a child looks, how long the parent lives
 *                             (0: for ever), and how long it waits before it does anything
 *
 * Every page says which generation it is of and which page it is. A child sees one generation.
 */
#include <time.h>

#include "storm.h"

#define PAGES 4000
#define PAGE 4096
#define CHILDREN 4
#define PART 40 /* pages a step rewrites */

struct page {
	uint64_t generation, index;
	uint64_t words[PAGE / 8 - 2];
};

HSK_KEEP static struct page *pages;
HSK_KEEP static uint64_t steps;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void page_write(struct page *page, uint64_t index, uint64_t generation)
{
	page->generation = generation;
	page->index = index;
	for (size_t i = 0; i < PAGE / 8 - 2; i += 8)
		page->words[i] = storm_mix(index + i, generation);
}

static bool page_is(const struct page *page, uint64_t index, uint64_t generation)
{
	for (size_t i = 0; i < PAGE / 8 - 2; i += 8)
		if (page->words[i] != storm_mix(index + i, generation))
			return false;
	return page->generation == generation && page->index == index;
}

/* Step n wrote part n % parts last: that is what a page's generation has to be. */
static uint64_t generation_of(uint64_t index, uint64_t at_step)
{
	const uint64_t parts = PAGES / PART, part = index / PART;

	return at_step <= part ? 0 : (at_step - part - 1) / parts + 1;
}

static void verify(uint64_t at_step)
{
	for (uint64_t i = 0; i < PAGES; i++)
		MUST(page_is(&pages[i], i, generation_of(i, at_step)));
}

static void step(void)
{
	const uint64_t first = steps % (PAGES / PART) * PART;

	steps++;
	for (uint64_t i = first; i < first + PART; i++)
		page_write(&pages[i], i, generation_of(i, steps));
}

/* From the far end as well: what it has not looked at yet is what may change. */
static void child_main(uint64_t look_ms)
{
	const uint64_t until_ms = now_ms() + look_ms, at_step = steps;

	while (now_ms() < until_ms) {
		for (uint64_t i = 0; i < 50; i++) {
			const uint64_t index = storm_dice(now_ms(), i) % PAGES;
			MUST(page_is(&pages[index], index, generation_of(index, at_step)));
		}
		usleep(5000);
	}
	MUST(steps == at_step);
	verify(at_step);
	_exit(0);
}

static void fork_child(uint64_t look_ms)
{
	static unsigned alive;
	int status;

	while (alive != 0 && waitpid(-1, &status, alive < CHILDREN ? WNOHANG : 0) > 0) {
		MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		alive--;
	}
	const pid_t child = fork();
	MUST(child >= 0);
	if (child == 0)
		child_main(look_ms);
	alive++;
}

int main(int argc, char **argv)
{
	MUST(argc > 1);
	const uint64_t look_ms = strtoull(argv[1], NULL, 10);
	const uint64_t end_ms = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, begun_ms = now_ms();
	const uint64_t wait_ms = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	uint64_t forked_ms = 0;

	if (!pages)
		HSK_TX {
			pages = aligned_alloc(PAGE, (size_t)PAGES * PAGE);
			MUST(pages);
			for (uint64_t i = 0; i < PAGES; i++)
				page_write(&pages[i], i, 0);
		}
	if (!hsk_resumed() || steps % 2) /* else everything is left to the children to look at first */
		verify(steps);
	storm_found(0, steps);
	usleep((useconds_t)(wait_ms * 1000));
	while (end_ms == 0 || now_ms() < begun_ms + end_ms) {
		if (now_ms() > forked_ms + look_ms / CHILDREN) {
			forked_ms = now_ms();
			fork_child(look_ms);
		}
		STORM_BLOCK(0, steps) { step(); }
	}
	for (int status; wait(&status) > 0;)
		MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}
