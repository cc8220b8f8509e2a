"""What epochs cost a program that works: redis, unmodified, and a hash map of accounts."""
import sys

import kept
import redisserver
import turns

INTERVALS = {'1 s': '1s', '100 ms': '100ms', '10 ms': '10ms'}


def keepings(build, prefix, is_foreign):
    yield 'keep=none', kept.Keeping(build, prefix + '-none', keep='none', is_foreign=is_foreign)
    for title, interval in INTERVALS.items():
        yield title, kept.Keeping(build, f'{prefix}-{interval}', interval, is_foreign=is_foreign)


def measure_redis(build, effort):
    samples = redisserver.compare(build, keepings(build, 'redis', True), effort)
    turns.print_rates(f'redis-benchmark, {effort.items} keys, -d {redisserver.VALUE_BYTES}: requests/s',
                      'redis', samples, 'plain')


def measure_accounts(build, effort):
    children = {}
    played = {'a transaction each': lambda child: (work(child, 1, effort.seconds), None),
              '100 a transaction': lambda child: (work(child, 100, effort.seconds), None)}
    base = 'plain, no transactions'
    try:
        for name, keeping in [(base, None), *keepings(build, 'accounts', False)]:
            children[name] = kept.Child(build, [build.program('accounts-memory'),
                                                'tx' if keeping else 'plain', '-', str(effort.items)],
                                        keeping)
            children[name].line()
        samples = turns.play(children, played, effort)
        for child in children.values():
            child.end()
    finally:
        for child in children.values():
            child.remove()
    turns.print_rates(f'A hash map of {effort.items} accounts: operations/s', 'hash map, HSK_TX', samples, base)


def work(child, batch, seconds):
    """A turn of accounts.c: operations a second."""
    child.say(f'{batch} {seconds}')
    operations, took_s = child.line()
    return int(operations) / float(took_s)


def measure(build, is_quick, is_all, rounds):
    effort = turns.Effort(seconds=0.1 if is_quick else 3 if is_all else 1,
                          rounds=rounds or (1 if is_quick else 5 if is_all else 3),
                          items=20000 if is_quick else 1000000, settle_s=1 if is_quick else 20)
    why = redisserver.missing()
    if why:
        print(f'epochs: redis left out: {why}', file=sys.stderr)
    else:
        measure_redis(build, effort)
    measure_accounts(build, effort._replace(items=5000 if is_quick else 100000))
