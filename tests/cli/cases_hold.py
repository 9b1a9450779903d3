"""Golden cases: lock, elect, lease keep-alive: what holds something until a signal comes.

SPDX-License-Identifier: Apache-2.0
"""
import signal

from family import family

# The key of a session ends with its lease, which nobody saves
KEYS = ((r"\b([LMNE])/[0-9a-f]+", r"\1/<lease>"), (r'"Lease" : \d+', '"Lease" : <lease>'), (r'"lease":\d+', '"lease":<lease>'),
        (r'"key":"[\w=]+"', '"key":<key>'), (r'"Revision" : \d+', '"Revision" : <revision>'), (r'"revision":\d+', '"revision":<revision>'),
        (r'"(Create|Mod)Revision" : \d+', r'"\1Revision" : <revision>'), (r'"(create|mod)_revision":\d+', r'"\1_revision":<revision>'),
        ("ETCD_LOCK_REV=.*", "ETCD_LOCK_REV=<revision>"), (r"(^|=)/[0-9a-f]+", r"\1/<lease>"))


@family()
def lock(golden):
    for rest in ("", "--help", "L --ttl=x", "L --nonsense", "L /no/such", "L nosuchprogram", "L false", "L true", "L --ttl 0 true",
                 "L echo a 'b c'"):
        golden.run(f"lock {rest}", mask=KEYS)
    for script in ("env | grep ETCD_LOCK; exit 7", "kill -9 $$"): # the exit code was 1 in 3.4
        golden.run(f"lock L -- sh -c '{script}'", mask=KEYS, since="3.5")
    golden.run("lock L -- sh -c 'read line; echo $line'", stdin=b"said\n")
    for number in (signal.SIGINT, signal.SIGTERM):
        for output in ("simple", "fields", "json"):
            golden.live(f"lock L -w {output}", [("see", "L/|kvs"), ("kill", number)], mask=KEYS)
            golden.on_both("lock L true")
    golden.live("lock M", [("see", "M/"), ("kill", signal.SIGTERM)], pty=True, mask=KEYS)
    golden.live("lock ''", [("see", "^/"), ("kill", signal.SIGTERM)], mask=KEYS)
    golden.run("lock '' -- sh -c 'env | grep ETCD_LOCK_KEY'", mask=KEYS)
    golden.run("get '' --prefix")


@family()
def lock_wait(golden):
    """A lock that another has."""
    for side in (golden.theirs, golden.ours):
        side.holder = golden.background(side, "lock N --ttl 30", "N/")
    for number in (signal.SIGINT, signal.SIGTERM):
        for rest in ("", " echo never"):
            # Waits once its own key is there, beside the holder's
            golden.live(f"lock N{rest}", [("await", ("get N --prefix --keys-only", r"N/\w+\s+N/\w+")), ("kill", number)], mask=KEYS)
    for side in (golden.theirs, golden.ours):
        side.holder.process.send_signal(signal.SIGINT)
        golden.expect_end(side.holder, 0)
    golden.run("lock N echo mine")


@family()
def elect(golden):
    for rest in ("", "--help", "E", "E a b", "-l", "-l E a", "--listen E a b"):
        golden.run(f"elect {rest}", mask=KEYS)
    for number in (signal.SIGINT, signal.SIGTERM):
        for output in ("simple", "fields", "json"):
            golden.live(f"elect E value -w {output}", [("see", "E/|kvs"), ("kill", number)], mask=KEYS)
            golden.run("get E --prefix")
        golden.live("elect -l E", [("etcdctl", "lease list"), ("etcdctl", "put E/1 one"), ("see", "one"), ("etcdctl", "put E/1 two"), ("see", "two"),
                                   ("etcdctl", "del E/1"), ("etcdctl", "put E/2 three"), ("see", "three"), ("kill", number)], mask=KEYS)
        golden.on_both("del E --prefix")
    golden.live("elect E v", [("see", "E/"), ("kill", signal.SIGINT)], pty=True, mask=KEYS)
    golden.live("elect '' v", [("see", "^/"), ("kill", signal.SIGTERM)], mask=KEYS)
    golden.live("elect -l ''", [("etcdctl", "put /1 one"), ("see", "one"), ("kill", signal.SIGTERM)], mask=KEYS)


@family()
def elect_wait(golden):
    """A leadership that another has."""
    for side in (golden.theirs, golden.ours):
        side.holder = golden.background(side, "elect N first", "N/")
    for number in (signal.SIGINT, signal.SIGTERM):
        golden.live("elect N second", [("await", ("get N --prefix --keys-only", r"N/\w+\s+N/\w+")), ("kill", number)], mask=KEYS)
        for output in ("simple", "fields", "json"):
            golden.live(f"elect -l N -w {output}", [("see", "first|kvs"), ("kill", number)], mask=KEYS)
    for side in (golden.theirs, golden.ours):
        side.holder.process.send_signal(signal.SIGTERM)
        golden.expect_end(side.holder, 0)


@family()
def keep_alive(golden):
    for output in ("simple", "fields", "json", "json --hex", "fields --hex"):
        golden.run("lease grant 60", save=("lease", r"lease (\w+)"))
        golden.live(f"lease keep-alive {{lease}} -w {output}", [("see", "TTL"), ("kill", signal.SIGTERM)])
        golden.run("lease revoke {lease}")
    golden.run("lease grant 9", save=("lease", r"lease (\w+)"))
    golden.live("lease keep-alive {lease}", [("see", "TTL"), ("etcdctl", "lease revoke {lease}"), ("see", "expired")], mask=((r"(lease <lease> keepalived with TTL\(9\)\n)+", r"\1"),))
    golden.run("lease keep-alive {lease}")
    golden.run("lease keep-alive {lease} -w json")
