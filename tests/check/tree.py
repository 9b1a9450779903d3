"""What the checks share: where things are, how a finding is reported, how C sources are read.

A check collects findings and ends with finish(): each finding is one line "path:line: what", and any finding is a failure. All of
them take --root DIRECTORY, so that selftest.py can point them at a tree with planted defects.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts"))

findings = []


def arguments(description, *more):
    """Parses --root and the options named in `more`, which all take a value; paths become absolute."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(HERE)))
    for name in more:
        parser.add_argument("--" + name, required=True)
    given = parser.parse_args()
    given.root = os.path.abspath(given.root)
    return given


def found(path, line, what):
    findings.append(f"{path}:{line}: {what}" if line else f"{path}: {what}")


def finish(summary=""):
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} found")
        sys.exit(1)
    print(summary or "nothing found")
    sys.exit(0)


def sources(root, directories, endings=(".c", ".h")):
    """Paths of the sources below some directories of the tree, relative to its root, sorted."""
    paths = []
    for directory in directories:
        for base, _, names in os.walk(os.path.join(root, directory)):
            paths += [os.path.relpath(os.path.join(base, name), root) for name in names if name.endswith(endings)]
    return sorted(paths)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as text:
        return text.read()


def functions(code):
    """Yields (name, first line, number of lines) of each function definition: from its first line to its closing brace.

    Relies on the form of this project: the opening and the closing brace stand alone at the start of a line.
    """
    lines = code.split("\n")
    start, opened = 0, None
    for number, line in enumerate(lines):
        if line == "{":
            opened = number
            name = signature_name("\n".join(lines[start:number]))
        elif line == "}" and opened is not None:
            first = opened
            while first > start and lines[first - 1].strip() and not ends_something_else(lines[first - 1]):
                first -= 1
            yield name, first + 1, number - first + 1
            start, opened = number + 1, None


def ends_something_else(line):
    """Whether a line directly before a function's first line belongs to what comes before it."""
    return line.startswith(("#", "}")) or line.endswith(("*/", ";"))


def signature_name(text):
    last = text.strip().rsplit("\n\n", 1)[-1]
    return last.split("(", 1)[0].replace("*", " ").split()[-1] if "(" in last else "?"
