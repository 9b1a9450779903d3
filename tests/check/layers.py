#!/usr/bin/env python3
"""The layers: a source includes its own layer or lower ones only (docs/architecture.md).

* src/<layer>/ includes "layer/file.h" of its own or a lower layer, <etcd3/...> and the system's headers.
* The libraries below us each have one layer that may see them; wire, http2 and grpc know neither sockets nor clocks.
* src/recipe uses the public API, and of ours base only; the views (namespace, ordering, leasing) may use client and service.
* cli/ and examples/ use the public headers only, besides their own.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re

import tree
from public_headers import strip_comments

LAYERS = ["base", "wire", "http2", "grpc", "net", "channel", "client", "service", "recipe"]
SANS_IO = {"wire", "http2", "grpc"}
VIEWS = {"namespace", "ordering", "leasing"}

# Header of a library below us -> the layers that may include it
LIBRARIES = [
    (re.compile(r"nghttp2/"), {"http2"}),
    (re.compile(r"uv\.h"), {"net", "client", "recipe"}),  # client, recipe: threads, mutexes, conditions
    (re.compile(r"ares"), {"net"}),
    (re.compile(r"openssl/"), {"net"}),
]
# The only file that may: all others call OpenSSL through the table that is there
OPENSSL_TABLE = "src/net/openssl_table.h"
SYSTEM_IO = re.compile(r"sys/(socket|epoll|select|time|uio|un|timerfd|eventfd|random)\.h|netinet/|arpa/|netdb\.h|poll\.h|time\.h|"
                       r"unistd\.h|fcntl\.h|pthread\.h|threads\.h")
CLOCK_CALLS = re.compile(r"\betcd__clock_(monotonic|boot)\s*\(|\bclock_gettime\s*\(|\btime\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def includes(root, path):
    for number, line in enumerate(tree.read(root, path).split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def allowed_layers(path):
    """The layers that a file below src/ may include."""
    layer = path.split("/")[1]
    if layer == "recipe":
        stem = os.path.basename(path).split(".")[0].split("_")[0]
        return set(LAYERS) if stem in VIEWS else {"base", "recipe"}
    return set(LAYERS[:LAYERS.index(layer) + 1])


def check_system_header(path, number, layer, header):
    for pattern, layers in LIBRARIES:
        if pattern.match(header) and layer not in layers:
            tree.found(path, number, f"<{header}> belongs to {' and '.join(sorted(layers))} only")
    if header.startswith("openssl/") and layer == "net" and path != OPENSSL_TABLE:
        tree.found(path, number, f'<{header}>: include "net/openssl.h", as OpenSSL may not be loaded yet')
    if layer in SANS_IO and SYSTEM_IO.match(header):
        tree.found(path, number, f"<{header}>: {layer} knows neither sockets nor clocks nor threads")


def check_source(root, path):
    layer = path.split("/")[1]
    if layer not in LAYERS:
        tree.found(path, 0, f"{layer} is no layer")
        return
    for number, quote, header in includes(root, path):
        if quote == "<":
            check_system_header(path, number, layer, header)
        elif "/" not in header:
            tree.found(path, number, f'"{header}" is to be written "layer/{header}"')
        elif header.split("/")[0] not in allowed_layers(path):
            tree.found(path, number, f'{layer} must not include "{header}"')
        elif not os.path.exists(os.path.join(root, "src", header)):
            tree.found(path, number, f'"{header}" is not in src/')
    if layer in SANS_IO:
        for number, line in enumerate(strip_comments(tree.read(root, path)).split("\n"), 1):
            if CLOCK_CALLS.search(line):
                tree.found(path, number, f"{layer} is told the time, it does not ask")


def check_user_of_public_headers(root, path):
    directory = path.split("/")[0]
    for number, quote, header in includes(root, path):
        local = os.path.join(root, directory, header)
        beside = os.path.join(root, os.path.dirname(path), header)
        if quote == '"' and not os.path.exists(local) and not os.path.exists(beside):
            tree.found(path, number, f'"{header}": {directory} uses the public headers only')


def main():
    given = tree.arguments("Checks that sources include lower layers only.")
    own = tree.sources(given.root, ["src"])
    for path in own:
        check_source(given.root, path)
    users = tree.sources(given.root, ["cli", "examples"])
    for path in users:
        check_user_of_public_headers(given.root, path)
    for path in tree.sources(given.root, ["include"]):
        for number, quote, header in includes(given.root, path):
            if quote == "<" and header not in ("stdbool.h", "stddef.h", "stdint.h"):
                tree.found(path, number, f"<{header}>: the public headers need stdbool, stddef and stdint only")
    if not own:
        tree.found("src", 0, "no sources")
    tree.finish(f"{len(own)} sources keep to their layers, {len(users)} to the public headers")


if __name__ == "__main__":
    main()
