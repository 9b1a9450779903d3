"""Golden cases: TLS, with certificates that are made for the run.

SPDX-License-Identifier: Apache-2.0
"""
from family import family
from tls import Server, make_certificates

# A machine may be slow; what fails need not take long
SLOW = "--dial-timeout 40s --command-timeout 40s"
SOON = "--dial-timeout 1s --command-timeout 1s"


@family()
def tls(golden):
    directory = golden.directory.name
    make_certificates(directory)
    for side in (golden.theirs, golden.ours):
        for name, certificate, client_ca in (("tls", "server", None), ("mutual", "server", "ca"), ("elsewhere", "elsewhere", None)):
            server = Server(directory, certificate, client_ca, side.values["ep0"])
            side.values[name] = f"https://127.0.0.1:{server.port}"
            side.mask(str(server.port), f"<{name}>")
    for words in ("put a b", "get a -w json", "get a", "member list"):
        golden.run(f"{words} --endpoints {{tls}} --cacert {{dir}}/ca.crt {SLOW}")
    golden.run(f"get a --endpoints {{tls}} --insecure-skip-tls-verify {SLOW}", since="3.6") # did not by itself turn TLS on
    golden.run(f"get a --endpoints {{tls}} --insecure-skip-tls-verify --insecure-transport=false {SLOW}")
    golden.run(f"get a --endpoints {{elsewhere}} --insecure-skip-tls-verify --cacert {{dir}}/ca.crt {SLOW}")
    golden.run(f"get a --endpoints {{tls}} --cacert {{dir}}/other.crt {SOON}")
    golden.run(f"get a --endpoints {{tls}} {SOON}")
    golden.run(f"get a --endpoints {{elsewhere}} --cacert {{dir}}/ca.crt {SOON}")
    both = "--cert {dir}/client.crt --key {dir}/client.key"
    golden.run(f"get a --endpoints {{mutual}} --cacert {{dir}}/ca.crt {both} {SLOW}")
    golden.run(f"get a --endpoints {{mutual}} --insecure-skip-tls-verify {both} {SLOW}")
    golden.run(f"get a --endpoints {{mutual}} {SLOW}", env={"ETCDCTL_CACERT": "{dir}/ca.crt", "ETCDCTL_CERT": "{dir}/client.crt",
                                                            "ETCDCTL_KEY": "{dir}/client.key"})
    golden.run(f"get a --endpoints {{mutual}} --cacert {{dir}}/ca.crt {SOON}")
    golden.run(f"get a --endpoints {{mutual}} --cacert {{dir}}/ca.crt --cert {{dir}}/other.crt --key {{dir}}/other.key {SOON}")
    for rest in ("--cacert {dir}/nosuch", "--cert {dir}/client.crt", "--key {dir}/client.key", "--cert {dir}/nosuch --key {dir}/client.key"):
        golden.run(f"get a --endpoints {{tls}} {rest} {SOON}")
    # What is wrong within a file is told in our own words
    for rest in ("--cacert {dir}/ca.key", "--cert {dir}/client.crt --key {dir}/other.key", "--cert {dir}/ca.key --key {dir}/ca.key"):
        golden.run(f"get a --endpoints {{tls}} {rest} {SOON}", streams=("stdout",))
