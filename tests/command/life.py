"""run -k process: to its caller the keeper is the program."""
import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
import unittest

from case import COMMAND, PROGRAMS, Case, main

PATIENCE_S = 20


class Life(Case):
    before = ()

    def start(self, *words, **kwargs):
        """Under a keeper; stdout is a pipe."""
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen([*self.before, COMMAND, "run", "-qk", "process", "--new", "-p", "pool", "--",
                                    *words],
                                   cwd=self.dir, env=self.environ, **kwargs)
        self.started.append(process)
        return process

    def rest(self, process):
        """All it has still to say: to the end of file, when nobody is left who could write."""
        return process.communicate(timeout=PATIENCE_S)[0]

    def tearDown(self):
        for process in self.started:
            if process.stdout:
                process.stdout.close()
        super().tearDown()

    def run_kept(self, *words, **kwargs):
        return self.do("run", "-qk", "process", "--new", "-p", "pool", "--", *words, before=self.before, **kwargs)

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.005)


class Unkept(Life):
    """Who is started in a namespace or a root of its own would come back outside."""

    def expect_veto(self, why, *words):
        if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest(f"not allowed here: {words}")
        process = self.start(*words, "sh", "-c", "read x; exit 7", stdin=subprocess.PIPE)
        self.until(why, lambda: f"VETOED, {why}" in self.do("info", "pool").out)
        self.expect(3, "run", "-qk", "process", "-p", "pool", "true")
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE_S), 7)

    def test_a_network_of_its_own(self):
        self.expect_veto("it has entered another namespace", "unshare", "-n")

    def test_another_root(self):
        self.expect_veto("it has another root directory", "perl", "-e", "chroot '/' or exit 1; exec @ARGV")


class Statuses(Life):
    def test_status_is_the_programs_own(self):
        for status in [0, 1, 2, 3, 77, 125, 255]:
            self.assertEqual(self.run_kept("sh", "-c", f"exit {status}").status, status)

    def test_a_fatal_signal_is_the_programs_own(self):
        for number in [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV, signal.SIGPIPE]:
            result = self.run_kept("sh", "-c", f"kill -{number} $$")
            self.assertEqual((result.status, result.err), (-number, ""))

    def test_a_line_says_what_a_fatal_signal_means(self):
        result = self.do("run", "-k", "process", "-p", "pool", "sh", "-c", "kill -9 $$")
        self.assertEqual(result.err.split("\n", 1)[1], "heapsake: sh was killed by signal 9; the same command line "
                                     "resumes it, --new starts afresh\n")

    def start_loud(self, pool, *words, **kwargs):
        process = subprocess.Popen([COMMAND, "run", "-k", "process", "-p", pool, "--", *words],
                                   cwd=self.dir, env=self.environ, stderr=subprocess.PIPE, **kwargs)
        self.started.append(process)
        return process

    def last_line(self, process):
        return process.communicate(timeout=PATIENCE_S)[1].decode().splitlines()[-1]

    def test_who_is_killed_after_its_end_was_noted_is_not_said_to_be_resumed(self):
        """It was said to be, and the same line did all the work a second time."""
        process = self.start_loud("pool", os.path.join(PROGRAMS, "command-leaving"))
        self.assertEqual(self.last_line(process), f"heapsake: {PROGRAMS}/command-leaving was killed by signal 9 when it "
                         "had ended by itself; the same command line starts afresh")
        self.assertIn("its program has ended; the next run starts afresh", self.do("info", "pool").out)

    def test_who_is_killed_before_its_first_epoch_is_not_said_to_be_resumed(self):
        unkept = os.memfd_create("unkept", 0)
        os.set_inheritable(unkept, True)
        process = self.start_loud("pool", "true", close_fds=False)
        os.close(unkept)
        self.until("a veto", lambda: "VETOED" in self.do("info", "pool").out)
        keeper = process.pid
        with open(f"/proc/{keeper}/task/{keeper}/children") as children:
            os.kill(int(children.read().split()[0]), signal.SIGKILL)  # init, and with it all
        self.assertEqual(self.last_line(process), "heapsake: true was killed by signal 9 before its first epoch; "
                         "the same command line starts afresh")

    def test_125_126_127_as_env(self):
        with open(self.path("plain"), "w"):
            pass
        for word, status in [("nowhere", 127), ("./plain", 126), (self.dir, 126)]:
            result = self.run_kept(word)
            self.assertEqual(result.status, status)
            self.assert_one_line(result.err)

    def test_a_script_without_a_first_line_goes_to_the_shell(self):
        with open(self.path("s"), "w") as file:
            file.write("echo $# $1\nexit 5\n")
        os.chmod(self.path("s"), 0o755)
        result = self.run_kept("./s", "a b")
        self.assertEqual((result.status, result.out), (5, "1 a b\n"))


