"""run -k process under a terminal: a shell's job control treats the keeper as it treats the program."""
import os
import pty
import re
import select
import signal
import subprocess
import time

from case import COMMAND, Case, main

PATIENCE_S = 30


class Terminal(Case):
    """An interactive bash on a pty of its own; what it says is waited for, never for how long."""

    before = ()

    def setUp(self):
        super().setUp()
        self.seen = ""
        master, slave = pty.openpty()
        self.master = master
        environ = {**self.environ, "PS1": "% ", "TERM": "dumb", "HEAPSAKE": COMMAND, "HISTFILE": "/dev/null"}
        self.shell = subprocess.Popen(["bash", "--norc", "--noprofile", "--noediting", "-i"], stdin=slave,
                                      stdout=slave, stderr=slave, cwd=self.dir, env=environ,
                                      start_new_session=True, preexec_fn=take_terminal)
        os.close(slave)
        self.expect_text("% ")
        self.type(f"kept() {{ {' '.join(self.before)} $HEAPSAKE run -qk process --new -p pool -- \"$@\"; }}\n")
        self.expect_text("% ")

    def tearDown(self):
        for pid in descendants(self.shell.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)
        super().tearDown()

    def type(self, text):
        os.write(self.master, text.encode())

    def expect_text(self, pattern):
        """Reads until it is there; returns the match, and forgets all up to it."""
        end = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.seen)):
            self.assertTrue(select.select([self.master], [], [], end - time.monotonic())[0],
                            f"no {pattern!r} in {self.seen!r}")
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen[found.end():]
        return found

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                self.fail(f"not {what}: {[(command(pid), state(pid)) for pid in descendants(self.shell.pid)]}")
            time.sleep(0.005)

    def start_job(self, words):
        self.type(f"kept {words}\n")
        self.expect_text("ready\r\n")
        keepers = [pid for pid in descendants(self.shell.pid) if is_keeper(pid)]
        self.assertEqual(len(keepers), 1, keepers)
        return keepers[0]


def take_terminal():
    import fcntl
    import termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def is_keeper(pid):
    """heapsake, started by something else."""
    return command(pid) == "heapsake" and command(parent(pid)) != "heapsake"


def status_field(pid, name):
    try:
        with open(f"/proc/{pid}/status") as file:
            return re.search(rf"(?m)^{name}:\s*(\S+)", file.read())[1]
    except OSError:
        return ""


def parent(pid):
    return int(status_field(pid, "PPid") or 0)


def command(pid):
    return status_field(pid, "Name")


def state(pid):
    return status_field(pid, "State")


def program_of(keeper):
    (init,) = children(keeper)
    (program,) = children(init)
    return program


LOOP = """sh -c 'echo ready; while read line; do echo "got $line"; done; echo over'"""


