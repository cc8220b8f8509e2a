#!/usr/bin/env python3
"""HSK_KEEP in every kind of module, and what becomes of the pool when a module is built anew.

usage: rebuilt.py LIBRARY HEADERS COMPILER

Builds small programs and libraries in a scratch folder, kills them after a checkpoint and starts
them, or others in their place, over the same pool. DESIGN 4.2.
"""
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile

LIBRARY, HEADERS, COMPILER = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
ADDR_NO_RANDOMIZE = 0x0040000
SET = "set"      # store, make durable, be killed
LOOK = "look"    # print what is there

PROGRAM = r"""
#include "heapsake.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
%(kept)s
%(more)s
int main(int argc, char **argv)
{
	%(begin)s
	if (argc > 1 && strcmp(argv[1], "set") == 0) {
		%(set)s
		if (hsk_checkpoint(-1) == 0)
			raise(SIGKILL);
		return 1;
	}
	%(look)s
	return 0;
}
"""
ONE = {
    "kept": "HSK_KEEP static int a = 1; HSK_KEEP static long b = 2; HSK_KEEP static char c[5000];",
    "more": "", "begin": "",
    "set": 'a = 11; b = 12; strcpy(c + 4000, "kept");',
    "look": 'printf("%d %ld %s\\n", a, b, c + 4000);',
}
OTHER_UNIT = '#include "heapsake.h"\nHSK_KEEP int d = 4; HSK_KEEP char e = 5;\n'
KEPT_LIBRARY = r"""
#include "heapsake.h"
HSK_KEEP int counter = 1;
HSK_KEEP static char tail = 'a';
int *place(void) { return &counter; }
char next(int up) { return tail = (char)(tail + up); }
"""


class Scratch:
    """A folder, a pool in it, and what is built there."""

    def __init__(self, folder):
        self.folder = folder
        self.pools = 0
        self.new_pool()

    def path(self, name):
        return os.path.join(self.folder, name)

    def new_pool(self):
        self.pools += 1
        self.pool = self.path(f"{self.pools}.pool")

    def compile(self, output, sources, *flags):
        paths = []
        for number, source in enumerate(sources):
            suffix = "cpp" if "-xc++" in flags else "c"
            paths.append(self.path(f"{output}-{number}.{suffix}"))
            with open(paths[-1], "w", encoding="utf-8") as file:
                file.write(source)
        command = [COMPILER, "-g0", "-O2", "-I" + HEADERS, "-o", self.path(output)] + paths
        command += list(flags)
        command += ["-L" + os.path.dirname(LIBRARY), "-lheapsake",
                    "-Wl,-rpath," + os.path.dirname(LIBRARY), "-Wl,-rpath," + self.folder]
        subprocess.run(command, check=True, timeout=60)
        return output

    def run(self, program, word, is_randomised=False):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("HEAPSAKE_", "LD_LIBRARY_PATH", "LD_PRELOAD"))}
        env.update(HEAPSAKE_POOL=self.pool, HEAPSAKE_SIZE="64M", HEAPSAKE_QUIET="1",
                   HEAPSAKE_INTERVAL="0")
        return subprocess.run([self.path(program), word], env=env, capture_output=True, text=True,
                              timeout=60, check=False, preexec_fn=None if is_randomised else prepare)

    def set(self, program):
        done = self.run(program, SET)
        expect(done.returncode == -signal.SIGKILL and not done.stderr, done)

    def look(self, program, out, says=""):
        done = self.run(program, LOOK)
        expect(done.returncode == 0 and done.stdout == out and
               re.fullmatch(says, done.stderr.strip()), done, out, says)

    def refused(self, program, says):
        done = self.run(program, LOOK)
        expect(done.returncode == 5 and not done.stdout and
               re.fullmatch("heapsake: refused: " + says, done.stderr.strip()), done, says)


def prepare():
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


def expect(holds, done, *expected):
    if not holds:
        sys.exit(f"FAIL: {done.args}: status {done.returncode}\n{done.stdout}{done.stderr}"
                 f"expected: {expected}")


def kinds_of_programs(scratch):
    """Position-independent or not, several units, collected garbage, C++: all are found again."""
    for name, flags in {"pie": ["-fPIE", "-pie"], "fixed": ["-fno-pie", "-no-pie"],
                        "collected": ["-ffunction-sections", "-fdata-sections",
                                      "-Wl,--gc-sections"],
                        "optimised": ["-O3", "-flto"] if COMPILER == "gcc" else ["-O3"],
                        "cpp": ["-xc++"]}.items():
        scratch.new_pool()
        scratch.compile(name, [PROGRAM % ONE, OTHER_UNIT], *flags)
        scratch.look(name, "1 2 \n")
        scratch.set(name)
        scratch.look(name, "11 12 kept\n")
        print(f"{name}: found again")


