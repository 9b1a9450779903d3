#!/usr/bin/env python3
"""What the library needs of the process (P9): no exit, no signals, no stdio, no locale, no global state but the allocator hook.

Looks at the objects of the static library, so that each finding names its source, and at the one that the shared library has instead of
one of them (--loader). --asserts yes|no: whether the library was built with assert() in it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess

import tree

# Any reference to one of these is a broken promise
BANNED = set("""
    exit _exit _Exit quick_exit abort atexit at_quick_exit on_exit raise kill
    signal sigaction bsd_signal sysv_signal __sysv_signal sigset siginterrupt
    stdin stdout stderr printf vprintf fprintf vfprintf dprintf vdprintf puts fputs putc fputc putchar fwrite perror psignal
    __printf_chk __fprintf_chk __vfprintf_chk __vprintf_chk fopen fdopen freopen syslog vsyslog
    setlocale uselocale newlocale
    rand srand random srandom drand48 strtok gmtime localtime ctime asctime strerror
    getenv secure_getenv setenv putenv unsetenv system popen fork vfork execve execvp posix_spawn
    gethostbyname gethostbyaddr getaddrinfo alarm setitimer sleep usleep
    strcpy strcat sprintf strncpy atoi
""".split())

# Memory comes from the hook of src/base/alloc.c
ALLOCATION = {"malloc", "calloc", "realloc", "free", "reallocarray", "strdup", "strndup", "asprintf", "vasprintf", "getline",
              "posix_memalign", "aligned_alloc"}
ALLOCATOR = "alloc.c.o"

# What the program asks for by calling these modules' functions: options from the environment, options from a file
# Besides: where OpenSSL finds the system's authorities, to notice when they change
ON_REQUEST = {"config_env.c.o": {"getenv"}, "config_yaml.c.o": {"fopen"}, "tls.c.o": {"getenv"}}

# Variables that live as long as the process: object -> names. Besides the hook itself: what remembers that libuv and c-ares, whose
# allocators are the process' own, were given it; and where OpenSSL is, which a process loads once and never unloads.
GLOBAL_STATE = {"alloc.c.o": {"allocator"}, "uv_alloc.c.o": {"lock", "adopted", "reserve"},
                "dns.c.o": {"lock", "adopted", "ready"},
                "openssl_load.c.o": {"lock", "loaded", "etcd__openssl"}, "openssl_link.c.o": {"etcd__openssl"}}


def objects(archive):
    """Yields (object, lines of `objdump -t`), for an archive or one object."""
    out = subprocess.run(["objdump", "-t", archive], stdout=subprocess.PIPE, text=True, check=True).stdout
    parts = re.split(r"^(\S+):\s+file format .*$", out, flags=re.M)
    for name, table in zip(parts[1::2], parts[2::2]):
        yield os.path.basename(name), [line for line in table.split("\n") if re.match(r"[0-9a-f]{8,} ", line)]


def check_symbol(name, line, allow_assert, banned):
    """One line of the symbol table: value, 7 flags, section, size, [visibility] name."""
    flags, rest = line.split(" ", 1)[1][:7], line.split(" ", 1)[1][7:].split()
    section, symbol = rest[0], rest[-1].split("@")[0]
    if section == "*UND*":
        if symbol in ON_REQUEST.get(name, ()):
            return
        if symbol in banned or (symbol == "__assert_fail" and not allow_assert):
            tree.found(name, 0, f"refers to {symbol}()")
        elif symbol in ALLOCATION and name != ALLOCATOR:
            tree.found(name, 0, f"refers to {symbol}() past the allocator hook")
    elif section.startswith((".tdata", ".tbss")) or ("O" in flags and re.match(r"\.(data|bss)(?!\.rel\.ro)", section)):
        if re.sub(r"\.\d+$", "", symbol) not in GLOBAL_STATE.get(name, ()):
            tree.found(name, 0, f"{symbol} is global state ({section})")


def main():
    given = tree.arguments("Checks what the library refers to.", "static", "loader", "asserts")
    n_objects = 0
    for archive in given.static, given.loader:
        for name, lines in objects(archive):
            n_objects += 1
            for line in lines:
                check_symbol(name, line, given.asserts == "yes", BANNED)
    if n_objects == 0:
        tree.found(given.static, 0, "holds no objects")
    tree.finish(f"{n_objects} objects")


if __name__ == "__main__":
    main()
