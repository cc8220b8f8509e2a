"""Unmodified programs that work while all of them is kept, beside the same without heapsake."""
import sys

import kept
import redisserver
import stepping
import turns

INTERVALS = {'1 s': '1s', '100 ms': '100ms'}


def keepings(build, prefix):
    for title, interval in INTERVALS.items():
        yield title, kept.ProcessKeeping(build, f'{prefix}-{interval}', interval)


def print_tables(what, unit, waits_of, samples):
    turns.print_rates(f'{what}: {unit}/s', 'keep=process', samples, 'plain')
    kept.print_table(f'{what}: pauses in us, p50/p99/longest of how many', ['keep=process', *samples.rates],
                     samples.pause_rows())
    kept.print_table(f'{what}: how long {waits_of} took in ms; p50/p99 of the median round, longest of all',
                     ['', *samples.rates], samples.wait_rows())


def measure_redis(build, is_quick, is_all, rounds):
    why = redisserver.missing()
    if why:
        print(f'process: redis left out: {why}', file=sys.stderr)
        return
    effort = turns.Effort(seconds=0.2 if is_quick else 3, rounds=rounds or (1 if is_quick else 7 if is_all else 3),
                          items=20000 if is_quick else 1000000, settle_s=1 if is_quick else 20)
    samples = redisserver.compare(build, keepings(build, 'redis'), effort)
    print_tables(f'redis-benchmark, {effort.items} keys, -d {redisserver.VALUE_BYTES}', 'requests',
                 'a request', samples)


def play_steps(build, prefix, start, effort):
    """start: function of keeping, to a program that is loaded."""
    children = {}
    try:
        for name, keeping in [('plain', None), *keepings(build, prefix)]:
            children[name] = start(keeping)
        return turns.play(children, {prefix: lambda child: child.turn(effort.seconds)}, effort)
    finally:
        for child in children.values():
            child.remove()


def step_effort(is_quick, is_all, rounds, items):
    return turns.Effort(seconds=1 if is_quick else 4, rounds=rounds or (1 if is_quick else 9 if is_all else 5),
                        items=items // 20 if is_quick else items, settle_s=1 if is_quick else 15)


def measure_sqlite(build, is_quick, is_all, rounds):
    why = stepping.missing_sqlite()
    if why:
        print(f'process: sqlite left out: {why}', file=sys.stderr)
        return
    effort = step_effort(is_quick, is_all, rounds, 300000)
    samples = play_steps(build, 'sqlite3', lambda keeping: stepping.sqlite(build, keeping, effort.items),
                         effort)
    print_tables(f'sqlite3 :memory:, {effort.items} rows and an index, as many come as go', 'rows',
                 f'{stepping.ROWS_A_STEP} rows', samples)


def measure_python(build, is_quick, is_all, rounds):
    effort = step_effort(is_quick, is_all, rounds, 200000)
    samples = play_steps(build, 'python3', lambda keeping: stepping.python(build, keeping, effort.items),
                         effort)
    print_tables(f'python3, a dictionary of {effort.items} lists, one after the other built anew', 'lists',
                 f'{stepping.ENTRIES_A_STEP} lists', samples)
