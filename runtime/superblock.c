/*
 * The problem: a pool's first bytes may be torn by a power cut, rotten, made by another machine or
 * a newer version, or made to harm. The trick: two slots written in turn, each with a checksum
 * over all of itself; then, checksum or not, every field is compared with what it may be and with
 * the file's real size, in unsigned arithmetic that cannot overflow. The guarantee: whoever gets
 * a superblock from here may use its offsets, lengths and addresses without another check.
 */
#include "superblock.h"

#include <stdbool.h>
#include <string.h>

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "config.h"
#include "os-x86_64.h"
#include "os.h"

#define MACHINE_LITTLE_ENDIAN 1
#define MACHINE_64_BIT 2

uint64_t superblock_checksum(const struct layout_superblock *sb)
{
	return XXH3_64bits_withSeed(sb, offsetof(struct layout_superblock, checksum),
				    LAYOUT_CHECKSUM_SEED);
}

static uint64_t slot_offset(int slot)
{
	return (uint64_t)slot * LAYOUT_BLOCK_BYTES;
}

/* What every check below ends in: one line with file, offset, found and expected. */
struct verdict {
	const char *path;
	int slot;
	struct refusal *why;
};

static int refuse_field(const struct verdict *verdict, enum status status, size_t field_offset,
			uint64_t found, const char *expected, const char *remedy)
{
	return refuse(verdict->why, status, verdict->path,
		      "superblock at offset %llu: found 0x%llx, expected %s; %s",
		      (unsigned long long)(slot_offset(verdict->slot) + field_offset),
		      (unsigned long long)found, expected, remedy);
}

#define DAMAGED "restore it from a copy, or remove it"
#define FIELD(member) offsetof(struct layout_superblock, member)

static int verify_build(const struct verdict *verdict, const struct layout_superblock *sb)
{
	if (sb->version != LAYOUT_VERSION)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(version), sb->version,
				    "format version 0", "use the heapsake that made it");
	if (sb->features_must & ~LAYOUT_FEATURES_MUST)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(features_must),
				    sb->features_must, "no feature this version lacks",
				    "use the heapsake that made it");
	if (sb->features_read_only & ~LAYOUT_FEATURES_READ_ONLY)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(features_read_only),
				    sb->features_read_only, "no feature this version lacks",
				    "use the heapsake that made it");
	return 0;
}

static int verify_machine(const struct verdict *verdict, const struct layout_superblock *sb)
{
	static const char elsewhere[] = "use it on the kind of machine that made it";

	if (sb->machine != OS_ELF_MACHINE)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(machine), sb->machine,
				    "ELF machine 0x3e (x86-64)", elsewhere);
	if (sb->endianness != MACHINE_LITTLE_ENDIAN)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(endianness), sb->endianness,
				    "1 (little endian)", elsewhere);
	if (sb->word_class != MACHINE_64_BIT)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(word_class), sb->word_class,
				    "2 (64-bit)", elsewhere);
	if (sb->page_bytes != OS_PAGE_BYTES)
		return refuse_field(verdict, STATUS_INCOMPATIBLE, FIELD(page_bytes), sb->page_bytes,
				    "a page size of 0x1000", elsewhere);
	return 0;
}

static bool is_chunk_aligned(uint64_t value)
{
	return value % LAYOUT_CHUNK_BYTES == 0;
}

static int verify_heap(const struct verdict *verdict, const struct layout_superblock *sb)
{
	if (!is_chunk_aligned(sb->base) || sb->base == 0 || sb->base >= LAYOUT_ADDRESS_END)
		return refuse_field(verdict, STATUS_CORRUPT, FIELD(base), sb->base,
				    "a 2 MiB-aligned user address", DAMAGED);
	if (!is_chunk_aligned(sb->size_bytes) || sb->size_bytes < LAYOUT_HEAP_MIN_BYTES ||
	    sb->size_bytes > LAYOUT_ADDRESS_END - sb->base)
		return refuse_field(verdict, STATUS_CORRUPT, FIELD(size_bytes), sb->size_bytes,
				    "a multiple of 2 MiB, at least 16 MiB, that fits above the base",
				    DAMAGED);
	if (sb->keep > KEEP_PROCESS)
		return refuse_field(verdict, STATUS_CORRUPT, FIELD(keep), sb->keep,
				    "a keep of 0 to 3", DAMAGED);
	return 0;
}

