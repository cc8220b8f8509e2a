"""keep=heap, seen from outside while a real program runs and after it is gone."""
import hashlib
import os
import re
import signal
import subprocess
import time

from case import COMMAND, PROGRAMS, Case, main

# Stores all the time; says when it has begun.
BUSY = ('$| = 1; my @a = map { "x" x 100 } 1..1000; print "on\\n"; '
        'for (my $i = 0;; $i++) { $a[$i % 1000] = "y" x (50 + $i % 100); select undef, undef, undef, .001 }')
# Stores nothing.
IDLE = '$| = 1; print "on\\n"; sleep 600'


class Live(Case):
    def keep(self, script, *flags, name="pool"):
        process = subprocess.Popen([COMMAND, "run", "-qk", "heap", "-s", "64M", *flags, "-p", name,
                                    "perl", "-e", script], cwd=self.dir, env=self.environ,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"on\n")
        return process

    def info(self):
        return self.json("info", "--json", "pool")

    def wait_for(self, what):
        """Epochs come by themselves; a minute is for a machine that is busy elsewhere."""
        for _ in range(600):
            info = self.info()
            if what(info):
                return info
            time.sleep(0.1)
        self.fail(info)

    def test_info_follows_the_program(self):
        process = self.keep(BUSY, "-i", "20ms")
        first = self.wait_for(lambda info: info["epoch"] > 1)
        self.assertEqual((first["state"], first["keep"], first["pid"], first["program"]),
                         ("OK", "heap", process.pid, "perl"))
        self.assertGreater(first["used_bytes"], 0)
        self.assertGreater(first["log_bytes"], 0)
        self.assertIn(first["durability"], ["media", "cache"])
        self.assertIn("tracker", first)
        later = self.wait_for(lambda info: info["epoch"] >= first["epoch"] + 8)
        self.assertGreater(later["oldest_epoch"], first["oldest_epoch"])
        stats = self.json("stats", "--json", "pool")
        self.assertGreaterEqual(stats["epochs"], 8)
        self.assertGreater(stats["pages"], 0)
        self.assertGreater(stats["log_bytes"], 0)
        self.assertGreaterEqual(stats["commit_us"]["max"], stats["commit_us"]["p50"])

    def test_each_pause_is_told_to_who_asks(self):
        for level, is_told in ("warn", False), ("debug", True):
            self.environ["HEAPSAKE_LOG"] = level
            process = self.keep(BUSY, "-i", "0", name=level)
            for _ in range(3):
                self.expect(0, "checkpoint", "--wait", level, out="", err="")
            process.kill()
            errors = process.communicate()[1].decode()
            self.assertEqual(len(re.findall(r"(?m)^heapsake: .*: paused for \d+ us$", errors)) >= 3,
                             is_told, errors)

    def test_children_that_see_home_are_named(self):
        """Nothing is merged meanwhile (DESIGN 4.7): why the log grows must be found out somehow."""
        words = [COMMAND, "run", "-q", "-s", "64M", "-p", "pool",
                 os.path.join(PROGRAMS, "command-rooted")]
        subprocess.run(words, cwd=self.dir, env=self.environ, check=True, stdout=subprocess.DEVNULL)
        self.assertNotIn("why", self.info())
        process = subprocess.Popen([*words, "on", "fork"], cwd=self.dir, env=self.environ,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        self.wait_for(lambda info: info["state"] == "OK" and
                      "forked children" in info.get("why", ""))

    def test_an_idle_program_has_nothing_at_risk(self):
        self.keep(IDLE, "-i", "10ms")
        self.wait_for(lambda info: info["epoch"] > 0 and info["loss_ms"] == 0)

    def test_without_an_interval_epochs_come_when_asked_for(self):
        process = self.keep(BUSY, "-i", "0")
        self.assertEqual(self.info()["epoch"], 0)
        self.wait_for(lambda info: info["loss_ms"] > 0) # all of it, though nobody has looked
        self.expect(0, "checkpoint", "--wait", "pool", out="", err="")
        first = self.info()
        self.assertGreater(first["epoch"], 0)
        time.sleep(0.3)
        later = self.info()
        self.assertEqual(later["epoch"], first["epoch"])
        self.assertGreaterEqual(later["loss_ms"], 300)
        self.expect(0, "checkpoint", "--wait", str(process.pid), out="", err="")
        self.assertGreater(self.info()["epoch"], first["epoch"])
        self.expect(0, "checkpoint", "pool", out="", err="")
        self.wait_for(lambda info: info["epoch"] > first["epoch"] + 1)

    def test_who_has_waited_sees_his_epoch(self):
        self.keep(BUSY, "-i", "0")
        before = 0
        for _ in range(20):
            time.sleep(0.002) # something is stored
            asked = self.json("checkpoint", "--wait", "--json", "pool")
            self.assertEqual(asked, {"schema": 1, "pool": self.path("pool"), "epoch": self.info()["epoch"]})
            self.assertGreater(asked["epoch"], before)
            before = asked["epoch"]

    def test_an_epoch_asked_for_while_the_program_stands_still(self):
        process = self.keep(BUSY, "-i", "0")
        process.send_signal(signal.SIGSTOP)
        asking = subprocess.Popen([COMMAND, "checkpoint", "--wait", "pool"], cwd=self.dir,
                                  env=self.environ, stderr=subprocess.PIPE)
        self.started.append(asking)
        time.sleep(0.2)
        self.assertIsNone(asking.poll())
        process.send_signal(signal.SIGCONT)
        self.assertEqual(asking.wait(60), 0)

    def test_ls_reads_a_pool_whose_log_is_taken_anew(self):
        self.keep(BUSY, "-i", "1ms")
        for _ in range(30):
            listing = self.json("ls", "--json", "pool")
            self.assertEqual((listing["roots"], listing["regions"][0]["name"]), ([], "heap"))
        self.assertGreater(listing["epoch"], 0)

    def test_a_garbage_control_page_does_the_program_no_harm(self):
        process = self.keep(BUSY, "-i", "10ms")
        with open(self.path("pool"), "r+b") as file:
            for _ in range(20):
                file.seek(8192)
                file.write(os.urandom(4096))
                file.flush()
                self.assertEqual(self.do("info", "--json", "pool").status, 0)
                self.assertIn(self.do("checkpoint", "pool").status, [0])
        self.assertIsNone(process.poll())

    def test_after_kill_9_the_pool_is_whole(self):
        for _ in range(5):
            process = self.keep(BUSY, "-i", "2ms")
            self.wait_for(lambda info: info["epoch"] > 3)
            process.kill()
            process.wait()
            self.expect(0, "check", "--deep", "pool", out="ok\n")
            info = self.info()
            self.assertGreater(info["epoch"], 3)
            self.assertEqual(info["state"], "EMPTY") # perl sets no root
            self.assertIn("no root", info["why"])
            found = self.json("check", "--json", "pool")
            self.assertGreater(found["blocks"], 1000)
            self.assertGreater(found["bytes"], 50000)

    def test_a_pool_in_memory_is_not_called_durable(self):
        if not os.path.isdir("/dev/shm"):
            self.skipTest("no /dev/shm")
        pool = f"/dev/shm/heapsake-live-{os.getpid()}"
        self.addCleanup(lambda: os.path.exists(pool) and os.unlink(pool))
        self.keep(IDLE, name=pool)
        self.assertEqual(self.json("info", "--json", pool)["durability"], "cache")

    def test_cache_is_what_is_asked_for(self):
        self.keep(IDLE, "-d", "cache")
        self.assertEqual(self.info()["durability"], "cache")


class Rooted(Case):
    """A program written for it."""
    ROOTED = os.path.join(PROGRAMS, "command-rooted")

    def once(self, *flags, status=0):
        """resumed, nodes, counter"""
        return tuple(map(int, self.expect(status, "run", "-qp", "pool", *flags, self.ROOTED).out.split()))

    def bytes_kept(self):
        """All of the pool but the control page, in which each owner names itself."""
        with open(self.path("pool"), "rb") as file:
            all_bytes = file.read()
        return hashlib.sha256(all_bytes[:8192] + all_bytes[12288:]).hexdigest()

    def test_what_it_keeps_is_listed(self):
        self.assertEqual(self.once(), (0, 1, 1))
        self.assertEqual(self.once(), (1, 2, 2))
        listing = self.json("ls", "--json", "pool")
        self.assertEqual([(root["name"], root["bytes"]) for root in listing["roots"]], [("list", 112)])
        self.assertEqual([(region["name"], region["start"]) for region in listing["regions"]],
                         [("heap", 0x200000000000), ("command-rooted", None)])
        self.assertEqual(listing["regions"][1]["bytes"] % 8, 0)
        info = self.json("info", "--json", "pool")
        self.assertEqual((info["state"], info["regions"]), ("OK", listing["regions"]))
        for words in [[], ["--deep"]]:
            found = self.json("check", "--json", *words, "pool")
            self.assertGreaterEqual(found["blocks"], 2)

    def test_epochs_are_gone_back_to(self):
        for _ in range(6):
            self.once()
        epochs = self.json("ls", "--json", "pool")["epochs"]
        self.assertEqual(epochs, sorted(epochs, reverse=True))
        self.assertEqual(len(epochs), 4)
        self.assertEqual(self.once("--epoch=-1"), (1, 6, 6)) # five, and one
        later = self.json("ls", "--json", "pool")["epochs"]
        self.assertGreater(later[0], epochs[0], "no number is given twice")
        self.assertEqual(self.once("--epoch", str(later[0])), (1, 7, 7))
        result = self.expect(5, "run", "-qp", "pool", "--epoch", "1000", self.ROOTED, out="")
        self.assertIn("epoch 1000 cannot be had back", result.err)
        self.expect(0, "check", "--deep", "pool", out="ok\n")

    def test_what_cannot_be_gone_back_to_is_told_from_what_can(self):
        for _ in range(4):
            self.once()
        self.once("--epoch=-2")
        there = self.json("ls", "--json", "pool")["epochs"]
        gone = set(range(there[-1], there[0])) - set(there)
        self.assertTrue(gone, "what was gone back over")
        for epoch in gone:
            result = self.expect(5, "run", "-qp", "pool", "--epoch", str(epoch), self.ROOTED, out="")
            self.assertEqual(there, list(map(int, re.findall(r"\d+", result.err.split("back,")[1]))))

    def test_a_refused_epoch_changes_nothing(self):
        self.once("-s", "16M")
        before = self.bytes_kept()
        self.expect(5, "run", "-qp", "pool", "--epoch=-9", self.ROOTED, out="")
        self.expect(2, "run", "-qp", "pool", "--new", "--epoch=-1", self.ROOTED, out="")
        self.expect(2, "run", "-qp", "pool", "--epoch=1", self.ROOTED, out="", env={"HEAPSAKE_NEW": "1"})
        self.assertEqual(self.bytes_kept(), before)
        self.assertEqual(self.once(), (1, 2, 2))

    def test_a_burst_beyond_what_copies_are_held_of(self):
        burst = os.path.join(PROGRAMS, "command-burst")
        for _ in range(2):
            self.expect(0, "run", "-qp", "pool", "-s", "512M", "-i", "10ms", "--new", burst)
            self.assertEqual(self.expect(0, "run", "-qp", "pool", burst).out, "0 missing\n")
            self.expect(0, "check", "pool", out="ok\n")

    def test_an_end_that_nobody_sees_is_not_told(self):
        run = ("run", "-p", "pool", "-i", "5ms", self.ROOTED)
        resumed = r"heapsake: resumed /.*/pool at epoch \d+"
        self.assertNotIn("resumed", self.expect(0, *run).err)
        self.assertRegex(self.expect(0, *run).err, rf"^{resumed}, \d+ ms before the end\n$")
        process = subprocess.Popen([COMMAND, *run, "on"], cwd=self.dir, env=self.environ,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        self.expect(0, "checkpoint", "--wait", "pool")
        process.kill()
        process.wait()
        self.assertRegex(self.expect(0, *run).err, rf"^{resumed}(, at least \d+ ms before the end)?\n$")

    def test_killed_again_and_again_it_goes_on(self):
        counter = 0
        for _ in range(5):
            process = subprocess.Popen([COMMAND, "run", "-qp", "pool", "-i", "5ms", self.ROOTED, "on"],
                                       cwd=self.dir, env=self.environ, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            self.started.append(process)
            self.addCleanup(process.stdout.close)
            _, nodes, now = map(int, process.stdout.readline().split())
            self.assertEqual(nodes, now, "list and counter are of one epoch")
            self.assertGreater(now, counter)
            self.expect(0, "checkpoint", "--wait", "pool")
            counter = now
            self.assertEqual(self.json("ls", "--json", "pool")["roots"][0]["bytes"], 112)
            process.kill()
            process.wait()
            self.expect(0, "check", "--deep", "pool", out="ok\n")


class Resting(Case):
    """Pages that home alone has, looked over while a program runs."""
    RESTING = os.path.join(PROGRAMS, "command-resting")
    HEAD_BYTES, BASE = 2 << 20, 0x200000000000

    def fill(self):
        """The place in the file of a byte in the midst of them."""
        out = self.expect(0, "run", "-qp", "pool", "-s", "64M", self.RESTING, "fill").out
        return self.HEAD_BYTES + int(out, 16) - self.BASE + (1 << 19) + 1000

    def flip(self, place):
        with open(self.path("pool"), "r+b") as file:
            file.seek(place)
            byte = file.read(1)
            self.assertEqual(byte, b"r")
            file.seek(place)
            file.write(b"R")

    def go(self, what):
        with open(self.path("errors"), "wb") as errors:
            process = subprocess.Popen([COMMAND, "run", "-p", "pool", self.RESTING, what], cwd=self.dir,
                                       env=self.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=errors)
        process.stderr = open(self.path("errors"), encoding="utf-8")
        self.started.append(process)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        return process

    def wait_for_state(self, state):
        for _ in range(600):
            info = self.json("info", "--json", "pool")
            if info["state"] == state:
                return info
            time.sleep(0.1)
        self.fail(info)

    def errors(self, process):
        process.kill()
        process.wait()
        return process.stderr.read()

    def test_what_rots_is_told_while_it_is_used(self):
        place = self.fill()
        self.flip(place)
        finding, = self.json("check", "--deep", "--json", "pool", status=1)["findings"]
        self.assertEqual(finding["offset"], place // 4096 * 4096)
        process = self.go("hold")
        info = self.wait_for_state("CORRUPT")
        fact = (f"the page at offset {finding['offset']} of the file is damaged: checksum expected "
                f"{finding['expected'][2:]}, found {finding['found'][2:]}")
        self.assertEqual(info["why"], fact)
        before = info["epoch"]
        self.expect(0, "checkpoint", "--wait", "pool")
        self.assertGreaterEqual(self.json("info", "--json", "pool")["epoch"], before)
        time.sleep(0.5)
        self.assertEqual(self.errors(process).count(f"/pool: {fact}; "), 1)

    def test_what_has_not_is_not(self):
        self.fill()
        for what in "hold", "churn":
            process = self.go(what)
            self.assertEqual(process.stdout.readline(), b"ready\n")
            time.sleep(2)
            self.wait_for_state("OK")
            self.assertNotIn("damaged", self.errors(process))
        self.expect(0, "check", "--deep", "pool", out="ok\n")

    def test_what_memory_still_has_is_logged_again(self):
        place = self.fill()
        for _ in range(10):
            began = time.monotonic()
            process = self.go("touch")
            self.assertTrue(os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1]))
            if time.monotonic() - began < 0.9: # else it may have been looked at already
                break
            self.errors(process)
        else:
            self.skipTest("the machine is too busy")
        self.flip(place)
        process.send_signal(signal.SIGCONT)
        told = ""
        for _ in range(600):
            told += process.stderr.read()
            if "any more" in told:
                break
            time.sleep(0.1)
        self.assertRegex(told, "is damaged: [^\n]*\n[^\n]*: no page of the file is known to be damaged any more\n")
        self.wait_for_state("OK")
        process.kill()
        process.wait()
        self.expect(0, "check", "--deep", "pool", out="ok\n")


class Keep(Case):
    """Who has not said what to keep."""
    LINKED = os.path.join(PROGRAMS, "command-linked")

    def test_a_program_linked_with_the_library_keeps_its_heap(self):
        outs = {self.expect(0, "run", "-qp", "pool", self.LINKED).out for _ in range(3)}
        self.assertEqual(len(outs), 1, "addresses are the same each time")
        self.assertTrue(outs.pop().startswith("00040000\n0x200"))
        self.assertEqual(self.json("info", "--json", "pool")["keep"], "heap")

    def test_a_script_is_as_its_interpreter(self):
        with open(self.path("script"), "w") as file:
            file.write(f"#!{self.LINKED}\n")
        os.chmod(self.path("script"), 0o755)
        self.expect(0, "run", "-qp", "pool", "./script")
        self.assertEqual(self.json("info", "--json", "pool")["keep"], "heap")

    def test_keep_none_leaves_addresses_random(self):
        out = self.expect(0, "run", "-qk", "none", "-p", "pool", self.LINKED).out
        self.assertTrue(out.startswith("00000000\n"), out)

    def test_another_keep_later_is_refused(self):
        self.expect(0, "run", "-qk", "heap", "-p", "pool", "true")
        self.expect(5, "run", "-qk", "none", "-p", "pool", "true", out="")
        self.expect(0, "run", "-qk", "none", "--new", "-p", "pool", "true", out="")


main()
