"""Golden cases: leases.

SPDX-License-Identifier: Apache-2.0
"""
from family import family
O = ("simple", "fields", "json", "protobuf", "table", "json --hex", "simple --hex", "fields --hex")


@family()
def lease(golden):
    golden.look("lease")
    for command in ("grant", "revoke", "timetolive", "list", "keep-alive"):
        golden.look(f"lease {command} --help")
        golden.run(f"lease {command}")
        golden.run(f"lease {command} 1 2")
        golden.run(f"lease {command} xyz")
        golden.run(f"lease {command} ''")
        golden.run(f"lease {command} 1234567890123456789")
        golden.run(f"lease {command} -1")
    for a in ("grant 0", "grant -- -5", "grant 9000000001", "grant 0x10", "grant 1.5", "revoke 1234", "timetolive 1234", "timetolive 1234 --keys", "timetolive -- -5","keep-alive 1234", "keep-alive --once 1234", "timetolive 1234 --keys=x", "list extra"):
        golden.run(f"lease {a}")
    for f in O:
        golden.run(f"lease timetolive 1234 -w {f}")
        golden.run(f"lease keep-alive 1234 -w {f}")
        golden.run(f"lease list -w {f}")
        golden.run(f"lease grant 500 -w {f}")
        golden.run("lease list", save=("lease", r"\n(\w{16})"))
        golden.run("put a 'b c' --lease={lease}")
        golden.run("put 'k 2' b --lease={lease}")
        golden.run(f"lease timetolive {{lease}} -w {f}")
        golden.run(f"lease timetolive --keys {{lease}} -w {f}")
        golden.run(f"lease list -w {f}")
        golden.run(f"lease keep-alive --once {{lease}} -w {f}")
        golden.run(f"lease revoke {{lease}} -w {f}")
        golden.run(f"lease revoke {{lease}} -w {f}")
