/*
 * Every byte on media.
 *
 * Little endian; offsets, not pointers; reserved bytes are zero and covered by the checksum where
 * there is one. Nothing read from a file is believed before it is verified, checksum or not.
 *
 *   file offset
 *   0         +------------------------+
 *             | superblock, slot 0     |  section 1
 *   4 KiB     +------------------------+
 *             | superblock, slot 1     |
 *   8 KiB     +------------------------+
 *             | control page           |  section 2
 *   12 KiB    +------------------------+
 *             | reserved, zero         |  up to 64 KiB written at create, then a hole
 *   2 MiB     +------------------------+
 *             | extent: heap           |  section 3; sparse, 2 MiB-aligned like every extent
 *             +------------------------+
 *             | further extents, as the superblock's table says, in any order: the heap is the
 *             | concatenation of the heap's extents in the order of the table
 *             +
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_BLOCK_BYTES UINT64_C(4096)
#define LAYOUT_CHUNK_BYTES (UINT64_C(2) << 20) /* alignment of extents, base and sizes */
#define LAYOUT_HEAD_BYTES LAYOUT_CHUNK_BYTES
#define LAYOUT_HEAD_WRITTEN_BYTES UINT64_C(65536)
#define LAYOUT_HEAP_MIN_BYTES (UINT64_C(16) << 20)
#define LAYOUT_ADDRESS_END (UINT64_C(1) << 47) /* user addresses end here (4-level tables) */

/*
 * ---- 1. Superblocks ----
 *
 * A superblock of sequence number n stands in slot n & 1. Of the slots with a right checksum the
 * higher seq counts. An update writes the other slot with seq + 1 and syncs: it counts from the
 * moment its last sector is on media. Torn, its checksum is wrong and the older one counts: an
 * update has happened wholly or not at all.
 *
 * magic, version and the place of the checksum are the same in every version, for ever.
 *
 * OFFSET  SIZE  MEANING
 *      0     8  magic "heapsake"
 *      8     4  version; 0: unreleased, only the very build that made it understands it
 *     12     4  reserved
 *     16     8  seq
 *     24     8  features a reader may ignore
 *     32     8  features a reader must know to open at all
 *     40     8  features a writer must know; without them the pool is read-only
 *     48    16  uuid, new with every emptying
 *     64     2  machine: ELF e_machine
 *     66     1  ELF EI_DATA: 1 little endian
 *     67     1  ELF EI_CLASS: 2 64-bit
 *     68     4  page size of the machine, bytes
 *     72     8  base: address of the heap's first byte, 2 MiB-aligned
 *     80     8  size of the heap, bytes: the sum of its extents
 *     88     4  keep (enum keep); unset: the heap is empty, whatever its extents hold
 *     92     4  user id of its maker, for people; who may use it is the file's own business
 *     96     8  created, ns since 1970
 *    104     4  number of extents, 1..LAYOUT_EXTENT_MAX
 *    108     4  reserved
 *    112  3072  extents, 24 bytes each; those beyond the number are zero
 *   3184     8  bytes of a log segment (checkpoint/log-layout.h); 0: no epoch was ever kept
 *   3192    48  trim: where replay of the log starts; zeros: at its very first record
 *   3240     8  epoch_base: no number up to and with it is given to an epoch: earlier lives of this
 *               pool, before it was emptied, may have used them
 *   3248     4  bulk: not 0: home may hold bytes in pages that count as zeros (checkpoint/bulk.c)
 *   3252     4  reserved
 *   3256     8  attached: the epoch the last run began with, and the one before it, have not been
 *               passed by home; 0: nothing said
 *   3264   824  reserved
 *   4088     8  checksum: XXH3-64 of bytes 0..4087 with seed LAYOUT_CHECKSUM_SEED
 */
