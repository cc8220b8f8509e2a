/*
 * Crashes a pool at every point where the power could go, in every way it could, and lets the real
 * recovery find what it finds.
 *
 * At each point the versions not yet certain are dealt out: none of them, all, each alone, each
 * one missing, prefixes, random halves, and all subsets when there are few. On each image recovery
 * runs; it must find a cut between the last acknowledged and the last taken, and exactly that cut.
 * From some images the program goes on, and is crashed again: up to three deep.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "history.h"
#include "superblock.h"

#define DEPTHS 3

static struct disk disks[DEPTHS];
static struct history histories[DEPTHS];
static uint64_t states, points, restarts, run_seed;
static bool expects_violation;
static bool is_verbose;

#define FIVE(steps) steps steps steps steps steps
#define LONG(steps) FIVE(FIVE(steps)) FIVE(steps)

/* A 1 in front: all fresh pages but one go home at once. */
static const char *const scripts[] = {
	"scscscscscscmscsc",       /* merge with retention */
	/* lines that change and change back while a merge has got somewhere */
	"SSSSSSSSScscscscscmscscscscmscscscscmscscscscmscscscscmscscscscmscscscscmscscscscm",
	"scScscScscscmcscmkscsc",  /* and a restart */
	"ScScScScScScScScScScScSc", /* a full log */
	"szcSczcscScmzcscmscmscm", /* zero pages */
	"scscfscscfscschscsc",     /* an append that fails */
	"scscfkscfkschscsc",       /* and a restart before the next one */
	"scscscscbscscbscsc",      /* branches */
	"scscscscscmbscscscscmscsc",
	"ScScscscscfmfmfmhmscsc",  /* a merge that fails */
	"ScScscscscymscscymmscsc", /* in its sync */
	"ScScScScScymykymkscscsc",
	"SSSScSSSScSSScmSSSSc",    /* epochs of several records */
	"scscnscscSchscSc",        /* a full disk */
	"scrscscfrscrscmyrkrscm",  /* regions are added */
	"w" LONG("SSSSctttsctttsctt") "o" FIVE("sctttm"), /* home is held: see below */
	"SSSSSctctctctsctsctsctctStctSctSctStctctctcttttctct", /* merging in steps */
	"scsctscsctstctsctftscfttsccthtsctsytctcttctt",
	"SsSdsdcSSSdckSSdcscscscmscsckbSSdc", /* pages go home before their epoch */
	"SSSdfcSSdcSSdfckSSdcSSdyckSSSdcmm", /* and it fails */
	"SSSSSSSSSSSSSSSdpcSSSSSSSdpcSSSSSSSdpcSSSSSSSdpcSSSSSSSdc", /* again and again */
	"SSSSSSSSSSSSSSSSczczcscw" LONG("SScttztctttsctt") "bw" FIVE("ScttSctttt") "bo" FIVE("Sctttm"),
	"SSSSSSSSdfcekSSSSSSdfcekSSSSdfceekSSSSdcecekSSdzcek", /* and ends cleanly, as far as it can */
	"SSSSSSSSSSSSdyrckSSSSSSSSdyrckSSSSSSSSdyrckh", /* somebody else's sync fails for them */
	"SSSSSSSSSSSSSSdkSSSSSSSSSSSSSSdkSSSSSSSSSSSSSSSdk", /* they are of no epoch */
	"SSSSSSSdczsdczscbSSdcbScbSScscscscmbScscm", /* and is branched away from */
	"scscscscsfcscsfcscbscsfcscfcbscsc", /* a branch behind an append that failed */
	/* Pages of an append that failed, and may be found, are written to home again. */
	"1" FIVE("scSSSSSSSSSSdxcSSSSSSSSSSdc"),
	"1" FIVE(FIVE("SSSSSSSSSSdk")), /* leftovers, again and again */
	/* Home is held until the log has been carried forward in it and trimmed, more than once; then it
	 * is let go, and merged. */
	"SSSSSSSSSSSSdcSctSctSctSctSctSctSctw" LONG("SSSSSczctttsctttsctt") "kw" FIVE("SSctttsctttsctt") "omscscscscm",
	"SSScscw" FIVE(FIVE("SSSScttscttt") "fcttpcttt" FIVE("sctt") "nSScttScttth") "omscm",
	FIVE("o" FIVE("SSctSct") "w" FIVE(FIVE("SSScttt"))), /* in the midst of a merge */
	"SSSSSSSSSSSSw" FIVE(FIVE("SScttSctt") "xctSctt" FIVE("sctt") "SctSxctSctSxct") "omscm",
};

/* Random ones: mostly stores and commits, sometimes the rest; and such as are held for long. */
static const char any_actions[] = "sssssssssSSzccccccccccattttttmmmkkbfFynhhhhrdddle";
static const char held_actions[] = "ssssssSSSSSSzcccccccccccttttttttttttttttttttttttttttttt"
	"ssssssSSSSSSzcccccccccccttttttttttttttttttttttttttttttthdd"
	"ssssssSSSSSSzcccccccccccttttttttttttttttttttttttttttttthhhwwokbfne";

