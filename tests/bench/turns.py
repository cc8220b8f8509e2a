"""Programs that are compared work in turns, in another order each round; whoever has no turn is stopped."""
import collections
import time

import kept

# For how long a turn lasts and how often, how much is loaded, and how long to wait for it to settle.
Effort = collections.namedtuple('Effort', 'seconds rounds items settle_s')
# What a turn is like for who waits, in ms: of requests to redis-server, of steps to others.
Waits = collections.namedtuple('Waits', 'p50 p99 longest')


class Samples:
    """Of each kind of turn and each program: of each round a rate, epochs a second and waits; and the
    pauses of all rounds."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.rates, self.epochs, self.waits, self.pauses_us = {}, {}, {}, {}

    def add(self, turn, name, rate, waits, epochs_per_s, pauses_us):
        self.rates.setdefault(turn, {}).setdefault(name, []).append(rate)
        self.epochs.setdefault((turn, name), []).append(epochs_per_s)
        self.waits.setdefault((turn, name), []).append(waits)
        self.pauses_us.setdefault((turn, name), []).extend(pauses_us)

    def names(self):
        return list(next(iter(self.rates.values())))

    def rate_cells(self, name, base):
        """Of the base its rates, of others ratios to it."""
        cells = []
        for turn, rates in self.rates.items():
            if name == base:
                cells.append(f'{kept.median(rates[base]) / 1000:.0f} k/s')
                continue
            epochs = kept.median(self.epochs[turn, name])
            cells.append(f'{kept.ratios(rates, base)[name]:.2f}' + (f' ({epochs:.1f})' if epochs else ''))
        return cells

    def wait_rows(self):
        """p50 and p99 of the median round, and the longest of all rounds."""
        rows = []
        for name in self.names():
            row = [name]
            for turn in self.rates:
                waits = self.waits[turn, name]
                row.append('/'.join([*(f'{kept.median(column):.1f}' for column in list(zip(*waits))[:2]),
                                     f'{max(wait.longest for wait in waits):.0f}']))
            rows.append(row)
        return rows

    def pause_rows(self):
        """Of those who note their pauses: p50, p99 and longest in us, and how many there were."""
        rows = []
        for name in self.names():
            if not any(self.pauses_us[turn, name] for turn in self.rates):
                continue
            rows.append([name, *(describe_pauses(self.pauses_us[turn, name]) for turn in self.rates)])
        return rows


def print_rates(title, heading, samples, base):
    """A row for each program, the plain one first; a column for each kind of turn."""
    kept.print_table(f'{title}, ratio to {base}; in brackets committed epochs/s; medians of '
                     f'{samples.rounds} rounds', [heading, *samples.rates],
                     [[name, *samples.rate_cells(name, base)] for name in samples.names()])


def describe_pauses(pauses_us):
    if not pauses_us:
        return '-'
    return (f'{kept.percentile(pauses_us, 50)}/{kept.percentile(pauses_us, 99)}/{max(pauses_us)} '
            f'of {len(pauses_us)}')


def waits_of(took_s):
    return Waits(*(value * 1000 for value in (kept.median(took_s), kept.percentile(took_s, 99), max(took_s))))


def take_turn(samples, turn, name, child, measure_rate):
    """One program works, all others are stopped. measure_rate: of the child, to (rate, waits)."""
    keeping = child.keeping
    before, began_s = keeping.epochs() if keeping else 0, time.monotonic()
    if keeping:
        keeping.pauses_us()
    rate, waits = measure_rate(child)
    took_s = time.monotonic() - began_s
    samples.add(turn, name, rate, waits, ((keeping.epochs() if keeping else 0) - before) / took_s,
                keeping.pauses_us() if keeping else [])


def play(children, turns, effort):
    """All in turn. children: {name: child}, loaded; turns: {name: function for take_turn()}."""
    kept.settle([child.keeping for child in children.values()], effort.settle_s)
    samples, names = Samples(effort.rounds), list(children)
    for child in children.values():
        child.stop()
    for number in range(effort.rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            children[name].go_on()
            for turn, measure_rate in turns.items():
                take_turn(samples, turn, name, children[name], measure_rate)
            children[name].stop()
    return samples
