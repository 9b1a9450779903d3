"""Golden cases: finding a cluster through DNS, with --discovery-srv and what belongs to it.

SPDX-License-Identifier: Apache-2.0
"""
from cases_tls import SLOW
from family import DURATIONS, family
from names import NameServer
from tls import Server, make_certificates

# What fails need not take long
SOON = "--dial-timeout 300ms --command-timeout 300ms"
TLS, PLAIN = "_etcd-client-ssl._tcp.", "_etcd-client._tcp."


def fill(golden):
    """The domains: plain, two, elsewhere (with TLS), both, empty, broken; all else does not exist."""
    side, names = golden.theirs, NameServer()
    port = side.values["port0"]
    make_certificates(golden.directory.name)
    with_tls = Server(golden.directory.name, "elsewhere", None, side.values["ep0"]).port
    side.mask(str(with_tls), "<tls>")
    for host in ("m0.plain.example", "one.example", "two.example", "elsewhere.example", "m0.elsewhere.example"):
        names.add_host(host)
    names.add_service(PLAIN + "plain.example", "m0.plain.example", port)
    names.add_service("_etcd-client-blue._tcp.plain.example", "one.example", port)
    names.add_service(PLAIN + "two.example", "one.example", port, priority=1)
    names.add_service(PLAIN + "two.example", "two.example", port, priority=2)
    names.add_service(TLS + "elsewhere.example", "elsewhere.example", with_tls)
    names.add_service("_etcd-client-ssl-green._tcp.elsewhere.example", "one.example", with_tls)
    names.add_service(TLS + "both.elsewhere.example", "elsewhere.example", with_tls)
    names.add_service(PLAIN + "both.elsewhere.example", "m0.elsewhere.example", port)
    names.add_host(TLS + "empty.example")
    names.add_host(PLAIN + "empty.example")
    names.fail(TLS + "broken.example")
    names.fail(PLAIN + "broken.example")


@family(own_network=True)
def discovery(golden):
    fill(golden)
    golden.on_both("put a b")
    for rest in ("-d plain.example", "--discovery-srv=plain.example", "-d plain.example --discovery-srv-name blue", "-d two.example",
                 "-d plain.example.", "-d plain.example --discovery-srv-name ''", "-d plain.example --insecure-discovery=true", "-d ''",
                 "-d nosuch.example", "-d plain.example --discovery-srv-name red", "-d empty.example", "-d broken.example"):
        golden.look(f"get a {rest}")
    golden.look("get a", env={"ETCDCTL_DISCOVERY_SRV": "plain.example", "ETCDCTL_DISCOVERY_SRV_NAME": "blue"})
    golden.look("get a -d nosuch.example --endpoints {ep0}")
    golden.look("get a -d plain.example --endpoints 127.0.0.1:1")
    for rest in ("endpoint health", "endpoint health -w json", "endpoint hashkv", "member list", "defrag", "move-leader {id_m0}"):
        golden.look(f"{rest} -d two.example", mask=DURATIONS, unordered=rest.startswith("endpoint health"))
    golden.look("snapshot save {dir}/x -d two.example")
    # Since 3.5 a server is to have the name of its own record, not the domain's
    ca = "--cacert {dir}/ca.crt"
    golden.look(f"get a -d elsewhere.example {ca} {SLOW}")
    golden.look(f"get a -d elsewhere.example {ca} --insecure-discovery=false {SLOW}")
    golden.look(f"get a -d elsewhere.example --discovery-srv-name green {ca} {SOON}")
    golden.look(f"get a -d elsewhere.example --discovery-srv-name green {ca} --insecure-discovery=false {SOON}", since="3.5")
    golden.look(f"get a -d elsewhere.example {SOON}")
    golden.look(f"get a -d both.elsewhere.example {ca} --insecure-discovery=false {SLOW}", since="3.5")
    golden.look("get a -d plain.example --insecure-discovery=false --endpoints 127.0.0.1:1 --command-timeout 300ms")
