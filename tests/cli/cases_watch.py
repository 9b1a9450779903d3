"""Golden cases: watches.

SPDX-License-Identifier: Apache-2.0
"""
import signal

from family import family

SCRIPT = "env | grep ^ETCD_WATCH_ | sort"


def fill(golden):
    for words in ("put a 1", "put a 2", "put b 'x y'", "del a", r"put c '\"q\"'", "put 'k 1' v"):
        golden.on_both(words)


def watching(golden, arguments, last, **more):
    """A watch of what has happened, which is ended when it has printed the last of it."""
    golden.live(f"watch {arguments}", [("see", last), ("kill", signal.SIGTERM)], **more)


# The ends of what is printed: a command must not be ended in the middle of it
DELETED = r"DELETE\n(a|\\x61)\n\n"
DELETED_OLD = r"DELETE\n(a|\\x61)\n(2|\\x32)\n(a|\\x61)\n\n"
ENDS = {"simple": DELETED_OLD, "simple --hex": DELETED_OLD, "fields": r'Type" : DELETE(.|\n)*"Key"(.|\n)*"Lease" : 0\n', "json": r"\}\n",
        "protobuf": r"\x18\x03 \x02\*\x012$"}


@family()
def watch(golden):
    fill(golden)
    for rest in ("", "--help", "a --rev x", "--rev", "a b --prefix", "--", "a --", "-- echo", "--nonsense a", "a --interactive=maybe"):
        golden.run(f"watch {rest}")
    for output, end in ENDS.items():
        watching(golden, f"a c --rev 2 --prev-kv -w {output}", end)
    golden.live("watch a --rev 2 -w table", [])
    watching(golden, "a '' --rev 2", DELETED)
    watching(golden, "'' --prefix --rev 2", r"k 1\nv\n")
    watching(golden, "a z ignored --rev 2", DELETED)
    watching(golden, "--rev 2 a -- echo X", r"X\nX\nX\n")
    watching(golden, f"a --rev 2 -- sh -c '{SCRIPT}'", r'DELETE"(.|\n)*VALUE=""\n')
    watching(golden, f"'k 1' --rev 2 -- sh -c '{SCRIPT}'", r"VALUE=.*\n")
    golden.live("watch foo --rev 1 bar -- echo", [])
    golden.live("watch a --rev 2 -- sh -c 'exit 3'", [])
    golden.live("watch a --rev 2 -- sh -c 'kill -9 $$'", [])
    golden.live("watch a --rev 2 -- /no/such", [])
    golden.live("watch a --rev 2 -- nosuchprogram", [])
    golden.live("watch live", [("until", ("put live x", r"live\nx\n")), ("kill", signal.SIGTERM)], mask=((r"(PUT\nlive\nx\n)+(PUT\n(live\n)?)?", "PUT\nlive\nx\n"),))
    golden.on_both("compaction 5")
    for output in ENDS:
        golden.live(f"watch a --rev 1 -w {output}", [])


@family()
def watch_environment(golden):
    fill(golden)
    golden.run("watch x", env={"ETCDCTL_WATCH_KEY": "a"})
    golden.run("watch x", env={"ETCDCTL_WATCH_RANGE_END": "a"})
    golden.run("watch", env={"ETCDCTL_WATCH_RANGE_END": "a"})
    golden.run("watch -- echo", env={"ETCDCTL_WATCH_RANGE_END": "a"})
    golden.run("watch --prefix", env={"ETCDCTL_WATCH_KEY": "a", "ETCDCTL_WATCH_RANGE_END": "c"})
    golden.run("watch --", env={"ETCDCTL_WATCH_KEY": "a"})
    watching(golden, "--rev 2", DELETED, env={"ETCDCTL_WATCH_KEY": "a", "ETCDCTL_WATCH_RANGE_END": "b"})
    watching(golden, "--rev 2 -- echo Y", r"Y\nY\nY\n", env={"ETCDCTL_WATCH_KEY": "a"})


def lines(golden, pairs, **more):
    """Each line in an interactive watch of its own; stdin ends when the end of its answer was seen."""
    for line, seen in pairs:
        golden.live("watch -i", [("say", line + "\n"), ("see", seen), ("close", None)], **more)


@family()
def watch_interactive(golden):
    fill(golden)
    lines(golden, ((line, r"Invalid command.*\n") for line in (
        "nonsense", "nonsense x", "", "watch", "wat a", "watch a --prefix b", "watch -- echo", "watch --rev 1 -- echo")))
    lines(golden, (("watch a --rev 2", DELETED), ("watch b --rev 2 -- echo HI", r"HI\n"), ('watch b --rev 2 -- sh -c "echo HO"', r"HO\n"),
                   ("watch a --rev=2 --prev-kv", DELETED_OLD)))
    # Quotes and white space count since 3.5
    lines(golden, ((" watch  a  --rev  2 ", DELETED), ("watch 'a' --rev 2", DELETED), ('watch "a" --rev=2', DELETED),
                   ("watch '' --prefix --rev 2", r"k 1\nv\n"), ("watch a b c d --rev 2", DELETED)), since="3.5")
    for line in ("watch --bad a", "watch a -w json", "watch --help", "watch a --", "watch a --rev x"):
        golden.live("watch -i", [("say", line + "\n")])
    golden.live("watch -i", [("say", "watch a --rev 2\n"), ("see", DELETED), ("say", "progress\n"), ("see", r"progress notify.*\n"),
                             ("say", "watch b --rev 2\n"), ("see", r"x y\n"), ("close", None)])
    for output, end in (("json", r"\}\n"), ("fields", r'RaftTerm" : \d+\n')):
        golden.live(f"watch -i -w {output}", [("say", "watch b --rev 2\n"), ("see", end), ("say", "progress\n"),
                                              ("see", "progress notify(.|\n)*" + end), ("close", None)])
    golden.live("watch -i", [("say", "watch a --rev 2\n"), ("see", r"DELETE\r\na\r\n\r\n"), ("say", "watch b --rev 2\n"), ("see", r"x y\r\n"), ("say", "no\n"),
                             ("see", r"only support.*\n"), ("say", "\x04")], pty=True)
    golden.live("watch -i", [("say", "unfinished"), ("close", None)])
    golden.on_both("compaction 5")
    golden.live("watch -i", [("say", "watch a --rev 1\n"), ("see", r"canceled.*\n"), ("close", None)])
