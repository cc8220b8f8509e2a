"""Medians, ratios and tables."""
import math
import statistics

FLAG_RATIO = 1.25
# Below this, peak RSS is the program's and the libraries' own pages, not the heap's.
RSS_COUNTS_KIB = 8192


class Result:
    """All samples of one benchmark: per allocator name, a list."""

    def __init__(self, program, samples, peers):
        self.program = program
        self.samples = samples
        self.peers = peers

    def median(self, allocator, field):
        return statistics.median(getattr(s, field) for s in self.samples[allocator])

    def ratio(self, allocator, base, field):
        if allocator not in self.samples or base not in self.samples:
            return None
        below = self.median(base, field)
        return self.median(allocator, field) / below if below else None

    def best_peer(self, field):
        present = [name for name in self.peers if name in self.samples]
        return min(present, key=lambda name: self.median(name, field)) if present else None

    def ratio_best(self, allocator, field):
        best = self.best_peer(field)
        return self.ratio(allocator, best, field) if best else None


def geomean(ratios):
    ratios = [r for r in ratios if r]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def number(value, digits=2):
    return '-' if value is None else f'{value:.{digits}f}'


def print_result(result, out):
    print(f'\n{result.program}', file=out)
    print(f'  {"":10} {"cpu s":>8} {"user":>7} {"sys":>7} {"wall s":>8} {"rss MiB":>8}'
          f' {"cpu/glibc":>10} {"cpu/best":>9} {"rss/glibc":>10}', file=out)
    for name in result.samples:
        print(f'  {name:10} {result.median(name, "cpu_s"):8.3f} '
              f'{result.median(name, "user_s"):7.3f} {result.median(name, "system_s"):7.3f} '
              f'{result.median(name, "wall_s"):8.3f} {result.median(name, "rss_kib") / 1024:8.1f} '
              f'{number(result.ratio(name, "glibc", "cpu_s")):>10} '
              f'{number(result.ratio_best(name, "cpu_s")):>9} '
              f'{number(result.ratio(name, "glibc", "rss_kib")):>10}', file=out)


def summarise(results, names, peers):
    """Geometric means per allocator, as a dictionary (also what --json carries)."""
    summary = {}
    for name in names:
        heavy = [r for r in results if 'glibc' in r.samples and
                 r.median('glibc', 'rss_kib') >= RSS_COUNTS_KIB]
        summary[name] = {
            'cpu_vs_glibc': geomean(r.ratio(name, 'glibc', 'cpu_s') for r in results),
            'cpu_vs_best_each': geomean(r.ratio_best(name, 'cpu_s') for r in results),
            'wall_vs_glibc': geomean(r.ratio(name, 'glibc', 'wall_s') for r in results),
            'rss_vs_glibc': geomean(r.ratio(name, 'glibc', 'rss_kib') for r in results),
            'rss_vs_glibc_heavy': geomean(r.ratio(name, 'glibc', 'rss_kib') for r in heavy),
        }
    peer_means = {p: summary[p]['cpu_vs_glibc'] for p in peers
                  if p in summary and summary[p]['cpu_vs_glibc']}
    for name in names:
        own = summary[name]['cpu_vs_glibc']
        summary[name]['cpu_vs_best_mean'] = (own / min(peer_means.values())
                                             if own and peer_means else None)
    return summary


def print_matrix(results, names, field, title, out):
    print(f'\n{title}', file=out)
    print(f'  {"":16}' + ''.join(f' {name:>9}' for name in names), file=out)
    for result in results:
        print(f'  {result.program:16}' + ''.join(
            f' {number(result.ratio(name, "glibc", field)):>9}' for name in names), file=out)


def print_summary(results, names, peers, out):
    print_matrix(results, names, 'cpu_s', 'CPU time, ratio to glibc (medians)', out)
    print_matrix(results, names, 'rss_kib', 'Peak RSS, ratio to glibc (medians; a pool\'s resident '
                 'pages count)', out)
    rows = [('cpu_vs_glibc', 'CPU / glibc'),
            ('cpu_vs_best_mean', 'CPU / the peer with the least geomean'),
            ('cpu_vs_best_each', 'CPU / the best peer of each benchmark'),
            ('wall_vs_glibc', 'wall / glibc'),
            ('rss_vs_glibc', 'peak RSS / glibc'),
            ('rss_vs_glibc_heavy', f'peak RSS / glibc, where glibc has {RSS_COUNTS_KIB >> 10} MiB')]
    summary = summarise(results, names, peers)
    print(f'\nGeometric means over {len(results)} benchmarks', file=out)
    print(f'  {"":40}' + ''.join(f' {name:>9}' for name in names), file=out)
    for key, title in rows:
        print(f'  {title:40}' + ''.join(f' {number(summary[name][key], 3):>9}' for name in names),
              file=out)
    print_flags(results, [name for name in names if name not in peers and name != 'glibc'], out)


def print_flags(results, names, out):
    flagged = [(r.ratio_best(name, 'cpu_s'), r, name) for r in results for name in names
               if (r.ratio_best(name, 'cpu_s') or 0) > FLAG_RATIO]
    if names:
        print(f'\nOver {FLAG_RATIO} x the best peer\'s CPU time: '
              f'{"none" if not flagged else ""}', file=out)
    for ratio, result, name in sorted(flagged, key=lambda f: -f[0]):
        print(f'  {result.program:16} {name:9} {ratio:.2f} x {result.best_peer("cpu_s")}', file=out)


def as_json(results, names, peers):
    return {
        'schema': 1,
        'benchmarks': {r.program: {name: [vars(s) for s in samples]
                                   for name, samples in r.samples.items()} for r in results},
        'geomeans': summarise(results, names, peers),
    }
