#!/usr/bin/env python3
"""What the libraries show to the world.

* The shared library exports exactly the functions that the headers declare with ETCD_EXPORT, which are those of src/etcd3.map.
* Every global symbol of the static library starts with etcd_.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess

import tree
import public_headers


def nm(*arguments):
    """Names of symbols as nm prints them, with their versions and types."""
    out = subprocess.run(["nm", "--format=posix", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line.split()[:2] for line in out.split("\n") if len(line.split()) >= 2]


def compare(what, have, want):
    for name in sorted(set(want) - set(have)):
        tree.found(what, 0, f"{name} is missing")
    for name in sorted(set(have) - set(want)):
        tree.found(what, 0, f"{name} is not declared in a public header")


def main():
    given = tree.arguments("Compares the exports with the headers.", "shared", "static")
    declared = public_headers.exported_functions(os.path.join(given.root, "include", "etcd3"))
    if not declared:
        tree.found("include/etcd3", 0, "declares nothing")
    listed = re.findall(r"^\s+(etcd_\w+);", tree.read(given.root, "src/etcd3.map"), re.M)
    compare("src/etcd3.map", listed, declared)
    if listed != sorted(set(listed)):
        tree.found("src/etcd3.map", 0, "is not sorted, or names a function twice")
    exported = [name.split("@")[0] for name, kind in nm("-D", "--defined-only", given.shared) if kind != "A"]
    compare(os.path.basename(given.shared), exported, declared)
    for name, kind in nm("--defined-only", "--extern-only", given.static):
        if not name.startswith("etcd_") and not kind.endswith(":"):
            tree.found(os.path.basename(given.static), 0, f"{name} is global and does not start with etcd_")
    tree.finish(f"{len(declared)} functions are declared, listed and exported")


if __name__ == "__main__":
    main()
