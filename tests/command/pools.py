"""create, rm, info and check, on good pools and on everything else that can have a pool's name."""
import os
import shutil
import signal
import subprocess

from case import COMMAND, NOBODY, Case, fingerprint, main, patch

VERBS = [["info"], ["check"], ["rm"], ["run", "-qk", "none", "-p"]]


def refused(pool):
    """The four ways to open a pool."""
    return [[*verb, pool, *(["true"] if verb[0] == "run" else [])] for verb in VERBS]


class Create(Case):
    def test_a_new_pool_is_empty_private_and_takes_no_space(self):
        path = self.create(size="1T")
        st = os.stat(path)
        self.assertEqual(st.st_mode & 0o7777, 0o600)
        self.assertLess(st.st_blocks * 512, 1 << 20)
        info = self.json("info", "--json", "pool")
        self.assertEqual((info["state"], info["keep"], info["size_bytes"]), ("EMPTY", "unset", 1 << 40))
        self.expect(0, "check", "pool", out="ok\n", err="")

    def test_the_mode_does_not_depend_on_the_umask(self):
        for umask in [0, 0o777]:
            self.expect(0, "create", "-s", "16M", f"u{umask}", umask=umask)
            self.assertEqual(os.stat(self.path(f"u{umask}")).st_mode & 0o7777, 0o600)

    def test_a_base_is_recorded(self):
        self.expect(0, "create", "-s", "16M", "--base", "0x300000000000", "pool")
        self.assertEqual(self.json("info", "--json", "pool")["regions"],
                         [{"name": "heap", "start": 0x300000000000, "bytes": 16 << 20}])
        maps = self.do("run", "-qk", "none", "-p", "pool", "cat", "/proc/self/maps").out
        self.assertRegex(maps, r"(?m)^300000000000-.*/pool$")

    def test_bad_sizes_and_bases_make_nothing(self):
        for words in [["-s", "1M"], ["-s", "0"], ["-s", "1.5G"], ["-s", "x"], ["-s", "-1G"], ["-s", ""],
                      ["-s", "99999999999T"], ["-s", "1000T"], ["-s", "16M", "--base", "1"],
                      ["-s", "16M", "--base", "0"], ["-s", "16M", "--base", "zero"],
                      ["-s", "16M", "--base", "-2097152"], ["-s", "16M", "--base", "0xfffffffffff00000"]]:
            self.expect(2, "create", *words, "pool", out="")
        self.assertEqual(os.listdir(self.dir), [])

    def test_nothing_is_ever_replaced(self):
        self.create()
        os.mkdir(self.path("dir"))
        os.symlink("nowhere", self.path("dangling"))
        for name in ["pool", "dir", "dangling"]:
            self.assert_unchanged_by(name, [2], ["create", "-s", "16M", name])
        self.assertEqual(sorted(os.listdir(self.dir)), ["dangling", "dir", "pool"])

    def test_no_such_directory(self):
        self.expect(2, "create", "-s", "16M", "no/pool")

    def test_a_file_limit_is_no_space(self):
        self.expect(6, "create", "-s", "1G", "pool", before=["prlimit", "--fsize=65536"])
        self.assertEqual(os.listdir(self.dir), [])

    def test_any_name_will_do(self):
        for name in ["a b", "a\nb", "a'b\"c", "-p", "$(x)", "ü", "a\\b", "%p"]:
            words = ["--", name]
            self.expect(0, "create", "-s", "16M", *words)
            self.assertEqual(self.json("info", "--json", *words)["pool"], self.path(name))
            self.expect(0, "info", *words)
            self.expect(0, "check", *words)
            self.expect(0, "rm", *words)
        self.assertEqual(os.listdir(self.dir), [])


