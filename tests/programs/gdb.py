#!/usr/bin/env python3
"""gdb -batch, itself in a pool, on a plain program: symbols, breakpoints, Python, backtrace."""
import re

from pooled import Place, expect, expect_equal, need, skip

PROGRAM = """
#include <stdio.h>
struct node { int value; struct node *next; };
static int sum(struct node *n) { return n ? n->value + sum(n->next) : 0; }
int main(void)
{
	struct node list[20];
	for (int i = 0; i < 20; i++)
		list[i] = (struct node){ i, i < 19 ? &list[i + 1] : 0 };
	printf("%d\\n", sum(list));
	return 0;
}
"""
COMMANDS = ["break sum if n && n->value == 15", "run", "backtrace", "print *n", "print $_siginfo",
            "ptype n", "info line main", "list main", "disable", "finish", "continue",
            "info functions ^sum$"]

gdb, gcc = need("gdb", "gcc")
with Place() as place:
    place.write("list.c", PROGRAM)
    place.succeed([gcc, "-g", "-O0", "-o", "list", "list.c"], False)
    argv = [gdb, "-nx", "-batch"] + [w for c in COMMANDS for w in ("-ex", c)] + ["./list"]

    def ask(is_pooled):  # process ids and stack addresses follow from the environment's size
        status, out, err = place.run(argv, is_pooled)
        return status, re.sub(r"process \d+|si_pid = \d+|0x7ff\w+", "it", out), err
    plain = ask(False)
    if "Breakpoint 1, sum" not in plain[1]:
        skip("gdb cannot trace here: " + plain[2][-300:])
    expect("value = 15" in plain[1], "gdb did not stop where it should")
    for what, one, other in zip(("exit status", "output", "error output"), plain, ask(True)):
        expect_equal(one, other, what)
    place.prove(at_least=100)
