#!/usr/bin/env python3
"""etcd3ctl on a terminal: prompts of transactions and passwords, what is shown of binary values, pipes that close, and the
release of what is held.

usage: tests/cli/terminal.py ETCD3CTL [TEST...]

Runs beside a private etcd (scripts/with-etcd). Every wait is for something to appear on the terminal, with a bound that only a
failure reaches.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

from beside import run_tests

PATIENCE_S = 60


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, program, arguments, environment=None):
        self.master, slave = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen([program, *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={"PATH": os.environ["PATH"], "ETCDCTL_ENDPOINTS": os.environ.get("ETCD3_ENDPOINTS", ""),
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


def test_standard_streams_that_are_closed(program):
    """As if they were /dev/null: nothing that the program opens takes their places."""
    for closed in range(3):
        redirection = "{}{}&-".format(closed, "<" if closed == 0 else ">")
        done = subprocess.run(["/bin/sh", "-c", f"{program} put closed x {redirection} && {program} get closed {redirection}"], capture_output=True,
                              timeout=PATIENCE_S, check=False, env=environment())
        equal((done.returncode, done.stdout, done.stderr), (0, b"" if closed == 1 else b"OK\nclosed\nx\n", b""))


HOLDERS = (("lock", "held", "--ttl", "60"), ("elect", "held", "a value"))
# A holder that said nothing would keep the key for 60 s
RELEASE_S = 10


def environment():
    return {"PATH": os.environ["PATH"], "ETCDCTL_ENDPOINTS": os.environ["ETCD3_ENDPOINTS"], "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}


def await_keys(program, count):
    """Until there are so many keys of holders and of those who wait."""
    end = time.monotonic() + PATIENCE_S
    while len(found := plain(program, "get", "held", "--prefix", "--keys-only").stdout.split()) != count:
        if time.monotonic() > end:
            raise AssertionError(f"{found} instead of {count} keys")
        time.sleep(0.02)


def nothing_left(program):
    """No key and no lease: the program does not wait longer than a second for the answer, so it may take another moment."""
    end = time.monotonic() + RELEASE_S
    while True:
        found = [plain(program, *words).stdout for words in (("get", "held", "--prefix", "--keys-only"), ("lease", "list"))]
        if found == [b"", b"found 0 leases\n"]:
            return
        if time.monotonic() > end:
            raise AssertionError(f"left behind: {found}")
        time.sleep(0.02)


def hold(program, arguments, before=None):
    """A process that holds the key or waits for it; its output is read without a buffer, so that select() sees all."""
    return subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=environment(),
                            preexec_fn=before)


def await_key(process, wait_s=PATIENCE_S):
    """The first of what it prints: it holds the key."""
    if not select.select([process.stdout], [], [], wait_s)[0] or not (seen := process.stdout.read(4096)).startswith(b"held/"):
        raise AssertionError("did not get the key")
    return seen


def test_signals_release_at_once(program):
    for arguments in HOLDERS:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with hold(program, arguments) as holder, hold_second(program, arguments, holder) as second:
                try:
                    begin = time.monotonic()
                    holder.send_signal(number)
                    await_key(second, RELEASE_S)
                    print(f"        {arguments[0]}, {number.name}: the next one has it after {(time.monotonic() - begin) * 1e3:.1f} ms")
                    equal((holder.wait(PATIENCE_S), holder.stderr.read()), (0, b""))
                    second.send_signal(number)
                    equal((second.wait(PATIENCE_S), second.stderr.read()), (0, b""))
                finally:
                    holder.kill()
                    second.kill()
            nothing_left(program)


def hold_second(program, arguments, holder):
    """One who waits while `holder` has the key."""
    try:
        await_key(holder)
        second = hold(program, arguments)
    except AssertionError:
        holder.kill()
        raise
    try:
        await_keys(program, 2)
    except AssertionError:
        holder.kill()
        second.kill()
        second.wait()
        raise
    return second


def test_an_interrupt_typed_releases(program):
    for arguments in HOLDERS:
        terminal = Terminal(program, arguments)
        terminal.expect(b"held/")
        terminal.type(b"\x03")
        equal(terminal.finish(), 0)
        nothing_left(program)


def test_a_terminal_that_goes_away_releases(program):
    for arguments in HOLDERS:
        terminal = Terminal(program, arguments)
        terminal.expect(b"held/")
        os.close(terminal.master)
        equal(terminal.process.wait(PATIENCE_S), 0)
        nothing_left(program)


def test_a_hangup_that_is_ignored_stays_so(program):
    """As nohup does it."""
    for arguments in HOLDERS:
        with hold(program, arguments, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as holder:
            try:
                await_key(holder)
                with open(f"/proc/{holder.pid}/status", encoding="ascii") as status:
                    ignored = next(line for line in status if line.startswith("SigIgn:")).split()[1]
                equal(int(ignored, 16) >> (signal.SIGHUP - 1) & 1, 1)
                holder.send_signal(signal.SIGHUP)
                await_keys(program, 1)
                holder.send_signal(signal.SIGTERM)
                equal((holder.wait(PATIENCE_S), holder.stderr.read()), (0, b""))
            finally:
                holder.kill()
        nothing_left(program)


def test_a_closed_pipe_leaves_no_key(program):
    for arguments in HOLDERS:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([program, *arguments], stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False, env=environment())
        os.close(writer)
        equal((done.returncode, done.stderr), (6, b""))
        nothing_left(program)


def test_a_command_under_the_lock_knows_closed_pipes(program):
    script = f"{program} lock held -- sh -c 'yes | head -c 1; exit 7' | cat; {program} lock held yes | head -c 1"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, timeout=PATIENCE_S, check=False, env=environment())
    equal((done.stdout, done.stderr), (b"yy", b"Error: exit status 7\nError: signal: broken pipe\n"))
    nothing_left(program)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    run_tests(globals(), os.path.abspath(sys.argv[1]), only=sys.argv[2:])


if __name__ == "__main__":
    main()
