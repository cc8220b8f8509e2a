"""What epochs cost a program that works: redis, unmodified, and a hash map of accounts."""
import sys
import time

import kept
import redisserver

INTERVALS = {'1 s': '1s', '100 ms': '100ms', '10 ms': '10ms'}
TESTS = [('set', 1), ('get', 1), ('set', 16), ('get', 16)]
RATE_GUESS = {1: 60000, 16: 600000}


class Samples:
    """Of each program and each kind of turn: rates and epochs a second, one of each round."""

    def __init__(self):
        self.rates, self.epochs = {}, {}

    def add(self, turn, name, rate, epochs_per_s):
        self.rates.setdefault(turn, {}).setdefault(name, []).append(rate)
        self.epochs.setdefault((turn, name), []).append(epochs_per_s)

    def cells(self, name, base):
        cells = []
        for turn, rates in self.rates.items():
            ratio = kept.ratios(rates, base)[name]
            epochs = kept.median(self.epochs[turn, name])
            cells.append(f'{ratio:.2f}' + (f' ({epochs:.1f})' if epochs else ''))
        return cells

    def print_table(self, what, heading, plain_title, rounds):
        """A row for each program, the plain one first; a column for each kind of turn."""
        plain = [f'{kept.median(rates["plain"]) / 1000:.0f} k/s' for rates in self.rates.values()]
        names = [name for name in next(iter(self.rates.values())) if name != 'plain']
        kept.print_table(f'{what}, ratio to plain; in brackets committed epochs/s; medians of {rounds} '
                         'rounds', [heading, *self.rates],
                         [[plain_title, *plain], *([name, *self.cells(name, 'plain')] for name in names)])


def take_turn(samples, turn, name, child, keeping, measure_rate):
    """One program works, all others are stopped."""
    before, began_s = keeping.epochs() if keeping else 0, time.monotonic()
    rate = measure_rate(child)
    took_s = time.monotonic() - began_s
    samples.add(turn, name, rate, ((keeping.epochs() if keeping else 0) - before) / took_s)


def play(children, turns, rounds):
    """All in turn, in another order each round. children: {name: (child, keeping)}; turns: {name:
    function of the child, a rate}."""
    samples, names = Samples(), list(children)
    for child, _ in children.values():
        child.stop()
    for number in range(rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            child, keeping = children[name]
            child.go_on()
            for turn, measure_rate in turns.items():
                take_turn(samples, turn, name, child, keeping, measure_rate)
            child.stop()
    return samples


def keepings(build, prefix, is_foreign):
    yield 'keep=none', kept.Keeping(build, prefix + '-none', keep='none', is_foreign=is_foreign)
    for title, interval in INTERVALS.items():
        yield title, kept.Keeping(build, f'{prefix}-{interval}', interval, is_foreign=is_foreign)


def start_servers(build, servers, keys):
    """Into servers, so that whoever called can remove those that started."""
    kinds = [('plain', None, ())]
    kinds += [(title, keeping, ()) for title, keeping in keepings(build, 'redis', True)]
    kinds += [('AOF everysec', None, ('--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec')),
              ('AOF always', None, ('--save', '', '--appendonly', 'yes', '--appendfsync', 'always')),
              ('RDB, all the time', None, ('--save', '1 1'))]
    for name, keeping, own in kinds:
        server = redisserver.Redis(build, 'redis-' + name.replace(' ', '-'), keeping, own)
        servers[name] = (server, keeping)
        server.load(keys)


def measure_redis(build, seconds, keys, rounds, settle_s):
    servers = {}
    turns = {f'{test}, P={pipeline}': lambda server, test=test, pipeline=pipeline:
             server.requests_per_s(test, pipeline, int(RATE_GUESS[pipeline] * seconds), keys)
             for test, pipeline in TESTS}
    try:
        start_servers(build, servers, keys)
        kept.settle([keeping for _, keeping in servers.values()], settle_s)
        samples = play(servers, turns, rounds)
    finally:
        for server, _ in servers.values():
            server.remove()
    samples.print_table(f'redis-benchmark, {keys} keys, -d {redisserver.VALUE_BYTES}: requests/s',
                        'redis', 'plain', rounds)


def measure_accounts(build, seconds, accounts, rounds, settle_s):
    children = {}
    turns = {'a transaction each': lambda child: work(child, 1, seconds),
             '100 a transaction': lambda child: work(child, 100, seconds)}
    try:
        for name, keeping in [('plain', None), *keepings(build, 'accounts', False)]:
            child = kept.Child([build.program('accounts-memory'), 'tx' if keeping else 'plain', '-',
                                str(accounts)], build.environment(keeping), sys.stderr)
            children[name] = (child, keeping)
            child.line()
        kept.settle([keeping for _, keeping in children.values()], settle_s)
        samples = play(children, turns, rounds)
        for child, _ in children.values():
            child.end()
    finally:
        for child, keeping in children.values():
            child.kill()
            if keeping:
                keeping.remove()
    samples.print_table(f'A hash map of {accounts} accounts: operations/s', 'hash map, HSK_TX',
                        'plain, no transactions', rounds)


def work(child, batch, seconds):
    """A turn of accounts.c: operations a second."""
    child.say(f'{batch} {seconds}')
    operations, took_s = child.line()
    return int(operations) / float(took_s)


def measure(build, is_quick, is_all, rounds):
    rounds = rounds or (1 if is_quick else 7 if is_all else 3)
    seconds = 0.1 if is_quick else 1.5 if is_all else 0.6
    settle_s = 1 if is_quick else 20
    why = redisserver.missing()
    if why:
        print(f'epochs: redis left out: {why}', file=sys.stderr)
    else:
        measure_redis(build, seconds, 20000 if is_quick else 1000000, rounds, settle_s)
    measure_accounts(build, seconds, 5000 if is_quick else 100000, rounds, settle_s)
