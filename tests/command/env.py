"""env: a shell that evals it runs its programs as `run` would."""
import os
import subprocess

from case import COMMAND, Case, main


class Env(Case):
    def shell(self, shell, script, **environ):
        return subprocess.run([shell, "-c", script, COMMAND], cwd=self.dir, capture_output=True,
                              env={**self.environ, **environ}, timeout=60)

    def test_a_shell_can_eval_it(self):
        for shell in ["sh", "bash"]:
            for name in ["pool", "a b", "a'b", "a\nb\n", 'a"$(touch x)`touch y`\\', "-p"]:
                done = self.shell(shell, 'eval "$("$0" env -p "$POOL")"; cd /; exec cat /proc/self/maps',
                                  POOL=name)
                self.assertEqual(done.returncode, 0, done)
                self.assertEqual(os.listdir(self.dir), [name])
                self.assertIn(b"200000000000-", done.stdout)
                self.expect(0, "rm", "--", name)

    def test_exactly_three_variables(self):
        out = self.expect(0, "env", "-p", "pool", err="").out.split("\n")
        self.assertEqual(out[0], f"export HEAPSAKE_POOL='{self.dir}/pool'")
        self.assertEqual(out[1], "export HEAPSAKE_KEEP='heap'")
        self.assertRegex(out[2], r"^export LD_PRELOAD='/.*/libheapsake\.so'\"\$\{LD_PRELOAD:\+:\$LD_PRELOAD\}\"$")
        self.assertEqual(out[3:], [""])

    def test_other_preloads_stay(self):
        done = self.shell("sh", 'eval "$("$0" env -p pool)"; echo "$LD_PRELOAD"', LD_PRELOAD="libm.so.6")
        self.assertRegex(done.stdout, rb"^/.*/libheapsake\.so:libm\.so\.6\n$")

    def test_an_absolute_path_and_the_pids_place_stay(self):
        self.assertIn("='/x/%p.pool'\n", self.expect(0, "env", "-p", "/x/%p.pool").out)

    def test_a_percent_sign_of_the_working_directory_is_only_that(self):
        os.mkdir(self.path("50%"))
        done = subprocess.run([COMMAND, "env", "-p", "pool"], cwd=self.path("50%"), env=self.environ,
                              capture_output=True, timeout=60)
        self.assertIn(b"/50%%/pool'\n", done.stdout)

    def test_what_would_be_refused_is_not_printed(self):
        self.expect(2, "env", "-p", "a%q", out="")
        self.expect(2, "env", "-p", "pool", out="", env={"HEAPSAKE_SIZ": "1"})

    def test_the_command_is_not_caught_by_its_own_environment(self):
        self.create()
        done = self.shell("sh", 'eval "$("$0" env -p pool)"; "$0" info --json pool && "$0" rm pool')
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b'"state":"EMPTY"', done.stdout)


main()
