#!/usr/bin/env python3
"""cmake: configure and build a small project, compilers and make in pools of their own."""
import shutil

from pooled import Place, expect_equal, need

LISTS = """
cmake_minimum_required(VERSION 3.13)
project(small C)
include(CheckIncludeFile)
include(CheckFunctionExists)
check_include_file(stdio.h HAVE_STDIO)
check_include_file(no-such.h HAVE_NO_SUCH)
check_function_exists(malloc HAVE_MALLOC)
foreach(i RANGE 300)
  list(APPEND all "item${i}")
  string(REGEX REPLACE "[02468]" "x" changed "${all}")
endforeach()
string(MD5 sum "${changed}")
file(WRITE ${CMAKE_BINARY_DIR}/facts "${sum} ${HAVE_STDIO} ${HAVE_NO_SUCH} ${HAVE_MALLOC}")
add_library(part STATIC part.c)
add_executable(small small.c)
target_link_libraries(small part)
"""

cmake, _, _ = need("cmake", "make", "cc")
with Place(children="inherit") as place:
    place.write("CMakeLists.txt", LISTS)
    place.write("part.c", "int part(void) { return 42; }\n")
    place.write("small.c", "#include <stdio.h>\nint part(void);\n"
                           "int main(void) { printf(\"%d\\n\", part()); }\n")
    seen = []
    for is_pooled in (False, True):
        place.succeed([cmake, "-S", ".", "-B", "build"], is_pooled)
        place.succeed([cmake, "--build", "build"], is_pooled)
        seen.append([open(place.path("build/facts")).read(),
                     open(place.path("build/small"), "rb").read(),
                     place.succeed(["build/small"], False)])
        shutil.rmtree(place.path("build"))
    for what, plain, pooled in zip(("facts", "program", "output"), *seen):
        expect_equal(plain, pooled, what)
    place.prove(at_least=100)
