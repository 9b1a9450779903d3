"""Golden cases: alarms, defragmentation, snapshots, downgrades, checks.

SPDX-License-Identifier: Apache-2.0
"""
import time

from family import DURATIONS, OUTPUTS, family


@family()
def alarm(golden):
    golden.look("alarm")
    golden.look("alarm list --help")
    golden.look("alarm disarm --help")
    golden.formats("alarm list", formats=("simple", "json", "protobuf", "table"))
    golden.look("alarm list -w fields", since="3.5") # a panic in 3.4
    golden.formats("alarm disarm", formats=("simple", "json", "protobuf", "table"))
    golden.look("alarm disarm -w fields", since="3.7") # a panic until 3.6
    golden.look("alarm list extra")
    golden.look("alarm disarm extra")


@family()
def defrag(golden):
    golden.formats("defrag", mask=DURATIONS)
    golden.look("defrag --cluster", mask=DURATIONS)
    golden.look("defrag extra", mask=DURATIONS)
    golden.look("defrag --help")
    golden.look("defrag --endpoints={ep0},127.0.0.1:1 --command-timeout=2s", mask=DURATIONS)


@family(since="3.6")
def downgrade(golden):
    golden.look("downgrade")
    for command in ("validate", "enable", "cancel"):
        golden.look(f"downgrade {command} --help")
        golden.run(f"downgrade {command}")
        golden.run(f"downgrade {command} ''")
        golden.run(f"downgrade {command} x")
        golden.run(f"downgrade {command} 3.1.0")
        golden.run(f"downgrade {command} 3.1.0 2")
    for output in OUTPUTS:
        while not enable_and_cancel(golden, output):
            pass


def enable_and_cancel(golden, output):
    """False when it is to be done again: a clockwork of the servers that strikes each 4 s makes the version of a cluster the lower one
    while a downgrade is enabled, and raises it again once it is canceled; it struck in one of the clusters meanwhile."""
    before, begin = len(golden.failures), time.monotonic()
    possible = golden.at_least("3.7")
    if possible:
        golden.await_both("downgrade validate 3.6.0", "success")
    golden.run(f"downgrade validate 3.6.0 -w {output}")
    golden.run(f"downgrade enable 3.6.0 -w {output}")
    if output in ("json", "fields"):
        golden.run(f"endpoint status -w {output}", mask=((r'.*"downgradeInfo"', ""), (r'"(DB|Raft|Storage).*', "")))
    golden.run(f"downgrade cancel -w {output}")
    if not possible or len(golden.failures) == before:
        return True
    struck = any(done.code != 0 for done in golden.try_both("downgrade validate 3.6.0")) or time.monotonic() - begin > 3
    if not struck or golden.repeated >= 20:
        return True
    golden.repeated += 1
    del golden.failures[before:]
    return False


@family()
def check(golden):
    golden.look("check")
    golden.look("check perf --help")
    golden.look("check datascale --help")
    golden.look("check perf --load nonsense")
    golden.look("check datascale --load nonsense")
    golden.look("check perf extra --load=x")
    for command, differs in (("perf", {"3.4": "the command in the text has no quotes"}), ("datascale", None)):
        golden.on_both(f"put /etcdctl-check-{command}/there x")
        golden.on_both(f"put mine/{command} x")
        golden.look(f"check {command}", differs=differs)
        golden.look(f"check {command} --prefix mine/ --load xl --auto-compact --auto-defrag", differs=differs)
    golden.run("get '' --prefix")


@family()
def snapshot(golden):
    golden.look("snapshot")
    golden.look("snapshot save --help")
    golden.look("snapshot save", since="3.6")
    golden.look("snapshot save a b", since="3.6")
    golden.look("snapshot save {dir}/x --endpoints={ep0},127.0.0.1:1")
    golden.look("snapshot save {dir}/no/such/place")
    golden.look("snapshot save {dir}/s.db")
    golden.look("snapshot save {dir}/s.db -w json")
    golden.look("snapshot save {dir}/s2.db --endpoints=127.0.0.1:1 --command-timeout=300ms --dial-timeout=200ms")
    golden.look("snapshot status {dir}/s.db", since="3.6")
    golden.look("snapshot restore {dir}/s.db", since="3.6")


@family(since="3.7")
def check_datascale(golden):
    """The smallest load: 10,000 writes. etcdctl shows its progress on stderr, wherever that goes."""
    golden.run("check datascale --auto-compact --auto-defrag", streams=("stdout",), mask=((r": -?\d+\.\d+ MB", ": <size> MB"),))
    golden.look("get '' --prefix -w json")
