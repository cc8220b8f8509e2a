#!/usr/bin/env python3
"""mutate.py NAME SOURCE_ROOT OUTPUT: a copy of one source with one mechanism taken out.

The crash test must notice each of them; a mutant it cannot catch is a hole in the test."""

import sys

MUTANTS = {
    # An epoch is acknowledged before its bytes are on media.
    'append-not-durable': ('checkpoint/log.c',
        'error = medium_append(log->medium, record, record->len,',
        'error = medium_write(log->medium, record, record->len,'),
    # The segment a record stands in is not on media before the record is.
    'header-not-durable': ('checkpoint/segment.c',
        'error = medium_append(log->medium, header, sizeof(*header),',
        'error = medium_write(log->medium, header, sizeof(*header),'),
    # A line changed back to what home has is left to whatever home holds.
    'changed-back-not-named': ('checkpoint/stage.c',
        'ret_base->lines = last == ANNALS_NONE ? NULL : annals_sums(&checkpoint->annals, last);',
        'ret_base->lines = NULL;',
        'home_image(&checkpoint->home, key, ANNALS_NEWEST, page, ret_base->room);',
        'home_image(&checkpoint->home, key, 0, page, ret_base->room);'),
    # Of two entries of a page the older one has the last word.
    'older-line-counts': ('checkpoint/home.c',
        'error = apply_lines(home, entry, left, page);',
        'error = apply_lines(home, entry, UINT64_MAX, page);'),
    # What failed is taken for what was.
    'not-rolled-back': ('checkpoint/epoch.c',
        'annals_rollback(&checkpoint->annals);',
        'annals_commit(&checkpoint->annals);'),
    # Entries of an epoch that never became whole are replayed.
    'torn-epoch-replayed': ('checkpoint/recover.c',
        '\tif (is_new)\n\t\tannals_rollback(annals);\n',
        ''),
    # A retained epoch is read with what came after it.
    'later-entries-count': ('checkpoint/annals.c',
        'annals_at(annals, number)->seq > seq)\n\t\tnumber = annals_before',
        'annals_at(annals, number)->seq > seq && seq == 0)\n\t\tnumber = annals_before'),
    # What is relied upon stands in one superblock only.
    'one-superblock': ('checkpoint/anchor.c',
        'slot < 2 && !error',
        'slot < 1 && !error'),
    # A superblock says a merge is on media that is not.
    'no-sync-before-trim': ('checkpoint/merge.c',
        'error = medium_sync(home->medium);',
        'error = 0;'),
    # Home passes epochs that were promised to be there.
    'merge-passes-retained': ('checkpoint/tend.c',
        'log->epoch_count - CHECKPOINT_RETAINED + 1;',
        'log->epoch_count;'),
    # Any record with a right checksum of its own is taken for the next one.
    'unchained': ('checkpoint/record.c',
        'if (record->previous != previous->checksum || record->seq != previous->seq + 1)\n'
        '\t\treturn false;',
        'return true;',
        'head->segment_seq == place->segment_seq &&', ''),
    # Of two successors the abandoned one counts.
    'lower-segment': ('checkpoint/chain.c',
        '(best && segment->seq < best->seq)',
        '(best && segment->seq > best->seq)'),
    # A torn record is as good as a whole one.
    'record-checksum-off': ('checkpoint/record.c',
        'return record->checksum == record_checksum(record, uuid);',
        '(void)uuid; return record->checksum != 0;'),
    # What only the page cache holds is reported as recovered.
    'not-adopted': ('checkpoint/log.c',
        'error = append_again(log, log->tail_record, log->tail_len);',
        'error = 0;'),
    # A sync that failed is believed.
    'failed-sync-believed': ('checkpoint/merge.c',
        'error = medium_sync(home->medium);',
        '(void)medium_sync(home->medium);',
        'home->medium->failures != merge->failures', 'merge->failures == UINT64_MAX'),
    # The header of a branch gives up the newest epochs before the branch is there.
    'branch-header-counts': ('checkpoint/chain.c',
        'segment->is_branch ? has_branch_record(log, segment, place) : 1;',
        '1; (void)has_branch_record;'),
    # A shorter chain offers epochs that home has passed.
    'oldest-forgotten': ('checkpoint/checkpoint.c',
        'return epoch->epoch >= log->epoch_oldest;',
        'return true;'),
    # An epoch names pages in home that are not on media.
    'bulk-not-synced': ('checkpoint/bulk.c',
        'error = medium_sync(medium);',
        'error = 0;'),
    # Their sync had failed for somebody else.
    'bulk-sync-believed': ('checkpoint/bulk.c',
        'medium->failures != bulk->failures ? -EIO : 0',
        '0'),
    # A record that had failed is found, and what it names in home has been written over.
    'failed-record-revived': ('checkpoint/bulk.c',
        'error = log_settle(home->log);',
        'error = 0;'),
    # Pages that an epoch logged lately are taken for fresh.
    'logged-taken-for-fresh': ('checkpoint/stage.c',
        'ret_base->is_fresh = sum == 0 && last == ANNALS_NONE;',
        'ret_base->is_fresh = sum == 0;',
        'if (last == ANNALS_NONE)\n\t\terror = home_sum',
        'error = home_sum',
        '\telse\n\t\tsum = annals_at(&checkpoint->annals, last)->sum;\n', ''),
    # A page that is again what it was, but not what its draft was, is left to the draft.
    'draft-stays': ('checkpoint/stage.c',
        'const uint64_t last = annals_find(&checkpoint->annals, key, ANNALS_NEWEST);',
        'uint64_t last = annals_find(&checkpoint->annals, key, ANNALS_NEWEST);\n'
        '\tif (last != ANNALS_NONE && last >= checkpoint->annals.committed)\n'
        '\t\tlast = annals_before(&checkpoint->annals, last);'),
    # Nothing tells that home may have bytes of no epoch.
    'bulk-not-flagged': ('checkpoint/bulk.c',
        'int error = bulk_flag(home->anchor, 1);',
        'int error = 0;'),
    # The flag goes although pages of an epoch that failed are there.
    'leftovers-forgotten': ('checkpoint/bulk.c',
        'anchor->sb.bulk || bulk->drafts.count || bulk->has_leftovers ||',
        'anchor->sb.bulk || bulk->drafts.count ||'),
    # Or a branch has given up the epochs that had them.
    'branch-not-flagged': ('checkpoint/attach.c',
        'int error = bulk_flag(&checkpoint->anchor, 1);',
        'int error = 0;'),
    # The flag goes before what it tells of.
    'cleaning-not-synced': ('checkpoint/bulk.c',
        'error = medium_sync(home->medium);',
        'error = 0;'),
    # Home passes what the run began with, and it is offered all the same.
    'attached-passed': ('checkpoint/tend.c',
        'error = anchor_attach(&checkpoint->anchor, 0);',
        'error = 0;'),
    # What was carried forward lets go of records that an epoch still needs.
    'trim-before-carried': ('checkpoint/tend.c',
        'oldest->epoch < checkpoint->carry.epoch',
        'checkpoint->carry.epoch == 0'),
    # A line that only an older entry names is not carried.
    'carried-without-a-line': ('checkpoint/carry.c',
        'whole.mask |= entry->mask;',
        'whole.mask |= entry->mask & (entry->mask - 1);'),
    # Nor one in which home, half merged, looks as if it had it already.
    'carried-by-difference': ('checkpoint/carry.c',
        'const struct annals_entry whole =',
        'struct annals_entry whole =',
        'error = home_image(&checkpoint->home, key, ANNALS_NEWEST, page, lines);',
        'error = home_image(&checkpoint->home, key, ANNALS_NEWEST, page, lines);\n'
        '\tif (!error && whole.kind == LAYOUT_ENTRY_LINES) {\n'
        '\t\tchar other[LAYOUT_BLOCK_BYTES];\n'
        '\t\tmemset(other, 0, sizeof(other));\n'
        '\t\thome_read(&checkpoint->home, key, 1, &whole.sum, other);\n'
        '\t\tfor (unsigned i = 0; i < LAYOUT_LINES; i++)\n'
        '\t\t\tif ((whole.mask & (whole.mask - 1)) && memcmp(page + 64 * i, other + 64 * i, 64) == 0)\n'
        '\t\t\t\twhole.mask &= ~(UINT64_C(1) << i);\n'
        '\t}',
        '#include <errno.h>', '#include <errno.h>\n#include <string.h>'),
    # What was carried in an epoch that failed is taken for carried.
    'carried-in-vain': ('checkpoint/epoch.c',
        'carry_rollback(&checkpoint->carry, checkpoint->epoch);',
        ''),
    # Forked children see a merge.
    'merged-while-held': ('checkpoint/tend.c',
        '\tif (is_still(checkpoint))\n\t\treturn carry_goes_on(checkpoint, limit);\n',
        '\t(void)carry_goes_on;\n'),
    # The checksums of home stay behind.
    'sums-not-written': ('checkpoint/sumblock.c',
        'return place ? medium_write(',
        'return 0 ? medium_write('),
    # Or the last of them, when the merge is called done.
    'sums-not-settled': ('checkpoint/merge.c',
        'error = home_settle(home);',
        'error = 0;'),
    # Those of neighbours become whatever was in the buffer.
    'sums-not-read': ('checkpoint/sumblock.c',
        'error = medium_read(medium, block->sums, sizeof(block->sums), place);',
        'error = 0;'),
}


def main():
    name, root, output = sys.argv[1:]
    path, *changes = MUTANTS[name]
    with open(f'{root}/{path}', encoding='utf-8') as source:
        text = source.read()
    for old, new in zip(changes[::2], changes[1::2]):
        if text.count(old) != 1:
            sys.exit(f'mutate.py: {name}: {path}: {text.count(old)} places to change, not one')
        text = text.replace(old, new)
    with open(output, 'w', encoding='utf-8') as mutant:
        mutant.write(text)


if __name__ == '__main__':
    main()
