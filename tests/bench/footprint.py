"""Memory per byte of heap: the program, what is staged, and the pool's pages in the page cache."""
import ctypes
import os
import time

import kept

SYS_CACHESTAT = 451  # Linux 6.5
UNMERGED_S = 10.5  # a run's first ten seconds merge nothing, so nothing of home is dirty then


class Cachestat(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ('cached', 'dirty', 'writeback', 'evicted', 'recently_evicted')]


class Range(ctypes.Structure):
    _fields_ = [('start', ctypes.c_uint64), ('len', ctypes.c_uint64)]


def cached_bytes(path):
    """(all, dirty) bytes of a file in the page cache, or None: the kernel cannot tell."""
    libc, told = ctypes.CDLL(None, use_errno=True), Cachestat()
    fd = os.open(path, os.O_RDONLY)
    try:
        if libc.syscall(SYS_CACHESTAT, fd, ctypes.byref(Range(0, 0)), ctypes.byref(told), 0) != 0:
            return None
    finally:
        os.close(fd)
    page = os.sysconf('SC_PAGESIZE')
    return told.cached * page, (told.dirty + told.writeback) * page


def anonymous_bytes(pid):
    """Pages of the process that are no file's: of the pool's, those it has stored to. What it merely
    shows of the pool is counted there, once."""
    with open(f'/proc/{pid}/smaps_rollup') as file:
        for line in file:
            if line.startswith('Anonymous:'):
                return int(line.split()[1]) << 10
    return 0


def sample(build, keeping, mib, percent, seconds, wait_s=0):
    """Heap bytes, and of each moment while it stores (anonymous, cached, of that dirty)."""
    child = kept.Child(build, [build.program('scattered'), str(mib), str(percent), '100', '10'], keeping)
    moments = []
    try:
        heap_bytes = int(child.line()[1])
        time.sleep(wait_s)
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            time.sleep(0.25)
            cached = cached_bytes(keeping.pool) if keeping else (0, 0)
            if cached is None:
                raise kept.Failed('this kernel does not tell what of a file is cached (Linux 6.5 does)')
            moments.append((anonymous_bytes(child.process.pid), *cached))
        child.end()
    finally:
        child.remove()
    return heap_bytes, moments


def measure_size(build, mib, percent, seconds, wait_s):
    keeping = kept.Keeping(build, 'footprint', interval='0', size=f'{2 * mib + 1024}M')
    heap, moments = sample(build, keeping, mib, percent, seconds, wait_s)
    _, bare = sample(build, None, mib, percent, 0.6)
    values = [max(bare)[0], *map(kept.median, zip(*moments)),
              kept.median([own + dirty for own, _, dirty in moments]),
              kept.median([own + cached for own, cached, _ in moments]),
              max(own + cached for own, cached, _ in moments)]
    return [f'{mib} MiB', f'{percent} %', *(f'{value / heap:.2f}' for value in values)]


def measure(build, is_quick, is_all, rounds):
    rows = [measure_size(build, mib, percent, *((2, 0) if is_quick else (10, UNMERGED_S)))
            for mib in ([64] if is_quick else [256, 1024]) for percent in (1, 10)]
    kept.print_table('Bytes of memory per byte of heap, epochs every 100 ms. *Program*: its pages, and '
                     'what is staged; *cache*: the pool\'s pages in the page cache, of which the '
                     '*dirty* ones cannot be taken back at once',
                     ['heap', 'active', 'without heapsake', 'program', 'cache', 'dirty',
                      'program + dirty', 'program + cache', 'at most'], rows)
