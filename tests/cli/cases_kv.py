"""Golden cases: keys and values, transactions, and the command line itself.

SPDX-License-Identifier: Apache-2.0
"""
import re
import urllib.request

from family import OUTPUTS, family


def fill(golden):
    golden.on_both("put foo 'bar<&>'")
    for key, value in (("k1", "v1"), ("k2", "v2"), ("k2", "v2 again"), ("k3", ""), ("sp ace", "x \"y\" \\z"), ("line\nfeed", "a\tb\x01"),
                       ("é", "日本 ½ "), ("k0", "zz")):
        golden.on_both(["put", key, value])
    golden.on_both("put bin", b"\xff\x00\xfe\xc3(\xe2\x80\xa8\n")


@family()
def get(golden):
    fill(golden)
    for output in OUTPUTS:
        if output != "table":  # which etcdctl does not have for it
            golden.run(f"get '' --prefix -w {output}")
            golden.run(f"get nosuch -w {output}")
            golden.run(f"get k1 k3 --limit 1 -w {output}")
            golden.run(f"get k1 --keys-only -w {output}")
    for rest in ("'' --from-key --limit 2", "k2 --from-key", "k --prefix --keys-only", "k --prefix --print-value-only", "k1 k3",
                 "k1 --rev 3", "k --prefix --order DESCEND", "k --prefix --order descend --sort-by MODIFY",
                 "k --prefix --sort-by version --order ASCEND", "k --prefix --sort-by VALUE --order ASCEND",
                 "k --prefix --sort-by create --order DESCEND --limit 2", "k --prefix --sort-by key", "k1 --consistency s",
                 "k1 --limit -1", "k1 --limit=0x1", "-- k1", "k1 ''", "'' ''"):
        golden.run(f"get {rest}")
    for rest in ("k --prefix --min-mod-rev 4", "k --prefix --max-mod-rev 4", "k --prefix --min-create-rev 5 -w json",
                 "k --prefix --max-create-rev 4 -w fields", "k --prefix --min-mod-rev 4 --max-mod-rev 5"):
        golden.run(f"get {rest}", since="3.6")
    for rest in ("--count-only -w fields", "--count-only", "--count-only -w json", "--count-only --keys-only",
                 "--count-only --print-value-only"):
        golden.run(f"get k --prefix {rest}", since="3.5")
    golden.run("get k --prefix --stream", since="3.7")
    golden.run("get k --prefix --stream -w json", since="3.7")


def streams(golden):
    """How many streams of ranges the server has been asked for."""
    with urllib.request.urlopen(f"http://{golden.theirs.values['ep0']}/metrics", timeout=60) as answer:
        found = re.search(r'grpc_server_started_total\{[^}]*"RangeStream"[^}]*\} (\d+)', answer.read().decode())
    return int(found[1])


@family(since="3.7")
def get_stream(golden):
    """More keys than come in a page. The server streams them to both tools."""
    golden.start(golden.ours, golden.theirs, ["bench", "put", "--total", "4000", "--val-size", "10"], b"", {})
    for output in ("simple", "fields", "json", "protobuf", "json --hex"):
        golden.look(f"get bench/ --prefix --stream -w {output}")
    golden.look("get '' --from-key --stream --keys-only")
    golden.look("get bench/00000003 bench/00000010 --stream --rev 100")
    golden.look("get bench/00000003 --stream --consistency s")
    golden.look("get bench/ --prefix --stream --limit 3000 --print-value-only")
    before = streams(golden)
    if golden.start(golden.ours, golden.theirs, ["get", "", "--prefix", "--stream"], b"", {}).code != 0 or streams(golden) <= before:
        golden.failures.append("etcd3ctl get --stream is no stream")


@family()
def get_errors(golden):
    fill(golden)
    for rest in ("", "--limit", "--limit=x", "--limit=99999999999999999999", "--limit=1_0", "--limit=", "k1 --prefix=maybe", "k1 k2 --prefix",
                 "k1 --prefix --from-key", "k1 k2 --prefix --from-key", "''", "k1 --rev 100000", "k1 --rev -1", "k --order bogus",
                 "k --sort-by bogus", "k --order bogus --sort-by bogus", "k --consistency x", "k --consistency ''",
                 "k --order bogus --consistency x", "k1 --print-value-only -w json", "k1 --print-value-only -w fields", "k1 -w bogus",
                 "-w bogus", "k1 -w ''", "k1 --bogus", "k1 -z", "k1 -zw", "k1 ---x", "k1 --=x", "k1 -w"):
        golden.look(f"get {rest}")
    for rest in ("--min-mod-rev 5 --max-mod-rev 3", "--min-create-rev 5 --max-create-rev 3"):
        golden.look(f"get k1 {rest}", since="3.6")


