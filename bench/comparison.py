"""One comparison from its options to its page: the peers take turns at each load, and what they did is recorded.

bench/compare and bench/big_key are made of this; what they ask of the peers is in their loads.
"""

import glob
import os
import resource
import shlex
import signal
import subprocess
import sys

import children
import load as loads
import machine
import peer as peers
import proc
import recording
import report
import wire
from recording import BENCH, HOUSE

FAILURES = (children.ChildFailed, peers.PeerFailed, loads.LoadFailed, wire.ErrorReply, OSError,
            subprocess.SubprocessError)


def add_options(parser, own, rounds, seconds, time_limit):
    """What every comparison can be told; `own` names the proxies that it starts itself, the rest are defaults."""
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=HOST:PORT[:PID]",
                        help="a proxy that you have started yourself, in front of the printed backend; may be repeated")
    parser.add_argument("--skip", action="append", default=[], choices=own,
                        help="leave out a proxy that is started otherwise; may be repeated")
    parser.add_argument("--sluice", default=os.path.join(HOUSE, "build/release/sluice"), help="the binary")
    parser.add_argument("--sluice-flags", default="", help="further flags for it, in one string")
    parser.add_argument("--base-port", type=int, default=18000, help="80 ports from here are used, on 127.0.0.1")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=float, default=seconds, help="of each round of each load")
    parser.add_argument("--time-limit", type=int, default=time_limit,
                        help="seconds after which the whole run gives up")


def build(name):
    """bench/<name>.cc, compiled when it or a header is newer than its program."""
    source, program = os.path.join(BENCH, name + ".cc"), os.path.join(HOUSE, "build/bench", name)
    newest = max(os.path.getmtime(path) for path in [source, *glob.glob(os.path.join(BENCH, "*.h"))])
    if not os.path.exists(program) or os.path.getmtime(program) < newest:
        os.makedirs(os.path.dirname(program), exist_ok=True)
        command = ["g++", "-O2", "-std=c++20", "-pthread", "-I", HOUSE, source, "-o", program]
        subprocess.run(command, check=True, timeout=120)
    return program


def start_peers(options, family, backend, own, workers=(1,)):
    """Sluice once for each number of workers, then the peers that run already, then the others of `own`."""
    port = options.base_port + peers.PORTS_OFFSET
    started = [name for name in own if name not in options.skip]
    found = []
    if "sluice" in started:
        if os.path.exists(options.sluice):
            for count in workers:
                flags = shlex.split(options.sluice_flags)
                place = port + 10 + 2 * count
                found.append(peers.start_sluice(family, backend, options.sluice, count, place, flags))
        else:
            say(f"no {os.path.relpath(options.sluice)}: only the others are measured")
    found += [peers.find(description) for description in options.peer]
    if "haproxy" in started:
        found.append(peers.start_haproxy(family, backend, port))
    if "haproxy-splice" in started:
        found.append(peers.start_haproxy(family, backend, port + 4, splice=True))
    if "nutcracker" in started:
        found.append(peers.start_nutcracker(family, backend, port + 1))
    return found


def measure(results, load, chosen, rounds, family):
    """All rounds of one load; the chosen peers take turns."""
    ready = [peer for peer in chosen if _take(results, load, peer, 0, load.prepare) is not None]
    for number in range(1, (rounds if load.repeated else 1) + 1):
        for peer in ready:
            bystanders = proc.Bystanders({*family.pids, *(other.pid for other in results.peers)})
            values = _take(results, load, peer, number, load.measure)
            if values is not None:
                values["others_percent"] = bystanders.read()
                results.samples.append(report.Sample(load.name, peer.name, number, values))
                say(f"{load.name} round {number} {peer.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in values.items()))


def _take(results, load, peer, number, step):
    """One step of one load; a peer that fails is noted, and the others go on. None: it failed."""
    try:
        return step(peer) or {}
    except (*FAILURES, ValueError, KeyError) as failure:
        corrupt = isinstance(failure, loads.WrongBytes)
        results.samples.append(report.Sample(load.name, peer.name, number, {}, str(failure) or repr(failure), corrupt))
        say(f"{load.name} round {number} {peer.name} FAILED: {failure}")
        return None


def conduct(name, options, run, draw, subject, suffix, notes=""):
    """Calls run(options, family), prints and records its results, and ends the script with its status."""

    def give_up(number, _):
        sys.exit(f"{name}: " + ("out of time" if number == signal.SIGALRM else "stopped"))

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, give_up)
    signal.alarm(options.time_limit)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    described = machine.describe()
    try:
        with children.Children() as family:
            results = run(options, family)
    except KeyboardInterrupt:
        sys.exit(f"{name}: stopped")
    except FAILURES as failure:
        sys.exit(f"{name}: {failure}")
    print(report.terminal(results))
    _record(name, options, results, described, draw, subject, suffix, notes)
    for sample in results.failures():
        say(f"{name}: {sample.load} FAILED for {sample.peer}: {sample.failure}")
    sys.exit(results.status())


def _record(name, options, results, described, draw, subject, suffix, notes):
    stem, title = recording.begin(subject, options.output, suffix)
    drawn = draw(results, title, stem + ".svg")
    command = shlex.join([f"bench/{name}", *sys.argv[1:]])
    plot_name = os.path.basename(stem) + ".svg" if drawn else ""
    recording.write(stem, report.page(results, title, described, command, plot_name, notes))


def say(text):
    print(text, file=sys.stderr, flush=True)