class Refused(Case):
    """Not one byte of what is refused changes."""

    def test_no_such_pool(self):
        for words in refused("none")[:3]:
            self.expect(2, *words, out="")
        self.assertEqual(os.listdir(self.dir), [])

    def test_what_is_no_file(self):
        self.create("target")
        os.symlink("target", self.path("link"))
        os.mkfifo(self.path("fifo"))
        os.mkdir(self.path("dir"))
        for name in ["link", "fifo", "dir"]:
            self.assert_unchanged_by(name, [2] * 4, *refused(name))
        self.expect(2, "rm", "/dev/null")
        self.expect(0, "check", "target")

    def test_a_pool_with_two_names(self):
        path = self.create()
        os.link(path, self.path("other"))
        self.assert_unchanged_by("other", [2] * 4, *refused("other"))

    def test_garbage(self):
        for name, data in [("empty", b""), ("short", b"heapsake"), ("text", b"hello\n" * 100000),
                           ("zeros", bytes(4 << 20)), ("random", os.urandom(4 << 20))]:
            with open(self.path(name), "wb") as file:
                file.write(data)
            os.chmod(self.path(name), 0o600)
            self.assert_unchanged_by(name, [4] * 4, *refused(name))

    def test_a_truncated_pool(self):
        path = self.create()
        for size in [17 << 20, 2 << 20, 65536, 8192, 100]:
            os.truncate(path, size)
            self.assert_unchanged_by("pool", [4] * 4, *refused("pool"))

    def test_both_superblocks_torn(self):
        path = self.create()
        for slot in [0, 4096]:
            patch(path, slot + 512, b"torn")
        self.assert_unchanged_by("pool", [4] * 4, *refused("pool"))
        found = self.json("check", "--json", "pool", status=4)
        self.assertIs(found["ok"], False)
        self.assertEqual([f["where"] for f in found["findings"]], ["superblock 0", "superblock 1"])
        info = self.json("info", "--json", "pool", status=4)
        self.assertEqual(info["state"], "CORRUPT")
        self.assertIn("superblock", info["why"])

    def test_open_to_others(self):
        path = self.create()
        os.chmod(path, 0o666)
        self.assert_unchanged_by("pool", [2] * 4, *refused("pool"))

    def test_in_a_directory_open_to_all(self):
        self.create()
        os.chmod(self.dir, 0o777)
        self.assert_unchanged_by("pool", [2] * 4, *refused("pool"))

    def test_another_users_pool(self):
        before = self.as_nobody()
        path = self.create()
        os.chmod(path, 0o644)
        print_before = fingerprint(path)
        for words in refused("pool"):
            result = self.expect(2, *words, before=before)
            self.assertRegex(result.err, r"belongs to user 0")
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        result = self.expect(2, "info", "pool") # root is no exception
        self.assertIn(f"belongs to user {NOBODY.pw_uid}", result.err)
        self.assertEqual(fingerprint(path)[:4], print_before[:4])
        self.expect(0, "info", "pool", before=before)


