"""run: the program is itself, in a pool, or it is refused before it starts."""
import os
import shutil
import signal
import struct
import subprocess
import unittest

from case import COMMAND, NOBODY, PROGRAMS, Case, main

CAP_NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0) # struct vfs_cap_data, revision 2


class Run(Case):
    def run_none(self, *words, **kwargs):
        return self.do("run", "-qk", "none", *words, **kwargs)

    def refuse(self, status, pattern, *words, **kwargs):
        result = self.expect(status, "run", "-qk", "none", *words, out="", **kwargs)
        self.assertRegex(result.err, r"\Aheapsake: refused: ")
        self.assertRegex(result.err, pattern)

    def script(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), 0o755)
        return "./" + name

    def copy(self, name="copy", of="/usr/bin/true"):
        shutil.copy(of, self.path(name))
        os.chmod(self.path(name), 0o755)
        return "./" + name


class Program(Run):
    def test_the_heap_is_in_the_pool(self):
        maps = self.run_none("-p", "pool", "cat", "/proc/self/maps").out
        self.assertRegex(maps, rf"(?m)^200000000000-.* rw-s .*{self.path('pool')}$")

    def test_a_file_that_got_the_number_of_stderr_is_spared(self):
        """A fork under keep=none says something, at this level."""
        program = 'close STDERR; open F, "+>", "data"; exit 3 if fileno(F) != 2; defined(fork) || exit 4; wait'
        self.expect(0, "run", "-qk", "none", "-p", "pool", "perl", "-e", program, env={"HEAPSAKE_LOG": "info"})
        self.assertEqual(os.path.getsize(self.path("data")), 0)

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_a_fork_after_rights_were_given_up_says_what_to_do(self):
        program = '$< = $> = %d; exit 7 if !defined(fork)' % NOBODY.pw_uid
        result = self.expect(7, "run", "-qk", "none", "-p", "pool", "perl", "-e", program)
        self.assertRegex(result.err, r"\Aheapsake: fork: .*: Permission denied; .*run it as the user it becomes\n\Z")

    def test_the_default_pool_is_named_after_the_program(self):
        self.run_none("true")
        self.run_none("/bin/echo")
        self.assertEqual(sorted(os.listdir(self.dir)), ["echo.heapsake", "true.heapsake"])

    def test_a_percent_sign_in_a_programs_name_is_only_that(self):
        self.assertEqual(self.run_none(self.copy("a%pb")).status, 0)
        self.assertEqual(sorted(os.listdir(self.dir)), ["a%pb", "a%pb.heapsake"])

    def test_one_line_is_said_and_q_hides_it(self):
        result = self.expect(0, "run", "-k", "none", "-p", "pool", "true", out="")
        self.assert_one_line(result.err)
        self.expect(0, "run", "-k", "none", "-q", "-p", "pool", "true", out="", err="")

    def test_it_becomes_the_program(self):
        process = subprocess.Popen([COMMAND, "run", "-qk", "none", "sh", "-c", "echo $$"],
                                   cwd=self.dir, env=self.environ, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(int(out), process.pid)

    def test_status_is_the_programs_own(self):
        for status in [0, 1, 2, 3, 77, 125, 255]:
            self.assertEqual(self.run_none("sh", "-c", f"exit {status}").status, status)

    def test_signals_are_the_programs_own(self):
        for number in [signal.SIGTERM, signal.SIGKILL, signal.SIGINT]:
            process = self.hold()
            process.send_signal(number)
            self.assertEqual(process.wait(60), -number)

    def test_dispositions_and_descriptors_pass_through(self):
        words = ["/usr/bin/perl", "-e", 'print join(",", map { readlink("/proc/$$/fd/$_") } 0..2), "\n";'
                 'open F, "/proc/$$/status"; print grep /^SigIgn|^SigBlk/, <F>']
        alone = subprocess.run(words, env=self.environ, cwd=self.dir, capture_output=True,
                               stdin=subprocess.DEVNULL).stdout.decode()
        ours = self.run_none(*words, stdin=subprocess.DEVNULL).out
        self.assertEqual(ours.split("\n")[1:], alone.split("\n")[1:])

    def test_closed_descriptors_stay_closed(self):
        done = subprocess.run(["sh", "-c", '"$0" run -qk none -p pool sh -c '
                               '"{ echo x; } 2>/dev/null || exit 9" >&-', COMMAND],
                              cwd=self.dir, env=self.environ, timeout=60)
        self.assertEqual(done.returncode, 9)

    def test_arguments_pass_unchanged(self):
        words = ["a b", "", "--new", "-p", "x\ny", "'\"$", "--"]
        result = self.run_none("--", "perl", "-e", 'print join("|", @ARGV)', "--", *words)
        self.assertEqual(result.out, "|".join(words))
        self.assertEqual(self.run_none("printf", "%s|", "-s", "--help").out, "-s|--help|")

    def test_children_run_as_if_heapsake_were_not_there(self):
        out = self.run_none("perl", "-e", 'system("env; cat /proc/self/maps")').out
        self.assertNotRegex(out, "(?i)heapsake_|preload")

    def test_flags_set_their_variables(self):
        out = self.do("run", "-p", "a b", "-s", "32M", "-k", "none", "-i", "250us", "-d", "cache",
                      "--new", "-q", "env",
                      env={"HEAPSAKE_CHILDREN": "inherit", "LD_PRELOAD": "libm.so.6"}).out.split("\n")
        for line in ["HEAPSAKE_POOL=a b", "HEAPSAKE_SIZE=32M", "HEAPSAKE_KEEP=none", "HEAPSAKE_NEW=1",
                     "HEAPSAKE_INTERVAL=250us", "HEAPSAKE_DURABILITY=cache", "HEAPSAKE_QUIET=1"]:
            self.assertIn(line, out)
        older = self.do("run", "-qk", "none", "--epoch", "-3", "env", env={"HEAPSAKE_CHILDREN": "inherit"})
        self.assertIn("HEAPSAKE_EPOCH=-3", older.out.split("\n"))
        preload = [line for line in out if line.startswith("LD_PRELOAD=")]
        self.assertRegex(preload[0], r"^LD_PRELOAD=/.*/libheapsake\.so:libm\.so\.6$")

    def test_variables_serve_without_flags_and_flags_win(self):
        env = {"HEAPSAKE_POOL": "from-env", "HEAPSAKE_KEEP": "none", "HEAPSAKE_SIZE": "32M"}
        self.expect(0, "run", "true", env=env)
        self.expect(0, "run", "-p", "from-flag", "-s", "48M", "true", env=env)
        self.assertEqual(self.json("info", "--json", "from-env")["size_bytes"], 32 << 20)
        self.assertEqual(self.json("info", "--json", "from-flag")["size_bytes"], 48 << 20)

    def test_disabled_it_only_starts_the_program(self):
        self.expect(7, "run", "-k", "none", "sh", "-c", "exit 7", env={"HEAPSAKE_DISABLE": "1"}, err="")
        self.assertEqual(os.listdir(self.dir), [])

    def test_new_makes_another_pool_of_it(self):
        self.run_none("-p", "pool", "true")
        uuid = self.json("info", "--json", "pool")["uuid"]
        self.run_none("-p", "pool", "true")
        self.assertEqual(self.json("info", "--json", "pool")["uuid"], uuid)
        self.run_none("--new", "-p", "pool", "true")
        info = self.json("info", "--json", "pool")
        self.assertNotEqual(info["uuid"], uuid)
        self.assertEqual(info["keep"], "none")

    def test_new_makes_a_pool_of_any_keep_one_of_any_other(self):
        for keep in "heap", "process", "none", "heap", "process":
            self.expect(0, "run", "--new", "-qk", keep, "-p", "pool", "-s", "64M", "true", err="")
            self.assertEqual(self.json("info", "--json", "pool")["keep"], keep)
            self.expect(0, "check", "--deep", "pool")

    def test_a_smaller_size_is_ignored_with_a_line(self):
        self.create(size="64M")
        result = self.expect(0, "run", "-k", "none", "-p", "pool", "-s", "32M", "true", out="")
        self.assertRegex(result.err, r"(?m)^heapsake: .*/pool: has 64 MiB, more than the size asked for; ")
        self.expect(0, "run", "-k", "none", "-qp", "pool", "-s", "32M", "true", err="")
        result = self.expect(0, "run", "-k", "none", "-p", "pool", "-s", "64M", "true")
        self.assert_one_line(result.err)
        self.assertEqual(self.json("info", "--json", "pool")["size_bytes"], 64 << 20)

    def test_how_far_a_kept_heap_can_grow_is_said(self):
        rooted = os.path.join(PROGRAMS, "command-rooted")
        self.expect(0, "run", "-qp", "pool", "-s", "16M", rooted, err="")
        self.expect(0, "run", "-qp", "pool", "-s", "128M", rooted, err="")
        result = self.expect(0, "run", "-qp", "pool", "-s", "1G", rooted)
        self.assertRegex(result.err, r"\Aheapsake: .*/pool: has 1024 MiB now, of which its heap, made "
                                     r"when it had less, can use 128; for more go on in a new pool\n\Z")

    def test_without_a_keep_programs_of_ours_keep_their_heap_and_others_all(self):
        for program, keep in [("true", "process"), (os.path.join(PROGRAMS, "command-linked"), "heap"),
                              (self.script("s", "#!/usr/bin/env true\n"), "process")]:
            self.expect(0, "run", "-q", "-p", "pool-" + keep, program)
            self.assertEqual(self.json("info", "--json", "pool-" + keep)["keep"], keep)
            os.unlink(self.path("pool-" + keep))


class NotStarted(Run):
    def test_125_126_127_as_env(self):
        plain = self.path("plain")
        open(plain, "w").close()
        for word in ["nowhere", "./nowhere", self.dir, plain, "plain/x", "x" * 300, ""]:
            theirs = subprocess.run(["env", "--", word] if word else ["sh", "-c", "exit 127"],
                                    env=self.environ, cwd=self.dir, capture_output=True).returncode
            self.assertIn(theirs, [126, 127])
            result = self.expect(theirs, "run", "-k", "none", word, out="")
            self.assert_one_line(result.err)
        self.assertEqual(os.listdir(self.dir), ["plain"])

    def test_an_interpreter_that_is_not_there(self):
        self.expect(127, "run", "-qk", "none", self.script("s", "#!/no/where\n"))

    def test_a_script_without_a_first_line_goes_to_the_shell(self):
        result = self.run_none(self.script("s", "echo $# $1\nexit 5\n"), "a b")
        self.assertEqual((result.status, result.out), (5, "1 a b\n"))

    def test_an_installation_without_its_library_is_125(self):
        shutil.copy(COMMAND, self.path("heapsake"))
        done = subprocess.run([self.path("heapsake"), "run", "-k", "none", "true"], cwd=self.dir,
                              env=self.environ, capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assert_one_line(done.stderr.decode())

    def test_an_installation_may_be_moved_as_a_whole(self):
        place = self.environ_place()
        bin_dir = self.path("opt/bin")
        os.makedirs(bin_dir)
        library_dir = os.path.normpath(os.path.join(bin_dir, place))
        os.makedirs(library_dir)
        shutil.copy(COMMAND, bin_dir)
        library = os.path.join(os.path.dirname(COMMAND), "../../preload/libheapsake.so")
        shutil.copy(library, library_dir)
        os.symlink(os.path.join(bin_dir, "heapsake"), self.path("link"))
        for way in [os.path.join(bin_dir, "heapsake"), self.path("link")]:
            done = subprocess.run([way, "run", "-qk", "none", "cat", "/proc/self/maps"], cwd=self.dir,
                                  env=self.environ, capture_output=True)
            self.assertIn(os.path.join(library_dir, "libheapsake.so").encode(), done.stdout)

    def environ_place(self):
        place = os.environ["HEAPSAKE_TEST_LIBRARY_PLACE"]
        if place.startswith("/"):
            self.skipTest("configured with an absolute libdir")
        return place


class Refused(Run):
    def test_a_keep_that_does_not_exist(self):
        for keep in ["nome", "unset", ""]:
            self.refuse(2, f'-k: "{keep}" is not accepted; give none, heap or process', "-k", keep, "true")
        self.assertEqual(os.listdir(self.dir), [])

    def test_bad_values_and_unknown_variables(self):
        for size in ["5z", "", "-1", "1.5G"]:
            self.refuse(2, "-s: ", "-s", size, "true")
        for interval in ["5", "1us", "2h", "", "-1s", "4000s"]:
            self.refuse(2, "-i: ", "-i", interval, "true")
        for epoch in ["0", "newest", "", "1.5"]:
            self.refuse(2, "--epoch: ", "--epoch", epoch, "true")
        self.refuse(2, "-d: ", "-d", "disk", "true")
        self.refuse(2, "HEAPSAKE_POOL", "-p", "", "true")
        for name in ["HEAPSAKE_SIZ", "HEAPSAKE_MIRROR"]:
            self.refuse(2, f"refused: {name}: unknown variable", "true", env={name: "1"})
        self.refuse(2, "HEAPSAKE_LOG", "true", env={"HEAPSAKE_LOG": "loud"})
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_static_program(self):
        self.refuse(5, "statically linked", os.path.join(PROGRAMS, "command-static"))

    def test_a_program_for_another_machine(self):
        copy = self.copy()
        with open(self.path("copy"), "r+b") as file:
            file.seek(18)
            file.write(struct.pack("<H", 183))
        self.refuse(5, "built for aarch64, heapsake for x86_64", copy)

    def test_a_program_for_another_libc(self):
        copy = self.copy()
        with open(self.path("copy"), "r+b") as file:
            data = file.read()
            theirs = b"/lib64/ld-linux-x86-64.so.2\0"
            self.assertEqual(data.count(theirs), 1)
            file.seek(data.index(theirs))
            file.write(b"/lib/ld-musl-x86_64.so.1".ljust(len(theirs), b"\0"))
        self.refuse(5, "another C library", copy)

    def test_a_program_with_its_own_malloc(self):
        self.refuse(2, "malloc: comes from", os.path.join(PROGRAMS, "command-own-malloc"))

    def test_damaged_programs_end_as_with_env(self):
        with open("/usr/bin/true", "rb") as file:
            whole = file.read()
        for name, data in [("head", whole[:64]), ("few", whole[:10]), ("magic", b"\x7fELF"),
                           ("noise", b"\x7fELF\2\1\1" + os.urandom(4000))]:
            with open(self.path(name), "wb") as file:
                file.write(data)
            os.chmod(self.path(name), 0o755)
            result = self.run_none("./" + name)
            self.assertNotEqual(result.status, 0)
            self.assertGreaterEqual(result.status, 2, result)

    def test_setuid_setgid_and_capable_programs(self):
        before = self.as_nobody()
        copy = self.copy()
        for mode, why in [(0o4755, "it is setuid"), (0o2755, "it is setgid")]:
            os.chmod(self.path("copy"), mode)
            self.refuse(5, why, copy, before=before)
            self.assertEqual(self.run_none(copy).status, 0) # we are who it becomes
        os.chmod(self.path("copy"), 0o755)
        self.assertEqual(self.run_none("-p", "theirs", copy, before=before).status, 0)
        self.refuse_capable(copy, before)

    def refuse_capable(self, copy, before):
        try:
            os.setxattr(self.path("copy"), "security.capability", CAP_NET_RAW)
        except OSError as error:
            self.skipTest(f"no file capabilities here: {error}")
        self.refuse(5, "it has file capabilities", copy, before=before)

    def test_a_privilege_that_does_not_count_is_none(self):
        before = self.as_nobody()
        copy = self.copy()
        os.chmod(self.path("copy"), 0o4755)
        result = self.run_none(copy, before=[*before, "--no-new-privs"])
        self.assertEqual(result.status, 0, result)

    def test_scripts_are_as_their_interpreters(self):
        static = os.path.join(PROGRAMS, "command-static")
        if len(static) > 200:
            self.skipTest("the build tree's path is too long for a first line")
        self.refuse(5, "statically linked", self.script("one", f"#!{static}\n"))
        self.refuse(5, "statically linked", self.script("two", f"#! {self.path('one')} x\n"))
        self.assertEqual(self.run_none(self.script("good", "#!/bin/sh -e\necho $1\n"), "x").out, "x\n")

    def test_env_in_a_first_line_is_followed(self):
        text = 'open F, "/proc/$$/maps"; print "@ARGV ", scalar(grep /rw-s.*heapsake$/, <F>) > 0, "\\n"\n'
        for line in ["#!/usr/bin/env perl", "#!/usr/bin/env -S perl -w", "#!/usr/bin/env -Sperl"]:
            script = self.script("s", f"{line}\n{text}")
            self.assertEqual(self.run_none(script, "a", "b c").out, "a b c 1\n")
        self.refuse(5, "env do more", self.script("s", "#!/usr/bin/env -S A=1 perl\n"))
        self.refuse(5, "env do more", self.script("s", "#!/usr/bin/env -i\n"))
        self.assertEqual(self.run_none(self.script("s", "#!/usr/bin/env no-such\n")).status, 127)

    def test_an_unreadable_program_is_started_with_a_warning(self):
        before = self.as_nobody()
        copy = self.copy()
        os.chmod(self.path("copy"), 0o711)
        result = self.expect(0, "run", "-k", "none", copy, before=before)
        self.assertIn("may not be read", result.err)


class Busy(Run):
    def test_a_living_holder_is_named(self):
        process = self.hold()
        result = self.expect(3, "run", "-k", "none", "-p", "pool", "true", out="")
        self.assertRegex(result.err, rf"\Aheapsake: refused: .*in use by sleep, pid {process.pid};")

    def test_kill_9_and_run_again_is_never_busy(self):
        for _ in range(50):
            self.hold().kill()
        self.expect(0, "run", "-qk", "none", "-p", "pool", "true", err="")

    def test_paths_with_anything_in_them(self):
        for name in ["a b", "a\nb", "a'b", 'a"b', "a:b", "$(touch x)", "ü"]:
            self.assertEqual(self.run_none("-p", name, "true").status, 0)
            self.assertEqual(os.listdir(self.dir), [name])
            self.expect(0, "rm", name)

    def test_a_terabyte_pool(self):
        self.assertEqual(self.run_none("-p", "pool", "-s", "1T", "true").status, 0)
        self.assertLess(os.stat(self.path("pool")).st_blocks * 512, 16 << 20)

    @unittest.skipUnless(os.path.isdir("/dev/shm"), "no /dev/shm")
    def test_a_pool_on_tmpfs(self):
        name = f"/dev/shm/heapsake-test-{os.getpid()}"
        self.addCleanup(lambda: os.path.exists(name) and os.unlink(name))
        self.assertEqual(self.run_none("-p", name, "true").status, 0)
        self.expect(0, "check", name, out="ok\n")
        self.expect(0, "rm", name)
        self.assertFalse(os.path.exists(name))


main()
