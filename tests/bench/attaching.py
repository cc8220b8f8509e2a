"""From exec to main's first malloc, by what the pool holds and how its last user ended."""
import os
import subprocess
import sys

import kept


def first_malloc_us(build, settings):
    told = subprocess.run([build.program('firstmalloc'), *settings], stdout=subprocess.PIPE,
                          stderr=sys.stderr, text=True, timeout=kept.WAIT_S).stdout
    if not told:
        raise kept.Failed('firstmalloc said nothing')
    return float(told.split()[0])


def prepare(build, keeping, mib, log_mib):
    done = subprocess.run([build.program('firstmalloc'), 'prepare', str(mib), str(log_mib)],
                          env=build.environment(keeping), timeout=kept.WAIT_S)
    if done.returncode != (-9 if log_mib else 0):
        raise kept.Failed(f'cannot prepare {keeping.pool}: status {done.returncode}')


def measure_case(build, mib, log_mib, starts):
    keeping = kept.Keeping(build, 'attaching', interval='0', size='64G')
    words = [f'{name}={value}' for name, value in build.environment(keeping).items()
             if name.startswith(('HEAPSAKE_', 'LD_'))]
    try:
        prepare(build, keeping, mib, log_mib)
        log_bytes = build.ask('info', keeping.pool)['log_bytes']
        words += ['FIRSTMALLOC_KILL=1'] if log_mib else []
        warm = [first_malloc_us(build, words) for _ in range(starts)]
        cold = []
        for _ in range(max(3, starts // 4)):
            kept.drop_cache(keeping.pool)
            cold.append(first_malloc_us(build, words))
    finally:
        keeping.remove()
    return row(f'{mib} MiB live', f'kill -9, {log_mib} MiB stored to since' if log_mib else
               'ended cleanly', f'{log_bytes >> 20} MiB', warm, cold)


def row(heap, end, log, warm, cold):
    return [heap, end, log, *(f'{value / 1e3:.1f}' for value in
                              (kept.median(warm), kept.percentile(warm, 90))),
            f'{kept.median(cold) / 1e3:.1f}' if cold else '-']


def measure(build, is_quick, is_all, rounds):
    starts = 4 if is_quick else 40 if is_all else 20
    rows = [row('-', 'no heapsake', '-', [first_malloc_us(build, []) for _ in range(starts)], [])]
    cases = ([(16, 0), (16, 4)] if is_quick else
             [(64, 0), (4096 if is_all else 2048, 0), (512, 10), (512, 100)])
    rows += [measure_case(build, mib, log_mib, starts) for mib, log_mib in cases]
    kept.print_table('Exec to the first malloc of main() in ms, pools of 64 GiB, sparse',
                     ['heap', 'its last user', 'log', 'median', 'p90', 'not cached'], rows)
