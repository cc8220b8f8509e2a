#!/usr/bin/env python3
"""A setuid program is left alone: ld.so ignores a preload with a slash in its name, and a library
that is loaded all the same (linked, or itself setuid in a system directory) does nothing.

usage: secure.py LIBRARY LINKED PLAIN   (two builds of secure.c, with and without the library)

Needs root, for a setuid copy that nobody runs.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LIBRARY, LINKED, PLAIN = (os.path.abspath(path) for path in sys.argv[1:4])
NOBODY = 65534


class Secure(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="heapsake-secure-")
        os.chmod(self.directory, 0o755)
        self.pool = os.path.join(self.directory, "test.pool")

    def tearDown(self):
        shutil.rmtree(self.directory)

    def run_copy(self, program, mode, user, **variables):
        copy = os.path.join(self.directory, "program")
        shutil.copy(program, copy)
        os.chmod(copy, mode)
        env = {"LC_ALL": "C", "HEAPSAKE_POOL": self.pool, "HEAPSAKE_SIZE": "64M",
               "HEAPSAKE_KEEP": "none", "HEAPSAKE_QUIET": "1", **variables}
        done = subprocess.run([copy], env=env, user=user, group=user, extra_groups=[],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def assert_inert(self, program, library, **variables):
        got = self.run_copy(program, 0o4755, NOBODY, **variables)
        self.assertEqual(got, (0, f"secure 1, library {library}, pool 0\n", ""))
        self.assertFalse(os.path.exists(self.pool))

    def test_the_same_program_has_a_pool_when_it_is_not_setuid(self):
        self.assertEqual(self.run_copy(LINKED, 0o755, 0),
                         (0, "secure 0, library 1, pool 1\n", ""))

    def test_a_linked_library_is_inert_and_reads_no_variable(self):
        self.assert_inert(LINKED, 1)
        self.assert_inert(LINKED, 1, HEAPSAKE_STATS="1", HEAPSAKE_KEEP="bogus")
        self.assert_inert(LINKED, 1, HEAPSAKE_UNHEARD_OF="1")

    def test_ld_so_ignores_an_absolute_preload(self):
        self.assertEqual(self.run_copy(PLAIN, 0o755, 0, LD_PRELOAD=LIBRARY),
                         (0, "secure 0, library 1, pool 1\n", ""))
        os.remove(self.pool)
        self.assert_inert(PLAIN, 0, LD_PRELOAD=LIBRARY)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP: only root can make a program setuid for somebody else")
        sys.exit(77)
    if os.statvfs(tempfile.gettempdir()).f_flag & os.ST_NOSUID:
        print("SKIP: setuid has no effect in the temporary directory")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=1)
