"""Golden cases: on a terminal, where stdout and stderr are one and passwords are asked for without showing them.

SPDX-License-Identifier: Apache-2.0
"""
from family import family

# etcdctl asks stty about the terminal, which takes it some time; what was typed before is echoed there
ASKED = ("see", r"Password of \w+: ")
AGAIN = ("see", r"confirmation: ")


def typed(*words):
    """Each word once it was asked for, with a moment for the echo to be off."""
    steps = []
    for prompt, word in zip((ASKED, AGAIN), words):
        steps += [prompt, ("silent", None), ("say", word + "\n")]
    return steps


@family()
def terminal(golden):
    golden.live("user add alice", typed("secret", "secret"), pty=True)
    golden.live("user add bob", typed("secret", "other"), pty=True)
    golden.live("user add carol", typed(""), pty=True)
    golden.live("user passwd alice", typed("better", "better"), pty=True)
    golden.live("user passwd nobody", typed("better", "better"), pty=True)
    golden.live("user add dave --interactive=false", [("say", "word\n")], pty=True)
    golden.on_both("user add root:root")
    golden.on_both("auth enable")
    golden.live("user list --user root", [("see", "Password: "), ("silent", None), ("say", "root\n")], pty=True)
    golden.live("user list --user root", [("see", "Password: "), ("silent", None), ("say", "wrong\n")], pty=True)
    golden.live("get a --user alice", [("see", "Password: "), ("silent", None), ("say", "better\n")], pty=True)
    golden.live("get a --user alice:better", [], pty=True)
    golden.live("auth disable --user root:root", [], pty=True)


@family()
def terminal_txn(golden):
    """Interactive transactions."""
    golden.live("txn -i", [("see", "compares:"), ("say", "\n"), ("see", "success requests"), ("say", "put a bc\nget a\n\n"),
                           ("see", "failure requests"), ("say", "\n")], pty=True)
    golden.live("txn --interactive", [("see", "compares:"), ("say", 'value("a") = "bc"\n\n'), ("see", "success requests"), ("say", "get a\n\n"),
                                      ("see", "failure requests"), ("say", "del a\n\n")], pty=True)
    golden.live("txn -i", [("see", "compares:"), ("say", "nonsense\n")], pty=True)
    golden.live("txn -i", [("see", "compares:"), ("say", "\n"), ("see", "success requests"), ("say", "\x04")], pty=True)