class Deaths(Life):
    def test_kill_9_of_the_keeper_kills_the_program_at_once(self):
        process = self.start("sh", "-c", "echo; sleep 600")
        process.stdout.readline()
        process.kill()
        self.assertEqual(self.rest(process), b"") # whoever could write to it is dead


    def test_a_program_that_was_killed_takes_its_children_along(self):
        process = self.start("sh", "-c", "sleep 600 & echo; kill -9 $$")
        self.assertEqual(self.rest(process), b"\n") # to the end of file
        self.assertEqual(process.wait(PATIENCE_S), -signal.SIGKILL)

    def test_children_of_a_program_that_has_ended_live_on(self):
        os.mkfifo(self.path("fifo"))
        os.chmod(self.path("fifo"), 0o666)
        result = self.run_kept("sh", "-c", "{ read x < fifo; echo $x > out; } > /dev/null 2>&1 & exit 3")
        self.assertEqual(result.status, 3)
        self.until("there is a reader", self.feed)
        self.until("written", lambda: os.path.exists(self.path("out")) and os.path.getsize(self.path("out")))

    def feed(self):
        try:
            fifo = os.open(self.path("fifo"), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.write(fifo, b"alive\n")
        os.close(fifo)
        return True

    def test_kill_9_of_the_keeper_ends_a_family_that_grows(self):
        """Children that are born while others are killed; bounded by their number."""
        process = self.start("sh", "-c", "f() { n=$1; [ $n = 0 ] || { f $((n - 1)) & f $((n - 1)) & }; sleep 600; }; "
                             "f 6 & echo; sleep 600")
        process.stdout.readline()
        process.kill()
        self.assertEqual(self.rest(process), b"")

    def test_a_family_leaves_nobody_behind(self):
        result = self.run_kept("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (sleep 0.01 &) & done; wait; exit 4")
        self.assertEqual(result.status, 4)


class Inside(Life):
    """What the program sees."""

    def test_dispositions_mask_and_descriptors_pass_through(self):
        words = ["perl", "-e", "opendir D, '/proc/self/fd'; @f = grep /^[0-9]/ && readlink(\"/proc/self/fd/$_\") !~ /proc|heapsake|memfd/,"
                 " readdir D; print \"@{[sort @f]}\\n\"; open F, '/proc/self/status'; print grep /^SigIgn|^SigBlk/, <F>"]
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        alone = subprocess.run(words, env=self.environ, cwd=self.dir, capture_output=True, preexec_fn=ignore,
                               stdin=subprocess.DEVNULL).stdout.decode()
        process = self.start(*words, stdin=subprocess.DEVNULL, preexec_fn=ignore)
        theirs = self.rest(process).decode()
        self.assertEqual(theirs.split("\n")[1:], alone.split("\n")[1:])

    def test_closed_descriptors_stay_closed(self):
        for closed in ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"]:
            words = f'"$@" run -qk process --new -p pool -- sh -c \'for i in 0 1 2; do [ -e /proc/self/fd/$i ]' \
                    f' && echo $i >> open; done; exit 9\' {closed}'
            done = subprocess.run(["bash", "-c", words, "bash", *self.before, COMMAND], cwd=self.dir,
                                  env=self.environ, timeout=PATIENCE_S, check=False)
            self.assertEqual(done.returncode, 9, closed)
            plain = subprocess.run(["bash", "-c", f"sh -c 'for i in 0 1 2; do [ -e /proc/self/fd/$i ] && "
                                    f"echo $i >> plain; done' {closed}"], cwd=self.dir, env=self.environ, check=False)
            self.assertEqual(*[self.said(name) for name in ["open", "plain"]], (closed, plain))

    def said(self, name):
        if not os.path.exists(self.path(name)):
            return ""
        with open(self.path(name)) as file:
            text = file.read()
        os.unlink(self.path(name))
        return text

    def test_arguments_pass_unchanged(self):
        words = ["a b", "", "--new", "-p", "x\ny", "'\"$", "--"]
        self.assertEqual(self.run_kept("perl", "-e", 'print join("|", @ARGV)', "--", *words).out, "|".join(words))

    def test_its_pid_is_always_the_same(self):
        self.assertEqual({self.run_kept("sh", "-c", "echo $$").out for _ in range(3)}, {"2\n"})

    def test_no_right_is_left(self):
        theirs = self.run_kept("grep", "^Cap", "/proc/self/status").out
        words = [*self.before, "grep", "^Cap", "/proc/self/status"]
        alone = subprocess.run(words, capture_output=True, check=True).stdout.decode()
        if self.before: # a full bounding set is what a user namespace has
            theirs, alone = [text[:text.index("CapBnd")] for text in [theirs, alone]]
        self.assertEqual(theirs, alone)

    def test_children_run_as_if_heapsake_were_not_there(self):
        out = self.run_kept("perl", "-e", 'system("env; cat /proc/self/maps; ls -l /proc/self/fd")').out
        self.assertNotRegex(out, "(?i)heapsake_|preload|keeper")


class Known(Life):
    """Others know a kept program by its keeper."""

    def asker(self):
        return self.before

    def ask(self, verb):
        return self.json(verb, "--json", "pool", before=self.asker())

    def hold_kept(self):
        process = self.start("perl", "-e", "$| = 1; print qq(x\\n); sleep")
        process.stdout.readline()
        return process

    def test_by_its_pid(self):
        process = self.hold_kept()
        info = self.ask("info")
        self.assertEqual((info["pid"], info["keep"], info["program"]), (process.pid, "process", "perl"))
        self.expect(0, "checkpoint", "--wait", str(process.pid), before=self.asker())
        result = self.expect(3, "run", "-qk", "process", "-p", "pool", "true", out="", before=self.before)
        self.assertIn(f"in use by perl, pid {process.pid};", result.err)

    def test_killed_and_run_again_is_never_busy(self):
        for _ in range(10):
            self.hold_kept().kill()
        self.assertEqual(self.run_kept("true").status, 0)

    def test_a_pool_that_nobody_uses(self):
        process = self.hold_kept()
        process.kill()
        process.wait()
        self.until("unused", lambda: "pid" not in self.ask("info"))
        info = self.ask("info")
        self.assertEqual((info["state"], info["process"]), ("OK", "perl -e $| = 1; print qq(x\\n); sleep"))
        self.expect(0, "check", "--deep", "pool", out="ok\n", before=self.asker())
        self.assertGreater(self.ask("ls")["epoch"], 0)
        result = self.expect(5, "run", "-qk", "process", "-p", "pool", "perl", "-e", "1", out="",
                             before=self.before)
        self.assertRegex(result.err, 'pool: holds "perl -e .*; sleep", not "perl -e 1"; .*--new')


class Signals(Life):
    COUNT = ("perl", "-e", '$| = 1; $SIG{$_} = sub { print "$_[0]\n"; exit 7 if $_[0] eq "TERM" }'
             ' for qw(TERM INT HUP USR1 CHLD CONT); print "ready\n"; sleep 1 while 1')

    def test_a_signal_to_the_keeper_reaches_the_program(self):
        process = self.start(*self.COUNT)
        process.stdout.readline()
        for name in ["USR1", "CHLD", "HUP", "INT", "TERM"]:
            process.send_signal(getattr(signal, "SIG" + name))
            self.assertEqual(process.stdout.readline().decode(), name + "\n")
        self.assertEqual(process.wait(PATIENCE_S), 7)

    def test_a_signal_to_the_group_comes_once(self):
        for _ in range(20):
            process = self.start(*self.COUNT, start_new_session=True)
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGUSR1)
            self.assertEqual(process.stdout.readline(), b"USR1\n")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(self.rest(process), b"TERM\n")
            self.assertEqual(process.wait(PATIENCE_S), 7)

    def test_an_alarm_set_before_reaches_the_program(self):
        """perl -e 'alarm 5; exec @ARGV' is how programs are given a time."""
        set_alarm = lambda: signal.setitimer(signal.ITIMER_REAL, 0.5)
        process = self.start("sleep", str(10 * PATIENCE_S), preexec_fn=set_alarm)
        self.assertEqual(process.wait(PATIENCE_S), -signal.SIGALRM)

    def test_a_session_s_leader_hears_that_its_terminal_is_gone(self):
        """As under ssh -t, xterm -e and tmux: nobody else is told."""
        master, slave = pty.openpty()
        def lead():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        process = self.start(*self.COUNT, preexec_fn=lead)
        os.close(slave)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        os.close(master)
        self.assertEqual({process.stdout.readline() for _ in range(2)}, {b"HUP\n", b"CONT\n"})
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE_S), 7)


