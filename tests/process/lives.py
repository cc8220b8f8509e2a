"""A place where one program lives again and again: its files, its pool, its lives.

A life is one `heapsake run`; it ends because it was killed, or by itself. The pid that is killed is
found as the keeper's only grandchild, so nothing else can be hit.
"""
import fcntl
import json
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import termios
import time

LIMIT_S = 240
WITHIN_S = 0.4
KILLS_A_ROUND = 10
INTERVALS = ("5ms", "20ms", "100ms")
STARTED = re.compile(rb"^heapsake: .*(?:keep process;|resumed .* at epoch (\d+))", re.M)
REFUSED = re.compile(rb"^heapsake: refused: .*", re.M)


class Failure(Exception):
    is_wrong_output = False


class WrongOutput(Failure):
    is_wrong_output = True


def wait_until(is_done, what, limit_s=LIMIT_S):
    deadline = time.monotonic() + limit_s
    while not is_done():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {limit_s} s")
        time.sleep(0.003)


def child_of(pid):
    """The only child of a process, or None."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            words = file.read().split()
    except OSError:
        return None
    return int(words[0]) if words else None


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class Restarted(Failure):
    """It began from its beginning. Right only where it had ended, or had not begun: a kill may come
    after the end has been noted, or before the first epoch."""

    def __init__(self, life, why):
        super().__init__(why)
        self.life = life


class Life:
    """One `heapsake run`, from the exec to its end."""

    def __init__(self, place, argv, stdin=None, terminal=None):
        self.place = place
        self.said_before = len(read(place.path("out")))
        self.error_path = os.path.join(place.directory, f"stderr.{len(place.lives)}")
        line = [place.options.command, "run", "-k", "process", "-p", place.pool, "-s", "1G", "-i",
                place.interval, "--", *argv]
        with open(self.error_path, "wb") as errors:
            self.process = subprocess.Popen(
                line, cwd=place.directory, env=place.env, stderr=errors,
                stdin=terminal or stdin or subprocess.DEVNULL, stdout=terminal,
                start_new_session=bool(terminal), **place.identity(not terminal, bool(terminal)))
        self.is_counted = False

    def said(self):
        return read(self.error_path)

    def has_started(self):
        found = STARTED.search(self.said())
        if found and not self.is_counted:
            self.is_counted = True
            self.place.note_start(self, found[1] and int(found[1]))
        return bool(found)

    def has_ended(self):
        return self.process.poll() is not None

    def wait_start(self):
        wait_until(lambda: self.has_started() or self.has_ended(), "start")
        if not self.has_started():
            raise Failure(f"it did not start: status {self.process.returncode}\n{self.tail()}")

    def program_pid(self):
        init = child_of(self.process.pid)
        return init and child_of(init)

    def kill(self, is_keeper=False):
        """kill -9; False if it has ended by itself before."""
        pid = self.process.pid if is_keeper else self.program_pid()
        if self.has_ended():
            return False
        if not pid:  # not begun yet
            pid = self.process.pid
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def bury(self, limit_s=LIMIT_S):
        """Wait for the end; its status."""
        wait_until(self.has_ended, "its end", limit_s)
        self.has_started()
        return self.process.returncode

    def tail(self):
        return self.said().decode(errors="replace")[-2000:]

    def portrait(self):
        """Where its threads stand, for whoever reads the failure."""
        lines = []
        for pid in filter(None, (self.process.pid, child_of(self.process.pid), self.program_pid())):
            try:
                tasks = sorted(os.listdir(f"/proc/{pid}/task"), key=int)
            except OSError:
                continue
            for task in tasks[:12]:
                parts = [read(f"/proc/{pid}/task/{task}/{name}").decode().strip()
                         for name in ("comm", "wchan", "syscall")]
                lines.append(f"  {pid}/{task} " + " ".join(parts))
        return "\n".join(lines)


class Place:
    def __init__(self, options, directory, user, dice, haste=1):
        self.options, self.directory, self.user, self.dice = options, directory, user, dice
        self.pool = os.path.join(directory, "zoo.pool")
        self.interval = dice.choice(INTERVALS)
        self.haste, self.within_s, self.length_s = haste, WITHIN_S / haste, 0
        self.lives = []
        self.kills = self.resumes = self.epochs = self.refusals = 0
        self.newest = self.starts = 0
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(("HEAPSAKE_", "LD_"))}
        self.env.update(LC_ALL="C", HOME=directory)
        if user:
            os.chmod(directory, 0o755)
            os.chown(directory, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

    def identity(self, has_output=True, is_leader=False):
        """For Popen: whom it runs as, and without cores; a leader's stdin is its terminal. The
        output is opened as a shell does, by the process that becomes the command: who has it open
        as well is taken for one who writes it, too."""
        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if is_leader:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if has_output:
                out = os.open(self.path("out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                os.dup2(out, 1)
                os.close(out)

        who = {}
        if self.user:
            entry = pwd.getpwnam(self.user)
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return {"preexec_fn": prepare, **who}

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), 0o755)
        if self.user:
            shutil.chown(self.path(name), self.user, pwd.getpwnam(self.user).pw_gid)

    def expect_length(self, length_s):
        """Of a run, when nobody kills it."""
        self.within_s = min(WITHIN_S, length_s) / self.haste
        self.length_s = length_s

    def share(self, kills):
        """How many of these are for this round: as many as its lives can come to, at most; when it
        is left alone, a long run shall not have its greater part before it."""
        return min(kills, max(KILLS_A_ROUND, int(self.length_s / (WITHIN_S / 2))))

    def let_live(self, life):
        """For a while, or to its end."""
        try:
            life.process.wait(self.dice.random() * self.within_s)
        except subprocess.TimeoutExpired:
            pass

    def start(self, argv, stdin=None, terminal=None):
        self.lives.append(Life(self, argv, stdin, terminal))
        return self.lives[-1]

    def epoch(self):
        """The newest one that is kept; 0: none yet."""
        done = subprocess.run([self.options.command, "info", "--json", self.pool],
                              capture_output=True, text=True, timeout=LIMIT_S,
                              **self.identity(has_output=False))
        return 0 if done.returncode else json.loads(done.stdout)["epoch"]

    def checkpoint(self):
        """What was done so far is kept from now on."""
        done = subprocess.run([self.options.command, "checkpoint", "--wait", self.pool],
                              capture_output=True, text=True, timeout=LIMIT_S,
                              **self.identity(has_output=False))
        if done.returncode:
            raise Failure(f"checkpoint: status {done.returncode}\n{done.stdout}{done.stderr}")

    def note_start(self, life, epoch):
        self.starts += 1
        if epoch is None:
            if self.starts > 1:
                raise Restarted(life, "it began afresh")
            return
        self.resumes += 1
        if epoch < self.newest:
            raise Failure(f"it came back at epoch {epoch} after one at {self.newest}")
        self.epochs += epoch - self.newest
        self.newest = epoch

    def kill(self, life, is_keeper=False):
        """Kill it; False if it was faster."""
        if not life.kill(is_keeper):
            return False
        self.kills += 1
        return True

    def expect_killed(self, life):
        status = life.bury()
        if status not in (-signal.SIGKILL, 0) or REFUSED.search(life.said()):
            raise Failure(f"killed, it ended with status {status}\n{life.tail()}")
        return status == 0

    def end(self):
        for life in self.lives:
            if not life.has_ended():
                life.kill()
                life.process.kill()
                life.process.wait()