class Stopping(Terminal):
    def test_ctrl_z_and_fg(self):
        keeper = self.start_job(LOOP)
        program = program_of(keeper)
        self.type("one\n")
        self.expect_text("got one")
        for _ in range(3):
            self.type("\x1a")
            self.expect_text("Stopped")
            self.expect_text("% ")
            self.assertEqual((state(keeper), state(program)), ("T", "T"))
            self.type("fg\n")
            self.until("running", lambda: state(program) != "T" and state(keeper) != "T")
            self.type("two\n")
            self.expect_text("got two")
        self.type("\x04")
        self.expect_text("over")
        self.type("echo status $?\n")
        self.expect_text("status 0")

    def test_bg_and_reading_in_the_background(self):
        keeper = self.start_job(LOOP)
        self.type("\x1a")
        self.expect_text("Stopped")
        self.type("set -b; bg\n")
        self.expect_text(" &\r\n")
        self.expect_text("Stopped")  # by reading, and the shell has heard of it: else its fg would send nothing
        self.assertEqual((state(keeper), state(program_of(keeper))), ("T", "T"))
        self.type("fg\n")
        self.expect_text("run -qk process")
        self.until("running", lambda: state(program_of(keeper)) != "T")
        self.type("three\n")
        self.expect_text("got three")

    def test_ctrl_c_kills_both_and_the_shell_sees_why(self):
        self.start_job("sh -c 'echo ready; sleep 600'")
        # Between its fork and its exec a shell's child has the shell's handlers, which do nothing.
        self.until("asleep", self.has_sleep)
        self.type("\x03")
        self.expect_text("% ")
        self.type("echo status $?\n")
        self.expect_text("status 130")

    def test_ctrl_c_comes_once_to_who_handles_it(self):
        self.start_job("""perl -e '$| = 1; $SIG{INT} = sub { $n++; print "int $n\\n" }; print "ready\\n";"""
                       """ while (1) { sleep 1; exit 5 if $n > 4 }'""")
        for n in range(1, 6):
            self.type("\x03")
            self.expect_text(f"int {n}\r\n")
        self.expect_text("% ")
        self.type("echo status $?\n")
        self.expect_text("status 5")

    def test_a_program_that_stops_itself(self):
        for name in ["STOP", "TSTP"]:
            self.start_job(f"sh -c 'echo ready; kill -{name} $$; echo again'")
            self.expect_text("Stopped")
            self.expect_text("% ")
            self.type("fg\n")
            self.expect_text("again")
            self.expect_text("% ")

    def test_a_program_that_stops_its_group(self):
        """As vi does it: the keeper is in the group, too."""
        self.start_job("sh -c 'echo ready; kill -TSTP 0; echo again'")
        self.expect_text("Stopped")
        self.expect_text("% ")
        self.type("fg\n")
        self.expect_text("again")
        self.type("echo status $?\n")
        self.expect_text("status 0")

    def test_signals_to_the_keeper_alone_stop_and_continue_both(self):
        keeper = self.start_background()
        program = program_of(keeper)
        for _ in range(20):
            os.kill(keeper, signal.SIGTSTP)
            self.until("stopped", lambda: state(program) == "T" and state(keeper) == "T")
            os.kill(keeper, signal.SIGCONT)
            self.until("continued", lambda: state(program) != "T" and state(keeper) == "S")

    def test_stopped_and_continued_at_once_is_running(self):
        keeper = self.start_background()
        program = program_of(keeper)
        for _ in range(200):
            os.kill(program, signal.SIGTSTP)
            self.until("stopped", lambda: state(program) == "T")
            os.kill(program, signal.SIGCONT)
            self.until("both run", lambda: state(program) != "T" and state(keeper) != "T")

    def test_the_last_word_to_the_group_holds(self):
        """What the keeper passes on comes later than what is sent to the group by then."""
        keeper = self.start_background()
        pids, group = [keeper, program_of(keeper)], os.getpgid(keeper)
        for _ in range(100):
            for last, is_right in [(signal.SIGTSTP, lambda pid: state(pid) == "T"),
                                   (signal.SIGCONT, lambda pid: state(pid) != "T")]:
                os.killpg(group, signal.SIGCONT if last == signal.SIGTSTP else signal.SIGTSTP)
                os.killpg(group, last)
                self.until(last.name, lambda is_right=is_right: all(map(is_right, pids)))

    def test_a_program_killed_while_stopped_ends_its_keeper(self):
        keeper = self.start_background()
        program = program_of(keeper)
        os.kill(keeper, signal.SIGTSTP)
        self.until("stopped", lambda: state(keeper) == "T")
        os.kill(program, signal.SIGKILL)
        self.until("gone", lambda: state(keeper) in ("", "Z"))

    def has_sleep(self):
        return any(command(pid) == "sleep" for pid in descendants(self.shell.pid))

    def start_background(self):
        self.type("kept sleep 600 &\n")
        self.until("started", self.has_sleep)
        return next(pid for pid in descendants(self.shell.pid) if is_keeper(pid))


class StoppingAsNobody(Stopping):
    """The same in a user namespace."""

    def setUp(self):
        Case.setUp(self)
        self.before = self.as_nobody()
        Case.tearDown(self)
        super().setUp()
        os.chown(self.dir, 65534, 65534)


main()
