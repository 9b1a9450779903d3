#!/usr/bin/env python3
"""The installed package: `cmake --install` into an empty place, then built against as users do, and run on a real etcd.

* staged with DESTDIR, and moved afterwards: the packages must find themselves
* every example through pkg-config (shared and static), and through find_package (shared); a C++ program through pkg-config
* every example run beside a private etcd, against the installed shared library

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import shutil
import subprocess
import tempfile

import tree

CPLUSPLUS = """
#include <etcd3/etcd.h>
#include <cstdio>
int main()
{
    etcd_client_options options;
    etcd_client *client = nullptr;
    etcd_error err;
    etcd_client_options_init(&options, sizeof options);
    options.endpoints = "127.0.0.1:1";
    if (etcd_client_new(&options, &client, &err) < 0)
        return 1;
    etcd_client_free(client);
    std::puts(etcd_version());
}
"""
STATIC_PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(etcd3 0.1 REQUIRED COMPONENTS static)
add_executable(consumer {source})
target_link_libraries(consumer etcd3::etcd3_static)
"""


def run(what, command, **more):
    """Runs a command; a failure is a finding. Returns its output, None after a failure."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **more)
    if done.returncode != 0:
        tree.found(what, 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return None
    return done.stdout


def install(build, work):
    """Installs below a stage and moves the result; returns its prefix."""
    prefix = os.path.join(work, "prefix")
    run("install", ["cmake", "--install", build, "--prefix", "/opt/etcd3"], env={**os.environ, "DESTDIR": os.path.join(work, "stage")})
    os.rename(os.path.join(work, "stage", "opt", "etcd3"), prefix)
    return prefix


def check_files(root, prefix):
    for header in os.listdir(os.path.join(root, "include", "etcd3")):
        if not os.path.exists(os.path.join(prefix, "include", "etcd3", header)):
            tree.found("install", 0, f"{header} is not installed")
    for pattern in ("lib/libetcd3.a", "lib/libetcd3.so", "lib/libetcd3.so.0", "lib/pkgconfig/etcd3.pc",
                    "lib/cmake/etcd3/etcd3Config.cmake", "share/man/man3/etcd_put.3", "share/man/man1/etcd3ctl-get.1",
                    "share/bash-completion/completions/etcd3ctl"):
        if not glob.glob(os.path.join(prefix, pattern)):
            tree.found("install", 0, f"{pattern} is not installed")
    # Without any environment, as test frameworks start it.
    run("etcd3ctl", [os.path.join(prefix, "bin", "etcd3ctl"), "version"], env={})


def pkg_config(prefix, *arguments):
    env = {**os.environ, "PKG_CONFIG_PATH": os.path.join(prefix, "lib", "pkgconfig")}
    return (run("pkg-config", ["pkg-config", *arguments, "etcd3"], env=env) or "").split()


def build_with_pkg_config(prefix, examples, work):
    """Builds the examples; returns the programs that use the shared library."""
    cflags, libs, static = (pkg_config(prefix, *a) for a in (["--cflags"], ["--libs"], ["--libs", "--static"]))
    static = ["-l:libetcd3.a" if flag == "-letcd3" else flag for flag in static]
    programs = []
    for source in examples:
        program = os.path.join(work, os.path.basename(source)[:-2])
        if run(source, ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", *cflags, source, "-o", program, *libs, "-pthread"]) is not None:
            programs.append(program)
        run(source, ["gcc", "-std=gnu11", *cflags, source, "-o", program + "-static", *static, "-pthread"])
    if shutil.which("g++"):
        source = os.path.join(work, "program.cc")
        with open(source, "w", encoding="utf-8") as text:
            text.write(CPLUSPLUS)
        if run("C++", ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", *cflags, source, "-o", source[:-3], *libs]) is not None:
            run("C++", [source[:-3]], env={**os.environ, "LD_LIBRARY_PATH": os.path.join(prefix, "lib")})
    return programs


def build_with_cmake(root, prefix, examples, work):
    built = os.path.join(work, "cmake-examples")
    if run("find_package", ["cmake", "-S", os.path.join(root, "examples"), "-B", built, f"-DCMAKE_PREFIX_PATH={prefix}"]) is not None:
        run("find_package", ["cmake", "--build", built])
    project = os.path.join(work, "static-project")
    os.mkdir(project)
    with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as text:
        text.write(STATIC_PROJECT.format(source=examples[0]))
    built = os.path.join(work, "cmake-static")
    if run("find_package static", ["cmake", "-S", project, "-B", built, f"-DCMAKE_PREFIX_PATH={prefix}"]) is not None:
        run("find_package static", ["cmake", "--build", built])


def run_examples(root, prefix, programs):
    """All of them beside one etcd; an example ends with 0 and says something."""
    env = {**os.environ, "LD_LIBRARY_PATH": os.path.join(prefix, "lib")}
    for program in programs:
        command = [os.path.join(root, "scripts", "with-etcd"), program]
        out = run(os.path.basename(program), command, env=env, stdin=subprocess.DEVNULL, timeout=60)
        if out is not None and not out.strip() and os.path.basename(program) != "poll_loop":
            tree.found(os.path.basename(program), 0, "printed nothing")


def main():
    given = tree.arguments("Checks the installed package.", "build")
    examples = sorted(glob.glob(os.path.join(given.root, "examples", "*.c")))
    if not examples:
        tree.found("examples", 0, "there are none")
        tree.finish()
    with tempfile.TemporaryDirectory() as work:
        prefix = install(os.path.abspath(given.build), work)
        check_files(given.root, prefix)
        programs = build_with_pkg_config(prefix, examples, work)
        build_with_cmake(given.root, prefix, examples, work)
        run_examples(given.root, prefix, programs)
    tree.finish(f"{len(examples)} examples built three ways and run")


if __name__ == "__main__":
    main()
