"""Golden cases: leases.

SPDX-License-Identifier: Apache-2.0
"""
from family import OUTPUTS, family

# What is left of a lease when it is asked
LEFT = ((r'(remaining\(|"ttl":|"TTL" : |keepalived with TTL\()(4[5-9]\d|500)', r"\1<left>"),)


@family()
def lease_errors(golden):
    golden.look("lease")
    for command in ("grant", "revoke", "timetolive", "list", "keep-alive"):
        golden.look(f"lease {command} --help")
        golden.look(f"lease {command} 1 2")
        golden.look(f"lease {command} -1")
        if command != "list":
            for argument in ("", "xyz", "''", "1234567890123456789"):
                golden.look(f"lease {command} {argument}")
    for rest in ("grant 9000000001", "grant 0x10", "grant 1.5", "revoke 1234", "timetolive 1234", "timetolive 1234 --keys",
                 "timetolive -- -5", "keep-alive 1234", "keep-alive --once 1234", "timetolive 1234 --keys=x", "list extra",
                 "keep-alive 1234 --once=2", "grant 100 -w nonsense"):
        golden.look(f"lease {rest}")
    for output in OUTPUTS:
        golden.look(f"lease timetolive 1234 -w {output}", since="3.6" if output == "fields --hex" else "3.4") # decimal until 3.5
        golden.look(f"lease keep-alive 1234 -w {output}")
        golden.look(f"lease list -w {output}")


@family()
def lease(golden):
    golden.run("lease grant 0", save=("short", r"lease (\w+)"))
    golden.run("lease grant -- -5", save=("shorter", r"lease (\w+)"))
    golden.await_both("lease list", r"^found 0 leases\n$") # a second, or what the machine makes of it
    for output in OUTPUTS:
        golden.run("lease grant 500", save=("lease", r"lease (\w+)"))
        golden.run("put a 'b c' --lease={lease}")
        golden.run("put 'k 2' b --lease={lease}")
        golden.run(f"lease timetolive {{lease}} -w {output}", mask=LEFT)
        golden.run(f"lease timetolive --keys {{lease}} -w {output}", mask=(*LEFT, (r"\[k 2 a\]", "[a k 2]")), unordered=True)
        golden.run(f"lease list -w {output}")
        golden.run(f"lease keep-alive --once {{lease}} -w {output}", mask=LEFT)
        # Without "protobuf of it": there is none, and the message has an address in it
        golden.run(f"lease revoke {{lease}} -w {output}", streams=("stdout",))
        golden.run(f"lease revoke {{lease}} -w {output}")
    golden.run("lease grant 500 -w json", save=("one", r'"ID":(\d+)'))
    golden.run("lease grant 500 -w fields", save=("two", r'"ID" : (\d+)'))
    golden.run("lease grant 500 -w fields --hex", save=("three", r'"ID" : (\w+)'))
    golden.run("lease list", unordered=True)
    golden.run("lease grant 500 -w table")
    golden.run("lease grant 500 -w protobuf")
