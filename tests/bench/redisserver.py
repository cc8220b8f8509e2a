"""Debian's redis-server, unmodified, in one way of keeping: none, ours, its own."""
import os
import shutil
import socket
import subprocess
import time

import kept
import turns

VALUE_BYTES = 64
# As redis-benchmark's `-r` names them.
LOAD = ('for i = ARGV[1], ARGV[2] - 1 do redis.call("SET", string.format("key:%012d", i), '
        'string.rep("x", ARGV[3])) end')
LOAD_KEYS = 50000
NOTHING = ('--save', '')
OWN = {'AOF everysec': (*NOTHING, '--appendonly', 'yes', '--appendfsync', 'everysec'),
       'AOF always': (*NOTHING, '--appendonly', 'yes', '--appendfsync', 'always'),
       'RDB, all the time': ('--save', '1 1')}
# Over TCP, as redis-benchmark does unless told otherwise; over a Unix socket a client costs half, and
# what the server does besides shows twice.
TESTS = {'set, P=1': ('set', 1, False), 'get, P=1': ('get', 1, False), 'set, P=16': ('set', 16, False),
         'get, P=16': ('get', 16, False), 'set, P=1, Unix': ('set', 1, True)}
RATE_GUESS = {1: 60000, 16: 600000}
START_S = 30


def free_port():
    with socket.socket() as asked:
        asked.bind(('127.0.0.1', 0))
        return str(asked.getsockname()[1])


def missing():
    absent = [name for name in ('redis-server', 'redis-cli', 'redis-benchmark')
              if not shutil.which(name)]
    return f'no {", ".join(absent)} (Debian: apt-get install redis-server redis-tools)' if absent else None


class Redis(kept.Child):
    def __init__(self, build, name, keeping=None, own=NOTHING):
        self.dir = build.path(name)
        os.mkdir(self.dir)
        self.socket = os.path.join(self.dir, 's')
        self.port = free_port()
        super().__init__(build, ['redis-server', '--port', self.port, '--unixsocket', self.socket, '--dir',
                                 self.dir, '--daemonize', 'no', '--logfile', '/dev/null', *own], keeping)
        try:
            self.await_pong()
        except kept.Failed:
            self.remove()
            raise

    def await_pong(self):
        until_s = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until_s:
                raise kept.Failed(f'redis-server ({os.path.basename(self.dir)}) does not answer')
            time.sleep(0.0005)

    def answers(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(START_S)
            try:
                client.connect(self.socket)
                client.sendall(b'PING\r\n')
                return client.recv(7) == b'+PONG\r\n'
            except OSError:
                return False

    def ask(self, *words):
        return subprocess.run(['redis-cli', '-s', self.socket, *words], capture_output=True, text=True,
                              timeout=kept.WAIT_S).stdout.strip()

    def load(self, keys, value_bytes=VALUE_BYTES):
        for first in range(0, keys, LOAD_KEYS):
            self.ask('EVAL', LOAD, '0', str(first), str(min(first + LOAD_KEYS, keys)), str(value_bytes))
        if self.ask('DBSIZE') != str(keys):
            raise kept.Failed('redis-server was not loaded')

    def benchmark(self, test, pipeline, is_unix, requests, keys):
        """Requests a second, and what those who asked had to wait."""
        way = ['-s', self.socket] if is_unix else ['-p', self.port]
        done = subprocess.run(['redis-benchmark', *way, '-t', test, '-P', str(pipeline),
                               '-n', str(requests), '-r', str(keys), '-d', str(VALUE_BYTES), '--csv'],
                              capture_output=True, text=True, timeout=kept.WAIT_S)
        if done.returncode:
            raise kept.Failed(f'redis-benchmark: {done.stdout}{done.stderr}')
        _, rate, _, _, p50, _, p99, longest = (
            word.strip('"') for word in done.stdout.splitlines()[-1].split(','))
        return float(rate), turns.Waits(float(p50), float(p99), float(longest))

    def remove(self):
        super().remove()
        shutil.rmtree(self.dir, ignore_errors=True)


def compare(build, keepings, effort):
    """Plain, kept by us in each of these ways, and by redis itself, under redis-benchmark."""
    servers = {}
    ways = [('plain', None, NOTHING), *((name, keeping, NOTHING) for name, keeping in keepings),
            *((name, None, own) for name, own in OWN.items())]
    played = {title: lambda server, how=how: server.benchmark(*how, int(RATE_GUESS[how[1]] * effort.seconds),
                                                             effort.items)
              for title, how in TESTS.items()}
    try:
        for name, keeping, own in ways:
            servers[name] = Redis(build, 'redis-' + name.replace(' ', '-'), keeping, own)
            servers[name].load(effort.items)
        return turns.play(servers, played, effort)
    finally:
        for server in servers.values():
            server.remove()