#define LAYOUT_MAGIC UINT64_C(0x656b617370616568) /* "heapsake" */
#define LAYOUT_VERSION 0u
#define LAYOUT_FEATURES_MUST UINT64_C(0)      /* those this build knows */
#define LAYOUT_FEATURES_READ_ONLY UINT64_C(0) /* likewise */
#define LAYOUT_CHECKSUM_SEED UINT64_C(0x48505350)
#define LAYOUT_EXTENT_MAX 128u
#define LAYOUT_SEGMENT_MIN_BYTES UINT64_C(16384)
#define LAYOUT_SEGMENT_MAX_BYTES (UINT64_C(8) << 20)

enum layout_use {
	LAYOUT_USE_NONE = 0, /* only in unused entries */
	LAYOUT_USE_HEAP = 1,
	LAYOUT_USE_REGIONS = 2,
	LAYOUT_USE_LOG = 3,
	LAYOUT_USE_HEAP_SUMS = 4,   /* 8 bytes a page of the heap: its checksum in home */
	LAYOUT_USE_REGION_SUMS = 5, /* likewise of the regions */
};

/*
 * OFFSET  SIZE  MEANING
 *      0     8  file offset, 2 MiB-aligned, at least LAYOUT_HEAD_BYTES
 *      8     8  length, 2 MiB-aligned, not 0
 *     16     4  use
 *     20     4  reserved
 */
struct layout_extent {
	uint64_t file_offset;
	uint64_t len;
	uint32_t use;
	uint32_t reserved;
};
static_assert(sizeof(struct layout_extent) == 24, "on media");

/*
 * Home, with the entries behind the record named here over it, is every epoch that can be had; what
 * the log holds before that is free. Home holds everything up to and with that record, but for
 * pages that were carried forward: they have whole entries behind it, and four epochs stand behind
 * those. All zeros as long as nothing was merged.
 *
 * OFFSET  SIZE  MEANING
 *      0     8  offset in the log (the concatenation of its extents) behind that record
 *      8     8  seq of that record
 *     16     8  checksum of that record
 *     24     8  seq of the segment it stands in
 *     32     8  epoch it completes: what home holds, unless pages were carried forward
 *     40     4  branch of that epoch
 *     44     4  reserved
 */
struct layout_trim {
	uint64_t offset;
	uint64_t seq;
	uint64_t checksum;
	uint64_t segment_seq;
	uint64_t epoch;
	uint32_t branch;
	uint32_t reserved;
};
static_assert(sizeof(struct layout_trim) == 48, "on media");
static_assert(offsetof(struct layout_trim, branch) == 40, "on media");

struct layout_superblock {
	uint64_t magic;
	uint32_t version;
	uint32_t reserved0;
	uint64_t seq;
	uint64_t features_may;
	uint64_t features_must;
	uint64_t features_read_only;
	uint8_t uuid[16];
	uint16_t machine;
	uint8_t endianness;
	uint8_t word_class;
	uint32_t page_bytes;
	uint64_t base;
	uint64_t size_bytes;
	uint32_t keep;
	uint32_t maker_uid;
	uint64_t created_unix_ns;
	uint32_t extent_count;
	uint32_t reserved1;
	struct layout_extent extents[LAYOUT_EXTENT_MAX];
	uint64_t segment_bytes;
	struct layout_trim trim;
	uint64_t epoch_base;
	uint32_t bulk;
	uint32_t reserved3;
	uint64_t attached;
	uint8_t reserved2[824];
	uint64_t checksum;
};
static_assert(sizeof(struct layout_superblock) == LAYOUT_BLOCK_BYTES, "on media");
static_assert(offsetof(struct layout_superblock, version) == 8, "on media, for ever");
static_assert(offsetof(struct layout_superblock, seq) == 16, "on media");
static_assert(offsetof(struct layout_superblock, features_may) == 24, "on media");
static_assert(offsetof(struct layout_superblock, features_must) == 32, "on media");
static_assert(offsetof(struct layout_superblock, features_read_only) == 40, "on media");
static_assert(offsetof(struct layout_superblock, uuid) == 48, "on media");
static_assert(offsetof(struct layout_superblock, machine) == 64, "on media");
static_assert(offsetof(struct layout_superblock, endianness) == 66, "on media");
static_assert(offsetof(struct layout_superblock, word_class) == 67, "on media");
static_assert(offsetof(struct layout_superblock, page_bytes) == 68, "on media");
static_assert(offsetof(struct layout_superblock, base) == 72, "on media");
static_assert(offsetof(struct layout_superblock, size_bytes) == 80, "on media");
static_assert(offsetof(struct layout_superblock, keep) == 88, "on media");
static_assert(offsetof(struct layout_superblock, maker_uid) == 92, "on media");
static_assert(offsetof(struct layout_superblock, created_unix_ns) == 96, "on media");
static_assert(offsetof(struct layout_superblock, extent_count) == 104, "on media");
static_assert(offsetof(struct layout_superblock, extents) == 112, "on media");
static_assert(offsetof(struct layout_superblock, segment_bytes) == 3184, "on media");
static_assert(offsetof(struct layout_superblock, trim) == 3192, "on media");
static_assert(offsetof(struct layout_superblock, epoch_base) == 3240, "on media");
static_assert(offsetof(struct layout_superblock, attached) == 3256, "on media");
static_assert(offsetof(struct layout_superblock, reserved2) == 3264, "on media");
static_assert(offsetof(struct layout_superblock, checksum) == 4088, "on media, for ever");

