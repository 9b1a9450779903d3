"""Reads the public headers: which functions they declare, and the comment of each declaration.

Understands the form that this project writes (see CONTRIBUTING.md), not C in general: a doc comment /** ... */ stands directly
before what it describes; declarations that follow one another without a comment or an empty line in between share it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import textwrap

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCLUDE = os.path.join(TOP, "include", "etcd3")

FUNCTION = re.compile(r"\b(etcd_\w+)\s*\(")


class Declaration:
    """One or more things that share a comment. kind: function, struct, enum, typedef, macro."""

    def __init__(self, kind, names, code, doc):
        self.kind, self.names, self.code, self.doc = kind, names, code, doc


class Header:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-2]
        with open(path, encoding="utf-8") as text:
            self.text = text.read()
        self.intro = clean_comment(re.match(r"\s*/\*(.*?)\*/", self.text, re.S).group(1))
        self.declarations = list(parse(self.text))

    def functions(self):
        return [name for d in self.declarations if d.kind == "function" for name in d.names]


def all_headers():
    return [Header(os.path.join(INCLUDE, name)) for name in sorted(os.listdir(INCLUDE)) if name.endswith(".h")]


def exported_functions(directory=INCLUDE):
    """The functions that are declared with ETCD_EXPORT, by a search that is independent of parse()."""
    found = set()
    for name in os.listdir(directory):
        if name.endswith(".h"):
            with open(os.path.join(directory, name), encoding="utf-8") as text:
                code = strip_comments(text.read())
            found.update(FUNCTION.search(d).group(1) for d in re.findall(r"^ETCD_EXPORT\s[^;{]*;", code, re.M))
    return found


def strip_comments(code):
    """Blanks comments and string and character literals, keeping line breaks."""
    def blank(match):
        text = match.group(0)
        if text[0] in "\"'":
            return text[0] * 2
        return re.sub(r"[^\n]", " ", text)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, code, flags=re.S)


def clean_comment(comment):
    """The text of a comment without its frame; indentation beyond the frame stays."""
    first, _, rest = comment.strip("*").strip().partition("\n")
    rest = textwrap.dedent("\n".join(re.sub(r"^\s*\*", "", line) for line in rest.split("\n")))
    return (first + "\n" + rest).strip()


def parse(text):
    """Yields the declarations of a header in order."""
    doc = None
    position = re.match(r"\s*/\*.*?\*/", text, re.S).end()
    while position < len(text):
        rest = text[position:]
        if rest[0].isspace():
            if rest.startswith("\n\n") or rest.startswith("\n \n"):
                doc = None
            position += 1
        elif rest.startswith("/**") and not rest.startswith("/**<"):
            end = rest.index("*/")
            doc = clean_comment(rest[3:end])
            position += end + 2
        elif rest.startswith("/*"):
            position += rest.index("*/") + 2
        elif rest[0] == "#":
            end = re.match(r"(?:[^\n\\]|\\.|\\\n)*", rest, re.S).end()
            macro = re.match(r"#define\s+(ETCD_[A-Z0-9_]+\b(?:\([^)]*\))?)", rest)
            if macro and doc:
                yield Declaration("macro", [macro.group(1)], rest[:end], doc)
            position += end
        elif rest.startswith('extern "C"') or rest[0] == "}":
            position += rest.index("\n")
        else:
            end = declaration_end(rest)
            yield from describe(rest[:end], doc)
            position += end
    return


def declaration_end(code):
    """The position behind the ';' that ends the declaration at the start of `code`."""
    depth = 0
    for match in re.finditer(r"/\*.*?\*/|[{};]", code, re.S):
        if match.group(0) == "{":
            depth += 1
        elif match.group(0) == "}":
            depth -= 1
        elif match.group(0) == ";" and depth == 0:
            return match.end()
    raise ValueError("declaration without end: " + code[:60])


def describe(code, doc):
    bare = strip_comments(code)
    if code.startswith("ETCD_EXPORT"):
        yield Declaration("function", [FUNCTION.search(bare).group(1)], code.replace("ETCD_EXPORT ", "", 1), doc)
        return
    kind = "typedef"
    name = re.search(r"(?:\(\*(\w+)\)\s*\([^)]*\)|(\w+))\s*;$", bare)
    tag = re.match(r"(?:typedef\s+)?(struct|enum)\s+(\w+)\s*\{", bare)
    if tag:
        kind = tag.group(1)
    names = [tag.group(2)] if tag else [name.group(1) or name.group(2)]
    yield Declaration(kind, names, code, doc)
