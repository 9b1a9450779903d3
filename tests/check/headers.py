#!/usr/bin/env python3
"""The public headers, as their readers see them.

* Each compiles alone, in C11 and in C++11, with all warnings, by every compiler that is there.
* Preprocessed with ETCD_EXPORT defined as nothing they load as a cdef in cffi, and the shared library has what they declare (--shared).
* Every function, struct and enum has a comment; every function says since when it is there.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess
import tempfile

import tree
import public_headers

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Wconversion", "-Werror", "-fsyntax-only"]
LANGUAGES = [("c", "-std=c11", ["-Wstrict-prototypes"], ["gcc", "clang"]), ("c++", "-std=c++11", [], ["g++", "clang++"])]


def compile_alone(include, names):
    """Returns how many compilers had a look."""
    tried = 0
    for language, standard, more, compilers in LANGUAGES:
        for compiler in filter(shutil.which, compilers):
            tried += 1
            for name in names:
                code = f"#include <etcd3/{name}.h>\n#include <etcd3/{name}.h>\n"
                run = subprocess.run([compiler, "-x", language, standard, *WARNINGS, *more, "-I", include, "-"], input=code,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
                if run.returncode != 0:
                    tree.found(f"include/etcd3/{name}.h", 0, f"{compiler} {standard}:\n{run.stdout}")
    return tried


def preprocessed(include):
    """<etcd3/etcd.h> as a cdef: the standard headers are empty, as cffi knows their types."""
    with tempfile.TemporaryDirectory() as empty:
        for name in ("stdbool.h", "stddef.h", "stdint.h"):
            with open(os.path.join(empty, name), "w", encoding="utf-8"):
                pass
        command = ["gcc", "-E", "-P", "-nostdinc", "-isystem", empty, "-I", include, "-DETCD_EXPORT=",
                   os.path.join(include, "etcd3", "etcd.h")]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def check_cffi(include, shared, functions):
    import cffi  # pylint: disable=import-outside-toplevel

    ffi = cffi.FFI()
    try:
        ffi.cdef(preprocessed(include))
    except (cffi.CDefError, cffi.FFIError) as error:
        tree.found("include/etcd3", 0, f"cffi: {error}")
        return
    library = ffi.dlopen(shared)
    for name in sorted(functions):
        try:
            getattr(library, name)
        except AttributeError as error:
            tree.found("include/etcd3", 0, f"cffi: {error}")
    if not tree.findings:
        options = ffi.new("etcd_get_options *")
        library.etcd_get_options_init(options, ffi.sizeof("etcd_get_options"))
        if options.size != ffi.sizeof("etcd_get_options"):
            tree.found("include/etcd3", 0, "cffi: etcd_get_options_init() did not set the size")
        if ffi.string(library.etcd_error_name(-1)) != b"ETCD_ERR_ARGUMENT":
            tree.found("include/etcd3", 0, "cffi: etcd_error_name(-1) is not ETCD_ERR_ARGUMENT")


def check_comments(headers):
    for header in headers:
        path = f"include/etcd3/{header.name}.h"
        if "SPDX-License-Identifier: Apache-2.0" not in header.intro:
            tree.found(path, 1, "the first comment names no licence")
        for declaration in header.declarations:
            name = declaration.names[0]
            if declaration.kind == "function" and not declaration.doc:
                tree.found(path, 0, f"{name}() has no comment")
            elif declaration.kind == "function" and "Since" not in declaration.doc.split():
                tree.found(path, 0, f"{name}() does not say since when it is there")


def main():
    given = tree.arguments("Checks the public headers.", "shared")
    include = os.path.join(given.root, "include")
    names = [os.path.splitext(name)[0] for name in sorted(os.listdir(os.path.join(include, "etcd3")))]
    headers = [public_headers.Header(os.path.join(include, "etcd3", name + ".h")) for name in names]
    functions = public_headers.exported_functions(os.path.join(include, "etcd3"))
    parsed = [name for header in headers for name in header.functions()]
    if sorted(parsed) != sorted(functions):
        tree.found("scripts/public_headers.py", 0, f"reads other functions than there are: {set(parsed) ^ set(functions)}")
    tried = compile_alone(include, names)
    check_comments(headers)
    check_cffi(include, given.shared, functions)
    tree.finish(f"{len(names)} headers, {tried} compilers, {len(functions)} functions")


if __name__ == "__main__":
    main()