static void violation(const struct history *history, const char *fact, uint64_t a, uint64_t b)
{
	fprintf(stderr,
		"crash: seed %llu: %s (%llu, %llu) at depth %u, step %llu, after %llu states%s\n",
		(unsigned long long)run_seed, fact, (unsigned long long)a, (unsigned long long)b,
		history->depth, (unsigned long long)history->step, (unsigned long long)states,
		expects_violation ? " (expected)" : "");
	if (!expects_violation)
		fprintf(stderr, "crash: again with: tests/crash/crash --seed %llu --histories 1\n",
			(unsigned long long)run_seed);
	exit(expects_violation ? 0 : 1);
}

/* ---- Choosing what reached the media ---- */

enum choice { CHOICE_NONE, CHOICE_ALL, CHOICE_ONE, CHOICE_BUT_ONE, CHOICE_PREFIX, CHOICE_HALF,
	      CHOICE_FEW, CHOICE_BITS };

struct deal {
	enum choice choice;
	uint32_t at;     /* which one, how long, or which bits */
};

static bool is_dealt(const struct deal *deal, uint32_t i, uint64_t *random)
{
	switch (deal->choice) {
	case CHOICE_NONE:
		return false;
	case CHOICE_ALL:
		return true;
	case CHOICE_ONE:
		return i == deal->at;
	case CHOICE_BUT_ONE:
		return i != deal->at;
	case CHOICE_PREFIX:
		return i < deal->at;
	case CHOICE_HALF:
		return random_below(random, 2);
	case CHOICE_FEW:
		return random_below(random, 8) == 0;
	default:
		return deal->at >> i & 1;
	}
}

/* ---- One image ---- */

struct undo {
	uint32_t sector;
	uint8_t bytes[SECTOR_BYTES];
};
static struct undo *undos[DEPTHS];
static uint32_t undo_capacity[DEPTHS];

static void image_make(struct history *history, const struct deal *deal)
{
	struct disk *disk = history->disk;
	const unsigned depth = history->depth;

	if (undo_capacity[depth] < disk->version_count) {
		undo_capacity[depth] = disk->version_count * 2;
		undos[depth] = realloc(undos[depth], undo_capacity[depth] * sizeof(struct undo));
		if (!undos[depth])
			exit(2);
	}
	for (uint32_t i = 0; i < disk->version_count; i++) {
		uint8_t *at = disk->media + (uint64_t)disk->versions[i].sector * SECTOR_BYTES;
		undos[depth][i].sector = disk->versions[i].sector;
		memcpy(undos[depth][i].bytes, at, SECTOR_BYTES);
		if (is_dealt(deal, i, &history->random))
			memcpy(at, disk->versions[i].bytes, SECTOR_BYTES);
	}
}

static void image_undo(struct history *history)
{
	struct disk *disk = history->disk;

	for (uint32_t i = disk->version_count; i-- > 0;)
		memcpy(disk->media + (uint64_t)undos[history->depth][i].sector * SECTOR_BYTES,
		       undos[history->depth][i].bytes, SECTOR_BYTES);
}

static bool superblock_is_whole(const uint8_t *media, int slot)
{
	const struct layout_superblock *sb =
		(const struct layout_superblock *)(media + slot * LAYOUT_BLOCK_BYTES);

	return sb->magic == LAYOUT_MAGIC && sb->checksum == superblock_checksum(sb);
}

static void go_on(struct history *before, struct disk *image);

/* One of the two superblocks may rot, if the other is whole: that is why there are two. Not where
 * one is being written, for then the pool never had two. */
static bool may_rot(const struct history *history, const struct disk *image)
{
	for (uint32_t i = 0; i < history->disk->version_count; i++)
		if (history->disk->versions[i].sector < 2 * LAYOUT_BLOCK_BYTES / SECTOR_BYTES)
			return false;
	return superblock_is_whole(image->media, 0) && superblock_is_whole(image->media, 1);
}

static void image_try(struct history *history, const struct deal *deal)
{
	struct disk image;
	uint8_t *rotten = NULL;

	image_make(history, deal);
	image = *history->disk;
	image.view = image.media;
	image.view_bytes = image.media_bytes;
	image.on_point = NULL;
	image.fault = DISK_FAULT_NONE;
	if (random_below(&history->random, 8) == 0 && may_rot(history, &image)) {
		rotten = image.media + random_below(&history->random, 2) * LAYOUT_BLOCK_BYTES +
			 random_below(&history->random, LAYOUT_BLOCK_BYTES);
		*rotten ^= 1;
	}
	if (is_verbose)
		fprintf(stderr, "%*simage %llu: %u versions, deal %d %u%s\n", 2 * (int)history->depth, "",
			(unsigned long long)states, history->disk->version_count, (int)deal->choice,
			deal->at, rotten ? ", a superblock rots" : "");
	history_verify(history, &image, random_below(&history->random, 8) == 0);
	states++;
	/* What an attach leaves half done, the next attach must find; a reader does not look for it. */
	const uint32_t odds = history->depth ? 64 : history->is_attaching ? 16 : 128;
	if (history->depth + 1 < DEPTHS && random_below(&history->random, odds) == 0)
		go_on(history, &image);
	if (rotten)
		*rotten ^= 1;
	image_undo(history);
}

