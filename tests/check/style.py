#!/usr/bin/env python3
"""The rules of the code that a script can see: lengths, banned functions, marks of unfinished work, the licence line.

Prints the median and the 90th percentile of the functions' lengths, so that they are known.

SPDX-License-Identifier: Apache-2.0
"""
import re

import tree
from public_headers import strip_comments

MAX_FUNCTION = 100
MAX_FILE = 800
MAX_LINE = 130
MEDIAN = 15
PERCENTILE_90 = 45

BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|strtok_r|atoi|atol|atoll|atof|gmtime|localtime|"
                    r"ctime|asctime|rand|srand|alloca|gets|tmpnam|mktemp)\s*\(")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
DIRECTORIES = ["src", "include", "cli", "examples", "bench", "tests"]


def check_lines(root, path):
    text = tree.read(root, path)
    lines = text.split("\n")
    bare = strip_comments(text).split("\n")
    if len(lines) - 1 > MAX_FILE:
        tree.found(path, 0, f"{len(lines) - 1} lines, at most {MAX_FILE}")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            tree.found(path, number, f"{len(line)} columns, at most {MAX_LINE}")
        if "\t" in line or line != line.rstrip():
            tree.found(path, number, "a tab, or space at the end of a line")
        if UNFINISHED.search(line):
            tree.found(path, number, "unfinished: " + line.strip())
        banned = BANNED.search(bare[number - 1])
        if banned:
            tree.found(path, number, f"{banned.group(1)}() is banned")
    if not text.lstrip().startswith("/*"):
        tree.found(path, 1, "the first comment says what the file is for")


def check_functions(root, path, lengths):
    for name, line, length in tree.functions(tree.read(root, path)):
        lengths.append(length)
        if length > MAX_FUNCTION:
            tree.found(path, line, f"{name}() has {length} lines, at most {MAX_FUNCTION}")


def percentile(lengths, share):
    return sorted(lengths)[min(len(lengths) - 1, int(len(lengths) * share))]


def main():
    given = tree.arguments("Checks what a script can see of the rules of the code.")
    product, others = [], []
    for path in tree.sources(given.root, DIRECTORIES):
        check_lines(given.root, path)
        check_functions(given.root, path, product if path.startswith(("src/", "cli/")) else others)
    if not product:
        tree.found("src", 0, "no functions")
        tree.finish()
    median, ninety = percentile(product, 0.5), percentile(product, 0.9)
    if median > MEDIAN or ninety > PERCENTILE_90:
        tree.found("src", 0, f"functions: median {median} lines, 90th percentile {ninety}; at most {MEDIAN} and {PERCENTILE_90}")
    tree.finish(f"{len(product)} functions: median {median} lines, 90th percentile {ninety}, longest {max(product)}")


if __name__ == "__main__":
    main()