def archives(scratch):
    """A static library's globals are the program's."""
    scratch.new_pool()
    subprocess.run([COMPILER, "-c", "-O2", "-I" + HEADERS, "-xc", "-", "-o", scratch.path("part.o")],
                   input=KEPT_LIBRARY, text=True, check=True, timeout=60)
    subprocess.run(["ar", "rcs", scratch.path("libpart.a"), scratch.path("part.o")], check=True,
                   timeout=60)
    text = dict(ONE, more="int *place(void); char next(int);", set="*place() = 5; next(1); a = 6;",
                look='printf("%d %c %d\\n", *place(), next(0), a);')
    scratch.compile("static", [PROGRAM % text], scratch.path("libpart.a"))
    scratch.set("static")
    scratch.look("static", "5 b 6\n")
    print("static library: found again")


def libraries(scratch):
    """Needed by the program, or loaded by it later; and absent."""
    scratch.new_pool()
    scratch.compile("libkept.so", [KEPT_LIBRARY], "-fPIC", "-shared")
    needs = dict(ONE, more="int *place(void); char next(int);", set="*place() = 5; next(1); a = 6;",
                 look='printf("%d %c %d\\n", *place(), next(0), a);')
    scratch.compile("needs", [PROGRAM % needs], "-L" + scratch.folder, "-lkept")
    scratch.set("needs")
    scratch.look("needs", "5 b 6\n")
    scratch.compile("lacks", [PROGRAM % ONE])
    scratch.refused("lacks", r".*pool: has kept globals of libkept.so, which this program does not "
                    r"have; run the program that made them, or give the pool up with --new")
    scratch.look("needs", "5 b 6\n")
    print("needed library: found again; a program without it is refused")

    scratch.new_pool()
    loads = dict(ONE, more="#include <dlfcn.h>",
                 set='void *h = dlopen("libkept.so", RTLD_NOW); *(int *)dlsym(h, "counter") = 7; a = 8;',
                 look='printf("%d\\n", a); if (argc > 2 || argv[1][0] == \'l\') { '
                      'void *h = dlopen("libkept.so", RTLD_NOW); '
                      'printf("%d\\n", *(int *)dlsym(h, "counter")); }')
    scratch.compile("loads", [PROGRAM % loads])
    scratch.set("loads")
    done = scratch.run("loads", "without it")
    expect(done.returncode == 0 and done.stdout == "8\n", done)
    scratch.look("loads", "8\n7\n")
    closes = dict(loads, set=loads["set"] + "dlclose(h);",
                  look=loads["look"].replace("printf(\"%d\\n\", *(int", "dlclose(h); printf(\"%d\\n\", *(int"))
    scratch.compile("loads", [PROGRAM % closes], "-Wl,--build-id=none")
    scratch.new_pool()
    scratch.set("loads")
    scratch.look("loads", "8\n7\n")
    print("library loaded later: found again, kept while it is not loaded, and never unloaded")


def twins(scratch):
    """Two plugins of one file name would share what is kept; the second is refused."""
    scratch.new_pool()
    for folder in ("one", "two"):
        os.mkdir(scratch.path(folder))
        scratch.compile(folder + "/plugin.so", [KEPT_LIBRARY], "-fPIC", "-shared")
    loads = dict(ONE, more="#include <dlfcn.h>", set="(void)argv;",
                 begin=f'void *h = dlopen("{scratch.path("one/plugin.so")}", RTLD_NOW);',
                 look=f'dlopen("{scratch.path("two/plugin.so")}", RTLD_NOW); puts(h ? "both" : "none");')
    scratch.compile("twins", [PROGRAM % loads])
    scratch.set("twins")
    scratch.refused("twins", r".*two/plugin.so: has kept globals, and so has another module of its "
                    r"name, plugin.so; give one of them another soname, .*")
    print("plugins of one name: refused")


def copies(scratch):
    """A program that has a copy of a library's kept variable is refused by name."""
    scratch.new_pool()
    names = dict(ONE, more="extern int counter;", set="counter = 5;", look='printf("%d\\n", counter);')
    scratch.compile("copies", [PROGRAM % names], "-fno-pie", "-no-pie", "-L" + scratch.folder,
                    "-lkept")
    scratch.refused("copies", r"libkept.so: its kept variable counter is used in place of it by a "
                    r"copy in the program \(COPY relocation\); compile .*")
    scratch.compile("names", [PROGRAM % names], "-fPIC", "-L" + scratch.folder, "-lkept")
    scratch.set("names")
    scratch.look("names", "5\n")
    print("copied variable: refused")


