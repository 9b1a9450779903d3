#!/usr/bin/env python3
"""OpenSSL is loaded at the first use of TLS: what etcd3ctl and the shared library link, and what happens where OpenSSL is missing.

usage: tests/cli/openssl.py ETCD3CTL LIBETCD3.SO

Where it is missing: a copy of the library that asks for a file, or for a function, that nobody has. etcd3ctl takes the copy, as
LD_LIBRARY_PATH goes before its RUNPATH.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile

from beside import run_tests

MISSING = "OpenSSL cannot be loaded (Debian has it in libssl3, Fedora in openssl-libs): libssl.so.0: cannot open shared object file: " \
    "No such file or directory"
UNFIT = "OpenSSL cannot be used: libssl.so.3 has no SSL_wrote; "


def expect(what, true):
    if not true:
        raise AssertionError(what)


def run(program, *arguments, **more):
    environment = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **more}
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment)


def here(program, *arguments, **more):
    """On the server of the test, in the clear."""
    return run(program, "--endpoints", os.environ["ETCD3_ENDPOINTS"], *arguments, **more)


def copy_of(library, old, new, directory):
    """Puts a copy of the library there that has other bytes; returns the environment in which a program takes it."""
    with open(library, "rb") as text:
        whole = text.read()
    expect(f"{old} is in {library}", old in whole)
    with open(os.path.join(directory, "libetcd3.so.0"), "wb") as out:
        out.write(whole.replace(old, new))
    return {"LD_LIBRARY_PATH": directory}


def test_neither_links_openssl(program, library):
    for path in program, library:
        lines = subprocess.run(["readelf", "--dynamic", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        needed = [line for line in lines.split("\n") if "(NEEDED)" in line]
        expect(f"{path} needs something: {lines}", needed)
        expect(f"{path}: {needed}", not any("ssl" in line or "crypto" in line for line in needed))


def test_packagers_are_told(_, library):
    with tempfile.TemporaryDirectory() as directory:
        note = os.path.join(directory, "note")
        subprocess.run(["objcopy", "--dump-section", f".note.dlopen={note}", library, os.path.join(directory, "copy")], check=True)
        with open(note, "rb") as text:
            name_size, size, kind, name = struct.unpack("=III4s", text.read(16))
            text = text.read(size)
    expect(f"{name_size} {name} {kind:x}", (name_size, name, kind) == (4, b"FDO\0", 0x407C0C0A))
    entries = json.loads(text.rstrip(b"\0"))
    expect(entries, [entry["soname"] for entry in entries] == [["libssl.so.3"], ["libcrypto.so.3"]])


def test_plain_calls_do_not_load_it(program, _):
    with tempfile.TemporaryDirectory() as directory:
        output = os.path.join(directory, "files")
        for words, loads in ((("put", "key", "value"), False), (("get", "key"), False),
                             (("snapshot", "save", os.path.join(directory, "saved")), True)):
            done = here(program, *words, LD_DEBUG="files", LD_DEBUG_OUTPUT=output)
            expect(f"{words}: {done.stderr}", done.returncode == 0)
            seen = ""
            for path in glob.glob(output + ".*"):
                with open(path, encoding="utf-8") as text:
                    seen += text.read()
                os.remove(path)
            expect(f"{words} loads what it needs", "libnghttp2.so" in seen)
            expect(f"{words} loads OpenSSL: {not loads}", ("libssl.so" in seen) == loads and ("libcrypto.so" in seen) == loads)


def test_without_it_there_is_no_tls(program, library):
    with tempfile.TemporaryDirectory() as directory:
        for old, new, words in ((b"libssl.so.3\0", b"libssl.so.0\0", MISSING), (b"\0SSL_write\0", b"\0SSL_wrote\0", UNFIT)):
            environment = copy_of(library, old, new, directory)
            done = run(program, "--endpoints", "https://127.0.0.1:1", "get", "key", **environment)
            expect(f"get: {done}", done.returncode == 128 and done.stdout == "" and done.stderr.startswith("Error: " + words))
            saved = os.path.join(directory, "saved")
            done = here(program, "snapshot", "save", saved, **environment)
            expect(f"snapshot save: {done}", done.returncode == 5 and done.stderr.startswith("Error: " + words))
            expect("nothing is saved", glob.glob(saved + "*") == [])
            done = here(program, "put", "key", "value", **environment)
            expect(f"put in the clear: {done}", (done.returncode, done.stdout) == (0, "OK\n"))
            done = here(program, "get", "key", **environment)
            expect(f"get in the clear: {done}", (done.returncode, done.stdout) == (0, "key\nvalue\n"))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    run_tests(globals(), *(os.path.abspath(path) for path in sys.argv[1:]))


if __name__ == "__main__":
    main()
