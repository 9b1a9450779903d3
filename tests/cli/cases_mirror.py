"""Golden cases: make-mirror, from one prefix to another of the same cluster.

SPDX-License-Identifier: Apache-2.0
"""
import signal

from family import family


@family()
def mirror(golden):
    for rest in ("", "--help", "a b", "127.0.0.1:1 --no-dest-prefix --dest-prefix x"):
        golden.run(f"make-mirror {rest}", since="3.7")
    golden.run("make-mirror {ep0} --dest-cert x", since="3.7")
    for words in ("put a/1 one", "put a/2 'two words'", "put c/1 a/1"):
        golden.on_both(words)
    golden.live("make-mirror {ep0} --prefix a/ --dest-prefix b/", [
        ("await", ("get b/ --prefix", "b/2")), ("etcdctl", "put a/3 three"), ("await", ("get b/3", "three")), ("etcdctl", "put a/3 more"),
        ("await", ("get b/3", "more")), ("etcdctl", "del a/1"), ("await", ("get b/ --prefix --keys-only", r"^b/2\s+b/3\s+$")),
        ("kill", signal.SIGTERM)])
    golden.live("make-mirror {ep0} --prefix a/ --no-dest-prefix", [("await", ("get 3", "more")), ("kill", signal.SIGTERM)])
    golden.live("make-mirror {ep0} --prefix a/ --dest-prefix d/ --rev 3", [("await", ("get d/3", "more")), ("kill", signal.SIGTERM)], since="3.6")
    golden.run("get '' --prefix")
    golden.on_both("compaction 5")
    golden.live("make-mirror {ep0} --prefix a/ --dest-prefix e/ --rev 3", [], since="3.6")