static int verify_extent(const struct verdict *verdict, const struct layout_superblock *sb,
			 uint32_t index, uint64_t file_bytes)
{
	const struct layout_extent *extent = &sb->extents[index];
	size_t field = FIELD(extents) + index * sizeof(*extent);
	size_t len_field = field + offsetof(struct layout_extent, len);

	if (extent->use < LAYOUT_USE_HEAP || extent->use > LAYOUT_USE_REGION_SUMS)
		return refuse_field(verdict, STATUS_CORRUPT,
				    field + offsetof(struct layout_extent, use), extent->use,
				    "a use of 1 to 5", DAMAGED);
	if (extent->reserved)
		return refuse_field(verdict, STATUS_CORRUPT,
				    field + offsetof(struct layout_extent, reserved),
				    extent->reserved, "0", DAMAGED);
	if (!is_chunk_aligned(extent->file_offset) || extent->file_offset < LAYOUT_HEAD_BYTES ||
	    extent->file_offset > INT64_MAX)
		return refuse_field(verdict, STATUS_CORRUPT, field, extent->file_offset,
				    "a 2 MiB-aligned file offset behind the head", DAMAGED);
	if (!is_chunk_aligned(extent->len) || extent->len == 0 ||
	    extent->len > (uint64_t)INT64_MAX - extent->file_offset)
		return refuse_field(verdict, STATUS_CORRUPT, len_field, extent->len,
				    "a length of whole 2 MiB", DAMAGED);
	if (extent->file_offset + extent->len > file_bytes)
		return refuse(verdict->why, STATUS_CORRUPT, verdict->path,
			      "truncated: found %llu bytes, expected %llu; " DAMAGED,
			      (unsigned long long)file_bytes,
			      (unsigned long long)(extent->file_offset + extent->len));
	for (uint32_t i = 0; i < index; i++) {
		const struct layout_extent *other = &sb->extents[i];
		if (extent->file_offset < other->file_offset + other->len &&
		    other->file_offset < extent->file_offset + extent->len)
			return refuse_field(verdict, STATUS_CORRUPT, field, extent->file_offset,
					    "an extent that overlaps no other", DAMAGED);
	}
	return 0;
}

static int verify_extents(const struct verdict *verdict, const struct layout_superblock *sb,
			  uint64_t file_bytes)
{
	uint64_t heap_bytes = 0;

	if (sb->extent_count == 0 || sb->extent_count > LAYOUT_EXTENT_MAX)
		return refuse_field(verdict, STATUS_CORRUPT, FIELD(extent_count), sb->extent_count,
				    "1 to 0x80 extents", DAMAGED);
	for (uint32_t i = 0; i < sb->extent_count; i++) {
		int status = verify_extent(verdict, sb, i, file_bytes);
		if (status)
			return status;
		/* Cannot overflow: extents are disjoint below 2^63. */
		if (sb->extents[i].use == LAYOUT_USE_HEAP)
			heap_bytes += sb->extents[i].len;
	}
	if (heap_bytes != sb->size_bytes)
		return refuse(verdict->why, STATUS_CORRUPT, verdict->path,
			      "superblock at offset %llu: the heap's extents sum to %llu bytes, "
			      "expected its size %llu; " DAMAGED,
			      (unsigned long long)(slot_offset(verdict->slot) + FIELD(extents)),
			      (unsigned long long)heap_bytes, (unsigned long long)sb->size_bytes);
	return 0;
}

static int verify_zeros(const struct verdict *verdict, const struct layout_superblock *sb,
			size_t from, size_t to)
{
	const unsigned char *bytes = (const unsigned char *)sb;

	for (size_t i = from; i < to; i++)
		if (bytes[i])
			return refuse_field(verdict, STATUS_CORRUPT, i, bytes[i],
					    "0 in reserved bytes", DAMAGED);
	return 0;
}

static int verify_reserved(const struct verdict *verdict, const struct layout_superblock *sb)
{
	size_t unused = FIELD(extents) + sb->extent_count * sizeof(sb->extents[0]);
	int status = verify_zeros(verdict, sb, FIELD(reserved0), FIELD(seq));

	if (!status)
		status = verify_zeros(verdict, sb, FIELD(reserved1), FIELD(extents));
	if (!status)
		status = verify_zeros(verdict, sb, unused, FIELD(segment_bytes));
	if (!status)
		status = verify_zeros(verdict, sb, FIELD(trim.reserved), FIELD(epoch_base));
	if (!status)
		status = verify_zeros(verdict, sb, FIELD(reserved3), FIELD(attached));
	if (!status)
		status = verify_zeros(verdict, sb, FIELD(reserved2), FIELD(checksum));
	return status;
}

static bool is_segment_size(uint64_t bytes)
{
	return bytes >= LAYOUT_SEGMENT_MIN_BYTES && bytes <= LAYOUT_SEGMENT_MAX_BYTES &&
	       (bytes & (bytes - 1)) == 0;
}

/* The log is an array of segments: each of its extents is a whole number of them. */
static int verify_log(const struct verdict *verdict, const struct layout_superblock *sb)
{
	uint64_t log_bytes = 0;

	if (sb->segment_bytes && !is_segment_size(sb->segment_bytes))
		return refuse_field(verdict, STATUS_CORRUPT, FIELD(segment_bytes), sb->segment_bytes,
				    "0 or a power of two, 16 KiB to 8 MiB", DAMAGED);
	for (uint32_t i = 0; sb->segment_bytes && i < sb->extent_count; i++) {
		if (sb->extents[i].use != LAYOUT_USE_LOG)
			continue;
		if (sb->extents[i].len % sb->segment_bytes)
			return refuse_field(verdict, STATUS_CORRUPT,
					    FIELD(extents) + i * sizeof(sb->extents[0]) +
						    offsetof(struct layout_extent, len),
					    sb->extents[i].len, "a length of whole log segments",
					    DAMAGED);
		log_bytes += sb->extents[i].len;
	}
	if (sb->trim.offset > log_bytes || sb->trim.offset % LAYOUT_BLOCK_BYTES)
		return refuse_field(verdict, STATUS_CORRUPT, FIELD(trim.offset), sb->trim.offset,
				    "a 4 KiB-aligned place in the log", DAMAGED);
	return 0;
}

