#!/usr/bin/env python3
"""etcd3ctl on a terminal: prompts of transactions and passwords, what is shown of binary values, and pipes that close.

usage: tests/cli/terminal.py ETCD3CTL [TEST...]

Runs beside a private etcd (scripts/with-etcd). Every wait is for something to appear on the terminal, with a bound that only a
failure reaches.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WITH_ETCD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "with-etcd")
PATIENCE_S = 60


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, program, arguments, environment=None):
        self.master, slave = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen([program, *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={"PATH": os.environ["PATH"], "ETCDCTL_ENDPOINTS": os.environ["ETCD3_ENDPOINTS"],
                                             "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **(environment or {})})
        os.close(slave)

    def read(self, wait_s):
        """What came; b"" at the end or when nothing did in time."""
        if not select.select([self.master], [], [], wait_s)[0]:
            return b""
        try:
            data = os.read(self.master, 65536)
        except OSError:  # how a terminal says that nobody holds its other end
            data = b""
        self.seen += data
        return data

    def expect(self, text):
        end = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            if not self.read(max(0, end - time.monotonic())):
                raise AssertionError(f"{text!r} did not appear: {self.seen!r}")

    def type(self, text):
        os.write(self.master, text)

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def finish(self):
        """Reads to the end; returns the exit status."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.read(max(0, end - time.monotonic())):
            pass
        os.close(self.master)
        return self.process.wait(PATIENCE_S)


def equal(got, expected):
    if got != expected:
        raise AssertionError(f"{got!r} instead of {expected!r}")


def plain(program, *arguments, stdin=b""):
    return subprocess.run([program, *arguments], input=stdin, env={"PATH": os.environ["PATH"],
                          "ETCDCTL_ENDPOINTS": os.environ["ETCD3_ENDPOINTS"]}, capture_output=True, timeout=PATIENCE_S, check=False)


def test_interactive_transaction(program):
    terminal = Terminal(program, ["txn", "-i"])
    terminal.expect(b"compares:\r\n")
    terminal.type(b'ver("nosuch") = "0"\r\r')
    terminal.expect(b"success requests (get, put, del):\r\n")
    terminal.type(b"put terminal 'a value'\r\r")
    terminal.expect(b"failure requests (get, put, del):\r\n")
    terminal.type(b"\r")
    terminal.expect(b"SUCCESS\r\n\r\nOK\r\n")
    equal(terminal.finish(), 0)
    equal(plain(program, "get", "terminal").stdout, b"terminal\na value\n")


def test_interactive_transaction_that_is_left(program):
    terminal = Terminal(program, ["txn", "-i"])
    terminal.expect(b"compares:\r\n")
    terminal.type(b"\x04")
    terminal.expect(b"Error: EOF\r\n")
    equal(terminal.finish(), 3)


def test_value_from_the_terminal(program):
    terminal = Terminal(program, ["put", "typed"])
    terminal.type(b"one\rtwo\r\x04")
    terminal.expect(b"OK\r\n")
    equal(terminal.finish(), 0)
    equal(plain(program, "get", "typed", "--print-value-only").stdout, b"one\ntwo\n\n")


def test_password_without_echo(program):
    terminal = Terminal(program, ["get", "terminal", "--user", "somebody"])
    terminal.expect(b"Password: ")
    end = time.monotonic() + PATIENCE_S
    while terminal.echoes() and time.monotonic() < end:
        time.sleep(0.01)
    equal(terminal.echoes(), False)
    terminal.type(b"very secret\r")
    equal(terminal.finish(), 0)  # authentication is off: the password does not matter
    equal(b"secret" in terminal.seen, False)


def test_echo_is_back_after_an_interrupt(program):
    # A shell keeps the terminal open, as a person's does.
    terminal = Terminal("/bin/sh", ["-c", "trap : INT; " + program + " get a --user somebody; stty -a | tr ' ' '\\n' | grep echo$"])
    terminal.expect(b"Password: ")
    end = time.monotonic() + PATIENCE_S
    while terminal.echoes() and time.monotonic() < end:
        time.sleep(0.01)
    terminal.type(b"\x03")
    terminal.expect(b"echo\r\n")
    terminal.finish()
    equal(b"-echo\r\n" in terminal.seen, False)


def test_control_bytes(program):
    value = b"\x1b[31mred\x07\x9b\x7f\xff tab\tend \xc3\xa9\xc2\x85"
    equal(plain(program, "put", "control", stdin=value).stdout, b"OK\n")
    terminal = Terminal(program, ["get", "control", "--print-value-only"])
    equal(terminal.finish(), 0)
    expected = b"\\x1b[31mred\\x07\\x9b\\x7f\\xff tab\tend \xc3\xa9\\xc2\\x85\r\n"
    equal(terminal.seen.replace(b" " * 8, b"\t"), expected)
    equal(plain(program, "get", "control", "--print-value-only").stdout, value + b"\n")  # not on a terminal: as it is
    terminal = Terminal(program, ["get", "control", "-w", "json"])
    equal(terminal.finish(), 0)
    equal(b"\x1b" in terminal.seen, False)


def test_a_closed_pipe_ends_quietly(program):
    for number in range(30):
        plain(program, "put", f"pipe{number:02}", "x" * 20000)
    done = subprocess.run(["/bin/sh", "-c", f"{program} get pipe --prefix | head -c 1"], capture_output=True, timeout=PATIENCE_S, check=False,
                          env={"PATH": os.environ["PATH"], "ETCDCTL_ENDPOINTS": os.environ["ETCD3_ENDPOINTS"]})
    equal((done.stdout, done.stderr), (b"p", b""))


def test_output_that_cannot_be_written(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program, "get", "terminal"], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False,
                              env={"PATH": os.environ["PATH"], "ETCDCTL_ENDPOINTS": os.environ["ETCD3_ENDPOINTS"]})
    equal(done.returncode, 6)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if "ETCD3_ENDPOINTS" not in os.environ:
        os.execv(WITH_ETCD, [WITH_ETCD, "--", sys.executable, "-B", os.path.abspath(__file__), os.path.abspath(sys.argv[1]), *sys.argv[2:]])
    tests = {name[5:]: function for name, function in globals().items() if name.startswith("test_")}
    failed = 0
    for name in sys.argv[2:] or tests:
        try:
            tests[name](sys.argv[1])
            print(f"ok      {name}")
        except AssertionError as error:
            print(f"FAILED  {name}: {error}")
            failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