def rebuilds(scratch):
    """Same variables: taken over, with a line. Others, or stripped: refused, and nothing changes."""
    scratch.new_pool()
    scratch.compile("first", [PROGRAM % ONE])
    scratch.set("first")
    same = dict(ONE, begin='static const char *text = "other code"; if (argc > 9) puts(text);')
    scratch.compile("same", [PROGRAM % same])
    taken = r"heapsake: same: was built anew; its kept globals .* are taken over"
    scratch.look("same", "11 12 kept\n", taken)
    scratch.look("same", "11 12 kept\n")
    larger = dict(ONE, kept=ONE["kept"] + "HSK_KEEP static long f;")
    scratch.compile("larger", [PROGRAM % larger])
    scratch.refused("larger", r"larger: has \d+ bytes of kept globals, and the pool has \d+ of it; .*")
    for name, old, new in (("renamed", "char c[5000]", "char z[5000]"),
                           ("resized", "int a = 1;", "unsigned char a = 1;")):
        text = PROGRAM % ONE
        text = text.replace(old, new)
        if name == "renamed":
            text = text.replace("c + 4000", "z + 4000")
        scratch.compile(name, [text])
        scratch.refused(name, rf"{name}: .*(other names, sizes or order|bytes of kept globals).*")
    scratch.compile("stripped", [PROGRAM % same], "-s")
    scratch.refused("stripped", r"stripped: is another build than the pool's, and without symbols .*")
    scratch.look("same", "11 12 kept\n")
    scratch.new_pool()
    scratch.set("stripped")
    scratch.look("stripped", "11 12 kept\n")
    scratch.compile("stripped", [PROGRAM % ONE], "-s")
    scratch.refused("stripped", r"stripped: is another build than the pool's, and without symbols .*")
    scratch.new_pool()
    scratch.compile("nameless", [PROGRAM % ONE], "-s", "-Wl,--build-id=none")
    scratch.refused("nameless", r"nameless: has kept globals, but no build-id, and no symbols .*")
    print("rebuilt: taken over if the same, refused if not")


def namesakes(scratch):
    """Static variables of one name, in two files: each stays what it is, or the build is refused."""
    units = []
    for unit in ("left", "right"):
        units.append(scratch.path(unit + ".c"))
        with open(units[-1], "w", encoding="utf-8") as file:
            file.write(f'#include "heapsake.h"\nHSK_KEEP static int count;\n'
                       f'int *{unit}(void) {{ return &count; }}\n')
    text = dict(ONE, more="int *left(void), *right(void);", set="*left() = 11; *right() = 12;",
                look='printf("%d %d\\n", *left(), *right());')
    other = dict(text, begin='static const char *text = "other code"; if (argc > 9) puts(text);')
    scratch.new_pool()
    scratch.compile("namesakes", [PROGRAM % text], *units)
    scratch.set("namesakes")
    scratch.compile("namesakes", [PROGRAM % other], *units)
    scratch.look("namesakes", "11 12\n", r"heapsake: namesakes: was built anew; .* are taken over\n"
                 r"heapsake: namesakes: is another build than .*")
    scratch.compile("namesakes", [PROGRAM % text], *reversed(units))
    scratch.refused("namesakes", r"namesakes: .* other names, sizes or order; .*")
    print("namesakes: told apart by their files")


def moves(scratch):
    """Code that stands elsewhere is told in one line, and in hsk_info()."""
    with open("/proc/sys/kernel/randomize_va_space", encoding="ascii") as file:
        if file.read().strip() == "0":
            print("moved code: not tried, addresses are never randomised here")
            return
    scratch.new_pool()
    asks = dict(ONE, look="struct hsk_info info = {0}; info.size = sizeof(info); hsk_info(&info); "
                          'printf("%u\\n", info.code_moved);')
    scratch.compile("asks", [PROGRAM % asks])
    scratch.set("asks")
    scratch.look("asks", "0\n")
    done = scratch.run("asks", LOOK, is_randomised=True)
    expect(done.returncode == 0 and int(done.stdout) > 1 and
           re.fullmatch("heapsake: asks: stood at 0x.* in the epoch this run goes on from, and stands "
                        "at 0x.*; kept pointers to code are stale: .*\n", done.stderr), done)
    print("moved code: told")


def main():
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(folder)
        for part in (kinds_of_programs, archives, libraries, twins, copies, rebuilds, namesakes,
                     moves):
            part(scratch)


main()
