#!/usr/bin/env python3
"""Tests of the checks: each planted defect is found, and a clean tree passes.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))

FUNCTION = "int f(void);\nint f(void)\n{\n    return 0;\n}\n"
CLEAN = {
    "src/base/buf.h": "/* x */\n",
    "src/base/buf.c": '/* x */\n#include "base/buf.h"\n' + FUNCTION,
    "src/wire/pb.c": '/* x */\n#include "base/buf.h"\n#include <string.h>\n',
    "src/net/loop.c": '/* x */\n#include <uv.h>\n#include <sys/socket.h>\n',
    "include/etcd3/etcd.h": "/* x */\n#include <stdint.h>\n",
    "examples/a.c": "/* x */\n#include <etcd3/etcd.h>\n",
    "README.md": "[x](src/base/buf.c)\n```c\netcd_use(client);\n```\n```sh\nmake test\n```\n",
    "Makefile": "test:\n",
}
HEADER = "/* x */\n#include <stdint.h>\ntypedef struct etcd_client etcd_client;\ntypedef int etcd_error;\nvoid etcd_use(etcd_client *client);\n"

# check, file, its contents, what the check says
DEFECTS = [
    ("layers", "src/base/bad.c", '#include "wire/pb.h"\n', 'base must not include "wire/pb.h"'),
    ("layers", "src/base/bad.c", '#include "buf.h"\n', 'is to be written "layer/buf.h"'),
    ("layers", "src/base/bad.c", '#include "base/none.h"\n', "is not in src/"),
    ("layers", "src/wire/bad.c", "#include <sys/socket.h>\n", "neither sockets nor clocks"),
    ("layers", "src/http2/bad.c", "#include <time.h>\n", "neither sockets nor clocks"),
    ("layers", "src/grpc/bad.c", "int x = etcd__clock_monotonic();\n", "is told the time"),
    ("layers", "src/grpc/bad.c", "#include <nghttp2/nghttp2.h>\n", "belongs to http2 only"),
    ("layers", "src/channel/bad.c", "#include <uv.h>\n", "belongs to client and net and recipe only"),
    ("layers", "src/channel/bad.c", "#include <openssl/ssl.h>\n", "belongs to net only"),
    ("layers", "src/net/bad.c", "#include <openssl/ssl.h>\n", 'include "net/openssl.h"'),
    ("layers", "src/recipe/mutex.c", '#include "client/client.h"\n', "recipe must not include"),
    ("layers", "src/other/bad.c", "", "other is no layer"),
    ("layers", "examples/bad.c", '#include "base/buf.h"\n', "uses the public headers only"),
    ("layers", "cli/bad.c", '#include "base/buf.h"\n', "uses the public headers only"),
    ("layers", "include/etcd3/bad.h", "#include <sys/time.h>\n", "stdbool, stddef and stdint only"),
    ("style", "src/base/bad.c", "/* x */\nvoid f(void)\n{\n" + "    g();\n" * 98 + "}\n", "f() has 101 lines"),
    ("style", "src/base/bad.c", "/* x */\n" + "int x;\n" * 800, "801 lines, at most 800"),
    ("style", "src/base/bad.c", "/* x */\n" + "x" * 131 + "\n", "131 columns"),
    ("style", "src/base/bad.c", "/* x */\nint x = strcpy(a, b);\n", "strcpy() is banned"),
    ("style", "src/base/bad.c", "/* x */\n/* TODO */\n", "unfinished"),
    ("style", "src/base/bad.c", "/* x */\n\tint x;\n", "a tab"),
    ("style", "src/base/bad.c", "int x;\n", "the first comment"),
    ("style", "src/base/bad.c", "/* x */\n" + ("void f(void)\n{\n" + "    g();\n" * 60 + "}\n") * 9, "90th percentile"),
    ("docs", "docs/bad.md", "```c\nno_such_function();\n```\n", "does not compile"),
    ("docs", "docs/bad.md", "```sh\nmake nonsense\n```\n", "no make target nonsense"),
    ("docs", "docs/bad.md", "[x](nowhere.md)\n", "nowhere.md is not there"),
]
# What looks like a defect and is none
FINE = [
    ("layers", "src/recipe/mutex.c", '#include "base/buf.h"\n#include <etcd3/etcd.h>\n'),
    ("layers", "src/net/openssl_table.h", "#include <openssl/ssl.h>\n"),
    ("layers", "src/recipe/namespace.c", '#include "base/buf.h"\n'),
    ("style", "src/base/fine.c", "/* strcpy(x) */\nchar *s = \"strcpy(\";\nint my_strcpy(void);\n"),
    ("style", "src/base/fine.c", "/* x */\n" + FUNCTION * 20 + "\n/* x */\nvoid f(void)\n{\n" + "    g();\n" * 97 + "}\n"),
    ("docs", "docs/fine.md", "<!-- declare: int x = 1; -->\n```c\nif (x)\n    etcd_use(client);\n```\n"),
    ("docs", "docs/fine.md", "```c\nint main(void)\n{\n    return 0;\n}\n```\n[x](https://example.org/none)\n"),
]

# What the library's objects must not have: code, what the check says; None: nothing
OBJECTS = [
    ("#include <stdlib.h>\nvoid etcd_f(void) { exit(1); }", "refers to exit()"),
    ("#include <stdlib.h>\nvoid *etcd_f(void) { return malloc(1); }", "refers to malloc() past the allocator hook"),
    ("#include <stdio.h>\nvoid etcd_f(void) { puts(\"x\"); }", "refers to puts()"),
    ("#include <assert.h>\nvoid etcd_f(int x) { assert(x); }", "refers to __assert_fail()"),
    ("static int n; int etcd_f(void) { return n++; }", "n is global state"),
    ("static _Thread_local int n; int etcd_f(void) { return n++; }", "n is global state"),
    ("static const char *const t[] = {\"a\"}; const char *etcd_f(int i) { return t[i]; }", None),
    ("#include <string.h>\nvoid etcd_f(char *a) { memcpy(a, a + 8, 8); }", None),
]

# The exports of a library whose header declares etcd_a: map, code, what the check says; None: nothing
EXPORTS = [
    ("etcd_a;", "int etcd_a(void) { return 0; }", None),
    ("etcd_a; etcd_b;", "int etcd_a(void) { return 0; } int etcd_b(void) { return 0; }", "etcd_b is not declared"),
    ("etcd_a;", "int etcd_x(void) { return 0; }", "libx.so: etcd_a is missing"),
    ("etcd_b;", "int etcd_a(void) { return 0; }", "src/etcd3.map: etcd_a is missing"),
    ("etcd_a;", "int etcd_a(void) { return 0; } int leak(void) { return 0; }", "leak is global"),
]


def write(root, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as out:
            out.write(text)


def call(check, *arguments):
    done = subprocess.run([sys.executable, os.path.join(HERE, check + ".py"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def run(check, files):
    """Status and output of a check on a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        write(root, files)
        return call(check, "--root", root)


