"""How long an epoch holds a program up, by the library's counters and by the program's own clock."""
import sys

import kept

STORES_PER_S = 300000  # what one thread does beside its clock: a first store takes a fault of 1 us


def run_one(build, keeping, mib, percent, place, interval_ms, epochs):
    """(achieved percent, the program's gaps, stats or None)"""
    child = kept.Child(build, [build.program('scattered'), str(mib), str(percent), str(interval_ms),
                               str(epochs), place], keeping)
    try:
        child.line()
        done = child.line()
        stats = build.ask('stats', keeping.pool) if keeping else None
        child.end()
    finally:
        child.remove()
    pages, *gaps = map(float, done[1:])
    return 100 * pages / (mib * 256), gaps, stats


def interval_for(mib, percent):
    """100 ms, unless so many stores do not fit."""
    return 100 if mib * 256 * percent / 100 * 10 < STORES_PER_S else 1000


def measure_size(build, mib, percent, place, seconds):
    interval_ms = interval_for(mib, percent)
    epochs = max(10, int(seconds * (1 if mib < 4096 else 2) * 1000 / interval_ms))
    keeping = kept.Keeping(build, 'pauses', interval='0', size=f'{2 * mib + 1024}M')
    achieved, gaps, stats = run_one(build, keeping, mib, percent, place, interval_ms, epochs)
    _, bare, _ = run_one(build, None, mib, percent, place, interval_ms, max(10, epochs // 4))
    pause = stats['pause_us']
    title = f'{mib} MiB' if mib < 1024 else f'{mib // 1024} GiB'
    return [title, f'{percent} %, {place}', f'{achieved:.2f} %', f'{interval_ms} ms', str(stats['epochs']),
            str(pause['p50']), str(pause['p99']), *(f'{gap:.0f}' for gap in gaps),
            '/'.join(f'{gap:.0f}' for gap in bare)]


def measure(build, is_quick, is_all, rounds):
    sizes = [64] if is_quick else [64, 1024] + ([8192] if is_all else [])
    seconds = 1.5 if is_quick else 20 if is_all else 10
    rows = []
    for mib in sizes:
        if mib > 1024 and kept.available_bytes() < 2.3 * (mib << 20):
            print(f'epochs: {mib} MiB left out: less than {2.3 * mib / 1024:.0f} GiB of memory free',
                  file=sys.stderr)
            continue
        rows += [measure_size(build, mib, percent, place, seconds)
                 for percent, place in ((1, 'together'), (1, 'scattered'), (10, 'scattered'))]
    kept.print_table('Pauses in us; each of the active pages, scattered over the heap or all together, is stored to '
                     'once in an interval. *Gaps*: the longest '
                     'time in an interval that the program did not get to read the clock; *bare*: p50, '
                     'p99, max of the same without heapsake',
                     ['heap', 'active', 'achieved', 'interval', 'epochs', 'pause p50', 'p99',
                      'gap p50', 'p99', 'max', 'bare'], rows)
