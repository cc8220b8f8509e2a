"""Debian's redis-server, unmodified, in one way of keeping: none, ours, its own."""
import os
import shutil
import subprocess
import sys
import time

import kept

VALUE_BYTES = 64
# As redis-benchmark's `-r` names them.
LOAD = ('for i = 0, ARGV[1] - 1 do redis.call("SET", string.format("key:%012d", i), '
        f'string.rep("x", {VALUE_BYTES})) end')


def missing():
    absent = [name for name in ('redis-server', 'redis-cli', 'redis-benchmark')
              if not shutil.which(name)]
    return f'no {", ".join(absent)} (Debian: apt-get install redis-server redis-tools)' if absent else None


class Redis(kept.Child):
    def __init__(self, build, name, keeping=None, own=()):
        self.dir, self.keeping = build.path(name), keeping
        os.mkdir(self.dir)
        self.socket = os.path.join(self.dir, 's')
        super().__init__(['redis-server', '--port', '0', '--unixsocket', self.socket, '--dir', self.dir,
                          '--daemonize', 'no', '--logfile', '/dev/null', *(own or ('--save', ''))],
                         build.environment(keeping), sys.stderr)
        until_s = time.monotonic() + 30
        while self.ask('ping').strip() != 'PONG':
            if self.process.poll() is not None or time.monotonic() > until_s:
                raise kept.Failed(f'redis-server ({name}) does not answer')
            time.sleep(0.02)

    def ask(self, *words):
        return subprocess.run(['redis-cli', '-s', self.socket, *words], capture_output=True, text=True,
                              timeout=kept.WAIT_S).stdout

    def load(self, keys):
        self.ask('EVAL', LOAD, '0', str(keys))
        if self.ask('DBSIZE').strip() != str(keys):
            raise kept.Failed('redis-server was not loaded')

    def requests_per_s(self, test, pipeline, requests, keys):
        done = subprocess.run(['redis-benchmark', '-s', self.socket, '-t', test, '-P', str(pipeline),
                               '-n', str(requests), '-r', str(keys), '-d', str(VALUE_BYTES), '--csv'],
                              capture_output=True, text=True, timeout=kept.WAIT_S)
        if done.returncode:
            raise kept.Failed(f'redis-benchmark: {done.stdout}{done.stderr}')
        return float(done.stdout.splitlines()[-1].split(',')[1].strip('"'))

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.keeping:
            self.keeping.remove()
