"""Costs that are no throughput: what a start costs, and how many pages free() dirties."""
import os
import subprocess

START_COUNT = 2000

# name, block size (0: as programs mix them), blocks, one block in so many is freed
DIRTIED_CASES = [
    ('64 B blocks, 1 % freed', 64, 400000, 100),
    ('mixed blocks, 1 % freed', 0, 200000, 100),
    ('8 KiB blocks, 1 % freed', 8192, 20000, 100),
    ('64 B blocks, half freed', 64, 400000, 2),
    ('mixed blocks, half freed', 0, 200000, 2),
]


def tool(build_dir, name):
    return os.path.join(build_dir, 'tests', 'bench', name)


def start_cases(chosen):
    """Words for startcost: no preload at all, each peer, heapsake without and with a pool."""
    cases, pools = ['--', 'none'], []
    for allocator in chosen:
        if not allocator.pool_dir:
            cases += ['--', allocator.name, *words_of(allocator.environment(None))]
            continue
        for kind in ('new', 'existing'):
            pool = allocator.pool_path(f'bench-start-{os.getpid()}-{allocator.name}-{kind}')
            pools.append(pool)
            removed_before = ['-' + pool] if kind == 'new' else []
            cases += ['--', f'{allocator.name}:{kind}-64G', *removed_before,
                      *words_of({**allocator.environment(pool), 'HEAPSAKE_SIZE': '64G'})]
    return cases, pools


def words_of(environment):
    return [f'{name}={value}' for name, value in environment.items()]


def remove(paths):
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)


def measure_start(build_dir, chosen, is_quick, out):
    """Start /bin/true. Returns {name: (median, p10, p90)} in microseconds."""
    count = 20 if is_quick else START_COUNT
    cases, pools = start_cases(chosen)
    try:
        told = subprocess.run([tool(build_dir, 'startcost'), str(count), '/bin/true', *cases],
                              stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout
    finally:
        remove(pools)
    rows = {}
    print(f'\nStarting /bin/true, {count} times each, interleaved; microseconds', file=out)
    print(f'  {"":24} {"median":>9} {"p10":>9} {"p90":>9} {"over none":>10}', file=out)
    for line in told.splitlines():
        name, *times = line.split()
        rows[name] = [float(t) for t in times]
        over = rows[name][0] - rows['none'][0]
        print(f'  {name:24}' + ''.join(f' {t:9.1f}' for t in rows[name]) + f' {over:10.1f}',
              file=out)
    return rows


def measure_dirtied(build_dir, chosen, is_quick, out):
    """Pages written by free(). Returns {case: {allocator: [frees, user, metadata, noise]}}."""
    results = {}
    print('\nPages dirtied by free() of long-lived blocks, per 1000 frees', file=out)
    for title, size, count, step in DIRTIED_CASES:
        count = count // 10 if is_quick else count
        print(f'\n  {title}\n    {"":10} {"frees":>8} {"user":>9} {"metadata":>9} {"total":>9} '
              f'{"/glibc":>7}', file=out)
        results[title] = {}
        for allocator in chosen:
            counts = run_dirtied(build_dir, allocator, [str(size), str(count), str(step)], out)
            if counts:
                results[title][allocator.name] = counts
                print_dirtied(allocator.name, results[title], out)
    return results


def run_dirtied(build_dir, allocator, words, out):
    pool = allocator.pool_path(f'bench-{os.getpid()}')
    try:
        run = subprocess.run([tool(build_dir, 'dirtied'), *words], capture_output=True, text=True,
                             env=allocator.environment(pool), timeout=120)
    finally:
        remove([pool] if pool else [])
    if run.returncode != 0:
        print(f'    {allocator.name:10} {run.stderr.strip()}', file=out)
        return None
    return [int(n) for n in run.stdout.split()]


def print_dirtied(name, row, out):
    frees, user, metadata, noise = row[name]
    total = user + metadata
    ratio = ''
    if 'glibc' in row:
        ratio = f'{total / sum(row["glibc"][1:3]) * row["glibc"][0] / frees:7.3f}'
    note = f'  ({noise} pages without any free)' if noise else ''
    print(f'    {name:10} {frees:8} {1000 * user / frees:9.2f} {1000 * metadata / frees:9.2f} '
          f'{1000 * total / frees:9.2f} {ratio:>7}{note}', file=out)
