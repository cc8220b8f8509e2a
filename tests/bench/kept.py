"""Programs that keep their heap, as the benchmarks of epochs start them, ask after them and stop them."""
import ctypes
import json
import os
import signal
import statistics
import subprocess
import time

ADDR_NO_RANDOMIZE = 0x0040000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
WAIT_S = 120
SETTLED_BYTES = 64 << 20


def stand_still():
    """From here on children are started as `heapsake run` does: their code stands where it stood."""
    LIBC.personality(ADDR_NO_RANDOMIZE)


def die_with_parent():
    """In a child: a runner that is killed leaves nothing behind, stopped or not."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Failed(Exception):
    """Something did not go as it must; the text says what."""


class Build:
    """What the build tree holds, and a directory on a disk for what is measured."""

    def __init__(self, build_dir, scratch):
        self.dir, self.scratch = build_dir, scratch

    def program(self, name):
        return os.path.join(self.dir, 'tests', 'bench', name)

    def has(self, name):
        return os.access(self.program(name), os.X_OK)

    @property
    def command(self):
        return os.path.join(self.dir, 'wrappers', 'command', 'heapsake')

    @property
    def library(self):
        return os.path.join(self.dir, 'preload', 'libheapsake.so')

    @property
    def rooted(self):
        return os.path.join(self.dir, 'tests', 'storm', 'librooted-nothing.so')

    def path(self, name):
        return os.path.join(self.scratch, name)

    def environment(self, keeping=None):
        """Of a program: keeping is a Keeping, or None: as if there were no heapsake."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(('HEAPSAKE_', 'LD_'))}
        if keeping:
            env.update(keeping.settings, LD_PRELOAD=f'{self.library}:{self.rooted}'
                       if keeping.is_foreign else self.library)
        return env

    def ask(self, verb, pool):
        done = subprocess.run([self.command, verb, '--json', pool], capture_output=True, text=True,
                              timeout=WAIT_S)
        if done.returncode:
            raise Failed(f'heapsake {verb}: {done.stderr.strip()}')
        return json.loads(done.stdout)


class Keeping:
    """One pool and how it keeps. is_foreign: the program knows nothing of us, a root is set for it."""

    def __init__(self, build, name, interval='100ms', keep='heap', size='8G', is_foreign=False):
        self.build, self.is_foreign = build, is_foreign
        self.pool = build.path(name + '.heapsake')
        self.settings = {'HEAPSAKE_POOL': self.pool, 'HEAPSAKE_KEEP': keep, 'HEAPSAKE_SIZE': size,
                         'HEAPSAKE_INTERVAL': interval, 'HEAPSAKE_QUIET': '1',
                         'HEAPSAKE_LOG': 'error'}
        self.keeps = keep != 'none'

    def epochs(self):
        return self.build.ask('stats', self.pool)['epochs'] if self.keeps else 0

    def remove(self):
        if os.path.exists(self.pool):
            os.unlink(self.pool)


def settle(keepings, most_s):
    """Wait until what was loaded is in home: a run's first 10 s merge nothing, and whoever is measured
    meanwhile neither pays for it nor profits from it."""
    left = [keeping for keeping in keepings if keeping and keeping.keeps]
    until_s = time.monotonic() + most_s
    while left and time.monotonic() < until_s:
        time.sleep(0.2)
        left = [keeping for keeping in left
                if keeping.build.ask('info', keeping.pool)['log_bytes'] > SETTLED_BYTES]


class Child:
    """A program that says lines and, between its turns, is stopped: it costs nobody anything."""

    def __init__(self, words, env=None, errors=subprocess.DEVNULL):
        self.words = words
        self.process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=errors, text=True,
                                        preexec_fn=die_with_parent)

    def line(self):
        told = self.process.stdout.readline()
        if not told:
            raise Failed(f'{" ".join(map(os.path.basename, self.words[:2]))} ended, '
                         f'status {self.process.wait()}')
        return told.split()

    def say(self, text):
        self.process.stdin.write(text + '\n')
        self.process.stdin.flush()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        """End of input: it checks its work and leaves."""
        self.go_on()
        self.process.stdin.close()
        status = self.process.wait(timeout=WAIT_S)
        if status:
            raise Failed(f'{os.path.basename(self.words[0])}: status {status}')

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def median(values):
    return statistics.median(values) if values else None


def ratios(samples, base):
    """{name: [of each round]} to {name: median ratio to base in the same round}."""
    return {name: median([own / plain for own, plain in zip(values, samples[base])])
            for name, values in samples.items()}


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def print_table(title, heads, rows):
    """As the README has it."""
    print(f'\n{title}\n')
    print('| ' + ' | '.join(heads) + ' |')
    print('|' + '---|' * len(heads))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |', flush=True)


def describe_machine(directory):
    """One line: figures mean nothing without it."""
    with open('/proc/meminfo') as file:
        total_kib = int(file.readline().split()[1])
    filesystem = subprocess.run(['stat', '-f', '-c', '%T', directory], capture_output=True,
                                text=True).stdout.strip()
    return (f'{os.cpu_count()} processors, {total_kib / 2 ** 20:.0f} GiB, Linux {os.uname().release}, '
            f'pools on {filesystem}; load {os.getloadavg()[0]:.1f} at the start')


def available_bytes():
    with open('/proc/meminfo') as file:
        for line in file:
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) << 10
    return 0
