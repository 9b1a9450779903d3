#!/usr/bin/env python3
"""docs/bindings.md does what it says: its cdef is made as it shows, and its Python programs print what it shows, beside a private etcd.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys
import tempfile

import tree

PAGE = "docs/bindings.md"
CDEF = re.compile(r"^## The headers as a cdef$.*?^```sh\n(.*?)^```$", re.M | re.S)
PROGRAM = re.compile(r"^<!-- run: python(?:, continued)? -->\n```python\n(.*?)^```$\n\nIt prints\n\n```text\n(.*?)^```$", re.M | re.S)


def run(what, command, **more):
    """Runs a command; a failure is a finding. Returns its standard output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=60, **more)
    if done.returncode != 0:
        tree.found(PAGE, 0, f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def make_cdef(script, include, work):
    """The page's script, with the tree's headers instead of the installed ones."""
    script, replaced = re.subn(r"\$\(pkg-config --variable=includedir etcd3\)", include, script)
    if not replaced:
        tree.found(PAGE, 0, "the cdef does not come from the installed headers")
    run("the cdef script", ["sh", "-eu", "-c", script], cwd=work)


def main():
    given = tree.arguments("Runs the code in docs/bindings.md.", "shared")
    text = tree.read(given.root, PAGE)
    cdef, programs = CDEF.search(text), PROGRAM.findall(text)
    if not cdef or len(programs) < 2:
        tree.found(PAGE, 0, f"has {len(programs)} programs with output, and {'a' if cdef else 'no'} cdef script")
        tree.finish()
    with tempfile.TemporaryDirectory() as work:
        make_cdef(cdef.group(1), os.path.join(given.root, "include"), work)
        with open(os.path.join(work, "program.py"), "w", encoding="utf-8") as program:
            program.write("\n".join(code for code, _ in programs))
        command = [os.path.join(given.root, "scripts", "with-etcd"), sys.executable, "-B", "program.py"]
        printed = run("the Python program", command, cwd=work, env={**os.environ, "ETCD3_LIBRARY": os.path.abspath(given.shared)})
    promised = "".join(output for _, output in programs)
    if not tree.findings and printed != promised:
        tree.found(PAGE, 0, f"the programs print\n{printed}instead of\n{promised}")
    tree.finish(f"a cdef and {len(programs)} programs")


if __name__ == "__main__":
    main()