class Remove(Case):
    def test_a_pool_goes(self):
        self.create()
        self.create("other")
        self.expect(0, "rm", "pool", out="", err="")
        self.assertEqual(os.listdir(self.dir), ["other"])

    def test_a_used_pool_stays(self):
        self.create()
        pid = self.hold().pid
        result = self.expect(3, "rm", "pool", out="")
        self.assertRegex(result.err, rf"in use by sleep, pid {pid};")
        self.assertTrue(os.path.exists(self.path("pool")))


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Info(Case):
    KEYS = {"schema", "pool", "uuid", "state", "keep", "size_bytes", "used_bytes", "disk_bytes",
            "regions"}

    def test_keys(self):
        path = self.create()
        info = self.json("info", "--json", "pool")
        self.assertEqual(set(info), self.KEYS)
        self.assertEqual(info["pool"], path)
        self.assertRegex(info["uuid"], r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

    def test_a_running_owner_is_named_with_live_numbers(self):
        self.create()
        pid = self.hold().pid
        info = self.json("info", "--json", "pool")
        self.assertEqual(set(info), self.KEYS | {"pid", "program"})
        self.assertEqual((info["state"], info["keep"], info["pid"], info["program"]),
                         ("OK", "none", pid, "sleep"))
        self.assertGreater(info["used_bytes"], 0)
        text = self.expect(0, "info", "pool", err="").out
        self.assertRegex(text, rf"(?m)^used by +sleep, pid {pid}$")

    def test_a_dead_owner_is_nobody(self):
        self.create()
        process = self.hold()
        process.kill()
        process.wait()
        info = self.json("info", "--json", "pool")
        self.assertEqual((info["state"], info["used_bytes"]), ("EMPTY", 0))
        self.assertNotIn("pid", info)

    def test_a_garbage_control_page_costs_only_the_owners_name(self):
        path = self.create()
        self.hold()
        for data in [os.urandom(4096), b"\xff" * 4096, bytes(4096),
                     b"hsctrl01" + b"\0" * 24 + b"\1\0\0\0" + b"\0" * 4 + b"x" * 64]:
            patch(path, 8192, data)
            info = self.json("info", "--json", "pool")
            self.assertEqual(info["state"], "OK")
            self.assertNotIn("program", info)
            self.assertRegex(self.expect(0, "info", "pool").out, "(?m)^used by +an unknown process$")
            self.expect(3, "rm", "pool")

    def test_a_fork_is_told_and_so_are_children_that_outlive_the_owner(self):
        self.create()
        # The child says so: it has let go of its parent's lock by then.
        perl = "if (!fork) { print STDERR qq(forked\\n) } sleep 600"
        owner = subprocess.Popen([COMMAND, "run", "-qk", "none", "-p", "pool", "perl", "-e", perl],
                                 cwd=self.dir, env=self.environ, stderr=subprocess.PIPE,
                                 start_new_session=True)
        self.started.append(owner)
        self.addCleanup(kill_group, owner.pid)
        self.assertEqual(owner.stderr.readline(), b"forked\n")
        self.assertIn("forked", self.json("info", "--json", "pool")["why"])
        owner.kill()
        owner.wait()
        self.assertIn("children", self.json("info", "--json", "pool")["why"])
        self.expect(3, "run", "-qk", "none", "-p", "pool", "true")
        os.killpg(owner.pid, signal.SIGKILL)
        self.expect(0, "run", "-qk", "none", "-p", "pool", "true")

    def test_names_with_any_bytes(self):
        self.create("a\tb\x1b[31m")
        text = self.expect(0, "info", "a\tb\x1b[31m").out
        self.assertIn("a\\x09b\\x1b[31m\n", text)
        name = b"\xff\xfe\xc3".decode(errors="surrogateescape")
        self.create(name)
        self.assertEqual(self.json("info", "--json", name)["pool"], self.dir + "/\ufffd\ufffd\ufffd")

    def test_nothing_is_changed(self):
        self.create()
        before = fingerprint(self.path("pool"))
        for words in [["info", "pool"], ["info", "--json", "pool"], ["check", "pool"]]:
            self.expect(0, *words)
        self.assertEqual(fingerprint(self.path("pool")), before)

    def test_a_read_only_pool_can_be_looked_at(self):
        before = self.as_nobody()
        self.expect(0, "create", "-s", "16M", "pool", before=before)
        os.chmod(self.path("pool"), 0o400)
        self.expect(0, "info", "pool", before=before)
        self.expect(0, "check", "pool", before=before)
        self.expect(2, "run", "-qk", "none", "-p", "pool", "true", before=before)


class Check(Case):
    def findings(self, status):
        found = self.json("check", "--json", "pool", status=status)
        self.assertEqual(set(found), {"schema", "pool", "ok", "findings", "blocks", "bytes"})
        self.assertEqual(found["ok"], status == 0)
        for finding in found["findings"]:
            self.assertEqual(set(finding), {"where", "offset", "found", "expected"})
        return [(f["where"], f["offset"]) for f in found["findings"]]

    def test_each_part_of_the_head_is_looked_at(self):
        good = self.create("good")
        for offset, data, expected in [
                (0, b"x", ("superblock 0", 0)),
                (4096, b"x", ("superblock 1", 4096)),
                (300, b"x", ("superblock 0", 4088)),
                (4096 + 2000, b"x", ("superblock 1", 8184)),
                (8192, b"garbage", ("control page", 8192)),
                (12288, b"\1", ("reserved head", 12288)),
                (65535, b"\1", ("reserved head", 65528))]:
            shutil.copy2(good, self.path("pool"))
            patch(self.path("pool"), offset, data)
            before = fingerprint(self.path("pool"))
            self.assertEqual(self.findings(1), [expected])
            result = self.expect(1, "check", "pool", err="")
            self.assertTrue(result.out.startswith(f"{expected[0]}: offset {expected[1]}: found "))
            self.assertEqual(fingerprint(self.path("pool")), before)

    def test_a_torn_older_superblock_is_healed_by_the_next_update(self):
        patch(self.create(), 4096 + 100, b"torn")
        self.assertEqual(self.findings(1), [("superblock 1", 8184)])
        self.expect(0, "run", "-qk", "none", "-p", "pool", "true")
        self.assertEqual(self.findings(0), [])

    def test_a_used_pool_is_busy(self):
        self.create()
        process = self.hold()
        result = self.expect(3, "check", "--json", "pool", out="")
        self.assertRegex(result.err, rf"in use by sleep, pid {process.pid};")
        process.send_signal(signal.SIGKILL)
        self.assertEqual(self.findings(0), [])

    def test_a_pool_is_good_after_use(self):
        self.expect(0, "run", "-qk", "none", "-p", "pool", "-s", "64M", "true")
        self.expect(0, "check", "pool", out="ok\n")
        self.expect(0, "run", "-qk", "none", "-p", "pool", "-s", "1T", "true")
        self.assertEqual(self.json("info", "--json", "pool")["size_bytes"], 1 << 40)
        self.expect(0, "check", "pool", out="ok\n")


main()
