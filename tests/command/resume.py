"""run -k process and resume: what was killed goes on, what has ended starts afresh."""
import os
import re
import shutil
import signal
import subprocess
import time

from case import COMMAND, PROGRAMS, Case, main

PATIENCE_S = 30
COUNT = ("perl", "-e", '$| = 1; for ($i = 0;; $i++) { print "$i\n"; select undef, undef, undef, 0.005 }')


class Resume(Case):
    before = ()

    def start(self, *words, verb=("run", "-qi", "20ms", "-k", "process", "-p", "pool"), **kwargs):
        process = subprocess.Popen([*self.before, COMMAND, *verb, *words], cwd=kwargs.pop("cwd", self.dir),
                                   env={**self.environ, **kwargs.pop("env", {})}, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **kwargs)
        self.started.append(process)
        return process

    def tearDown(self):
        for process in self.started:
            process.stdout.close()
        super().tearDown()

    def count(self, process, lines):
        return [int(process.stdout.readline()) for _ in range(lines)]

    def end(self, process):
        """Killed, and its last word: communicate() would pass by what readline() has read ahead."""
        process.kill()
        rest = process.stdout.read().split(b"\n")[:-1]
        process.wait(timeout=PATIENCE_S)
        return int(rest[-1]) if rest else None

    def epoch(self):
        return self.json("ls", "--json", "pool", before=self.before)["epoch"]