/*
 * ---- 2. Control page ----
 *
 * Not part of what is kept: the owner tells the world who it is. seq is odd while the owner
 * writes; a reader copies between two equal even values. An owner that died writing leaves it odd
 * until the next owner. No checksum: it is never believed. What is asked of the owner (264..287)
 * and the flags lie outside the seqlock: single words, changed by atomic instructions, by anybody.
 *
 * Who wants an epoch adds 1 to `requests`, rings, and waits on the futex `requests done`. The owner
 * notes `requests` before its cut; when the epoch is durable that number goes into `durable` and
 * `done`, when it failed into `done` alone. A request n is answered when done - n >= 0 (signed, so
 * that the numbers may wrap), and has been granted when durable - n >= 0.
 *
 * OFFSET  SIZE  MEANING
 *      0     8  magic "hsctrl01"
 *      8     4  seq
 *     12     4  flags (enum control_flags)
 *     16     8  owner's start time, clock ticks since boot (field 22 of /proc/PID/stat)
 *     24     8  when the owner attached, ns since 1970
 *     32     4  owner's pid, as seen in its own pid namespace
 *     36     4  keep of this run
 *     40    64  owner's program, zero-terminated
 *    104     8  bytes of the heap opened by this run
 *    112     8  newest durable epoch
 *    120     8  when its cut was, ns since 1970; 0: no epoch in this run
 *    128     8  when something was first stored after that cut, ns since 1970; 0: nothing was
 *    136     8  oldest epoch that can be had back
 *    144     4  state (enum control_state)
 *    148     4  errno of what made it DEGRADED
 *    152     4  durability in effect (enum durability)
 *    156     4  tracker (enum track_kind)
 *    160     8  interval, ns; 0: only when asked
 *    168     8  bytes of log in use
 *    176    64  since attach: epochs, forced, given up, skipped, pages, bytes logged, bytes of the
 *               program's that changed in them, bytes merged into home
 *    240    24  pause in us: p50, p99, max; commit in us: p50, p99, max
 *    264     4  number of lifelong locks
 *    268     4  doorbell: a futex the committer sleeps on; whoever wants something adds 1, wakes
 *    272     4  requests for an epoch, counted by those who ask
 *    276     4  requests done: the newest one answered; a futex
 *    280     4  errno of the newest one that failed
 *    284     4  requests durable: the newest one whose epoch is on media
 *    288   192  why the state is not OK, or who delays a cut; zero-terminated
 *    480     4  bits: of which of the next three the length is known; the keeper's (keep=process)
 *    484     4  reserved
 *    488    24  lengths of the files that were descriptors 0 to 2 when the program was killed
 *    512   384  who holds lifelong locks, and where they were taken; zero-terminated
 *    896     8  the owner's last sign of life, ns since 1970; 0: none yet
 *    904     8  when it ended, ns since 1970, by itself or its keeper; 0: nobody has seen it
 *    912  3184  reserved
 */
