"""run -k process: to its caller the keeper is the program."""
import os
import signal
import subprocess
import time
import unittest

from case import COMMAND, Case, main

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
        self.assertEqual(process.stdout.read(), b"") # whoever could write to it is dead


class Signals(Life):
    COUNT = ("perl", "-e", '$| = 1; $SIG{$_} = sub { print "$_[0]\n"; exit 7 if $_[0] eq "TERM" }'
             ' for qw(TERM INT HUP USR1 CONT); print "ready\n"; sleep 1 while 1')

    def test_a_signal_to_the_keeper_reaches_the_program(self):
        process = self.start(*self.COUNT)
        process.stdout.readline()
        for name in ["USR1", "HUP", "INT", "TERM"]:
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
            self.assertEqual(process.stdout.read(), b"TERM\n")
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


main()