class Again(Resume):
    def test_the_same_command_line_goes_on(self):
        process = self.start(*COUNT)
        seen = self.count(process, 40)
        self.assertEqual(seen, list(range(40)))
        for _ in range(5):
            last = self.end(process) or seen[-1]
            process = self.start(*COUNT)
            seen = self.count(process, 40)
            self.assertEqual(seen, list(range(seen[0], seen[0] + 40)))
            self.assertLessEqual(seen[0], last + 1)
            self.assertGreater(seen[0], 0)

    def test_resume_needs_no_command_line_and_no_directory(self):
        process = self.start(*COUNT)
        self.count(process, 40)
        self.end(process)
        process = self.start(verb=("resume", "-q", self.path("pool")), cwd="/")
        self.assertGreater(self.count(process, 1)[0], 0)
        process.kill()

    def test_an_older_epoch(self):
        process = self.start(*COUNT)
        self.count(process, 100)
        self.end(process)
        process = self.start(verb=("resume", "-q", "pool"))
        newest = self.count(process, 1)[0]
        process.kill()
        process.wait()
        for words in [("--epoch=-1", "pool"), ("pool", "--epoch", "-1")]:
            process = self.start(verb=("resume", "-q", *words))
            self.assertLess(self.count(process, 1)[0], newest + 100)
            process.kill()
            process.wait()
        self.expect(5, "resume", "--epoch", "99999999", "pool", out="", before=self.before)

    def test_another_command_line_is_refused_and_new_starts_afresh(self):
        process = self.start(*COUNT)
        self.count(process, 40)
        self.end(process)
        result = self.expect(5, "run", "-q", "-p", "pool", *COUNT, "x", out="", before=self.before)
        self.assertRegex(result.err, r'pool: holds "perl -e .*", not "perl -e .* x"; .* --new ')
        process = self.start("--new", *COUNT)
        self.assertEqual(self.count(process, 3), [0, 1, 2])

    def test_the_program_is_its_file_not_its_name(self):
        process = self.start(*COUNT)
        self.count(process, 40)
        self.end(process)
        process = self.start(shutil.which("perl"), *COUNT[1:])
        self.assertGreater(self.count(process, 1)[0], 0)

    def test_what_has_ended_starts_afresh(self):
        words = ["perl", "-e", 'print "a\n"; exit 3']
        for _ in range(3):
            result = self.do("run", "-qk", "process", "-p", "pool", *words, before=self.before)
            self.assertEqual((result.status, result.out), (3, "a\n"))
        result = self.expect(5, "resume", "pool", out="", before=self.before)
        self.assertIn("its program has ended, with status 3", result.err)
        info = self.json("info", "--json", "pool", before=self.before)
        self.assertEqual((info["state"], info["end_status"]), ("EMPTY", 3))
        self.assertEqual(self.do("run", "-qk", "process", "-p", "pool", "true", before=self.before).status, 0)

    def test_every_signal_that_kills_resumes(self):
        process = self.start(*COUNT)
        self.count(process, 40)
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            process.send_signal(number)
            process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, -number)
            process = self.start(*COUNT)
            self.assertGreater(self.count(process, 1)[0], 0)

    def test_a_crash_after_a_resume_is_told(self):
        crash = ["perl", "-e", '$| = 1; print "1\n"; for (1..60) { select undef, undef, undef, 0.01 } kill SEGV, $$']
        verb = ("run", "-i", "20ms", "-k", "process", "-p", "pool")
        first = self.start(*crash, verb=verb).communicate(timeout=PATIENCE_S)[1].decode()
        self.assertIn("was killed by signal 11; the same command line resumes it", first)
        second = self.start(*crash, verb=verb).communicate(timeout=PATIENCE_S)[1].decode()
        self.assertRegex(second, r"was killed by signal 11, \d+ ms after its resume; .*resume --epoch=-1 /.*pool\n")

    def test_a_malloc_of_the_programs_own(self):
        words = (os.path.join(PROGRAMS, "command-own-malloc"), "count")
        process = self.start(*words)
        self.count(process, 40)
        self.end(process)
        process = self.start(*words)
        self.assertGreater(self.count(process, 1)[0], 0)

    def test_what_a_shell_has_become_goes_on_under_the_shells_command_line(self):
        words = ["sh", "-c", 'exec "$@"', "sh", *COUNT]
        process = self.start(*words)
        self.count(process, 60)
        self.end(process)
        process = self.start(*words)
        self.assertGreater(self.count(process, 1)[0], 0)

    def test_another_file_of_the_same_name_is_refused(self):
        shutil.copy(shutil.which("perl"), self.path("prog"))
        os.chmod(self.path("prog"), 0o755)
        process = self.start("./prog", *COUNT[1:])
        self.count(process, 40)
        self.end(process)
        os.rename(self.path("prog"), self.path("old"))
        shutil.copy(shutil.which("cat"), self.path("prog"))
        os.chmod(self.path("prog"), 0o755)
        result = self.expect(5, "run", "-q", "-p", "pool", "./prog", *COUNT[1:], out="", before=self.before)
        self.assertIn("prog was replaced since", result.err)
        os.rename(self.path("old"), self.path("prog"))
        process = self.start("./prog", *COUNT[1:])
        self.assertGreater(self.count(process, 1)[0], 0)

    def test_its_world_comes_back(self):
        """Directory, environment and stack limit are those of its first life."""
        os.mkdir(self.path("sub"), 0o777)
        os.chmod(self.path("sub"), 0o777)
        words = ["perl", "-e", '$| = 1; for (;;) { open F, "</proc/self/limits"; ($s) = grep /stack/, <F>; '
                 'print readlink("/proc/self/cwd"), " $ENV{A} ", $s =~ /size\\s+(\\d+)/, "\n"; '
                 'select undef, undef, undef, 0.01 }']
        process = self.start(*words, verb=("run", "-qk", "process", "-p", self.path("pool")), cwd=self.path("sub"),
                             env={"A": "first"})
        first = [process.stdout.readline() for _ in range(30)][-1]
        self.end_any(process)
        self.before = [*self.before, "prlimit", "--stack=1048576:"]
        process = self.start(*words, verb=("run", "-qk", "process", "-p", self.path("pool")), env={"A": "second"})
        self.assertEqual([process.stdout.readline() for _ in range(3)], [first] * 3)

    def test_an_environment_of_hundreds_of_kilobytes_comes_back(self):
        words = ["perl", "-e", '$| = 1; for ($i = 0;; $i++) { print "$i ", length($ENV{A} . $ENV{B}), "\\n"; '
                 'select undef, undef, undef, 0.005 }']
        process = self.start(*words, env={"A": "x" * 120000, "B": "y" * 110000})
        self.assertEqual([process.stdout.readline() for _ in range(40)][-1], b"39 230000\n")
        self.end_any(process)
        process = self.start(*words)
        self.assertRegex(process.stdout.readline(), b"[1-9][0-9]* 230000\n")

    def test_one_that_is_too_long_is_refused(self):
        result = self.do("run", "-qk", "process", "-p", "pool", "true", before=self.before,
                         env={f"A{i}": "x" * 120000 for i in range(10)})
        self.assertEqual((result.status, result.out), (5, ""))
        self.assertIn("arguments and environment", result.err)

    def test_clocks_do_not_go_back_with_those_of_the_machine(self):
        """Its first life is in a time namespace that is 200000 s ahead: as after a reboot."""
        ahead = ["unshare", "--time", "--monotonic", "200000", "--boottime", "300000"]
        try:
            if subprocess.run([*ahead, "true"], capture_output=True, check=False).returncode:
                self.skipTest("no time namespace to be had")
        except FileNotFoundError as error:
            self.skipTest(str(error))
        words = ["perl", "-MTime::HiRes=clock_gettime,sleep,CLOCK_MONOTONIC", "-e",
                 '$| = 1; for (;;) { printf "%d %d\\n", clock_gettime(CLOCK_MONOTONIC) * 1000, '
                 'clock_gettime(7) * 1000; sleep 0.005 }']
        before, self.before = self.before, [*ahead, *self.before]
        process = self.start(*words)
        seen = [process.stdout.readline().split() for _ in range(40)]
        self.end_any(process)
        self.assertGreater(int(seen[0][0]), (time.monotonic() + 150000) * 1000)
        self.before = before
        process = self.start(*words)
        seen.append(process.stdout.readline().split())
        # What was printed last may be later than the epoch, by what is lost.
        for clock, lost_ms in [(0, 10000), (1, 10000)]:
            self.assertGreater(int(seen[-1][clock]), int(seen[0][clock]))
            self.assertLess(abs(int(seen[-1][clock]) - int(seen[-2][clock])), lost_ms)

    def test_no_right_is_left(self):
        words = ["perl", "-e", '$| = 1; for (;;) { open F, "</proc/self/status"; print join(" ", grep s/^Cap(Eff|'
                 'Prm|Amb|Inh):\\s*(\\w+)\\n/$2/, <F>), "\\n"; select undef, undef, undef, 0.005 }']
        process = self.start(*words)
        first = [process.stdout.readline() for _ in range(40)][0]
        self.end_any(process)
        process = self.start(*words)
        self.assertEqual(process.stdout.readline(), first)
        status = subprocess.run([*self.before, "grep", "CapPrm", "/proc/self/status"], capture_output=True,
                                check=True).stdout.split()[1]
        self.assertEqual(first.split()[1], status)

    def test_an_init_that_is_killed_is_a_program_that_is_killed(self):
        process = self.start(*COUNT)
        self.count(process, 40)
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        process = self.start(*COUNT)
        self.assertGreater(self.count(process, 1)[0], 0)

    def test_a_reader_that_goes_away_kills_and_a_new_one_resumes(self):
        line = " ".join(f"'{word}'" for word in [*self.before, COMMAND, "run", "-qi", "20ms", "-p", "pool", *COUNT])
        first = subprocess.run(["bash", "-c", f"{line} | head -n 60; echo ${{PIPESTATUS[0]}}"], cwd=self.dir,
                               env=self.environ, capture_output=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(first.stdout.split()[-1], b"141")
        process = self.start(*COUNT)
        self.assertGreater(self.count(process, 1)[0], 0)

    def kill_program(self, keeper):
        """The program itself; what is left of its life ends by that."""
        pid = keeper
        for _ in range(2):
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                pid = int(file.read())
        os.kill(pid, signal.SIGKILL)

    def kill_keeper(self, keeper):
        with open(f"/proc/{keeper}/task/{keeper}/children") as file:
            init = int(file.read())
        os.kill(keeper, signal.SIGKILL)
        while os.path.exists(f"/proc/{init}"):
            time.sleep(0.01)

    def test_the_line_says_how_long_before_the_end_its_epoch_was(self):
        """Epochs only when they are asked for: what is lost is then as much as the test wants."""
        verb = ("run", "-i", "0", "-k", "process", "-p", "pool")
        process = self.start(*COUNT, verb=verb)
        for end in self.kill_program, self.kill_keeper, lambda pid: os.kill(pid, signal.SIGTERM):
            self.count(process, 3)
            began = time.monotonic()
            self.expect(0, "checkpoint", "--wait", "pool", before=self.before)
            time.sleep(0.3)
            end(process.pid)
            process.communicate(timeout=PATIENCE_S)
            most_ms = (time.monotonic() - began) * 1000
            process = self.start(*COUNT, verb=verb)
            line = process.stderr.readline().decode()
            self.assertRegex(line, r"^heapsake: resumed /.*pool at epoch \d+, \d+ ms before the end\n")
            lost_ms = int(line.split()[6])
            self.assertTrue(300 <= lost_ms <= most_ms, (lost_ms, most_ms))
        self.end(process)
        process = self.start("--epoch=-1", *COUNT, verb=verb)
        self.assertRegex(process.stderr.readline().decode(), r"^heapsake: resumed /.*pool at epoch \d+\n")
        self.end(process)
        process = self.start(*COUNT, verb=(*verb, "-q"))
        self.count(process, 1)
        process.kill()
        self.assertNotIn(b"resumed", process.communicate(timeout=PATIENCE_S)[1])

    def end_any(self, process):
        process.kill()
        process.communicate(timeout=PATIENCE_S)


class AgainAsNobody(Again):
    """The same in a user namespace."""

    def setUp(self):
        super().setUp()
        self.before = self.as_nobody()


main()
