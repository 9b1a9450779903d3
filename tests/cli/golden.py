#!/usr/bin/env python3
"""Runs the same command lines with etcdctl and etcd3ctl on equal clusters, and compares what comes out, byte for byte.

usage: tests/cli/golden.py [--show] ETCDCTL ETCD3CTL VERSION FAMILY [MEMBERS]

VERSION is the minor release of etcdctl and of the servers. A family is a function in one of the files cases_*.py beside this one; it is
given a Golden and drives it with run() (each tool on a cluster of its own: commands that change something) and look() (both tools on
one cluster: commands that only read). --show prints what the commands print instead.

Ids of clusters, members and leases, raft terms and the ports of endpoints differ from cluster to cluster and are replaced; the log
lines of the Go client are not compared. Where a version of etcdctl prints something else than the newest one does, which etcd3ctl follows,
a case says so with differs={version: reason}; the outputs must then differ, so that the list stays true.

SPDX-License-Identifier: Apache-2.0
"""
import difflib
import importlib
import os
import re
import shlex
import select
import subprocess
import sys
import tempfile
import termios
import time

from differences import comparable
from names import enter_own_network

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
WITH_ETCD = os.path.join(TOP, "scripts", "with-etcd")
FORMATS = ("simple", "fields", "json", "protobuf", "table")
STREAMS = ("stdout", "stderr")
TIMEOUT_S = 60
# Log lines of the Go client, which etcd3ctl does not write; what ends the program is compared.
NOISE = re.compile(rb'^(\{"level":"(debug|info|warn|error)".*|stty: .*)\n', re.M)


class Side:
    """One tool and its cluster."""

    def __init__(self, name, program, endpoints):
        self.name = name
        self.program = program
        self.endpoints = [endpoint.removeprefix("http://") for endpoint in endpoints.split(",")]
        self.values = {"ep": ",".join(self.endpoints)}
        self.masks = []
        for number, endpoint in enumerate(self.endpoints):
            self.values[f"ep{number}"] = endpoint
            self.values[f"port{number}"] = endpoint.rsplit(":", 1)[1]
            self.mask(endpoint.rsplit(":", 1)[1], f"<port{number}>")

    def mask(self, value, token):
        """From now on the value is replaced by the token in what is compared."""
        self.masks.append((value.encode(), token.encode()))
        self.masks.sort(key=lambda pair: -len(pair[0]))

    def mask_id(self, number, token):
        """Masks an id in all its spellings."""
        signed = number - (1 << 64) if number >> 63 else number
        for text in {f"{number:x}", f"{number:016x}", str(number), str(signed)}:
            self.mask(text, token)

    def environment(self, extra, words):
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        if not any(word.startswith("--endpoints") for word in words):
            environment["ETCDCTL_ENDPOINTS"] = self.values["ep0"]
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                environment[name] = os.environ[name]
        environment.update(extra)
        return {name: value.format(**self.values) for name, value in environment.items() if value is not None}

    def arguments(self, arguments):
        return [argument.format(**self.values) for argument in arguments]