@family()
def put(golden):
    golden.run("put a 1")
    for output in OUTPUTS:
        golden.run(f"put a 2 --prev-kv -w {output}")
        golden.run(f"put a 3 -w {output}")
    golden.run("put a", stdin=b"value of stdin\nand more\n")
    golden.run("get a -w json")
    golden.run(["put", "big"], stdin=b"0123456789abcdef" * 8192)
    golden.run("get big")
    golden.run("put empty ''")
    golden.run("put a --ignore-value")
    golden.run("put a 4 --ignore-lease")
    golden.run("put -- -a -b")
    golden.run("get -- -a")
    golden.run("put a 5 --lease 0")
    golden.run("put a --prev-kv 6")
    golden.look("put a 1 --max-request-bytes=3", since="3.6")
    golden.look("get big --max-recv-bytes=1000", since="3.6")
    golden.run("--write-out json put a 7 --prev-kv")


@family()
def put_errors(golden):
    for rest in ("", "a", "a x --lease zz", "a x --lease 77", "a x --lease fffffffffffffffff", "a x --lease", "a x --ignore-value",
                 "nosuch --ignore-value", "nosuch x --ignore-lease", "a x --ignore-lease --lease 5", "'' x", "a -b"):
        golden.look(f"put {rest}")


@family()
def delete(golden):
    for key in ("a", "b", "c", "d1", "d2", "e", "f", "g", "h", "i"):
        golden.on_both(f"put {key} 'value of {key}'")
    for key, output in zip("abcefghi", OUTPUTS):
        golden.run(f"del {key} --prev-kv -w {output}")
        golden.run(f"del {key} --prev-kv -w {output}")
    golden.run("del d --prefix --prev-kv")
    golden.run("put a 1")
    golden.run("del '' --from-key")
    for rest in ("", "a b c", "a b --prefix", "a --prefix --from-key", "''", "a --bogus"):
        golden.look(f"del {rest}")
    golden.run("put a 1")
    golden.run("put b 1")
    golden.run("del a c --range", since="3.6")
    golden.run("del a c", since="3.6")
    golden.run("put a 1")
    golden.run("del a '' --range", since="3.6")
    golden.run("del '' '' --range", since="3.6")


@family()
def compaction(golden):
    for number in range(20):
        golden.on_both(f"put a {number}")
    for number, output in enumerate(OUTPUTS, 2):
        golden.run(f"compaction {number} -w {output}")
    golden.run("compact 12")
    golden.run("compaction 13 --physical")
    golden.run("get a --rev 5")
    for rest in ("", "x", "1 2", "100000", "13", "-1", "0x10", "99999999999999999999", "15 -w bogus"):
        golden.look(f"compaction {rest}")


@family()
def txn(golden):
    golden.on_both("put foo 'bar<&>'")
    golden.on_both("put k v")
    everything = b'ver("foo") > "0"\nmod("foo") > "0"\n\nget foo\nput k 2 --prev-kv\ndel zz --prev-kv\n\nget foo\n\n'
    for output in OUTPUTS:
        golden.run(f"txn -w {output}", stdin=everything)
        golden.run(f"txn -w {output}", stdin=b'ver("foo") = "0"\n\nput a b\n\nget foo --prefix\nget nosuch\n\n')
    for block in (b'val("foo") = "bar<&>"', b'c("foo") > "0"\nm("foo") > "0"\ncreate("foo") > "0"\nvalue("foo") > "a"\nversion("foo") < "9"',
                  b'ver( "foo") > "1"', b' ver("foo")  >  "1"  ', b'ver(`foo`) > `1`', b'ver("foo") != "1" more', b'ver("\\x66oo") > "0"',
                  b'val("foo") != "a\\tb"', b'ver("nosuch") = "0"', b'ver("foo") = "-1"', b""):
        golden.run("txn", stdin=block + b"\n\nget foo\n\n\n")
    for line in (b"put 'a b' \"c\\td\"", b"put a c\"d\"e", b'put a "b', b"put 'it''s' x", b'put "a"b', b"get '' --prefix --limit 1"):
        golden.run("txn", stdin=b"\n" + line + b"\n\n\n", since="3.5")
    for line in (b'put a\\ b c', b"put a b # c", b"put a b --", b"  get   foo  ", b"g foo", b"p x y", b"d x", b"get foo --keys-only", b"get foo\r",
                 b"get foo --print-value-only", b"put k --ignore-value", b"get foo --sort-by mod --order descend", b"\t"):
        golden.run("txn", stdin=b"\n" + line + b"\n\n\n")
    golden.run("get '' --prefix")
    golden.run("txn -i", stdin=everything)
    golden.run("txn --interactive", stdin=b"\n\n\n")
    golden.run("txn", stdin=b"\n\n\nno more is read")


