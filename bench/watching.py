"""The parts of bench/run about streams: what an event of a watch costs, what opening a watch does, what leases do. See
bench_watch.c and bench_lease.c.

SPDX-License-Identifier: Apache-2.0
"""
import json
import statistics
import subprocess

MODES = ("decode", "callback", "next")


def one(bench, *options):
    return json.loads(bench.call([bench.program("bench_watch"), *map(str, options)]))


def middle(runs, key):
    return statistics.median(run[key] for run in runs)


def flood(bench):
    """Responses from a server that costs nothing, beside decoding the same from memory, in turns."""
    found = []
    for batch, responses in ((1, 30000), (100, 1000)) if bench.args.quick else ((1, 300000), (100, 10000)):
        runs = {mode: [] for mode in MODES}
        for _ in range(1 if bench.args.quick else 7):
            for mode in MODES:
                runs[mode].append(one(bench, "--what", "flood", "--mode", mode, "--batch", batch, "--responses", responses))
        for mode in MODES:
            ratio = statistics.median(a["cpu_us_per_event"] / b["cpu_us_per_event"] for a, b in zip(runs[mode], runs["decode"]))
            found.append({"batch": batch, "mode": mode, "of_decode": ratio, "runs": runs[mode]})
            print(f"  {batch:>4} in a response, {mode:<9} {middle(runs[mode], 'events_per_s'):>12.0f} events/s"
                  f"{middle(runs[mode], 'cpu_us_per_event'):>9.3f} us CPU{ratio:>7.1f} x decode")
    many = [one(bench, "--what", "flood", "--watches", 1000, "--responses", 100000) for _ in range(1 if bench.args.quick else 3)]
    found.append({"batch": 1, "mode": "callback, 1,000 watches", "runs": many})
    print(f"  1,000 watches, callback     {middle(many, 'events_per_s'):>12.0f} events/s{middle(many, 'cpu_us_per_event'):>9.3f} us CPU")
    return found


def setup(bench):
    """From the first open until the server has taken up the last watch."""
    found = []
    for watches in (1, 1000) if bench.args.quick else (1, 1000, 10000, 100000):
        runs = [one(bench, "--what", "setup", "--watches", watches) for _ in range(1 if bench.args.quick else 3)]
        found.append({"watches": watches, "runs": runs})
        print(f"  {watches:>7} watches set up in {middle(runs, 'ms'):>9.2f} ms{middle(runs, 'us_per_watch'):>9.2f} us and"
              f"{middle(runs, 'bytes_per_watch'):>7.0f} bytes each")
    return found


def under_puts(bench, server):
    """Watches of the key that another process puts, 64 in flight, on a real etcd."""
    found = []
    seconds = 0.5 if bench.args.quick else 2
    for watches in (1, 1000):
        writer = subprocess.Popen([bench.program("bench_client"), "--endpoint", server.endpoint, "--mode", "manual", "--op", "put",
                                   "--in-flight", "64" if watches == 1 else "4", "--seconds", str(seconds + 1)],
                                  stdout=subprocess.PIPE, text=True)
        run = one(bench, "--what", "etcd", "--endpoint", server.endpoint, "--watches", watches, "--seconds", seconds)
        puts = json.loads(writer.communicate()[0])
        found.append({"watches": watches, "run": run, "puts": puts})
        print(f"  etcd, {watches:>5} watches: {run['events_per_s']:>9.0f} events/s{run['cpu_us_per_event']:>9.3f} us CPU, "
              f"at {puts['ops_per_s']:.0f} puts/s")
    return found


def watch(bench, server):
    print("\nwatch")
    bench.extra["watch"] = {"flood": flood(bench), "setup": setup(bench), "etcd": under_puts(bench, server)}


def leases(bench, server):
    """Leases of a minute that are kept alive, on a real etcd: two beats of each."""
    print("\nleases kept alive, etcd")
    count, ttl, seconds = (1000, 15, 5.5) if bench.args.quick else (10000, 60, 45)
    run = json.loads(bench.call([bench.program("bench_lease"), "--endpoint", server.endpoint, "--leases", str(count), "--ttl",
                                 str(ttl), "--seconds", str(seconds)]))
    bench.extra["lease"] = run
    print(f"  {count} leases of {ttl} s: {run['cpu_percent']:.3f} % of a core, {run['cpu_us_per_renewal']:.2f} us for each renewal, "
          f"{run['bytes_per_lease']:.0f} bytes each, late by {run['late_p50_us'] / 1000:.1f} ms (p50), "
          f"{run['late_p99_us'] / 1000:.1f} ms (p99)")


def targets(bench):
    found = []
    run = bench.extra.get("lease", {})
    if run.get("leases") == 10000:
        found.append(("10,000 leases kept alive: per cent of a core", run["cpu_percent"], "<=", 1.0))
        found.append(("10,000 leases kept alive: bytes each", run["bytes_per_lease"], "<=", 256.0))
    for cell in bench.extra.get("watch", {}).get("flood", []):
        bound = {"callback": 3.0, "next": 6.0}.get(cell["mode"])
        if bound is not None:
            found.append((f"watch, {cell['batch']} in a response: CPU per event, {cell['mode']} / decoding",
                          cell["of_decode"], "<=", bound))
    for cell in bench.extra.get("watch", {}).get("setup", []):
        if cell["watches"] == 10000:
            found.append(("watch: bytes of one of 10,000", middle(cell["runs"], "bytes_per_watch"), "<=", 1024.0))
    return found
