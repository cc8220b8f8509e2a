"""Help, mistakes on the command line, and output that cannot be written."""
import os
import subprocess

from case import COMMAND, Case, main

VERBS = ["run", "create", "rm", "info", "ls", "stats", "checkpoint", "check", "env", "doctor",
         "version"]


class Usage(Case):
    def test_alone_it_prints_the_usage_to_stderr(self):
        result = self.do()
        self.assertEqual((result.status, result.out), (2, ""))
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", result.err)

    def test_help_goes_to_stdout(self):
        result = self.expect(0, "--help", err="")
        self.assertIn("usage: heapsake", result.out)

    def test_every_verb_has_help(self):
        for verb in VERBS:
            result = self.expect(0, verb, "--help", err="")
            self.assertTrue(result.out.startswith(f"usage: heapsake {verb} "), result)

    def test_an_unknown_verb_names_the_nearest(self):
        for wrong, right in [("inf", "info"), ("crate", "create"), ("chekc", "check"),
                             ("--version", "version"), ("doktor", "doctor"), ("rum", "run")]:
            self.expect(2, wrong, out="", err=f"heapsake: {wrong}: unknown verb; "
                                              f"did you mean 'heapsake {right}'?\n")
        self.expect(2, "frobnicate", out="",
                    err="heapsake: frobnicate: unknown verb; see 'heapsake --help'\n")
        self.expect(2, "")

    def test_verbs_and_flags_of_later_versions_do_not_exist(self):
        for verb in ["resume", "top", "serve", "leaks", "snapshot"]:
            self.expect(2, verb)
        for flag in ["-m", "--mirror"]:
            result = self.expect(2, "run", flag, "1", "true", out="")
            self.assertIn("unknown option", result.err)

    def test_an_unknown_flag_is_one_line(self):
        for verb in VERBS:
            for flag in ["--bar", "-Z"]:
                self.expect(2, verb, flag, out="", err=f"heapsake: {verb}: unknown option '{flag}'; "
                                                       f"see 'heapsake {verb} --help'\n")

    def test_an_unknown_letter_inside_a_word_is_named(self):
        for words in [["--new", "-Zq"], ["-qZ"], ["--new", "-qZ", "true"]]:
            result = self.expect(2, "run", *words, out="")
            self.assertIn("unknown option '-Z';", result.err)
        self.assertIn("'--new=1'", self.expect(2, "run", "--new=1", "true").err)
        self.assertIn("'--base' needs", self.expect(2, "create", "--base").err)
        self.assertIn("'-s' needs", self.expect(2, "create", "-s").err)

    def test_a_missing_value_or_operand_is_one_line(self):
        for words in [["run", "-p"], ["run"], ["run", "--"], ["create", "-s"], ["create", "-s", "1G"],
                      ["create", "pool"], ["create", "--base"], ["rm"], ["info"], ["check"], ["env"],
                      ["env", "-p"], ["info", "a", "b"], ["ls"], ["stats"], ["checkpoint"], ["checkpoint", "1", "2"], ["rm", "a", "b"], ["version", "x"],
                      ["doctor", "a", "b"], ["env", "-p", "x", "y"], ["info", ""], ["env", "-p", ""]]:
            self.expect(2, *words, out="")

    def test_version(self):
        self.assertRegex(self.expect(0, "version", err="").out, r"\Aheapsake \d+\.\d+\.\d+, ")
        self.assertEqual(set(self.json("version", "--json")), {"schema", "version", "pool_format"})


class Output(Case):
    WRITERS = [["--help"], ["version"], ["version", "--json"], ["info", "pool"],
               ["info", "--json", "pool"], ["check", "pool"], ["ls", "pool"], ["env", "-p", "pool"], ["doctor"],
               ["doctor", "--json"]]

    def test_a_full_disk_is_a_failure(self):
        self.create()
        for words in self.WRITERS:
            with open("/dev/full", "w") as full:
                result = self.expect(1, *words, stdout=full)
            self.assertEqual(result.err.count("\n"), 1, result)
            self.assertIn("standard output", result.err)

    def test_a_closed_pipe_is_a_failure(self):
        self.create()
        for words in self.WRITERS:
            reader, writer = os.pipe()
            os.close(reader)
            result = self.expect(1, *words, stdout=writer)
            os.close(writer)
            self.assertIn("Broken pipe", result.err)

    def test_closed_descriptors_do_not_let_output_into_the_pool(self):
        path = self.create()
        with open(path, "rb") as file:
            before = file.read(65536)
        for words in [["info", "pool"], ["check", "pool"], ["doctor"], ["doctor", "--json", "sh"]]:
            done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&- 2>&- <&-', COMMAND, *words],
                                  cwd=self.dir, env=self.environ, timeout=60)
            self.assertEqual(done.returncode, 1)
        with open(path, "rb") as file:
            self.assertEqual(file.read(65536), before)


main()
