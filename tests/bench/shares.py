"""How much of a program's memory lies in heapsake's heap, and so is resumed lazily."""
import re
import sys

import kept
import redisserver
import stepping

MAPPING = re.compile(r'([0-9a-f]+)-([0-9a-f]+) \S{4} ')


def resident_bytes(pid, start, end):
    """(all, of that between start and end)"""
    total = within = at = 0
    with open(f'/proc/{pid}/smaps') as file:
        for line in file:
            found = MAPPING.match(line)
            if found:
                at = int(found[1], 16)
            elif line.startswith('Rss:'):
                total += int(line.split()[1]) << 10
                within += int(line.split()[1]) << 10 if start <= at < end else 0
    return total, within


def row(build, name, child):
    heap = next(region for region in build.ask('info', child.keeping.pool)['regions']
                if region['name'] == 'heap')
    total, within = resident_bytes(child.program_pid(), heap['start'], heap['start'] + heap['bytes'])
    return [name, f'{total / 2 ** 20:.0f} MiB', f'{within / 2 ** 20:.0f} MiB', f'{100 * within / total:.0f} %']


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
    kept.print_table('Memory of a program that is kept, loaded as in its benchmark, and what of it lies in '
                     'the heapsake heap', ['program', 'RSS', 'heap', 'share'], rows)
