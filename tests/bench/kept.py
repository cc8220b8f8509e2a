"""Programs that keep their heap, or all of themselves, as the benchmarks start them, ask after them
and stop them."""
import ctypes
import json
import os
import re
import signal
import statistics
import subprocess
import time

ADDR_NO_RANDOMIZE = 0x0040000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
WAIT_S = 120
SETTLED_BYTES = 64 << 20
PAUSED = re.compile(r'paused for (\d+) us')


def stand_still():
    """From here on children are started as `heapsake run` does: their code stands where it stood."""
    LIBC.personality(ADDR_NO_RANDOMIZE)


def stand_alone():
    """In a child: a runner that is killed leaves nothing behind, stopped or not; and what it starts
    itself (a keeper its program, redis-server who saves) is stopped with it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)


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
            env.update(keeping.settings)
        return env

    def ask(self, verb, pool):
        done = subprocess.run([self.command, verb, '--json', pool], capture_output=True, text=True,
                              timeout=WAIT_S)
        if done.returncode:
            raise Failed(f'heapsake {verb}: {done.stderr.strip()}')
        return json.loads(done.stdout)


class Keeping:
    """One pool and how it keeps. is_foreign: the program knows nothing of us, a root is set for it."""
    launcher = ()  # what stands before the program's own words

    def __init__(self, build, name, interval='100ms', keep='heap', size='8G', is_foreign=False):
        self.build = build
        self.pool = build.path(name + '.heapsake')
        self.settings = {'HEAPSAKE_POOL': self.pool, 'HEAPSAKE_KEEP': keep, 'HEAPSAKE_SIZE': size,
                         'HEAPSAKE_INTERVAL': interval, 'HEAPSAKE_QUIET': '1', 'HEAPSAKE_LOG': 'error',
                         'LD_PRELOAD': f'{build.library}:{build.rooted}' if is_foreign else build.library}
        self.keeps = keep != 'none'

    def epochs(self):
        return self.build.ask('stats', self.pool)['epochs'] if self.keeps else 0

    def pauses_us(self):
        """Of each epoch since the last look; of one that does not write them down, none."""
        return []

    def open_errors(self):
        """What the program's stderr becomes; None: ours."""
        return None

    def remove(self):
        if os.path.exists(self.pool):
            os.unlink(self.pool)


class ProcessKeeping(Keeping):
    """All of the program is kept, by `heapsake run`. Its stderr is a file, where the library notes each
    pause: its counters begin with the program, so they know the load and idle times as well."""

    def __init__(self, build, name, interval='100ms', size='8G'):
        super().__init__(build, name)
        self.settings = {'HEAPSAKE_LOG': 'debug'}
        self.launcher = (build.command, 'run', '-q', '-k', 'process', '-p', self.pool, '-s', size,
                         '-i', interval, '--')
        self.errors, self.seen_bytes = self.pool + '.stderr', 0

    def open_errors(self):
        return open(self.errors, 'a')

    def pauses_us(self):
        with open(self.errors) as file:
            file.seek(self.seen_bytes)
            text = file.read()
        self.seen_bytes += len(text)
        return [int(us) for us in PAUSED.findall(text)]

    def checkpoint(self):
        """The command gives up after a while; the first epoch of a gigabyte takes longer."""
        until_s = time.monotonic() + WAIT_S
        done = None
        while not done or (done.returncode and 'no epoch yet' in done.stderr and
                           time.monotonic() < until_s):
            done = subprocess.run([self.build.command, 'checkpoint', '--wait', self.pool],
                                  capture_output=True, text=True, timeout=WAIT_S)
        if done.returncode:
            raise Failed(f'heapsake checkpoint: {done.stderr.strip()}')

    def complaint(self):
        """What the program or the library had to say, without the pauses."""
        if not os.path.exists(self.errors):
            return ''
        with open(self.errors) as file:
            return ' '.join(line.strip() for line in file if not PAUSED.search(line))

    def remove(self):
        super().remove()
        if os.path.exists(self.errors):
            os.unlink(self.errors)


def settle(keepings, most_s):
    """Wait until what was loaded is in home: a run's first 10 s merge nothing, and whoever is measured
    meanwhile neither pays for it nor profits from it."""
    left = [keeping for keeping in keepings if keeping and keeping.keeps]
    until_s = time.monotonic() + most_s
    while left and time.monotonic() < until_s:
        time.sleep(0.2)
        left = [keeping for keeping in left
                if keeping.build.ask('info', keeping.pool)['log_bytes'] > SETTLED_BYTES]


def child_of(pid):
    """The only child of a process."""
    try:
        with open(f'/proc/{pid}/task/{pid}/children') as file:
            return int(file.read().split()[0])
    except (OSError, IndexError):
        raise Failed(f'{pid} has no child') from None


class Child:
    """A program that says lines and, between its turns, is stopped: it costs nobody anything."""

    def __init__(self, build, words, keeping=None, variables=()):
        self.build, self.words, self.keeping = build, list(words), keeping
        self.env = {**build.environment(keeping), **dict(variables)}
        self.start()

    def start(self):
        """Again, for one that is kept and was killed: it goes on."""
        launcher = self.keeping.launcher if self.keeping else ()
        errors = self.keeping.open_errors() if self.keeping else None
        self.process = subprocess.Popen([*launcher, *self.words], env=self.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=errors, text=True, preexec_fn=stand_alone)
        if errors:
            errors.close()

    def program_pid(self):
        """Below `heapsake run` stands process 1 of its namespace, and below that the program."""
        is_kept_whole = self.keeping and self.keeping.launcher
        return child_of(child_of(self.process.pid)) if is_kept_whole else self.process.pid

    def line(self):
        told = self.process.stdout.readline()
        if not told:
            raise Failed(f'{self.name()} ended, status {self.process.wait()}')
        return told.split()

    def name(self):
        return ' '.join(map(os.path.basename, self.words[:2]))

    def say(self, text):
        self.process.stdin.write(text + '\n')
        self.process.stdin.flush()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def end(self):
        """End of input: it checks its work and leaves."""
        self.go_on()
        self.process.stdin.close()
        status = self.process.wait(timeout=WAIT_S)
        if status:
            raise Failed(f'{self.name()}: status {status}')

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def kill_program(self):
        """kill -9 of a program that is kept whole: its keeper dies of the same, when all is over."""
        os.kill(self.program_pid(), signal.SIGKILL)
        status = self.process.wait(timeout=WAIT_S)
        self.process.stdin.close()
        self.process.stdout.close()
        if status != -signal.SIGKILL:
            raise Failed(f'{self.name()}, killed: status {status}; {self.keeping.complaint()}')

    def remove(self):
        self.kill()
        if self.keeping:
            self.keeping.remove()


def drop_cache(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


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
