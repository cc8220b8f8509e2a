"""How much of a program's memory lies in heapsake's heap, and so is resumed lazily."""
import re
import sys

import kept
import redisserver
import stepping

MAPPING = re.compile(r'([0-9a-f]+)-([0-9a-f]+) \S{4} ')
ENGINE = range(0x180000000000, 0x1f0000000000)  # OURS_ZONE of runtime/ours.h


def resident_bytes(pid, heap):
    """{where: bytes}; of files are pages that are as in their file, the pool's among them."""
    sums = dict.fromkeys(('heap', 'other', 'engine', 'files'), 0)
    with open(f'/proc/{pid}/smaps') as file:
        for line in file:
            found, words = MAPPING.match(line), line.split()
            if found:
                at = int(found[1], 16)
                place = 'heap' if at in heap else 'engine' if at in ENGINE else 'other'
            elif words[0] == 'Rss:':
                sums['files'] += int(words[1]) << 10
            elif words[0] == 'Anonymous:':
                sums[place] += int(words[1]) << 10
                sums['files'] -= int(words[1]) << 10
    return sums


def row(build, name, child):
    region = next(region for region in build.ask('info', child.keeping.pool)['regions']
                  if region['name'] == 'heap')
    sums = resident_bytes(child.program_pid(), range(region['start'], region['start'] + region['bytes']))
    total, own = sum(sums.values()), sums['heap'] + sums['other']
    return [name, *(f'{size / 2 ** 20:.0f} MiB' for size in (total, *sums.values())),
            f'{100 * sums["heap"] / total:.0f} %', f'{100 * sums["heap"] / own:.0f} %']


def start_redis(build, keeping, keys):
    server = redisserver.Redis(build, 'shares-redis', keeping)
    server.load(keys)
    return server


def measure(build, is_quick, is_all, rounds):
    scale = 20 if is_quick else 1
    programs = {'redis-server': (redisserver.missing(),
                                 lambda keeping: start_redis(build, keeping, 1000000 // scale)),
                'sqlite3': (stepping.missing_sqlite(),
                            lambda keeping: stepping.sqlite(build, keeping, 300000 // scale)),
                'python3': (None, lambda keeping: stepping.python(build, keeping, 200000 // scale)),
                'python3, PYTHONMALLOC=malloc': (None, lambda keeping: stepping.python(
                    build, keeping, 200000 // scale, {'PYTHONMALLOC': 'malloc'}))}
    rows = []
    for number, (name, (why, start)) in enumerate(programs.items()):
        if why:
            print(f'process: {name} left out: {why}', file=sys.stderr)
            continue
        child = start(kept.ProcessKeeping(build, f'shares-{number}'))
        try:
            child.keeping.checkpoint()
            rows.append(row(build, name, child))
        finally:
            child.remove()
    kept.print_table('Resident memory of a program that is kept, loaded as in its benchmark: in the heapsake '
                     'heap, in its other mappings, heapsake\'s own, and pages of files; and the heap\'s '
                     'share of all, and of what is the program\'s', ['program', 'RSS', 'heap', 'other',
                     'heapsake', 'files', 'share of RSS', 'share of the program\'s'], rows)
