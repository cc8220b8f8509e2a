#!/usr/bin/env python3
"""gcc and g++: the object code and the program are the same, byte for byte.

The compiler proper (cc1, as, ld) is a child of the driver, so each process has its own pool.
"""
from pooled import Place, expect, need

C = "#include <stdio.h>\n#include <string.h>\n" + "".join(
    f"static int f{i}(int x, const char *s) {{ int a[{i % 9 + 1}] = {{ {i} }}; "
    f"for (int k = 0; k < x; k++) a[k % {i % 9 + 1}] += s[k % 3] * k; return a[0] + x; }}\n"
    for i in range(80)) + "int main(void) { int n = 0;\n" + "".join(
    f"\tn += f{i}({i}, \"abc\");\n" for i in range(80)) + '\tprintf("%d\\n", n);\n\treturn 0;\n}\n'
CPP = """
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>
int main()
{
	std::map<std::string, std::vector<std::shared_ptr<std::string>>> table;
	for (int i = 0; i < 1000; i++)
		table["key" + std::to_string(i % 37)].push_back(
			std::make_shared<std::string>(i % 90, 'x'));
	std::regex three("k.*3$");
	long bytes = 0;
	for (auto &[key, list] : table)
		if (std::regex_match(key, three))
			std::for_each(list.begin(), list.end(), [&](auto &s) { bytes += s->size(); });
	std::cout << bytes << std::endl;
}
"""

compilers = need("gcc", "g++")
with Place(children="inherit") as place:
    for compiler, name, source in zip(compilers, ("program.c", "program.cpp"), (C, CPP)):
        place.write(name, source)
        built = []
        for is_pooled in (False, True):
            place.succeed([compiler, "-O2", "-g", "-c", "-o", "object.o", name], is_pooled)
            place.succeed([compiler, "-o", "linked", "object.o"], is_pooled)
            built.append([open(place.path(f), "rb").read() for f in ("object.o", "linked")])
        expect(built[0][0] == built[1][0], f"{name}: the object code differs")
        expect(built[0][1] == built[1][1], f"{name}: the linked program differs")
        print(name, place.same([place.path("linked")] if name.endswith("cpp") else
                               ["/bin/sh", "-c", "./linked"]).strip())
    place.prove(at_least=1000)
