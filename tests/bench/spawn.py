"""One run of one program under one allocator, measured by the small C program `measure`."""
import hashlib
import os
import shutil
import signal
import subprocess
import time

TIMEOUT_S = 300


class Failed(Exception):
    """A run that did not end well; the text says which and why."""


class Sample:
    """What one run cost."""

    def __init__(self, report):
        wall, user, system, rss, status = report.split()
        self.wall_s, self.user_s, self.system_s = float(wall), float(user), float(system)
        self.rss_kib, self.status = int(rss), int(status)

    @property
    def cpu_s(self):
        return self.user_s + self.system_s


class Spawner:
    def __init__(self, build_dir, work_dir):
        self.measure = os.path.join(build_dir, 'tests', 'bench', 'measure')
        self.build_dir = build_dir
        self.work_dir = work_dir
        self.base_env = {'PATH': '/usr/bin:/bin', 'HOME': work_dir, 'LC_ALL': 'C',
                         'TMPDIR': work_dir}

    def run(self, program, allocator, scale, is_proof=False):
        """A Sample and the output's digest; with is_proof, Failed unless the allocator was used.
        A proof run is traced: its times mean nothing."""
        report = os.path.join(self.work_dir, 'report')
        smaps = os.path.join(self.work_dir, 'smaps') if is_proof else '-'
        pool = allocator.pool_path(f'bench-{os.getpid()}')
        env = {**self.base_env, **program.env, **allocator.environment(pool)}
        words = [self.measure, report, smaps, *(f'{k}={v}' for k, v in env.items())]
        try:
            if program.server:
                digest = self.run_server(words, program, scale)
            else:
                digest = self.run_command(words + program.command(self.build_dir, scale))
            with open(report) as file:
                sample = Sample(file.read())
        finally:
            if pool and os.path.exists(pool):
                os.unlink(pool)
        if sample.status != 0:
            raise Failed(f'{program.name} under {allocator.name}: {self.explain(sample.status)}')
        if is_proof:
            with open(smaps) as file:
                why = allocator.disprove(file.read())
            if why:
                raise Failed(f'{program.name} under {allocator.name}: {why}')
        return sample, digest

    def explain(self, status):
        with open(os.path.join(self.work_dir, 'errors'), errors='replace') as file:
            last = file.read().strip().splitlines()[-1:]
        how = (f'died of {signal.Signals(os.WTERMSIG(status)).name}' if os.WIFSIGNALED(status)
               else f'exit status {os.WEXITSTATUS(status)}')
        return f'{how}: {last[0]}' if last else how

    def run_command(self, words):
        output = os.path.join(self.work_dir, 'output')
        with open(output, 'wb') as out, open(os.path.join(self.work_dir, 'errors'), 'wb') as errors:
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                           cwd=self.work_dir, timeout=TIMEOUT_S, check=True)
        with open(output, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()

    def run_server(self, words, program, scale):
        """redis-server on a socket of its own, loaded by redis-benchmark; the server alone is
        measured, the client runs without any preload."""
        if not shutil.which('redis-benchmark'):
            raise Failed('no redis-benchmark (Debian: apt-get install redis-tools)')
        socket = os.path.join(self.work_dir, 'redis.sock')
        requests = str(max(10000, 2000000 * scale // 100))
        words = words + [program.words[0], '--port', '0', '--unixsocket', socket, '--save', '',
                         '--dir', self.work_dir, '--daemonize', 'no']
        with open(os.path.join(self.work_dir, 'errors'), 'wb') as log:
            server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      cwd=self.work_dir)
        try:
            self.redis_cli(socket, 'ping', retry_s=10)
            subprocess.run(['redis-benchmark', '-s', socket, '-t', 'set,get', '-r', '1000000',
                            '-n', requests, '-d', '64', '-P', '16', '-q'],
                           stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)
            self.redis_cli(socket, 'shutdown', 'nosave')
            server.wait(timeout=30)
        finally:
            if server.poll() is None:
                self.redis_cli(socket, 'shutdown', 'nosave')
                server.wait(timeout=30)
        return 'redis'

    @staticmethod
    def redis_cli(socket, *words, retry_s=0):
        until = time.monotonic() + retry_s
        while subprocess.run(['redis-cli', '-s', socket, *words], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, timeout=30).returncode != 0:
            if time.monotonic() >= until:
                raise Failed(f'redis-cli {" ".join(words)} failed')
            time.sleep(0.02)
