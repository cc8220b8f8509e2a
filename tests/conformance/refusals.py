#!/usr/bin/env python3
"""What ends before main: one exact line, the documented status, and not a byte of a file changed.

usage: refusals.py LIBRARY PRIVATE_LIBRARY ELSEWHERE_LIBRARY COMMAND
"""
import ctypes
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

LIBRARY, PRIVATE, ELSEWHERE, COMMAND = (os.path.abspath(path) for path in sys.argv[1:5])
DEADLINE_S = 20
ADDR_NO_RANDOMIZE = 0x0040000


def fingerprint(path):
    """Content, size, mode, owner, times and blocks of a file, or what else is there. The control
    page is no content: it says who tried last."""
    if os.path.islink(path):
        return os.readlink(path)
    if not os.path.isfile(path):
        return os.path.exists(path)
    st = os.stat(path)
    with open(path, "rb") as file:
        content = file.read(4 << 20)
        digest = hashlib.sha256(content[:8192] + content[12288:]).hexdigest()
    return (digest, st.st_size, st.st_mode, st.st_uid, st.st_mtime_ns, st.st_ctime_ns,
            st.st_blocks)


class Refusals(unittest.TestCase):
    def setUp(self):
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="heapsake-refusals-"))
        self.pool = os.path.join(self.directory, "test.pool")

    def tearDown(self):
        shutil.rmtree(self.directory)

    def environment(self, preload=None, **variables):
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LD_PRELOAD": preload or LIBRARY}
        env.update({"HEAPSAKE_" + name: value for name, value in variables.items()})
        return env

    def run_program(self, env, args=("echo", "ran"), **options):
        done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=60,
                              check=False, **options)
        return done.returncode, done.stdout, done.stderr

    def pool_variables(self, **variables):
        return {"POOL": self.pool, "SIZE": "64M", "KEEP": "none", **variables}

    def assert_refused(self, status, line, env, **options):
        before = fingerprint(self.pool)
        got = self.run_program(env, **options)
        self.assertEqual(got, (status, "", f"heapsake: refused: {line}\n"))
        self.assertEqual(fingerprint(self.pool), before)

    def assert_pool_refused(self, status, line, **variables):
        self.assert_refused(status, f"{self.pool}: {line}",
                            self.environment(**self.pool_variables(**variables)))

    def assert_runs(self, env, stderr=""):
        self.assertEqual(self.run_program(env), (0, "ran\n", stderr))

    def make_pool(self):
        self.assert_runs(self.environment(**self.pool_variables(QUIET="1")))

    # Configuration.

    def test_without_a_pool_nothing_is_said(self):
        self.assert_runs(self.environment())
        self.assert_runs(self.environment(KEEP="none", SIZE="1G"))

    def test_the_start_is_told_in_one_line_unless_quiet(self):
        line = (f"heapsake: {self.pool}: keep none, up to 64 MiB; "
                "nothing of this run will come back\n")
        self.assert_runs(self.environment(**self.pool_variables()), line)
        self.assert_runs(self.environment(**self.pool_variables(QUIET="1")))

    def test_disabled_is_inert_whatever_else_is_set(self):
        self.assert_runs(self.environment(**self.pool_variables(DISABLE="1", KEEP="bogus")))
        self.assertFalse(os.path.exists(self.pool))

    def test_unset_keep_is_heap(self):
        self.assert_runs(self.environment(POOL=self.pool, QUIET="1"))
        other = self.environment(**self.pool_variables(KEEP="none"))
        line = "was made with keep heap, asked for keep none; use that keep, or --new"
        self.assertEqual(self.run_program(other),
                         (5, "", f"heapsake: refused: {self.pool}: {line}\n"))

    def test_a_process_without_a_keeper(self):
        env = self.environment(**self.pool_variables(KEEP="process"))
        self.assert_refused(2, 'HEAPSAKE_KEEP: "process" needs a keeper; start the program '
                            "with 'heapsake run'", env)

    def test_unknown_variables(self):
        known = {"POOl": "POOL", "KEP": "KEEP", "QUITE": "QUIET"}
        for name, meant in known.items():
            env = self.environment(**self.pool_variables(**{name: "1"}))
            self.assert_refused(
                2, f"HEAPSAKE_{name}: unknown variable; did you mean HEAPSAKE_{meant}?", env)
        for name in ("MIRROR", "ANYTHING"):
            env = self.environment(**self.pool_variables(**{name: "1"}))
            self.assert_refused(2, f"HEAPSAKE_{name}: unknown variable; unset it", env)

    def test_unknown_variables_without_a_pool(self):
        self.assert_refused(2, "HEAPSAKE_ANYTHING: unknown variable; unset it",
                            self.environment(ANYTHING="1"))

    def test_bad_values(self):
        bad = {
            "SIZE": (("12X", "", "1.5G", "-1", "G", "2M"),
                     "a number of bytes at least 16M, or one with K, M, G or T"),
            "KEEP": (("all", ""), "none, heap or, with 'heapsake run', process"),
            "INTERVAL": (("100", "1us", "2h", "-1s"),
                         "0, or a number with us, ms or s, from 100us to 3600s"),
            "DURABILITY": (("disk",), "media or cache"),
            "EPOCH": (("0", "x"), "an epoch's number, or -1, -2, ...: that many before the newest"),
            "NEW": (("yes", "2"), "0 or 1"),
            "QUIET": (("true",), "0 or 1"),
            "CHILDREN": (("yes",), "volatile or inherit"),
            "STATS": (("xml",), "0, 1 or json"),
            "LOG": (("loud",), "error, warn, info or debug"),
            "POOL": (("", "%d.pool"), "a path (%p: the pid, %%: a percent sign)"),
        }
        for name, (values, accepted) in bad.items():
            for value in values:
                env = self.environment(**self.pool_variables(**{name: value}))
                self.assert_refused(
                    2, f'HEAPSAKE_{name}: "{value}" is not accepted; set it to {accepted}', env)

    # The process.

    def test_two_instances(self):
        env = self.environment(preload=f"{LIBRARY} {PRIVATE}", **self.pool_variables())
        self.assert_refused(2, f"libheapsake.so: loaded twice, from {LIBRARY} and {PRIVATE}; "
                               "preload the one the program is linked with", env)

    def test_a_malloc_of_somebody_elses(self):
        env = self.environment(preload=f"{ELSEWHERE} {LIBRARY}", **self.pool_variables())
        self.assert_refused(2, f"malloc: comes from {ELSEWHERE}; its heap cannot be in a pool",
                            env)

    @unittest.skipUnless(shutil.which("valgrind"), "needs valgrind")
    def test_a_malloc_that_is_called_in_place_of_ours(self):
        """What a kept variable led to was valgrind's, and gone with the process."""
        bare = os.path.join(os.path.dirname(self.pool), "libheapsake.so")  # clang's DWARF is too new for it
        subprocess.run(["strip", "--strip-debug", "-o", bare, LIBRARY], check=True)
        for keep in ("none", "heap"):
            variables = self.environment(preload=bare, **self.pool_variables(KEEP=keep))
            words = [f"{name}={variables[name]}" for name in variables if name != "PATH"]
            for flags, outcome in (((), (2, "")),
                                   (("--soname-synonyms=somalloc=nouserintercepts",), (0, "ran\n"))):
                status, out, err = self.run_program(
                    {"PATH": variables["PATH"]},
                    args=("valgrind", "-q", "--trace-children=yes", *flags, "env", *words, "echo", "ran"))
                self.assertEqual((status, out), outcome, err)
                if status:
                    self.assertIn("heapsake: refused: malloc: is not called, but another in its place", err)
            os.unlink(self.pool)

    def test_occupied_addresses(self):
        # Where a position-independent program lies when addresses are not randomised.
        subprocess.run([COMMAND, "create", "-s", "64M", "--base", "0x555555400000", self.pool],
                       check=True, capture_output=True)
        self.make_pool()
        before = fingerprint(self.pool)
        status, out, err = self.run_program(
            self.environment(**self.pool_variables()),
            preexec_fn=lambda: ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE))
        self.assertEqual((status, out), (5, ""))
        self.assertRegex(err, rf"\Aheapsake: refused: {self.pool}: its addresses from "
                              r'0x555555400000 .* are taken by "5[^\n]*/echo"; [^\n]*--base\n\Z')
        self.assertEqual(fingerprint(self.pool)[:2], before[:2])

    def test_too_little_address_space(self):
        env = self.environment(**self.pool_variables(SIZE="64G"))
        limit = 40 << 20
        status, out, err = self.run_program(
            env, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertEqual((status, out), (5, ""))
        self.assertRegex(err, r"\Aheapsake: refused: .*cannot reserve .*; raise ulimit -v\n\Z")

    def test_the_limit_is_named_whatever_there_are_no_addresses_for(self):
        """Where the heap's fit, an epoch's may not: the disk was to be looked at."""
        env = self.environment(**self.pool_variables(SIZE="64G", KEEP="heap"))
        told = set()
        for limit in range(72 << 20, 200 << 20, 8 << 20):
            status, _, err = self.run_program(env, preexec_fn=lambda limit=limit: resource.setrlimit(
                resource.RLIMIT_AS, (limit, limit)))
            if status:
                self.assertRegex(err, r"\Aheapsake: refused: .*; raise ulimit -v\n\Z")
                told.add(re.sub(r"\d+", "N", err.split(": ", 3)[3]))
            if os.path.exists(self.pool):
                os.unlink(self.pool)
        self.assertTrue(any("epochs" in text for text in told), told)

    def test_too_small_a_file_limit(self):
        env = self.environment(**self.pool_variables())
        limit = 1 << 20
        self.assert_refused(
            6, f"{self.pool}: needs a file of {66 << 20} bytes, but the limit is {limit}; "
               "raise ulimit -f or choose a smaller size", env,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertFalse(os.path.exists(self.pool))

    def test_a_file_limit_without_room_for_the_log(self):
        limit = 67 << 20
        status, out, err = self.run_program(
            self.environment(**self.pool_variables(KEEP="heap")),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual((status, out), (6, ""))
        self.assertRegex(err, r"\Aheapsake: refused: .*: no space for its log: File too large; [^\n]*\n\Z")

    def test_started_without_stdio_the_pool_stays_whole(self):
        env = self.environment(**self.pool_variables(LOG="debug", STATS="1"))

        def close_stdio():
            for fd in range(3):
                os.close(fd)
        done = subprocess.run(["true"], env=env, preexec_fn=close_stdio, check=False)
        self.assertEqual(done.returncode, 0)
        self.make_pool()

    # The pool.

    def test_living_holder_is_named(self):
        env = self.environment(**self.pool_variables(QUIET="1"))
        with subprocess.Popen(["sleep", "60"], env=env) as holder:
            try:
                self.wait_for_pool()
                self.assert_pool_refused(
                    3, f"in use by sleep, pid {holder.pid}; stop it, or use another pool")
            finally:
                holder.kill()
        self.make_pool()

    def wait_for_pool(self):
        deadline = time.monotonic() + DEADLINE_S
        while not os.path.exists(self.pool) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)

    def test_garbage(self):
        with open(self.pool, "wb") as file:
            file.write(b"#!/bin/sh\necho garbage\n" * 1000)
        os.chmod(self.pool, 0o600)
        self.assert_any_refusal(4)

    def test_empty_file(self):
        with open(self.pool, "wb"):
            pass
        os.chmod(self.pool, 0o600)
        self.assert_any_refusal(4)

    def test_truncated(self):
        self.make_pool()
        os.truncate(self.pool, 5 << 20)
        self.assert_any_refusal(4)

    def test_both_superblocks_damaged(self):
        self.make_pool()
        with open(self.pool, "r+b") as file:
            for offset in (100, 4196):
                file.seek(offset)
                file.write(b"\xff")
        self.assert_any_refusal(4)

    def assert_any_refusal(self, status):
        """The exact words are tests/unit's; here: one line, the status, the file as it was."""
        before = fingerprint(self.pool)
        got = self.run_program(self.environment(**self.pool_variables()))
        self.assertEqual(got[:2], (status, ""))
        self.assertRegex(got[2], rf"\Aheapsake: refused: {self.pool}: [^\n]+; [^\n]+\n\Z")
        self.assertEqual(fingerprint(self.pool), before)

    def test_symbolic_link(self):
        target = os.path.join(self.directory, "target.pool")
        os.symlink(target, self.pool)
        self.assert_pool_refused(
            2, "is a symbolic link, not a regular file; name the file itself")
        self.assertFalse(os.path.exists(target))

    def test_directory(self):
        os.mkdir(self.pool)
        self.assert_pool_refused(2, "is a directory, not a regular file; name the file itself")

    def test_writable_by_others(self):
        self.make_pool()
        os.chmod(self.pool, 0o622)
        self.assert_pool_refused(
            2, "others may write to it (mode 0622, expected 0600); chmod 600 it, if you trust "
               "what it holds")

    def test_two_names(self):
        self.make_pool()
        os.link(self.pool, self.pool + ".too")
        self.assert_pool_refused(2, "has 2 names, expected 1; remove the other hard links")

    def test_no_directory(self):
        self.pool = os.path.join(self.directory, "nowhere", "test.pool")
        self.assert_pool_refused(2, "no such directory; make it first")

    def test_directory_of_everybody(self):
        os.chmod(self.directory, 0o777)
        self.assert_pool_refused(
            2, f"anybody may replace files in its directory (mode 0777); chmod o-w "
               f"{self.directory}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
