"""The same accounts kept by others: libpmemobj, SQLite, msync, redis. See accounts.c."""
import os
import sys

import kept
import redisserver
import throughput

BATCHES = (1, 100)
PACKAGES = {'accounts-sqlite': 'libsqlite3-dev', 'accounts-pmemobj': 'libpmemobj-dev'}


class Store:
    """name, the executable's words, keeping or own (redis-server's), and what a crash may cost."""

    def __init__(self, name, loss, program, kind, keeping=None, own=None):
        self.name, self.loss, self.program, self.kind = name, loss, program, kind
        self.keeping, self.own = keeping, own
        self.server = self.child = None

    def missing(self, build):
        if self.own and redisserver.missing():
            return redisserver.missing()
        if not build.has(self.program):
            return f'not built (Debian: apt-get install {PACKAGES.get(self.program, "?")}, then meson ' \
                   'setup --reconfigure)'
        return None

    def start(self, build, accounts):
        path = build.path('accounts-' + self.name.replace(' ', '-').replace(',', ''))
        if self.own:
            self.server = redisserver.Redis(build, os.path.basename(path), own=self.own)
            path = self.server.socket
        self.child = kept.Child(build, [build.program(self.program), self.kind, path, str(accounts)],
                                self.keeping)
        self.child.line()

    def remove(self):
        for child in (self.child, self.server):
            if child:
                child.remove()


def stores(build):
    """First who may lose the last moments, then who may not; in each, ours is the base."""
    tx, durable = kept.Keeping(build, 'peers-tx'), kept.Keeping(build, 'peers-durable')
    return [
        Store('HSK_TX', 'last', 'accounts-memory', 'tx', tx),
        Store('nothing kept', 'all', 'accounts-memory', 'plain'),
        Store('SQLite, NORMAL', 'last', 'accounts-sqlite', 'normal'),
        Store('redis, AOF everysec', 'last', 'accounts-redis', '-', own=redisserver.OWN['AOF everysec']),
        Store('HSK_TX_DURABLE', 'nothing', 'accounts-memory', 'durable', durable),
        Store('SQLite, FULL', 'nothing', 'accounts-sqlite', 'full'),
        Store('libpmemobj', 'nothing', 'accounts-pmemobj', 'durable'),
        Store('msync', 'half a transaction', 'accounts-memory', 'msync'),
        Store('redis, AOF always', 'nothing', 'accounts-redis', '-', own=redisserver.OWN['AOF always']),
    ]


def play(present, rounds, seconds):
    """{(batch, name): [operations a second of each round]}"""
    samples = {}
    for number in range(rounds):
        for place in range(len(present)):
            store = present[(place + number) % len(present)]
            for batch in BATCHES:
                rate = throughput.work(store.child, batch, seconds)
                samples.setdefault((batch, store.name), []).append(rate)
    return samples


def cells(samples, store):
    base = 'HSK_TX_DURABLE' if store.loss in ('nothing', 'half a transaction') else 'HSK_TX'
    made = []
    for batch in BATCHES:
        rates, ours = samples[batch, store.name], samples[batch, base]
        ratio = kept.median([own / our for own, our in zip(rates, ours)])
        made += [f'{kept.median(rates):.0f}', f'{ratio:.2g}' if ratio < 10 else f'{ratio:.0f}']
    return made


def measure(build, is_quick, is_all, rounds):
    rounds = rounds or (1 if is_quick else 7 if is_all else 3)
    seconds = 0.1 if is_quick else 1.5 if is_all else 0.7
    accounts = 2000 if is_quick else 10000
    present = []
    try:
        for store in stores(build):
            why = store.missing(build)
            if why:
                print(f'epochs: {store.name} left out: {why}', file=sys.stderr)
                continue
            present.append(store)
            store.start(build, accounts)
        kept.settle([store.keeping for store in present], 1 if is_quick else 20)
        samples = play(present, rounds, seconds)
        for store in present:
            store.child.end()
    finally:
        for store in present:
            store.remove()
    rows = [[store.name, store.loss, *cells(samples, store)] for store in present]
    kept.print_table(f'The same work, {accounts} accounts on one thread: operations/s, and ratio to HSK_TX '
                     f'or HSK_TX_DURABLE, whichever promises as much; medians of {rounds} rounds',
                     ['kept by', 'a power cut costs', 'a transaction each', 'ratio',
                      '100 a transaction', 'ratio'], rows)