def archive(root, code):
    """Compiles code into a static library in a directory; returns its path."""
    write(root, {"x.c": code})
    subprocess.run(["gcc", "-fPIC", "-c", "x.c"], cwd=root, check=True)
    subprocess.run(["ar", "rcs", "libx.a", "x.o"], cwd=root, check=True)
    return os.path.join(root, "libx.a")


def run_references(code):
    with tempfile.TemporaryDirectory() as root:
        return call("references", "--static", archive(root, code), "--loader", os.path.join(root, "x.o"), "--asserts", "no")


def run_exports(names, code):
    with tempfile.TemporaryDirectory() as root:
        lines = "".join(f"        {name}\n" for name in names.split())
        write(root, {"include/etcd3/x.h": "/* x */\nETCD_EXPORT int etcd_a(void);\n",
                     "src/etcd3.map": "V {\n    global:\n" + lines + "    local: *;\n};\n"})
        static, shared = archive(root, code), os.path.join(root, "libx.so")
        subprocess.run(["gcc", "-shared", "-o", shared, "x.o", "-Wl,--version-script=src/etcd3.map"], cwd=root, check=True)
        return call("exports", "--root", root, "--shared", shared, "--static", static)


def wrong_about(what, status, out, expected):
    """Whether a check did not say what was expected; None: that it is fine."""
    if (status == 0) if expected is None else (status == 1 and expected in out):
        return 0
    print(f"{what[:90]!r}: status {status}, expected {expected!r}:\n{out}")
    return 1


def main():
    wrong = 0
    clean = {**CLEAN, "include/etcd3/etcd.h": HEADER}
    for check in sorted({defect[0] for defect in DEFECTS}):
        wrong += wrong_about(f"{check} on a clean tree", *run(check, clean), None)
    for check, path, text, expected in DEFECTS:
        wrong += wrong_about(f"{check}: {path}: {text}", *run(check, {**clean, path: text}), expected)
    for check, path, text in FINE:
        wrong += wrong_about(f"{check}: {path}: {text}", *run(check, {**clean, path: text}), None)
    for code, expected in OBJECTS:
        wrong += wrong_about(code, *run_references(code), expected)
    for names, code, expected in EXPORTS:
        wrong += wrong_about(f"{names} {code}", *run_exports(names, code), expected)
    print(f"{len(DEFECTS) + len(FINE) + len(OBJECTS) + len(EXPORTS)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
