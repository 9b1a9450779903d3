#!/usr/bin/env python3
"""The commands that etcdctl does not have: bench and status.

usage: tests/cli/additional.py ETCD3CTL VERSION-OF-ETCD

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
failures = []


def expect(what, true):
    if not true:
        failures.append(what)


def run(*arguments, **more):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, **more)


def bench():
    for op in ("put", "get", "range", "txn", "lease", "mixed"):
        done = run("bench", op, "--total", "200", "-w", "json")
        figures = json.loads(done.stdout or "{}")
        expect(f"bench {op}: {done.stdout}{done.stderr}", done.returncode == 0 and figures["op"] == op and figures["calls"] == 200
               and figures["failed"] == 0 and figures["rate"] > 0)
        times = figures["latency_ms"]
        expect(f"times of bench {op}: {times}", 0 < times["min"] <= times["p50"] <= times["p99"] <= times["max"])
    figures = json.loads(run("bench", "watch", "--total", "50", "--watchers", "3", "-w", "json").stdout)
    expect(f"bench watch: {figures}", figures["calls"] == 150 and figures["failed"] == 0)
    lines = run("bench", "put", "--total", "20", "--rate", "1000", "--open", "--conns", "2", "--csv").stdout.splitlines()
    expect(f"csv: {lines}", len(lines) == 2 and len(lines[0].split(",")) == len(lines[1].split(",")) and lines[1].startswith("put,20,0,"))
    begin = time.monotonic()
    done = run("bench", "put", "--duration", "300ms", "--rate", "100")
    expect(f"by time: {done.stdout}", done.returncode == 0 and time.monotonic() - begin >= 0.3 and "rate " in done.stdout)
    keys = run("get", "bench/", "--prefix", "--keys-only").stdout.split()
    expect("keys of bench", "bench/00000000" in keys and "bench/00000199" in keys)
    for wrong in (("--open",), ("--total", "0"), ("--clients", "0"), ("--key-size", "0")):
        expect(f"bench put {wrong}", run("bench", "put", *wrong).returncode == 128)
    done = run("bench", "put", "--total", "5", "--val-size", "3000000")
    expect(f"too large: {done.stdout}", done.returncode == 1 and "5 failed" in done.stdout)


def status(endpoints):
    done = run("status")
    expect(f"status: {done.stdout}{done.stderr}", done.returncode == 0 and done.stdout.count("leader") == 1)
    done = run("status", "--endpoints", endpoints + ",127.0.0.1:1", "--command-timeout", "1s",
               env={name: value for name, value in os.environ.items() if name != "ETCDCTL_ENDPOINTS"})
    expect(f"a member that is not there: {done.stdout}{done.stderr}", done.returncode == 1 and "no answer" in done.stdout)
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([PROGRAM, "status", "--watch", "--interval", "100ms"], stdout=subprocess.PIPE, text=True) as process:
            seen = 0
            while seen < 3:
                seen += "ENDPOINT" in process.stdout.readline()
            process.send_signal(number)
            process.communicate(timeout=30)
            expect(f"the live view ends with {process.returncode}", process.returncode == 0)


def inner():
    endpoints = os.environ["ETCD3_ENDPOINTS"]
    os.environ["ETCDCTL_ENDPOINTS"] = endpoints
    bench()
    status(endpoints)
    for failure in failures:
        print("failed:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    PROGRAM, VERSION = sys.argv[1:3]
    if "ETCD3_ENDPOINTS" in os.environ:
        sys.exit(inner())
    beside = os.path.join(TOP, "scripts", "with-etcd")
    os.execv(beside, [beside, "--version", VERSION, "--", sys.executable, "-B", os.path.abspath(__file__), PROGRAM, VERSION])