enum control_state {
	CONTROL_OK = 0,
	CONTROL_DEGRADED = 1,
	CONTROL_VETOED = 2,
	CONTROL_CORRUPT = 3, /* home has a page that is damaged; epochs go on */
};

struct control_counters {
	uint64_t epochs;
	uint64_t forced;
	uint64_t given_up;
	uint64_t skipped;
	uint64_t pages;
	uint64_t log_bytes;
	uint64_t user_bytes;
	uint64_t home_bytes;
};

struct control_times {
	uint32_t p50_us, p99_us, max_us;
};

#define LAYOUT_CONTROL_OFFSET UINT64_C(8192)
#define LAYOUT_CONTROL_MAGIC UINT64_C(0x31306c7274637368) /* "hsctrl01" */

struct control {
	uint64_t magic;
	uint32_t seq;
	uint32_t flags;
	uint64_t start_ticks;
	uint64_t started_unix_ns;
	int32_t pid;
	uint32_t keep;
	char program[64];
	uint64_t open_bytes;
	uint64_t epoch;
	uint64_t epoch_unix_ns;
	uint64_t dirty_unix_ns;
	uint64_t oldest_epoch;
	uint32_t state;
	int32_t error;
	uint32_t durability;
	uint32_t tracker;
	uint64_t interval_ns;
	uint64_t log_bytes;
	struct control_counters counters;
	struct control_times pause, commit;
	uint32_t lifelong_locks;
	uint32_t doorbell;
	uint32_t requests;
	uint32_t requests_done;
	int32_t request_error;
	uint32_t requests_durable;
	char why[192];
	uint32_t outputs_known;
	uint32_t reserved0;
	uint64_t output_bytes[3];
	char lifelong[384];
	uint64_t alive_unix_ns;
	uint64_t ended_unix_ns;
	uint8_t reserved[3184];
};
static_assert(sizeof(struct control) == LAYOUT_BLOCK_BYTES, "on media");
static_assert(offsetof(struct control, seq) == 8, "on media");
static_assert(offsetof(struct control, start_ticks) == 16, "on media");
static_assert(offsetof(struct control, started_unix_ns) == 24, "on media");
static_assert(offsetof(struct control, pid) == 32, "on media");
static_assert(offsetof(struct control, program) == 40, "on media");
static_assert(offsetof(struct control, open_bytes) == 104, "on media");
static_assert(offsetof(struct control, state) == 144, "on media");
static_assert(offsetof(struct control, counters) == 176, "on media");
static_assert(offsetof(struct control, doorbell) == 268, "on media");
static_assert(offsetof(struct control, why) == 288, "on media");
static_assert(offsetof(struct control, output_bytes) == 488, "on media");
static_assert(offsetof(struct control, lifelong) == 512, "on media");
static_assert(offsetof(struct control, alive_unix_ns) == 896, "on media");
static_assert(offsetof(struct control, reserved) == 912, "on media");

/*
 * ---- Locks ----
 *
 * Open-file-description locks on ranges of the file; they hold no bytes.
 *   superblocks   write: the owner; read: a checker
 *   control page  read: processes whose memory still shows this file after a fork (window.c)
 */
#define LAYOUT_LOCK_OWNER_OFFSET UINT64_C(0)
#define LAYOUT_LOCK_OWNER_LEN (2 * LAYOUT_BLOCK_BYTES)
#define LAYOUT_LOCK_VIEW_OFFSET LAYOUT_CONTROL_OFFSET
#define LAYOUT_LOCK_VIEW_LEN LAYOUT_BLOCK_BYTES

/* Where a new pool's heap lives unless told otherwise: far from everything Linux, sanitizers and
 * JITs use, and below 2^47. */
#define LAYOUT_BASE_DEFAULT UINT64_C(0x200000000000)

/*
 * ---- 3. Heap ----
 *
 * The heap's own structures, at offsets from the heap's base.
 */