@family()
def txn_errors(golden):
    for block in (b"bogus", b'bogus("a") = "x"', b'ver(a) = "x"', b'ver("a") = x', b'ver("a") = "x"', b'ver("a")="1"', b'ver("a") >"1"',
                  b'ver( "a" ) > "1"', b'ver ("a") > "1"', b'VER("a") > "1"', b'ver("a" > "1"', b'ver("a") > 1', b'ver("foo") = "0x1"',
                  b'("a") = "1"', b'ver("a") =', b'ver("a")', b'ver(', b'ver("a\\q") = "1"', b'c("a") = ""', b'm("a") = "99999999999999999999"'):
        golden.look("txn", stdin=block + b"\n\n\n\n")
    for line in (b"bogus", b"bogus x", b"get", b"get --bogus x", b"get foo -w json", b"put a", b'put "\\q" x', b"get a --order x",
                 b"get a --prefix --from-key", b"put q 1\nput q 2", b"put q 1 --lease zz", b"put q 1 --lease 77", b"del a b c", b"watch foo",
                 b"put a b --ignore-value", b"get a --limit=x", b"get a b --prefix"):
        golden.look("txn", stdin=b"\n" + line + b"\n\n\n")
    golden.look("txn", stdin=b"\nput '' x\n\n\n", since="3.5")
    for stdin in (b"", b'ver("a") > "1"', b"\n", b"\n\n", b"\n\nget a"):
        golden.look("txn", stdin=stdin)
    golden.look("txn x")
    golden.look("txn -x")


@family()
def command_line(golden):
    golden.on_both("put foo bar")
    for words in ("bogus", "gt", "xyz", "'a\"b'", "ge", "get -h", "put --bogus", "del -z", "compaction -h", "mem", "lea", "lease bogus", "-- get foo", "get foo -wjson",
                  "get foo -w=json", "get foo -w json -w simple", "-w json get foo", "-wfields get foo", "--consistency s get foo",
                  "--prefix get foo", "--prefix=true get foo", "get -- foo", "get foo --command-timeout=1q",
                  "get foo --command-timeout=1", "get foo --command-timeout=x", "get foo --command-timeout ''", "get foo --command-timeout=1h2m3.5s",
                  "get foo --dial-timeout=0s", "get foo --keepalive-time=x", "get foo --hex=maybe", "get foo --hex=1", "get foo --cert ''",
                  "get foo --key=''", "get foo --cacert ''", "get foo --endpoints {ep0},{ep0}", "get foo --endpoints {ep0} --endpoints {ep0}",
                  "get foo --endpoints ' {ep0} '", "get foo --endpoints {ep0},", "get foo --endpoints ,,{ep0}", "get foo --endpoints 'a\"b'", "get foo --endpoints http://{ep0}", "version --bogus",
                  "version -h extra", "txn --interactive=x"):
        golden.look(words)
    golden.look("get foo --endpoints ''", env={"ETCDCTL_ENDPOINTS": None})
    for words in ("options", "options x", "completion", "completion x", "completion a b", "help bogus", "help get", "help lease grant"):
        golden.look(words, since="3.7")


@family()
def environment(golden):
    golden.on_both("put foo bar")
    for name, value in (("WRITE_OUT", "json"), ("WRITE_OUT", "bogus"), ("WRITE_OUT", ""), ("HEX", "true"), ("HEX", "nonsense"),
                        ("COMMAND_TIMEOUT", "7s"), ("COMMAND_TIMEOUT", "7"), ("BOGUS", "x"), ("BOGUS", ""), ("API", "3"), ("LIMIT", "1"),
                        ("INSECURE_TRANSPORT", "true"), ("DIAL_TIMEOUT", "0s"), ("ENDPOINTS", "{ep0},{ep0}")):
        golden.look("get foo", env={"ETCDCTL_" + name: value})
    golden.look("get foo -w json", env={"ETCDCTL_WRITE_OUT": "json"})
    golden.look("get foo -w json", env={"ETCDCTL_WRITE_OUT": ""})
    golden.look("version --bogus", env={"ETCDCTL_WRITE_OUT": "bogus"})
    golden.look("get", env={"ETCDCTL_WRITE_OUT": "bogus"})


@family()
def unreachable(golden):
    for words in ("get foo", "put a b", "del a", "compaction 5", "get foo -w json"):
        golden.look(f"{words} --endpoints 127.0.0.1:1 --command-timeout 300ms")
    golden.look("get foo --endpoints 127.0.0.1:1,127.0.0.1:2 --command-timeout 300ms")
    golden.look("get foo --endpoints http://127.0.0.1:1 --command-timeout 300ms")
    for timeout in ("0s", "-5s"):
        golden.look(f"put a b --command-timeout={timeout}")
        golden.look(f"get a --command-timeout={timeout}")
    golden.look("get foo --cacert nosuch")
    golden.look("get foo --cert nosuch --key nosuch")
    golden.look("get foo --cert nosuch")
    golden.look("get foo --key nosuch")