class Live:
    """A command that runs, with pipes or on a terminal, and what it has printed so far."""

    def __init__(self, command, environment, directory, pty):
        self.text = {"stdout": b"", "stderr": b""}
        if pty:
            self.master, slave = os.openpty()
            streams = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True}
        else:
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, cwd=directory, **streams)
        if pty:
            os.close(slave)
            self.input = self.master
            self.open = {self.master: "stdout"}
        else:
            self.input = self.process.stdin.fileno()
            self.open = {self.process.stdout.fileno(): "stdout", self.process.stderr.fileno(): "stderr"}

    def read(self, timeout):
        """Takes what has arrived."""
        for fd in select.select(list(self.open), [], [], timeout)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError: # a terminal whose program has ended
                data = b""
            if data:
                self.text[self.open[fd]] += data
            else:
                del self.open[fd]

    def wait_for(self, pattern, timeout=TIMEOUT_S):
        """Until what was printed matches; False when it does not in time."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern.encode(), self.text["stdout"] + self.text["stderr"]):
            if time.monotonic() > deadline or not self.open:
                return False
            self.read(0.1)
        return True

    def wait_for_silence(self):
        """Until the terminal's echo is off, or the program has ended."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if not termios.tcgetattr(self.master)[3] & termios.ECHO:
                return
            self.read(0.01)

    def wait(self):
        """Until the program has ended."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.open and time.monotonic() < deadline:
            self.read(0.5)
        try:
            self.process.wait(max(deadline - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream and not stream.closed:
                stream.close()
        if not self.process.stdin:
            os.close(self.master)
        out = self.text["stdout"] if self.process.stdin else NOISE.sub(b"", self.text["stdout"])
        return Result(self.process.returncode, out, self.text["stderr"])


class Result:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = NOISE.sub(b"", err)

    def part(self, which):
        return self.out if which == "stdout" else self.err


def fields_of(data):
    """A protobuf message as [(number, value)], or None when it is none; values are ints or bytes."""
    fields, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while at < len(data) and shift < 70:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
        raise ValueError

    try:
        while at < len(data):
            tag = varint()
            if tag >> 3 == 0:
                return None
            if tag & 7 == 0:
                fields.append((tag >> 3, varint()))
            elif tag & 7 == 2:
                length = varint()
                if length > len(data) - at:
                    return None
                fields.append((tag >> 3, data[at:at + length]))
                at += length
            else:
                return None
    except ValueError:
        return None
    return fields


def text_of(data, depth=0):
    """A protobuf message as text: one field per line, so that ids in it can be masked."""
    lines = []
    for number, value in fields_of(data) or []:
        inner = fields_of(value) if isinstance(value, bytes) and value else None
        if inner is not None and not value.isascii():
            lines.append(" " * depth + f"{number}:\n" + text_of(value, depth + 1))
        else:
            lines.append(" " * depth + f"{number}: {value}\n")
    return "".join(lines)


def words_of(lines):
    """The words of a text, sorted, one per line: of what is printed in an order that differs from cluster to cluster."""
    return sorted(word + "\n" for word in re.split(r"[\[\]{},\"\n]", "".join(lines)))


class Golden:
    def __init__(self, version, etcdctl, etcd3ctl, endpoints, own_endpoints, show=False):
        self.version = version
        self.show = show
        self.theirs = Side("etcdctl", etcdctl, endpoints)
        self.ours = Side("etcd3ctl", etcd3ctl, own_endpoints)
        self.steps = self.compared = self.repeated = 0
        self.failures = []
        self.directory = tempfile.TemporaryDirectory(prefix="golden-")
        for side in (self.theirs, self.ours):
            side.values["dir"] = self.directory.name
            self.learn_ids(side)

    def at_least(self, version):
        """Whether etcdctl and the servers are of this version or a later one."""
        return [int(number) for number in self.version.split(".")] >= [int(number) for number in version.split(".")]

    def learn_ids(self, side):
        """Masks the ids of a cluster and its members."""
        deadline = time.monotonic() + TIMEOUT_S
        while True: # a member may not have heard of all the others' names yet
            answer = self.start(self.theirs, side, ["member", "list", "-w", "json"], b"", {})
            text = answer.out.decode()
            if answer.code == 0 and text.count('"clientURLs":["') == len(side.endpoints):
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"the cluster does not answer: {text}{answer.err.decode()}")
        side.mask_id(int(re.search(r'"cluster_id":(\d+)', text)[1]), "<cluster>")
        # 3.4 spells the members' ids in the same way
        for member, name in re.findall(r'"ID":(\d+),"name":"(\w+)"', text):
            side.values["id_" + name] = f"{int(member):x}"
            side.values["decimal_" + name] = member
            side.mask_id(int(member), f"<{name}>")
        for number, port in enumerate(re.findall(r'"peerURLs":\["http://127.0.0.1:(\d+)"', text)):
            side.mask(port, f"<peer{number}>")

    @staticmethod
    def start(tool, cluster, arguments, stdin, environment, directory=None):
        done = subprocess.run([tool.program, *cluster.arguments(arguments)], input=stdin, env=cluster.environment(environment, arguments),
                              capture_output=True, timeout=TIMEOUT_S, check=False, cwd=directory)
        return Result(done.returncode, done.stdout, done.stderr)

    def normal(self, data, tool, cluster, more, protobuf):
        """What is compared of an output."""
        if protobuf and fields_of(data) is not None:
            data = text_of(data).encode()
        for value, token in cluster.masks:
            if value.isalnum():
                data = re.sub(rb"(?<![0-9a-zA-Z])" + re.escape(value) + rb"(?![0-9a-zA-Z])", token, data)
            else:
                data = data.replace(value, token)
        data = data.replace(tool.program.encode(), b"etcdctl").replace(b"etcd3ctl", b"etcdctl")
        data = re.sub(rb'("raft_term":|"RaftTerm" : )\d+', rb"\1<term>", data)
        data = re.sub(rb',"(ts|caller|stacktrace)":"[^"]*"', b"", data)
        for pattern, replacement in more:
            data = re.sub(pattern.encode(), replacement.encode(), data)
        data = re.sub(rb"(Member|cluster) +<", rb"\1 <", data) # padded to 16 digits: one id in 16 has less
        return data

    def run(self, arguments, **more):
        """Each tool on its own cluster. more: see compare()."""
        return self.compare(arguments, self.theirs, self.ours, **more)

    def look(self, arguments, **more):
        """Both tools on one cluster."""
        return self.compare(arguments, self.theirs, self.theirs, **more)

    def formats(self, arguments, how="look", formats=FORMATS, **more):
        """The command in all output formats."""
        for output in formats:
            getattr(self, how)(f"{arguments} -w {output}" if isinstance(arguments, str) else [*arguments, "-w", output], **more)

    def on_both(self, arguments, stdin=b""):
        """Not compared: etcdctl brings both clusters into the same state."""
        arguments = shlex.split(arguments) if isinstance(arguments, str) else arguments
        for side in (self.theirs, self.ours):
            done = self.start(self.theirs, side, arguments, stdin, {})
            if done.code != 0:
                self.failures.append(f"{arguments}: {done.err.decode()}")

    def await_both(self, arguments, pattern):
        """Not compared: etcdctl asks each cluster until it prints this."""
        for side in (self.theirs, self.ours):
            self.await_output(side, arguments, pattern)

    def try_both(self, arguments):
        """Not compared, and may fail: etcdctl, on each cluster. Whether it succeeded, with what it printed, for each."""
        return [self.start(self.theirs, side, shlex.split(arguments), b"", {}) for side in (self.theirs, self.ours)]

    def play(self, tool, cluster, words, steps, environment, pty):
        """Runs a command and does one step after the other; then waits for its end."""
        live = Live([tool.program, *cluster.arguments(words)], cluster.environment(environment, words), self.directory.name, pty)
        for kind, value in steps:
            if kind == "see" and not live.wait_for(value):
                self.failures.append(f"{tool.name} {shlex.join(words)}: no {value!r} in {live.text}")
                live.process.kill()
            elif kind == "say":
                os.write(live.input, value.encode())
            elif kind == "silent":
                live.wait_for_silence()
            elif kind == "close":
                live.process.stdin.close()
            elif kind == "kill":
                live.process.send_signal(value)
            elif kind == "until":
                while not live.wait_for(value[1], 0.2) and live.open:
                    self.start(self.theirs, cluster, shlex.split(value[0]), b"", {})
            elif kind == "await":
                self.await_output(cluster, *value)
            elif kind == "etcdctl":
                done = self.start(self.theirs, cluster, shlex.split(value), b"", {})
                if done.code != 0:
                    self.failures.append(f"{value}: {done.err.decode()}")
        return live.wait()

    def background(self, cluster, arguments, pattern):
        """Starts etcdctl, and waits until it has printed something."""
        words = shlex.split(arguments)
        live = Live([self.theirs.program, *words], cluster.environment({}, words), self.directory.name, False)
        if not live.wait_for(pattern):
            self.failures.append(f"{arguments}: no {pattern!r}")
        return live

    def expect_end(self, live, code):
        result = live.wait()
        if result.code != code:
            self.failures.append(f"ended with {result.code} instead of {code}: {result.err}")

    def await_output(self, cluster, arguments, pattern):
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            done = self.start(self.theirs, cluster, shlex.split(arguments), b"", {})
            if re.search(pattern, done.out.decode(errors="replace")):
                return
            time.sleep(0.05)
        self.failures.append(f"{arguments}: no {pattern!r}")

    def live(self, arguments, steps, pty=False, **more):
        """Each tool on its own cluster, while things happen. `steps` is a list of pairs:

        ("see", pattern)             waits until it has printed this
        ("say", text)                writes to its stdin
        ("close", None)              ends its stdin
        ("silent", None)             waits until the terminal does not show what is typed
        ("kill", signal)             sends it a signal
        ("etcdctl", arguments)       runs etcdctl on its cluster
        ("until", (arguments, pattern)) runs etcdctl until the command under test prints this
        ("await", (arguments, pattern)) runs etcdctl until it prints this itself

        pty: on a terminal; then all that it prints is its stdout. more: see compare().
        """
        return self.compare(arguments, self.theirs, self.ours, steps=steps, pty=pty, **more)

    def compare(self, arguments, their_cluster, our_cluster, stdin=b"", env=None, differs=None, mask=(), save=None, streams=STREAMS,
                unordered=False, since="3.4", steps=None, pty=False):
        """Runs a command line with both tools, and compares.

        differs   {version: reason}: what etcdctl of this version prints is not what the newest one does
        mask      [(pattern, replacement)] of what may differ
        save      (name, pattern with one group): from now on {name} in arguments is what the group matched, of each side
        streams   which of stdout and stderr are compared; the exit code always is
        unordered the order of the words does not matter
        since     left out with an etcdctl before this version
        steps     see live()
        """
        if not self.at_least(since):
            return None
        words = shlex.split(arguments) if isinstance(arguments, str) else list(arguments)
        self.steps += 1
        tries = 1

        def once(tool, cluster):
            if steps is not None:
                return self.play(tool, cluster, words, steps, env or {}, pty)
            return self.start(tool, cluster, words, stdin, env or {}, self.directory.name)

        theirs = once(self.theirs, their_cluster)
        if self.show:
            self.print_step(words, theirs, their_cluster)
        tool = self.theirs if self.show else self.ours
        ours = theirs if self.show and their_cluster is our_cluster else once(tool, our_cluster)
        if save:
            self.save(save, theirs, their_cluster)
            if our_cluster is not their_cluster:
                self.save(save, ours, our_cluster)
        if not self.show:
            report = self.judge(words, theirs, ours, their_cluster, our_cluster, mask, streams, unordered)
            while report and our_cluster is their_cluster and steps is None and tries < 10:
                # Did the cluster change in between (another leader, say), so that etcdctl itself prints something else now?
                tries += 1
                later = once(self.theirs, their_cluster)
                if not self.judge(words, theirs, later, their_cluster, their_cluster, mask, streams, unordered, rules=False):
                    break
                theirs, ours = later, once(tool, our_cluster)
                report = self.judge(words, theirs, ours, their_cluster, our_cluster, mask, streams, unordered)
            self.note(words, report, (differs or {}).get(self.version))
        return theirs

    @staticmethod
    def print_step(words, result, cluster):
        print(f"$ {shlex.join(cluster.arguments(words))}   -> {result.code}")
        print(f"{result.out!r}" if "protobuf" in words else result.out.decode(errors="replace"), end="")
        print("".join(f"  2> {line}\n" for line in result.err.decode(errors="replace").splitlines()), end="", flush=True)

    def save(self, save, result, cluster):
        name, pattern = save
        found = re.search(pattern, result.out.decode(errors="replace"))
        if not found:
            self.failures.append(f"no {pattern!r} in {result.out!r} {result.err!r}")
            return
        cluster.values[name] = found[1]
        cluster.mask(found[1], f"<{name}>")
        if re.fullmatch(r"[0-9a-f]{12,}", found[1]):
            decimal = r"(\d+)" in pattern or len(found[1]) > 16 # also of an etcdctl that heeds no --hex
            number = int(found[1], 10 if decimal else 16)
            cluster.mask_id(number, f"<{name}>")
            if not decimal and found[1].isdecimal(): # 16 digits may be either
                cluster.mask_id(int(found[1]), f"<{name}>")
            cluster.values[name] = f"{number:x}"

    def judge(self, words, theirs, ours, their_cluster, our_cluster, mask, streams, unordered, rules=True):
        """What is not the same, as a list of texts. Without rules: of two outputs of etcdctl."""
        report = []
        protobuf = "protobuf" in words
        if theirs.code != ours.code:
            report.append(f"exit code {ours.code} instead of {theirs.code}")
        expected_of, got_of = (
            tuple(self.normal(theirs.part(stream), self.theirs, their_cluster, mask, protobuf).decode(errors="backslashreplace")
                  for stream in STREAMS),
            tuple(self.normal(ours.part(stream), self.ours, our_cluster, mask, protobuf).decode(errors="backslashreplace")
                  for stream in STREAMS))
        if rules:
            expected_of, got_of = comparable(self.version, words, expected_of, got_of)
        for stream in streams:
            expected = expected_of[STREAMS.index(stream)].splitlines(keepends=True)
            got = got_of[STREAMS.index(stream)].splitlines(keepends=True)
            if unordered:
                expected, got = words_of(expected), words_of(got)
            if expected != got:
                lines = difflib.unified_diff(expected, got, f"{stream} of etcdctl", f"{stream} of etcd3ctl", n=1)
                report.append("".join(line if line.endswith("\n") else line + "\n\\ no newline\n" for line in lines))
        return report

    def note(self, words, report, reason):
        self.compared += 1
        if report and not reason:
            self.failures.append(shlex.join(words) + "\n" + "\n".join(report))
        if reason and not report:
            self.failures.append(f"{shlex.join(words)}: the same as of {self.version}, though it should not be: {reason}")


def families():
    """Of all cases_*.py: {name: function}."""
    found = {}
    for name in sorted(os.listdir(HERE)):
        if name.startswith("cases_") and name.endswith(".py"):
            module = importlib.import_module(name[:-3])
            found.update({key: value for key, value in vars(module).items() if getattr(value, "is_family", False)})
    return found


def inner():
    """Beside two clusters, of etcdctl and of etcd3ctl."""
    show, etcdctl, etcd3ctl, version, family = sys.argv[2:]
    golden = Golden(version, etcdctl, etcd3ctl, os.environ["GOLDEN_ENDPOINTS"], os.environ["ETCD3_ENDPOINTS"], show == "1")
    with golden.directory:
        function = families()[family]
        if not golden.at_least(function.since):
            print(f"[  SKIPPED ] etcdctl {version} does not have it")
            return 0
        function(golden)
    for failure in golden.failures:
        print(failure)
    print(f"{golden.compared} command lines compared with etcdctl {version}, {len(golden.failures)} differ")
    return 1 if golden.failures or not (golden.compared or golden.show) else 0


def outer(arguments):
    show = "--show" in arguments
    etcdctl, etcd3ctl, version, family, *members = [argument for argument in arguments if argument != "--show"]
    function = families()[family]
    members = members[0] if members else str(function.members)
    beside = [WITH_ETCD, "--version", version, "--members", members, "--"]
    rename = 'GOLDEN_ENDPOINTS=$ETCD3_ENDPOINTS exec "$@"'
    command = [*beside, "sh", "-c", rename, "sh", *beside, sys.executable, os.path.abspath(__file__), "--inner", "1" if show else "0",
               os.path.abspath(etcdctl), os.path.abspath(etcd3ctl), version, family]
    if function.own_network:
        print(f"[  SKIPPED ] no network of its own: {enter_own_network(command)}")
        return
    os.execv(command[0], command)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(inner() if sys.argv[1] == "--inner" else outer(sys.argv[1:]))