class Refused(Life):
    def test_a_process_is_kept_with_a_keeper_only(self):
        library = os.path.join(os.path.dirname(COMMAND), "../../preload/libheapsake.so")
        env = {"LD_PRELOAD": os.path.realpath(library), "HEAPSAKE_POOL": "pool", "HEAPSAKE_KEEP": "process"}
        for more, why in [({}, "HEAPSAKE_KEEP: .*needs a keeper; .*heapsake run"),
                          ({"HEAPSAKE_KEEPER": "0"}, "HEAPSAKE_KEEPER: \"0\" is not accepted"),
                          ({"HEAPSAKE_KEEPER": "512"}, "HEAPSAKE_KEEPER: descriptor 512 is no keeper's note")]:
            done = subprocess.run(["/bin/true"], env={**self.environ, **env, **more}, cwd=self.dir,
                                  capture_output=True)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr.decode(), r"\Aheapsake: refused: " + why)

    def test_nothing_to_resume(self):
        result = self.expect(2, "resume", "nowhere", out="")
        self.assertIn("no such pool", result.err)
        self.create()
        result = self.expect(5, "resume", "pool", out="")
        self.assertIn("holds no process", result.err)
        self.assertEqual(self.do("run", "-qk", "none", "-p", "heap", "true").status, 0)
        self.expect(5, "resume", "heap", out="")

    def test_the_command_line_of_resume(self):
        for words in [[], ["a", "b"], ["--epoch", "0", "a"], ["a", "--epoch", "x"], ["-z", "a"], [""]]:
            self.expect(2, "resume", *words, out="")