int superblock_verify(const struct layout_superblock *sb, int slot, uint64_t file_bytes,
		      const char *path, struct refusal *ret_why)
{
	struct verdict verdict = {.path = path, .slot = slot, .why = ret_why};
	int status = verify_build(&verdict, sb);

	if (!status)
		status = verify_machine(&verdict, sb);
	if (!status && (sb->seq & 1) != (uint64_t)slot)
		status = refuse_field(&verdict, STATUS_CORRUPT, FIELD(seq), sb->seq,
				      slot ? "an odd number in slot 1" : "an even number in slot 0",
				      DAMAGED);
	if (!status)
		status = verify_heap(&verdict, sb);
	if (!status)
		status = verify_extents(&verdict, sb, file_bytes);
	if (!status)
		status = verify_reserved(&verdict, sb);
	if (!status)
		status = verify_log(&verdict, sb);
	return status;
}

/* Neither slot is whole: the first that claims to be a superblock tells what is wrong. */
static int refuse_both(const struct layout_superblock *slots, const char *path,
		       struct refusal *ret_why)
{
	for (int slot = 0; slot < 2; slot++) {
		struct verdict verdict = {.path = path, .slot = slot, .why = ret_why};
		char expected[64] = "checksum 0x";
		uint64_t sum = superblock_checksum(&slots[slot]);
		if (slots[slot].magic != LAYOUT_MAGIC)
			continue;
		for (int digit = 0; digit < 16; digit++)
			expected[11 + digit] = "0123456789abcdef"[sum >> (60 - 4 * digit) & 15];
		return refuse_field(&verdict, STATUS_CORRUPT, FIELD(checksum),
				    slots[slot].checksum, expected, DAMAGED);
	}
	return refuse(ret_why, STATUS_CORRUPT, path,
		      "not a heapsake pool: at offset 0 found 0x%016llx, expected 0x%016llx; "
		      "name another file",
		      (unsigned long long)slots[0].magic, (unsigned long long)LAYOUT_MAGIC);
}

int superblock_load(int fd, uint64_t file_bytes, const char *path,
		    struct layout_superblock *ret_sb, int *ret_slot, struct refusal *ret_why)
{
	struct layout_superblock slots[2];

	if (file_bytes < LAYOUT_HEAD_BYTES) {
		slots[0].magic = 0;
		if (file_bytes < sizeof(slots) || os_pread_all(fd, slots, sizeof(slots), 0) < 0 ||
		    (slots[0].magic != LAYOUT_MAGIC && slots[1].magic != LAYOUT_MAGIC))
			return refuse(ret_why, STATUS_CORRUPT, path,
				      "not a heapsake pool: found %llu bytes, expected at least %llu; "
				      "name another file",
				      (unsigned long long)file_bytes,
				      (unsigned long long)LAYOUT_HEAD_BYTES);
		return refuse(ret_why, STATUS_CORRUPT, path,
			      "truncated: found %llu bytes, expected at least %llu; " DAMAGED,
			      (unsigned long long)file_bytes,
			      (unsigned long long)LAYOUT_HEAD_BYTES);
	}
	int error = os_pread_all(fd, slots, sizeof(slots), 0);
	if (error)
		return refuse(ret_why, STATUS_CORRUPT, path,
			      "cannot read the superblocks: error %d (%s); " DAMAGED, -error,
			      strerrordesc_np(-error));
	return superblock_choose(slots, file_bytes, path, ret_sb, ret_slot, ret_why);
}

int superblock_choose(const struct layout_superblock slots[2], uint64_t file_bytes,
		      const char *path, struct layout_superblock *ret_sb, int *ret_slot,
		      struct refusal *ret_why)
{
	int newest = -1;

	for (int slot = 0; slot < 2; slot++) {
		if (slots[slot].magic != LAYOUT_MAGIC ||
		    slots[slot].checksum != superblock_checksum(&slots[slot]))
			continue;
		if (newest < 0 || slots[slot].seq > slots[newest].seq)
			newest = slot;
	}
	if (newest < 0)
		return refuse_both(slots, path, ret_why);
	int status = superblock_verify(&slots[newest], newest, file_bytes, path, ret_why);
	if (status)
		return status;
	*ret_sb = slots[newest];
	*ret_slot = newest;
	return 0;
}

int superblock_store(int fd, struct layout_superblock *sb)
{
	sb->checksum = superblock_checksum(sb);
	return os_pwrite_all(fd, sb, sizeof(*sb), slot_offset((int)(sb->seq & 1)));
}
