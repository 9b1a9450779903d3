#!/usr/bin/env python3
"""The completion scripts, in the shells that they are for: what is typed on a terminal, with tabs in it, and the words that come of it.

usage: tests/cli/completion.py ETCD3CTL bash|zsh|fish

The shell finds a program of the tool's name that hands requests for candidates on to the tool, and otherwise shows its arguments.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shlex
import shutil
import stat
import sys
import tempfile

from terminal import Terminal

# What is typed behind the program's name; the arguments that it gets
LINES = (("endp\the\t", "endpoint", "health"),
         ("vers\t", "version"),
         ("get --pref\tfoo", "get", "--prefix", "foo"),
         ("get foo -w js\t", "get", "foo", "-w", "json"),
         ("get foo --write-out=js\t", "get", "foo", "--write-out=json"),
         ("get --order DESC\tfoo", "get", "--order", "DESCEND", "foo"),
         ("--command-time\t1s endp\tsta\t", "--command-timeout", "1s", "endpoint", "status"),
         ("role grant\tr", "role", "grant-permission", "r"),
         ("compl\tfi\t", "completion", "fish"),
         ("snapshot sa\ta_fi\t", "snapshot", "save", "a_file"))
SHELLS = {"bash": (["--norc", "--noprofile", "-i"], "PS1='READY''> '; source {script}"),
          "zsh": (["-f", "-i"], "PS1='READY''> '; autoload -Uz compinit; compinit -u -D; source {script}"),
          "fish": (["--no-config", "-i"], "function fish_prompt; echo -n 'READY''> '; end; set -g fish_autosuggestion_enabled 0; source {script}")}
WRAPPER = """#!/bin/sh
[ "$1" = __complete ] && exec {program} "$@"
printf 'SHOWN'
printf '<%s>' "$@"
echo
"""


def prepare(directory, program, shell):
    """The program, and the script that is tested."""
    wrapper = os.path.join(directory, "etcd3ctl")
    with open(wrapper, "w", encoding="utf-8") as file:
        file.write(WRAPPER.format(program=shlex.quote(os.path.abspath(program))))
    os.chmod(wrapper, stat.S_IRWXU)
    script = os.path.join(directory, "script")
    if os.system(f"{shlex.quote(program)} completion {shell} > {shlex.quote(script)}") != 0:
        raise SystemExit("no script")
    with open(os.path.join(directory, "a_file"), "w", encoding="utf-8"):
        pass
    return script


def main():
    program, shell = sys.argv[1:]
    if shutil.which(shell) is None:
        print(f"[  SKIPPED ] there is no {shell}")
        return
    arguments, first = SHELLS[shell]
    with tempfile.TemporaryDirectory(prefix="completion-") as directory:
        script = prepare(directory, program, shell)
        os.chdir(directory)
        terminal = Terminal(shutil.which(shell), arguments, {
            "PATH": directory + ":" + os.environ["PATH"], "HOME": directory, "TERM": "dumb", "XDG_CONFIG_HOME": directory, "XDG_DATA_HOME": directory,
            "LC_ALL": "C.UTF-8", "INPUTRC": "/dev/null"})
        terminal.type(first.format(script=shlex.quote(script)).encode() + b"\r")
        for typed, *words in LINES:
            terminal.expect(b"READY> ")
            terminal.seen = b""
            terminal.type(f"etcd3ctl {typed}\r".encode())
            terminal.expect(b"SHOWN<")
            terminal.expect(b">\r\n")
            shown = terminal.seen[terminal.seen.index(b"SHOWN<"):].split(b"\r\n")[0].decode()
            if shown != "SHOWN" + "".join(f"<{word}>" for word in words):
                raise SystemExit(f"{typed!r} became {shown}")
            terminal.seen = terminal.seen[terminal.seen.index(b"SHOWN<"):]
        terminal.type(b"exit\r")
        terminal.finish()
    print(f"{len(LINES)} lines completed by {shell}")


if __name__ == "__main__":
    main()
