"""For golden cases with TLS: certificates from the openssl command, and a server that speaks TLS and hands all on to a plain one.

SPDX-License-Identifier: Apache-2.0
"""
import os
import select
import socket
import ssl
import subprocess
import threading

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def openssl(directory, *arguments):
    subprocess.run(["openssl", "req", "-x509", *KEY, *arguments], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, check=True)


def make_certificates(directory):
    """ca, and client and server of it; "elsewhere", a server of it with another name; other, an authority of its own: NAME.crt and NAME.key."""
    for name in ("ca", "other"):
        openssl(directory, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
    for name, names in (("server", "IP:127.0.0.1,DNS:localhost"), ("elsewhere", "DNS:elsewhere.example"), ("client", "DNS:client.example")):
        openssl(directory, "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:false")


class Server:
    """On a free port until the process ends; `port` is to be asked for."""

    def __init__(self, directory, name, client_ca, plain):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(os.path.join(directory, f"{name}.crt"), os.path.join(directory, f"{name}.key"))
        self.context.set_alpn_protocols(["h2"])
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(os.path.join(directory, f"{client_ca}.crt"))
        host, port = plain.rsplit(":", 1)
        self.plain = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        """Little goes to and fro in these tests: one direction may wait for the other."""
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls, socket.create_connection(self.plain) as behind:
                other = {tls: behind, behind: tls}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        data = ready.recv(65536)
                        while ready is tls and tls.pending() > 0:
                            data += tls.recv(65536)
                        if not data:
                            return
                        other[ready].sendall(data)
        except OSError: # a client that does not like the certificate, or the other way round
            connection.close()
