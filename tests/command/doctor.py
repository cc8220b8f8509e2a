"""doctor: what it says will not work does not, and what it says will, does."""
import os
import shutil
import subprocess

from case import PROGRAMS, Case, main


class Doctor(Case):
    def findings(self, status, *words):
        report = self.json("doctor", "--json", *words, status=status)
        self.assertEqual(set(report), {"schema", "ok", "findings"})
        self.assertEqual(report["ok"], status == 0)
        for finding in report["findings"]:
            self.assertLessEqual({"what", "verdict", "fact"}, set(finding))
            self.assertLessEqual(set(finding), {"what", "verdict", "fact", "remedy"})
            self.assertIn(finding["verdict"], ["ok", "warn", "no"])
        noes = {f["what"] for f in report["findings"] if f["verdict"] == "no"}
        self.assertEqual(bool(noes), status != 0)
        return report["findings"], noes

    def test_this_machine(self):
        findings, _ = self.findings(0)
        self.assertLessEqual({"library", "kernel", "addresses", "huge pages", "overcommit", "personality",
                              "tracking", "pids", "clocks", "commits", "RLIMIT_AS", "RLIMIT_MEMLOCK", "directory",
                              "file system", "free space", "holes", "fallocate", "hole punch", "locks",
                              "reflink", "DAX"}, {f["what"] for f in findings})
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_line_a_finding(self):
        text = self.expect(0, "doctor", "true", err="").out
        findings, _ = self.findings(0, "true")
        self.assertEqual(len(text.splitlines()), len(findings))
        for line, finding in zip(text.splitlines(), findings):
            self.assertRegex(line, rf"^{finding['verdict']} +{finding['what']} +")

    def test_what_run_refuses_is_a_no(self):
        with open(self.path("script"), "w") as file:
            file.write(f"#!{PROGRAMS}/command-static\n")
        os.chmod(self.path("script"), 0o755)
        for program, what in [(f"{PROGRAMS}/command-static", "preload"),
                              ("./script", "preload"), ("./nowhere", "program"), (self.dir, "program")]:
            _, noes = self.findings(1, program)
            self.assertEqual(noes, {what}, program)
            self.assertNotEqual(self.do("run", "-qk", "none", program).status, 0, program)

    def test_a_malloc_of_its_own_is_kept_with_the_whole_process(self):
        program = f"{PROGRAMS}/command-own-malloc"
        findings, _ = self.findings(0, program)
        self.assertIn(("malloc", "warn"), [(f["what"], f["verdict"]) for f in findings])
        self.expect(2, "run", "-qk", "none", program)
        self.expect(0, "run", "-qk", "process", "-p", "pool", program)

    def test_a_go_program_is_not_kept_whole(self):
        if shutil.which("objcopy") is None:
            self.skipTest("no objcopy(1)")
        subprocess.run(["objcopy", "--add-section", ".go.buildinfo=/etc/hostname", shutil.which("true"),
                        self.path("go")], check=True)
        findings, _ = self.findings(0, "./go")
        self.assertIn(("keep process", "warn"), [(f["what"], f["verdict"]) for f in findings])
        result = self.expect(5, "run", "-q", "./go", out="")
        self.assertRegex(result.err, r"refused: \./go: is a Go program, .*; use -k none")
        self.expect(0, "run", "-qk", "none", "./go")

    def refuse_whole(self, program, why):
        findings, _ = self.findings(0, program)
        self.assertIn(("keep process", "warn"), [(f["what"], f["verdict"]) for f in findings])
        result = self.expect(5, "run", "-qk", "process", "-p", "pool", program, out="")
        self.assertRegex(result.err, rf"refused: {program}: is {why}.*; use -k none")

    def test_what_would_not_start_the_same_again_is_not_kept_whole(self):
        self.refuse_whole(os.path.realpath("/lib64/ld-linux-x86-64.so.2"), "a loader")
        shutil.copy(shutil.which("true"), self.path("own"))
        for mode in [0o4755, 0o2755]:
            os.chmod(self.path("own"), mode)
            self.refuse_whole("./own", "setuid or setgid")
        result = self.expect(5, "run", "-qk", "process", "-p", "pool", "setarch", "x86_64", "true")
        self.assertRegex(result.err, r"refused: .*/pool: .* with address randomisation")
        self.expect(0, "run", "-qk", "process", "-p", "pool", "--new", "setarch", "-R", "true")

    def test_what_it_says_works_does(self):
        for program in ["true", "/bin/sh", "perl"]:
            self.findings(0, program)
            self.assertEqual(self.do("run", "-qk", "none", program, stdin=-3).status, 0)

    def test_the_directory_of_the_pool_is_tried(self):
        self.environ["HEAPSAKE_POOL"] = "/nowhere/pool"
        _, noes = self.findings(1)
        self.assertEqual(noes, {"directory"})
        self.environ["HEAPSAKE_POOL"] = "/proc/pool"
        _, noes = self.findings(1)
        self.assertEqual(noes, {"directory"})
        self.environ["HEAPSAKE_POOL"] = "/dev/shm/pool"
        if os.path.isdir("/dev/shm"):
            findings, _ = self.findings(0)
            self.assertIn("tmpfs", [f["fact"].split(",")[0] for f in findings])

    def test_an_unusable_environment(self):
        self.environ["HEAPSAKE_SIZ"] = "1"
        _, noes = self.findings(1)
        self.assertEqual(noes, {"environment"})

    def test_limits(self):
        if shutil.which("prlimit") is None:
            self.skipTest("no prlimit(1)")
        text = self.expect(0, "doctor", before=["prlimit", "--as=1073741824", "--fsize=1073741824"]).out
        self.assertRegex(text, r"(?m)^warn +RLIMIT_AS +1G: .*; ulimit -v unlimited$")
        self.assertRegex(text, r"(?m)^warn +RLIMIT_FSIZE +1G: .*; ulimit -f unlimited$")
        self.assertRegex(text, r"(?m)^warn +addresses +")


main()
