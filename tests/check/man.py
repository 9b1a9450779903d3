#!/usr/bin/env python3
"""The man pages: every function and type has one, and mandoc finds no fault with them.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys
import tempfile

import tree
import public_headers


def lint(directory):
    pages = sorted(os.listdir(directory))
    run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"] + [os.path.join("man3", page) for page in pages],
                         cwd=os.path.dirname(directory), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    for line in run.stdout.split("\n"):
        if line and ".so is fragile" not in line:
            tree.found("man", 0, line)


def check_references(directory, functions):
    """Each function's page shows how it is called."""
    for name in sorted(functions):
        path = os.path.join(directory, name + ".3")
        if not os.path.exists(path):
            tree.found("man", 0, f"{name}(3) is missing")
            continue
        with open(path, encoding="utf-8") as page:
            text = page.read()
        reference = re.match(r"\.so man3/(\S+)\n", text)
        if reference:
            with open(os.path.join(directory, reference.group(1)), encoding="utf-8") as page:
                text = page.read()
        if f".Fo {name}\n" not in text:
            tree.found("man", 0, f"{name}(3) does not show how it is called")


def main():
    given = tree.arguments("Checks the man pages.")
    include = os.path.join(given.root, "include", "etcd3")
    with tempfile.TemporaryDirectory() as work:
        directory = os.path.join(work, "man3")
        subprocess.run([sys.executable, os.path.join(given.root, "scripts", "gen-man"), "--version", "test", "--output", directory] +
                       [os.path.join(include, name) for name in sorted(os.listdir(include))], check=True)
        lint(directory)
        check_references(directory, public_headers.exported_functions(include))
        n_pages = len(os.listdir(directory))
    tree.finish(f"{n_pages} pages")


if __name__ == "__main__":
    main()