/* The power may go now. */
static void on_point(struct disk *disk)
{
	struct history *history = disk->owner;
	const uint32_t count = disk->version_count;
	const unsigned tries = history->depth ? 1 : 2;
	uint32_t at = 0;

	points++;
	image_try(history, &(struct deal){CHOICE_NONE, 0});
	if (!count)
		return;
	image_try(history, &(struct deal){CHOICE_ALL, 0});
	if (count <= 4 || (count <= 7 && history->depth == 0)) {
		for (uint32_t bits = 1; bits + 1 < UINT32_C(1) << count; bits++)
			image_try(history, &(struct deal){CHOICE_BITS, bits});
		return;
	}
	for (unsigned i = 0; i < tries; i++) {
		for (enum choice choice = CHOICE_ONE; choice <= CHOICE_PREFIX; choice++) {
			at = random_below(&history->random, count);
			image_try(history, &(struct deal){choice, at});
		}
		image_try(history, &(struct deal){i % 4 ? CHOICE_HALF : CHOICE_FEW, 0});
	}
}

/* ---- Histories ---- */

/* Of these actions at random, or as the script says. */
static void run(struct history *history, bool is_held, const char *script, unsigned steps)
{
	const char *actions = is_held ? held_actions : any_actions;
	const uint32_t action_count = (uint32_t)strlen(actions);

	history->disk->owner = history;
	history->disk->on_point = on_point;
	history->script = script;
	history_step(history, 'k');
	if (is_held)
		history_step(history, 'w');
	for (unsigned i = 0; i < steps; i++) {
		if (script && !script[i])
			break;
		char action = script ? script[i]
				     : actions[random_below(&history->random, action_count)];
		if (is_verbose)
			fprintf(stderr, "%*sstep %u: %c, acknowledged %llu, taken %llu\n",
				2 * (int)history->depth, "", i, action,
				(unsigned long long)history->oracle.acked,
				(unsigned long long)history->oracle.cut);
		history_step(history, action);
	}
	history->disk->on_point = NULL;
	history_end(history);
}

static void go_on(struct history *before, struct disk *image)
{
	struct history *after = &histories[before->depth + 1];

	disk_copy(after->disk, image);
	history_resume(after, before, random_next(&before->random));
	restarts++;
	run(after, before->is_held, NULL, before->depth ? 8 : 16);
}

int crash_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'}, {"states", required_argument, NULL, 'n'},
		{"histories", required_argument, NULL, 'i'}, {"expect-violation", no_argument, NULL, 'x'},
		{"verbose", no_argument, NULL, 'v'}, {"script", required_argument, NULL, 'c'},
		{NULL, 0, NULL, 0}};
	const unsigned script_count = sizeof(scripts) / sizeof(scripts[0]);
	uint64_t wanted = 200000, histories_wanted = UINT64_MAX, count = 0;
	const char *only = NULL;
	int option;

	run_seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 's')
			run_seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			wanted = strtoull(optarg, NULL, 0);
		else if (option == 'i')
			histories_wanted = strtoull(optarg, NULL, 0);
		else if (option == 'x')
			expects_violation = true;
		else if (option == 'v')
			is_verbose = true;
		else if (option == 'c')
			only = scripts[strtoul(optarg, NULL, 0) % script_count];
		else
			return 2;
	}
	history_violation = violation;
	for (unsigned i = 0; i < DEPTHS; i++) {
		disk_init(&disks[i]);
		history_init(&histories[i], &disks[i]);
	}
	for (; states < wanted && count < histories_wanted; run_seed++, count++) {
		const char *script = only ? only : run_seed % 2 ? NULL
						  : scripts[run_seed / 2 % script_count];
		const bool is_held = !script && run_seed % 32 == 17;
		history_begin(&histories[0], run_seed);
		if (is_held || (script && strchr(script, 'w'))) /* or it takes hundreds of epochs */
			histories[0].plan.log_bytes = 2 * histories[0].plan.segment_bytes;
		if (script && *script == '1')
			histories[0].plan.bulk_pages = 1;
		run(&histories[0], is_held, script, script ? 1000 : is_held ? 300 : 60);
	}
	printf("crash: %llu states at %llu points of %llu histories, %llu of them gone on from, "
	       "%llu trims with home held: %s\n",
	       (unsigned long long)states, (unsigned long long)points, (unsigned long long)count,
	       (unsigned long long)restarts, (unsigned long long)history_carried(),
	       expects_violation ? "no violation, but one was expected" : "all legal");
	return expects_violation;
}
