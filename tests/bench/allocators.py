"""The allocators that are compared: how each is put under a program, and how its use is proven.

All of them come by LD_PRELOAD, glibc's own included: a program linked against another malloc
(Debian's redis-server against jemalloc) would else be counted as glibc.
"""
import glob
import os
import re

LIBRARY_DIRS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib',
                '/lib/x86_64-linux-gnu']
POOL_MAPPED_MIN_KIB = 16


class Allocator:
    """One way to run a program. library: the file to preload; missing: why it cannot be."""

    def __init__(self, name, library, missing, pool_dir=None, settings=None, is_peer=False):
        self.name = name
        self.library = library
        self.missing = missing
        self.pool_dir = pool_dir
        self.settings = settings or {}
        self.is_peer = is_peer

    def environment(self, pool_path):
        env = {'LD_PRELOAD': self.library}
        if self.pool_dir:
            env['HEAPSAKE_POOL'] = pool_path
        env.update(self.settings)
        return env

    def pool_path(self, name):
        return os.path.join(self.pool_dir, name + '.heapsake') if self.pool_dir else None

    def disprove(self, smaps_text):
        """Why this run did not use this allocator, or None: the library must be mapped, and, with
        a pool, memory at the pool's address must have been touched."""
        if os.path.realpath(self.library) not in smaps_text:
            return f'{self.library} is not mapped'
        if self.pool_dir and pool_resident_kib(smaps_text) < POOL_MAPPED_MIN_KIB:
            return 'nothing was allocated in the pool'
        return None


def pool_resident_kib(smaps_text):
    """Resident KiB of the mappings in the pool's address range (DESIGN: base 0x200000000000)."""
    total, is_pool = 0, False
    for line in smaps_text.splitlines():
        header = re.match(r'([0-9a-f]+)-[0-9a-f]+ ', line)
        if header:
            is_pool = 0x200000000000 <= int(header.group(1), 16) < 0x400000000000
        elif is_pool and line.startswith('Rss:'):
            total += int(line.split()[1])
    return total


def find_library(pattern):
    for directory in LIBRARY_DIRS:
        found = sorted(glob.glob(os.path.join(directory, pattern)))
        if found:
            return found[0]
    return None


def debian_allocator(name, pattern, package, is_peer=True):
    library = find_library(pattern)
    missing = None if library else f'no {pattern} here (Debian: apt-get install {package})'
    return Allocator(name, library, missing, is_peer=is_peer)


def heapsake_allocator(name, library, pool_dir, settings):
    missing = None
    if not os.path.exists(library):
        missing = f'{library} is not built'
    elif pool_dir and not os.path.isdir(pool_dir):
        missing = f'no directory {pool_dir} for the pool'
    return Allocator(name, library, missing, pool_dir, settings)


def build_library(build_dir, name):
    found = glob.glob(os.path.join(build_dir, '**', name), recursive=True)
    return found[0] if found else os.path.join(build_dir, name)


def all_allocators(build_dir, tmpfs_dir, disk_dir):
    """Every allocator this runner knows, present or not, in the order of the tables."""
    shipped = build_library(build_dir, 'libheapsake.so')
    private = build_library(build_dir, 'libheapsake-private.so')
    with_pool = {'HEAPSAKE_KEEP': 'none', 'HEAPSAKE_QUIET': '1'}
    known = [
        debian_allocator('glibc', 'libc.so.6', 'libc6', is_peer=False),
        debian_allocator('jemalloc', 'libjemalloc.so.2', 'libjemalloc2'),
        debian_allocator('mimalloc', 'libmimalloc.so.2', 'libmimalloc2.0'),
        debian_allocator('tcmalloc', 'libtcmalloc_minimal.so.4', 'libtcmalloc-minimal4'),
        heapsake_allocator('heapsake', shipped, tmpfs_dir, with_pool),
        heapsake_allocator('private', private, tmpfs_dir, with_pool),
    ]
    if disk_dir:
        known.append(heapsake_allocator('disk', shipped, disk_dir, with_pool))
    known.append(heapsake_allocator('inert', shipped, None, {}))
    return known
