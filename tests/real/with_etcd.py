#!/usr/bin/env python3
"""scripts/with-etcd: passes input, output and status through, and leaves nothing behind, however it ends.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WITH_ETCD = os.path.join(TOP, "scripts", "with-etcd")
failures = []


def expect(what, true):
    if not true:
        failures.append(what)


def processes(mark):
    """The processes whose command line contains the mark."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark.encode() in file.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def run(tmp, *arguments, **more):
    return subprocess.run([WITH_ETCD, *arguments], env={**os.environ, "TMPDIR": tmp}, capture_output=True, text=True, timeout=60,
                          check=False, **more)


def check_pass_through(tmp):
    done = run(tmp, "sh", "-c", "cat; echo $ETCD3_ENDPOINTS; exit 7", input="said\n")
    lines = done.stdout.splitlines()
    expect("status", done.returncode == 7)
    expect("input and output", lines[:1] == ["said"])
    expect("one endpoint", len(lines) == 2 and lines[1].startswith("http://127.0.0.1:") and "," not in lines[1])
    done = run(tmp, "--members", "3", "--", "sh", "-c", "echo $ETCD3_ENDPOINTS")
    expect("three endpoints", done.stdout.count("http://127.0.0.1:") == 3 and done.returncode == 0)


def check_refusals(tmp):
    expect("no command", run(tmp).returncode == 2)
    expect("bad members", run(tmp, "--members", "x", "true").returncode == 2)
    done = run(tmp, "--version", "9.9", "true")
    expect("unknown version", done.returncode == 125 and "9.9" in done.stderr)
    done = run(tmp, "--version", "/bin/false", "true")
    expect("an etcd that does not start", done.returncode == 125 and "did not start" in done.stderr)
    done = run(tmp, "true", **{"stdin": subprocess.DEVNULL})
    expect("settings of another etcd", done.returncode == 0)


def check_signal(tmp, which):
    """Killed in the middle of its command, which ends, too; so does etcd, and the files go."""
    with subprocess.Popen([WITH_ETCD, "sh", "-c", "echo $ETCD3_ENDPOINTS $$; exec sleep 1000"], env={**os.environ, "TMPDIR": tmp},
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        endpoint, command = process.stdout.readline().split()
        expect("etcd runs", processes(endpoint) != [])
        process.send_signal(which)
        process.wait(timeout=20)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if not processes(endpoint) and not os.path.exists(f"/proc/{command}") and not os.listdir(tmp):
                return
            time.sleep(0.02)
        expect(f"nothing is left after {which.name}: {processes(endpoint)} {os.listdir(tmp)}", False)


def main():
    os.environ["ETCD_NAME"] = "of-another-etcd"
    os.environ["ETCD_LISTEN_CLIENT_URLS"] = "nonsense"
    with tempfile.TemporaryDirectory() as tmp:
        check_pass_through(tmp)
        check_refusals(tmp)
        expect(f"nothing is left: {os.listdir(tmp)}", not os.listdir(tmp))
        for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
            check_signal(tmp, which)
    for failure in failures:
        print("failed:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
