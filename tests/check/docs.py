#!/usr/bin/env python3
"""The C code in README.md, docs/ and CONTRIBUTING.md compiles, and the pages' links lead somewhere.

A block marked ```c is compiled against the public headers: as a file when it defines functions or main, else as the body of a
function in which `client` and `err` are declared. A comment line in front of the block declares more:

    <!-- declare: int64_t revision = 0; -->

Shell blocks (```sh) are looked at for make targets, which must be there.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess

import tree

HEADERS = """
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
"""
FRAME = """
void fragment(etcd_client *client);
void fragment(etcd_client *client)
{{
    etcd_error err;
    (void)client, (void)err;
{declarations}
{code}
}}
"""
FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-Wno-unused-variable", "-Wno-unused-function",
         "-Wno-unused-but-set-variable", "-Wno-missing-prototypes", "-Wno-maybe-uninitialized"]
BLOCK = re.compile(r"^(?:<!-- declare: (?P<declarations>.*?) -->\n+)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")


def compile_block(include, code, declarations):
    """The compiler's complaints, or nothing."""
    if not re.search(r"^(static )?\w[\w *]*\([^;]*\)\n?\{|^#include|^typedef|^struct", code, re.M):
        code = FRAME.format(declarations=declarations or "", code=code)
    run = subprocess.run(["gcc", "-x", "c", *FLAGS, "-I", include, "-c", "-o", os.devnull, "-"], input=HEADERS + code, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.stdout if run.returncode != 0 else ""


def check_page(root, path, targets):
    """Returns how many blocks of C the page has."""
    text = tree.read(root, path)
    n_blocks = 0
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("code")) + 1
        if block.group("language") == "c":
            n_blocks += 1
            complaints = compile_block(os.path.join(root, "include"), block.group("code"), block.group("declarations"))
            if complaints:
                tree.found(path, line, "does not compile:\n" + complaints)
        elif block.group("language") in ("sh", "shell", "bash"):
            for target in re.findall(r"\bmake ([a-z][a-z-]*)", block.group("code")):
                if target not in targets:
                    tree.found(path, line, f"there is no make target {target}")
    for link in LINK.finditer(text):
        target = os.path.normpath(os.path.join(root, os.path.dirname(path), link.group(1)))
        if link.group(1) and not os.path.exists(target):
            tree.found(path, text.count("\n", 0, link.start()) + 1, f"{link.group(1)} is not there")
    return n_blocks


def main():
    given = tree.arguments("Compiles the code in the documentation.")
    targets = set(re.findall(r"^([a-z]+):", tree.read(given.root, "Makefile"), re.M))
    top = [name for name in sorted(os.listdir(given.root)) if name.endswith(".md")]
    pages = top + tree.sources(given.root, ["docs"], (".md",))
    if "README.md" not in pages:
        tree.found("README.md", 0, "is missing")
    n_blocks = sum(check_page(given.root, path, targets) for path in pages)
    if n_blocks == 0:
        tree.found("README.md", 0, "shows no C code")
    tree.finish(f"{len(pages)} pages, {n_blocks} blocks of C")


if __name__ == "__main__":
    main()