class AsNobody:
    """The same in a user namespace."""

    def setUp(self):
        super().setUp()
        self.before = self.as_nobody()


class StatusesAsNobody(AsNobody, Statuses):
    pass


class DeathsAsNobody(AsNobody, Deaths):
    pass


class SignalsAsNobody(AsNobody, Signals):
    pass


class InsideAsNobody(AsNobody, Inside):
    pass


class KnownAsNobody(AsNobody, Known):
    pass


class WithoutNamespaces:
    """Root by name only, and no user namespace to be had."""

    def setUp(self):
        super().setUp()
        before = ["unshare", "--user", "--map-root-user", "sh", "-c",
                  'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin,'
                  '-checkpoint_restore --inh-caps=-all "$@"', "sh"]
        try:
            done = subprocess.run([*before, COMMAND, "version"], capture_output=True, check=False)
        except FileNotFoundError as error:
            self.skipTest(str(error))
        if os.geteuid() != 0 or done.returncode:
            self.skipTest("no user namespace to try it in")
        self.before = before


class StatusesWithout(WithoutNamespaces, Statuses):
    def test_a_line_says_what_a_fatal_signal_means(self):
        result = self.do("run", "-k", "process", "-p", "pool", "true", before=self.before)
        self.assertRegex(result.err, r"\Aheapsake: true: no namespace of its own \(clone: user.max_user_namespaces")


class DeathsWithout(WithoutNamespaces, Deaths):
    pass


class SignalsWithout(WithoutNamespaces, Signals):
    pass


class KnownWithout(WithoutNamespaces, Known):
    def asker(self):
        return () # processes are seen from outside only


main()
