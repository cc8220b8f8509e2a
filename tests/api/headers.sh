#!/bin/sh
# usage: headers.sh FOLDER
#
# heapsake.h and heapsake.hpp compile without a word under every warning people switch on, with
# both compilers and in both languages; blocks that nest and are left in every way too.
set -u
folder=$1
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT
status=0

cat >"$place/use.c" <<'END'
#include "heapsake.h"

HSK_KEEP static int i;
HSK_KEEP static double result;
int leave(int way);
double calculate(int, double);

int leave(int way)
{
	int value;

	HSK_TX { value = 3; }
	for (; i < 10; ) HSK_TX { result = calculate(i, result); i++; }
	if (way) HSK_TX { i++; } else HSK_TX_DURABLE { i--; }
	HSK_TX { HSK_TX { HSK_TX_DURABLE { if (way) HSK_ABORT(); else i++; } } if (way) return 4; }
	HSK_TX { HSK_TX { i++; } HSK_TX { i++; } }
	HSK_TX { if (way == 1) goto out; i++; if (way == 2) continue; if (way == 3) break; i++; }
out:
	return value;
}
END
cat >"$place/use.cpp" <<'END'
#include "heapsake.hpp"
#include <map>

int main()
{
	heapsake::root<std::map<int, std::string>> map("map");
	{
		heapsake::tx tx;
		tx.add(*map);
		map->emplace(1, "one");
	}
	heapsake::durable([&] { map->clear(); });
	int count = heapsake::run([&] { return static_cast<int>(map->size()); });
	HSK_TX { HSK_TX { count++; } }
	heapsake::checkpoint();
	return count + static_cast<int>(heapsake::info().epoch);
}
END
cp "$place/use.c" "$place/same.cpp"

# quiet COMPILER FLAG...: no warning
quiet() {
	if ! "$@" -I"$folder" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual -Wundef \
		-Wredundant-decls -Wmissing-declarations -Wwrite-strings -Werror -o "$place/out.o" \
		>"$place/said" 2>&1; then
		echo "$*:"
		head -20 "$place/said"
		status=1
	fi
}

for compiler in gcc clang; do
	command -v $compiler >/dev/null || continue
	for level in -O0 -O2 "-O3 -flto"; do
		quiet $compiler $level -std=c11 -Wstrict-prototypes -Wmissing-prototypes -c "$place/use.c"
		quiet $compiler $level -std=c++17 -c "$place/same.cpp"
		quiet $compiler $level -std=c++17 -c "$place/use.cpp"
	done
done
# Seen to fail: a block whose variable has the name of another.
sed 's/__COUNTER__/same/' "$folder/heapsake.h" >"$place/heapsake.h"
if gcc -I"$place" -Wshadow -Werror -c "$place/use.c" -o "$place/out.o" 2>/dev/null; then
	echo "a shadowed variable is not noticed"
	status=1
fi
exit $status
