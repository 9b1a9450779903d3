#!/usr/bin/env python3
"""Runs the examples beside a private etcd and looks at what they print.

usage: tests/real/examples.py DIRECTORY-OF-THE-BUILT-EXAMPLES VERSION-OF-ETCD

An example without an entry below is a failure. "#" stands for any number, "@" for a hexadecimal one.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KV = "     {} = {}  (created at revision #, last written at #, version {})"
EXPECTED = {
    "get_put": ["written at revision #", "greeting = hello"],
    "txn_swap": ["visitor 1, written at revision #", "visitor 2, written at revision #", "visitor 3, written at revision #"],
    "list_prefix": ["a page of 10: " + " ".join(f"list/{i:02}" for i in range(10)),
                    "a page of 10: " + " ".join(f"list/{i:02}" for i in range(10, 20)),
                    "a page of 5: list/20 list/21 list/22 list/23 list/24", "all of revision #"],
    "stm_transfer": ["30 moved at revision #", "1000 not moved", "account/alice has 70", "account/bob has 30"],
    "mirror": ["mirror/a = 1", "mirror/b = 1", "revision #: put mirror/a delete mirror/b", "a copy of revision #"],
    "watch": ["watch/a is 1 now", "watch/a is 2 now", "watch/a was deleted; it was 2", "to go on later: start_revision #"],
    "snapshot": ["# bytes, verified"],
    "lock": ["locked, fencing token #", "step 1", "step 2", "step 3", "the report is written", "unlocked"],
    "elect": ["nobody leads", "alice leads", "nobody leads", "bob leads", "nobody leads"],
    "lease": ["renewed for 6 seconds, surely held", "renewed for 6 seconds, surely held",
              "the end: ETCD_ERR_LEASE_NOT_FOUND: etcdserver: requested lease not found"],
    "async": ["100 calls, 0 failed, last revision #"],
    "cancel": ["after 200 ms: ETCD_ERR_DEADLINE_EXCEEDED: context deadline exceeded (still connecting to http://127.0.0.1:#)",
               "canceled: ETCD_ERR_CANCELED: context canceled (still connecting to http://127.0.0.1:#)",
               "a write that was certainly not done", "canceled by number: ETCD_ERR_CANCELED"],
    "errors": ["A mistake in the program, found without asking the server:", "    code      ETCD_ERR_EMPTY_KEY (-201)",
               "    message   etcdserver: key is not provided: give a key, or set prefix or from_key for all keys",
               "A refusal by etcd, with a code of its own:", "    code      ETCD_ERR_KEY_NOT_FOUND (-202)",
               "    message   etcdserver: key not found", "    endpoint  http://127.0.0.1:#",
               "Codes are for switch statements and ==:", "    code      ETCD_ERR_FUTURE_REV (-210)",
               "    message   etcdserver: mvcc: required revision is a future revision", "    endpoint  http://127.0.0.1:#",
               "Nobody listens there; a deadline's message says what the connection was doing:",
               "    code      ETCD_ERR_DEADLINE_EXCEEDED (-104)",
               "    message   context deadline exceeded (last connection error: http://127.0.0.1:1: connect 127.0.0.1:1: "
               "Connection refused)", "    the same call may succeed later"],
    "demo": ["libetcd3 0.#.# speaks to etcd at http://127.0.0.1:#", "", "Write",
             "     put demo/color green   -> revision #", "     put demo/shape circle  -> revision #",
             "     put demo/size  12      -> revision #", "", "Read", KV.format("demo/color", "green ", 1), "",
             'List all keys that start with "demo/"', KV.format("demo/color", "green ", 1), KV.format("demo/shape", "circle", 1),
             KV.format("demo/size ", "12    ", 1), "     3 keys, as of revision #", "",
             'Compare and swap: demo/color becomes "blue" if it is still that of revision #',
             "     it was: swapped -> revision #", "",
             'Compare and swap: demo/color becomes "red" if it is still that of revision #',
             "     it was not: nothing changed (the store is at revision #); there is now",
             KV.format("demo/color", "blue  ", 2), "", "Take a lock, in a session that is kept alive",
             "     demo/lock/@ is held: fencing token #, surely ours for another #.# s", "", "Delete all of them, and see what was there",
             KV.format("demo/color", "blue  ", 2), KV.format("demo/shape", "circle", 1), KV.format("demo/size ", "12    ", 1),
             "     deleted 3 keys -> revision #", "", 'List all keys that start with "demo/"', "     0 keys, as of revision #",
             "", "Watch from revision # on: all of that again, in order", "     #  put    demo/color = green",
             "     #  put    demo/shape = circle", "     #  put    demo/size = 12", "     #  put    demo/color = blue",
             "     #  put    demo/lock/@ = ", "     #  delete demo/lock/@", "     #  delete demo/color", "     #  delete demo/shape",
             "     #  delete demo/size"],
}
# What is said to poll_loop, and its answer, before the next is said.
DIALOGUE = [(None, '"key value" writes, "key" reads'), ("color green", "written at revision #"), ("color", "color = green"),
            ("shape", "no such key")]


def matches(line, expected):
    return re.fullmatch(re.escape(expected).replace(r"\#", r"\d+").replace("@", "[0-9a-f]+"), line) is not None


def difference(printed, expected):
    """The first line that is not as expected, in words; None if there is none."""
    for number in range(max(len(printed), len(expected))):
        line = printed[number] if number < len(printed) else "(nothing more)"
        wanted = expected[number] if number < len(expected) else "(nothing more)"
        if line != wanted and not matches(line, wanted):
            return f"line {number + 1} is\n  {line}\ninstead of\n  {wanted}"
    return None


def beside_etcd(version, program):
    return [os.path.join(TOP, "scripts", "with-etcd"), "--version", version, program]


def run(version, program, expected):
    done = subprocess.run(beside_etcd(version, program), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    if done.returncode != 0:
        return f"ended with {done.returncode}: {done.stdout}{done.stderr}"
    return difference(done.stdout.splitlines(), expected)


def talk(version, program):
    with subprocess.Popen(beside_etcd(version, program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        for said, expected in DIALOGUE:
            if said is not None:
                process.stdin.write(said + "\n")
            answer = process.stdout.readline().rstrip("\n")
            if not matches(answer, expected):
                process.stdin.close()
                return f"{said!r} is answered with\n  {answer}\ninstead of\n  {expected}"
        process.stdin.close()
        return None if process.wait(timeout=20) == 0 else f"ended with {process.returncode}"


def main():
    directory, version = sys.argv[1:]
    names = sorted(name[:-2] for name in os.listdir(os.path.join(TOP, "examples")) if name.endswith(".c"))
    failed = 0
    for name in names:
        program = os.path.join(directory, "example_" + name)
        if name == "poll_loop":
            found = talk(version, program)
        elif name in EXPECTED:
            found = run(version, program, EXPECTED[name])
        else:
            found = "what it prints is not written down in tests/real/examples.py"
        if found:
            print(f"{name}: {found}")
            failed += 1
    print(f"{len(names)} examples on etcd {version}, {failed} failed")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
