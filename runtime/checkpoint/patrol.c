/*
 * The problem: a page at rest that rots is found by nobody as long as the program runs, and when it
 * is found the copy in the program's memory is gone. The trick: while nobody waits, a piece of
 * a MiB's quarter is read from media and compared, and another a little later, until all pages that
 * no entry of the log tells of have been seen. A round begins anywhere, so that programs that run
 * for minutes see all of a large heap in the end. The guarantee: what is looked at is what the
 * program can change only by way of the log: home is written by merges alone, and of what one is
 * writing the log still tells; so what does not fit its checksum is damaged.
 */
#include "patrol.h"

#include <errno.h>

#include "check.h"
#include "damage.h"
#include "engine.h"
#include "memory.h"
#include "os.h"
#include "scrub.h"

#define STEP_BLOCKS 64u /* of checksums, 2 MiB of pages each: most of a heap are holes */
#define BUFFER_BYTES (SCRUB_PIECE_PAGES * LAYOUT_BLOCK_BYTES)

/* Who wants to hear of it. */
struct listener {
	struct checkpoint *checkpoint;
	uint32_t region;
	checkpoint_found *found;
};

void patrol_deinit(struct patrol *patrol)
{
	memory_free(patrol->buffer, patrol->buffer ? BUFFER_BYTES : 0);
	*patrol = (struct patrol){0};
}

static int begin(struct patrol *patrol, const struct roster *roster)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < roster->count; i++)
		pages += roster->regions[i].page_count;
	patrol->buffer = memory_new(BUFFER_BYTES);
	if (!patrol->buffer)
		return -ENOMEM;
	patrol->page_count = patrol->left = pages;
	patrol->at = pages ? os_clock_ns(CLOCK_MONOTONIC) % pages : 0;
	return 0;
}

static const struct region *region_at(const struct roster *roster, uint64_t at, uint64_t *ret_page)
{
	uint32_t i = 0;

	while (at >= roster->regions[i].page_count)
		at -= roster->regions[i++].page_count;
	*ret_page = at;
	return &roster->regions[i];
}

/* Zeros in memory are no reason to log a page that counts as zeros, whatever home has. */
static int hear(void *context, uint64_t page, int error, const struct home_fault *fault)
{
	const struct listener *listener = context;

	if (damage_note(&listener->checkpoint->damage, region_key(listener->region, page), ANNALS_NONE,
			error < 0 ? error : 0, fault) && fault->expected)
		listener->found(listener->region, page);
	return 0;
}

static void go_on(struct checkpoint *checkpoint, struct scrub *scrub, struct listener *listener)
{
	struct patrol *patrol = &checkpoint->patrol;
	uint64_t page, done;

	scrub->region = region_at(&checkpoint->roster, patrol->at, &page);
	listener->region = scrub->region->id;
	uint64_t count = scrub_block_end(scrub->region, page) - page;
	count = count < patrol->left ? count : patrol->left;
	scrub_block(scrub, page, count, &done);
	patrol->left -= done;
	patrol->at = patrol->at + done < patrol->page_count ? patrol->at + done : 0;
}

int checkpoint_patrol(struct checkpoint *checkpoint, checkpoint_found *found)
{
	struct patrol *patrol = &checkpoint->patrol;
	struct listener listener = {.checkpoint = checkpoint, .found = found};
	int error = 0;

	CHECK(checkpoint->is_writer);
	if (!checkpoint->epoch) /* an emptied pool may still have its old checksums */
		return 0;
	if (!patrol->left)
		error = begin(patrol, &checkpoint->roster);
	if (error)
		return error;
	struct scrub scrub = {
		.checkpoint = checkpoint,
		.seq = ANNALS_NEWEST,
		.is_at_rest_only = true,
		.hear = hear,
		.context = &listener,
		.buffer = patrol->buffer,
		.read_most = SCRUB_PIECE_PAGES,
	};
	for (unsigned i = 0; patrol->left && i < STEP_BLOCKS && scrub.read < scrub.read_most; i++)
		go_on(checkpoint, &scrub, &listener);
	if (patrol->left)
		return CHECKPOINT_MORE;
	patrol_deinit(patrol);
	damage_turn(&checkpoint->damage);
	return 0;
}
