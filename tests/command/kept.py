"""ls, info, stats, checkpoint and check on pools with epochs in them (kept.c)."""
import os
import signal
import struct
import subprocess
import time

from case import COMMAND, PROGRAMS, Case, fingerprint, main, patch

KEPT = os.path.join(PROGRAMS, "command-kept")
SEGMENT = b"hssegmnt"
RECORD = b"hsrecord"


class Kept(Case):
    def make(self, *words, name="pool"):
        """A pool with eight epochs; the places kept.c prints."""
        done = subprocess.run([KEPT, name, *(words or ["fresh"])], cwd=self.dir, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {key: int(value) for key, value in (line.split() for line in done.stdout.split("\n") if line)}

    def own(self, error=0, name="pool"):
        """A living owner that answers every request with this error."""
        process = subprocess.Popen([KEPT, name, "fresh", "hold", str(error)], cwd=self.dir,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        self.addCleanup(process.stdout.close)
        for line in process.stdout:
            if line == "held\n":
                return process
        self.fail(process.stderr.read())


class List(Kept):
    def test_roots_and_regions(self):
        for words in [[], ["merged"]]:
            self.make(*words)
            before = fingerprint(self.path("pool"))
            listing = self.json("ls", "--json", "pool")
            self.assertEqual(fingerprint(self.path("pool")), before)
            self.assertEqual(set(listing), {"schema", "pool", "epoch", "epochs", "roots", "regions"})
            self.assertEqual(listing["epochs"], [8, 7, 6, 5])
            self.assertEqual([root["name"] for root in listing["roots"]], ["list", "block", "large"])
            self.assertEqual([root["bytes"] for root in listing["roots"]], [832, 150, 1 << 20])
            self.assertEqual(listing["regions"], [
                {"name": "heap", "start": 0x200000000000, "bytes": 16 << 20},
                {"name": "libkept.so", "start": None, "bytes": 8192}])
            self.assertRegex(self.expect(0, "ls", "pool", err="").out,
                             r"(?m)^root +large, offset \d+, 1048576 bytes$")
            os.unlink(self.path("pool"))

    def test_a_pool_without_epochs_has_only_its_heap(self):
        self.create()
        listing = self.json("ls", "--json", "pool")
        self.assertEqual((listing["roots"], len(listing["regions"])), ([], 1))

    def test_it_reads_while_somebody_owns_the_pool(self):
        self.own()
        self.assertEqual(len(self.json("ls", "--json", "pool")["roots"]), 3)

    def test_what_cannot_be_read_is_told(self):
        places = self.make("merged")
        patch(self.path("pool"), places["roots"], b"\xff")
        result = self.expect(4, "ls", "pool", out="")
        self.assertRegex(result.err, rf"page at offset {places['roots']}: found checksum")


class Info(Kept):
    KEYS = {"schema", "pool", "uuid", "state", "keep", "size_bytes", "used_bytes", "disk_bytes",
            "regions", "epoch", "loss_ms", "oldest_epoch", "log_bytes"}

    def test_of_a_pool_nobody_uses_media_are_asked(self):
        for words in [[], ["merged"]]:
            made = self.make(*words)
            info = self.json("info", "--json", "pool")
            self.assertEqual(set(info), self.KEYS)
            self.assertEqual((info["state"], info["keep"], info["epoch"], info["oldest_epoch"]),
                             ("OK", "heap", made["epoch"], made["oldest"]))
            self.assertGreaterEqual(info["used_bytes"], made["bytes"])
            self.assertGreater(info["log_bytes"], 0)
            self.assertEqual(info["regions"][1]["name"], "libkept.so")
            os.unlink(self.path("pool"))

    def test_while_it_is_used_its_owner_says(self):
        process = self.own()
        info = self.json("info", "--json", "pool")
        self.assertEqual(set(info), self.KEYS | {"pid", "program", "epoch_age_ms", "durability",
                                                 "tracker", "interval_us", "lifelong_locks"})
        self.assertEqual((info["state"], info["epoch"], info["oldest_epoch"], info["log_bytes"],
                          info["used_bytes"]), ("OK", 7, 4, 12345, 4096))
        self.assertEqual((info["pid"], info["durability"], info["interval_us"]),
                         (process.pid, "media", 250))
        self.assertTrue(5000 <= info["epoch_age_ms"] < 65000, info)
        self.assertTrue(5000 <= info["loss_ms"] < 65000, info)

    def test_a_degraded_pool_says_why(self):
        self.own(error=28)
        info = self.json("info", "--json", "pool")
        self.assertEqual((info["state"], info["why"]), ("DEGRADED", "made so by a test"))
        self.assertRegex(self.expect(0, "info", "pool").out, "(?m)^state +DEGRADED, made so by a test$")

    def test_a_garbage_control_page_costs_what_it_says(self):
        self.own()
        patch(self.path("pool"), 8192, os.urandom(4096))
        info = self.json("info", "--json", "pool")
        self.assertEqual((info["state"], info["epoch"]), ("OK", 8)) # the engine's, not the page's
        self.assertNotIn("pid", info)

    def test_a_pool_that_gives_no_epoch_back_is_corrupt(self):
        self.make()
        damage_record(self.path("pool"), 2)
        info = self.json("info", "--json", "pool", status=4)
        self.assertEqual(info["state"], "CORRUPT")
        self.assertIn("log at offset", info["why"])


class Stats(Kept):
    def test_all_counters(self):
        process = self.own()
        stats = self.json("stats", "--json", "pool")
        self.assertEqual(stats, {
            "schema": 1, "pool": self.path("pool"), "pid": process.pid, "program": "command-kept",
            "epochs": 1, "forced": 2, "given_up": 3, "skipped": 4, "pages": 5, "log_bytes": 6,
            "user_bytes": 7, "home_bytes": 8, "pause_us": {"p50": 11, "p99": 12, "max": 13},
            "commit_us": {"p50": 14, "p99": 15, "max": 16}})
        self.assertRegex(self.expect(0, "stats", "pool").out, "(?m)^pause +p50 11 us, p99 12 us, max 13 us$")

    def test_nobody_has_none(self):
        self.make()
        result = self.expect(1, "stats", "pool", out="")
        self.assertIn("nobody uses it", result.err)


class Ask(Kept):
    def test_an_epoch_by_pool_and_by_pid(self):
        process = self.own()
        for operand in ["pool", str(process.pid)]:
            self.expect(0, "checkpoint", operand, out="", err="")
            self.expect(0, "checkpoint", "--wait", operand, out="", err="")

    def test_a_failure_is_told_to_who_waits(self):
        self.own(error=28)
        self.assertIn("no space", self.expect(6, "checkpoint", "--wait", "pool", out="").err)
        self.expect(0, "checkpoint", "pool", out="", err="")

    def test_an_error_of_the_disk_is_a_failure(self):
        self.own(error=5)
        self.assertIn("Input/output error", self.expect(1, "checkpoint", "--wait", "pool", out="").err)

    def test_who_ends_meanwhile_is_noticed(self):
        process = self.own()
        process.send_signal(signal.SIGSTOP) # it answers nobody
        asking = subprocess.Popen([COMMAND, "checkpoint", "--wait", "pool"], cwd=self.dir,
                                  env=self.environ, stderr=subprocess.PIPE, text=True)
        self.started.append(asking)
        time.sleep(0.3)
        self.assertIsNone(asking.poll())
        process.kill()
        self.assertEqual(asking.wait(60), 1)
        self.assertIn("has ended", asking.stderr.read())

    def test_where_nobody_can_answer(self):
        self.make()
        self.assertIn("nobody uses it", self.expect(1, "checkpoint", "--wait", "pool", out="").err)
        self.create("empty")
        self.expect(1, "checkpoint", "empty", out="")
        self.hold("none")
        self.assertIn("keep none", self.expect(1, "checkpoint", "none", out="").err)
        self.expect(2, "checkpoint", "nowhere", out="")

    def test_a_process_without_a_pool(self):
        sleep = subprocess.Popen(["sleep", "600"], stderr=subprocess.PIPE)
        self.started.append(sleep)
        self.assertIn("has no pool", self.expect(2, "checkpoint", str(sleep.pid), out="").err)
        self.assertIn("no such process", self.expect(2, "checkpoint", "999999999", out="").err)


def blocks_with(path, magic):
    """Offsets of the blocks of the log that begin with magic."""
    with open(path, "rb") as file:
        data = file.read()
    return [at for at in range(2 << 20, len(data), 4096) if data[at:at + 8] == magic]


def record_len(path, at):
    with open(path, "rb") as file:
        file.seek(at + 56)
        return struct.unpack("<I", file.read(4))[0]


def damage_record(path, number, offset=64):
    """Changes a byte of the log's record with that place in the order of the file."""
    at = blocks_with(path, RECORD)[number] + offset
    patch(path, at, bytes([read_byte(path, at) ^ 1]))
    return at


def read_byte(path, at):
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(1)[0]


class Check(Kept):
    """Each kind of byte is damaged, and found, or tolerated where it must be."""

    def check(self, status, *words):
        found = self.json("check", "--json", *words, "pool", status=status)
        self.assertEqual(set(found), {"schema", "pool", "ok", "findings", "blocks", "bytes"})
        self.assertEqual(found["ok"], not found["findings"])
        self.assertEqual(found["ok"], status == 0)
        for finding in found["findings"]:
            self.assertEqual(set(finding), {"where", "offset", "found", "expected"})
        return found

    def flip(self, at, status, where, *words, offset=None):
        """A byte at this place is changed and found there, and changed back."""
        path = self.path("pool")
        good = read_byte(path, at)
        patch(path, at, bytes([good ^ 1]))
        before = fingerprint(path)
        found = self.check(status, *words)
        self.assertEqual(fingerprint(path), before)
        self.assertIn(where, [finding["where"] for finding in found["findings"]])
        if offset is not None:
            self.assertIn(offset, [finding["offset"] for finding in found["findings"]])
        patch(path, at, bytes([good]))
        self.check(0, *words)
        return found

    def test_a_good_pool_is_counted(self):
        for words in [[], ["merged"]]:
            made = self.make(*words)
            before = fingerprint(self.path("pool"))
            for deep in [[], ["--deep"]]:
                found = self.check(0, *deep)
                self.assertEqual((found["blocks"], found["bytes"]), (made["blocks"], made["bytes"]))
                self.expect(0, "check", *deep, "pool", out="ok\n", err="")
            self.assertEqual(fingerprint(self.path("pool")), before)
            os.unlink(self.path("pool"))

    def test_superblocks(self):
        self.make("merged")
        self.flip(0, 1, "superblock 0", offset=0)
        self.flip(3200, 1, "superblock 0", offset=4088)
        self.flip(4096 + 3200, 1, "superblock 1", offset=8184)
        for slot in [0, 4096]:
            patch(self.path("pool"), slot + 512, b"torn")
        found = self.check(4)
        self.assertEqual([f["where"] for f in found["findings"]], ["superblock 0", "superblock 1"])

    def test_the_control_page_holds_nothing_that_is_kept(self):
        self.make()
        for data in [bytes(4088), os.urandom(4088), b"\xff" * 4088]:
            patch(self.path("pool"), 8200, data)
            self.check(0, "--deep")
        self.expect(0, "info", "pool")

    def test_the_log_in_its_middle(self):
        self.make()
        path = self.path("pool")
        segments, records = blocks_with(path, SEGMENT), blocks_with(path, RECORD)
        self.assertGreaterEqual(len(records), 8)
        first = records[1]
        for offset in [0, 8, 24, 32, 56, 60, 64, 68, 96, 96 + 8, 96 + 16, 96 + 24, record_len(path, first) - 1]:
            found = self.flip(first + offset, 4, "log")
            self.assertEqual(len(found["findings"]), 1)
            self.assertGreater(found["findings"][0]["offset"], 2 << 20)
        self.assertEqual(self.flip(records[0] + 40, 4, "log")["blocks"], 0)
        for offset in [0, 16, 40, 48, 4095]:
            self.flip(segments[0] + offset, 4, "log")

    def test_a_torn_tail_is_no_damage(self):
        made = self.make()
        path = self.path("pool")
        last = blocks_with(path, RECORD)[-1]
        patch(path, last + 100, b"torn")
        self.check(0, "--deep")
        self.assertEqual(self.json("info", "--json", "pool")["epoch"], made["epoch"] - 1)

    def test_pages_in_home(self):
        made = self.make("merged")
        for name, region in [("large-rest", "heap"), ("globals", "libkept.so"),
                             ("table", "region table")]:
            found = self.flip(made[name] + 7, 1, self.page_of(made, name, region), "--deep",
                              offset=made[name])
            self.assertTrue(found["findings"][0]["found"].startswith("0x"))
        patch(self.path("pool"), made["large-rest"], b"x" * 8192)
        self.assertEqual(len(self.check(1, "--deep")["findings"]), 2)
        self.check(0) # without --deep nobody looks into what is only the program's

    def test_pages_that_count_as_zeros(self):
        """A page nobody has kept anything in has no checksum, and its home is mapped as it is."""
        made = self.make("merged")
        at = self.unused_page(made)
        self.flip(at + 100, 1, f"page {(at - made['heap']) // 4096} of heap", "--deep", offset=at)

    def unused_page(self, made):
        """One whose entry in the table of checksums is 0."""
        with open(self.path("pool"), "rb") as file:
            file.seek(made["extent-4"])
            sums = struct.unpack("<1024Q", file.read(8192))
        return made["heap"] + sums.index(0) * 4096

    def test_reserved_bytes_of_the_head(self):
        self.make()
        for at in [12288, 65535, 65536, (2 << 20) - 1]:
            self.flip(at, 1, "reserved head", offset=at & ~7)

    def page_of(self, made, name, region):
        start = {"heap": made["heap"], "libkept.so": made["globals"], "region table": made["table"]}
        return f"page {(made[name] - start[region]) // 4096} of {region}"

    def test_the_table_of_checksums(self):
        made = self.make("merged")
        page = (made["large-rest"] - made["heap"]) // 4096
        self.flip(made["extent-4"] + page * 8, 1, f"page {page} of heap", "--deep",
                  offset=made["large-rest"])
        self.flip(made["extent-5"] + 7, 1, "page 0 of region table", "--deep", offset=made["table"])

    def test_the_heaps_own_tables(self):
        made = self.make("merged")
        for name in ["heap", "roots"]:
            for words in [[], ["--deep"]]:
                found = self.check_flipped(made[name] + 16, *words)
                self.assertIn(made[name], [finding["offset"] for finding in found["findings"]])
        # The span table, somewhere behind the page map: found without --deep.
        spans = struct.unpack("<Q", self.heap_bytes(made, 32, 8))[0]
        self.check_flipped(made["heap"] + spans + 64 + 8)

    def check_flipped(self, at, *words):
        path = self.path("pool")
        good = read_byte(path, at)
        patch(path, at, bytes([good ^ 1]))
        found = self.check(1, *words)
        patch(path, at, bytes([good]))
        return found

    def heap_bytes(self, made, offset, count):
        with open(self.path("pool"), "rb") as file:
            file.seek(made["heap"] + offset)
            return file.read(count)

    def test_wrong_tables_with_right_checksums(self):
        made = self.make("merged", "wrong-span")
        where = [finding["where"] for finding in self.check(1)["findings"]]
        self.assertTrue(all(word.startswith("heap: ") for word in where), where)
        os.unlink(self.path("pool"))
        self.make("merged", "wrong-root")
        where = [finding["where"] for finding in self.check(1)["findings"]]
        self.assertEqual(where, ["root block"])
        self.assertEqual(made["epoch"], 8)
        os.unlink(self.path("pool"))
        self.make("merged", "wrong-region")
        self.assertEqual([f["where"] for f in self.check(1)["findings"]], ["kind of a region"])

    def test_any_tables_with_right_checksums(self):
        """No crash, no hang, and never called good: the spoiled bytes are the allocator's."""
        first = int.from_bytes(os.urandom(3), "little")
        for seed in range(first, first + 25):
            self.make("merged", f"random-{seed}")
            for words in [["check"], ["check", "--deep"], ["info"], ["ls"], ["ls", "--json"]]:
                result = self.do(*words, "pool")
                allowed = [1] if words[0] == "check" else [0, 4]
                self.assertIn(result.status, allowed, f"seed {seed}: {words}: {result}")
            os.unlink(self.path("pool"))

    def test_a_large_sparse_pool_needs_little_memory(self):
        self.make("merged", "large")
        self.assertGreater(os.stat(self.path("pool")).st_size, 64 << 30)
        for words in [["check", "--deep"], ["check"], ["ls"], ["info"]]:
            process = subprocess.Popen([COMMAND, *words, "pool"], cwd=self.dir, env=self.environ,
                                       stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            self.assertEqual(status, 0)
            self.assertLess(usage.ru_maxrss, 64 << 10, words) # KiB

    def test_a_used_pool_is_busy(self):
        self.own()
        self.expect(3, "check", "--deep", "--json", "pool", out="")


main()
