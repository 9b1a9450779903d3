"""Runs the tests of a program beside a private etcd (scripts/with-etcd): its functions test_*.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WITH_ETCD = os.path.join(TOP, "scripts", "with-etcd")


def run_tests(functions, *arguments, only=()):
    """Calls those of `functions`, a module's globals(), with the arguments, and ends the program. The first time without a server:
    then it is started again, with one."""
    if "ETCD3_ENDPOINTS" not in os.environ:
        os.execv(WITH_ETCD, [WITH_ETCD, "--", sys.executable, "-B", os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    tests = {name[5:]: function for name, function in functions.items() if name.startswith("test_")}
    failed = 0
    for name in only or tests:
        try:
            tests[name](*arguments)
            print(f"ok      {name}")
        except AssertionError as error:
            print(f"FAILED  {name}: {error}")
            failed += 1
    sys.exit(1 if failed else 0)
