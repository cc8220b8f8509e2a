"""From the start of `heapsake run` to the first answer of a program that was killed, by what it holds."""
import collections
import sys
import time

import kept
import redisserver

REDIS_VALUE_BYTES = 1000
HEADS = ['what it holds', 'median', 'longest', 'then to have read it all', 'pool not cached']
Effort = collections.namedtuple('Effort', 'resumes settle_s')


class Case:
    """A resumed.c that holds this much, killed and started again."""

    def __init__(self, build, heap_mib, other_mib=0, threads=1, descriptors=0):
        self.heap_mib, self.other_mib = heap_mib, other_mib
        self.keeping = kept.ProcessKeeping(build, 'resuming', size=f'{heap_mib + heap_mib // 4 + 256}M')
        self.child = kept.Child(build, [build.program('resumed'), str(heap_mib), str(other_mib),
                                        str(threads), str(descriptors)], self.keeping)
        self.answered, self.sum = 0, None

    def load(self, settle_s):
        self.child.line()
        self.sum = self.ask('all')[1]
        self.keeping.checkpoint()
        kept.settle([self.keeping], settle_s)

    def ask(self, text='next'):
        """What it has counted says that it is the same program; what is in its memory, that it is whole."""
        self.child.say(text)
        told = self.child.line()
        self.answered += 1
        if told[0] != str(self.answered):
            raise kept.Failed(f'the answer is {told[0]}, not {self.answered}: {self.keeping.complaint()}')
        if self.sum and text == 'all' and told[1] != self.sum:
            raise kept.Failed('its memory is not what it was')
        return told

    def resume(self, is_cached=True):
        """ms to the first answer, and from there until all its memory has been read."""
        self.keeping.checkpoint()
        self.child.kill_program()
        if not is_cached:
            kept.drop_cache(self.keeping.pool)
        began_s = time.monotonic()
        self.child.start()
        self.ask()
        answered_s = time.monotonic()
        self.ask('all')
        return (answered_s - began_s) * 1e3, (time.monotonic() - answered_s) * 1e3


def cells(name, warm, cold):
    """Of (first answer, all read): what stands in a row."""
    firsts, alls = zip(*warm)
    return [name, f'{kept.median(firsts):.1f}', f'{max(firsts):.1f}',
            f'{kept.median(alls):.1f}' if any(alls) else '-',
            f'{kept.median([first for first, _ in cold]):.1f}' if cold else '-']


def measure_case(build, name, holds, effort):
    case = Case(build, **holds)
    try:
        case.load(effort.settle_s)
        return cells(name, [case.resume() for _ in range(effort.resumes)],
                     [case.resume(is_cached=False) for _ in range(effort.resumes // 2)])
    finally:
        case.child.remove()


def resume_redis(server, keys, is_cached=True):
    """To the first PONG."""
    server.keeping.checkpoint()
    server.kill_program()
    if not is_cached:
        kept.drop_cache(server.keeping.pool)
    began_s = time.monotonic()
    server.start()
    server.await_pong()
    took_ms = (time.monotonic() - began_s) * 1e3
    if server.ask('DBSIZE') != str(keys):
        raise kept.Failed(f'redis-server has lost keys: {server.keeping.complaint()}')
    return took_ms, 0


def measure_redis(build, mib, effort):
    keys, keeping = mib * 1000, kept.ProcessKeeping(build, 'resuming-redis')
    server = redisserver.Redis(build, 'resuming-redis-files', keeping)
    try:
        server.load(keys, REDIS_VALUE_BYTES)
        kept.settle([keeping], effort.settle_s)
        row = cells(f'{keys} keys of {REDIS_VALUE_BYTES} bytes',
                    [resume_redis(server, keys) for _ in range(effort.resumes)],
                    [resume_redis(server, keys, is_cached=False) for _ in range(effort.resumes // 2)])
    finally:
        server.remove()
    kept.print_table('redis-server, killed and started again: ms from the start of `heapsake run` to the first '
                     f'PONG, {effort.resumes} times', HEADS, [row])


def without_heapsake(build, starts):
    """The same program's start from nothing to its first answer."""
    times = []
    for _ in range(starts):
        began_s = time.monotonic()
        child = kept.Child(build, [build.program('resumed'), '0', '0', '1', '0'])
        try:
            child.line()
            child.say('next')
            child.line()
            times.append(((time.monotonic() - began_s) * 1e3, 0))
            child.end()
        finally:
            child.remove()
    return cells('nothing, without heapsake', times, [])


def measure_held(build, effort, is_quick, is_all):
    heaps = [1, 16] if is_quick else [1, 64, 1024] + ([8192] if is_all else [])
    others = [16] if is_quick else [64, 1024]
    cases = [(f'{mib} MiB of heap', {'heap_mib': mib}) for mib in heaps]
    cases += [(f'{mib} MiB of other memory', {'heap_mib': 1, 'other_mib': mib}) for mib in others]
    cases += [(f'{count} threads', {'heap_mib': 1, 'threads': count})
              for count in ([10] if is_quick else [100, 1000])]
    cases += [(f'{count} descriptors of files', {'heap_mib': 1, 'descriptors': count})
              for count in ([10] if is_quick else [10, 1000])]
    rows = [without_heapsake(build, effort.resumes)]
    for name, holds in cases:
        if holds['heap_mib'] > 1024 and kept.available_bytes() < 2.4 * (holds['heap_mib'] << 20):
            print(f'process: {name} left out: not enough memory free', file=sys.stderr)
            continue
        rows.append(measure_case(build, name, holds, effort))
    kept.print_table('Killed and started again: ms from the start of `heapsake run` to the first answer of '
                     f'a program that holds this (and 1 MiB of heap), {effort.resumes} times',
                     HEADS, rows)


def measure(build, is_quick, is_all, rounds):
    effort = Effort(resumes=rounds or (2 if is_quick else 15 if is_all else 7),
                    settle_s=1 if is_quick else 20)
    measure_held(build, effort, is_quick, is_all)
    why = redisserver.missing()
    if why:
        print(f'process: redis left out: {why}', file=sys.stderr)
    else:
        measure_redis(build, 16 if is_quick else 1024, effort)
