"""For golden cases with DNS: a name server on the loopback, and a network and a resolv.conf of the test's own, so that it is the one
that everybody asks. Both tools read resolv.conf, which names servers without a port: it has to be port 53.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

ADDRESS, SERVICE = 1, 33
NO_ERROR, SERVER_FAILURE, NO_NAME = 0, 2, 3
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enter_own_network(command):
    """Runs the command where the loopback is all there is and this process' name server is asked; only returns to say why it cannot."""
    reason = "no unshare"
    for flags in ("-mn", "-Urmn"): # as root, or where users may have namespaces
        try:
            done = subprocess.run(["unshare", flags, sys.executable, "-B", os.path.abspath(__file__)], capture_output=True, text=True, check=False)
        except OSError:
            return reason
        if done.returncode == 0:
            os.execvp("unshare", ["unshare", flags, sys.executable, "-B", os.path.abspath(__file__), *command])
        reason = done.stderr.strip() or f"unshare {flags} ended with {done.returncode}"
    return reason


def main(command):
    """In the new namespaces."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as configuration:
        configuration.write("nameserver 127.0.0.1\n")
        configuration.flush()
        os.chmod(configuration.name, 0o644)
        subprocess.run(["mount", "--bind", configuration.name, "/etc/resolv.conf"], check=True)
    if command:
        os.execvp(command[0], command)


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


class NameServer:
    """Answers until the process ends. What it does not know does not exist."""

    def __init__(self):
        self.records = {} # of a name: [(type, data)], or a code
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def add_host(self, name):
        self.records.setdefault(name, []).append((ADDRESS, socket.inet_aton("127.0.0.1")))

    def add_service(self, name, target, port, priority=0, weight=0):
        self.records.setdefault(name, []).append((SERVICE, struct.pack("!HHH", priority, weight, int(port)) + encoded(target)))

    def fail(self, name):
        self.records[name] = SERVER_FAILURE

    def serve(self):
        while True:
            query, asker = self.socket.recvfrom(4096)
            self.socket.sendto(self.answer(query), asker)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, wanted = query[12:at + 5], struct.unpack_from("!H", query, at + 1)[0]
        found = self.records.get(".".join(labels).lower(), NO_NAME)
        code = NO_ERROR if isinstance(found, list) else found
        answers = [data for kind, data in found if kind == wanted] if code == NO_ERROR else []
        head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(answers), 0, 0)
        # Each record's name is the question's, 12 bytes from the start
        return head + question + b"".join(struct.pack("!HHHIH", 0xC00C, wanted, 1, 5, len(data)) + data for data in answers)


if __name__ == "__main__":
    main(sys.argv[1:])
