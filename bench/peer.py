"""The proxies that are compared: Sluice, Debian's haproxy and nutcracker, and whatever else listens already."""

import os
import resource
import subprocess
import time
from dataclasses import dataclass

import proc
import wire

PORTS_OFFSET = 60  # from the base port; the backend has those below
READY_SECONDS = 20
SPLICE_PIPES = 500  # for haproxy: two for each transfer, far more than any load has
PROBE_KEYS = 64  # enough to meet every node


@dataclass(frozen=True)
class Peer:
    name: str
    address: str
    pid: int
    version: str
    behind: str  # the servers that it stands in front of, for the table's reader
    workers: int = 1

    @property
    def port(self):
        return wire.endpoint_of(self.address)[1]


class PeerFailed(Exception):
    pass


def start_sluice(children, backend, binary, workers, port, extra):
    name = "sluice" if workers == 1 else f"sluice-{workers}w"
    kind = "standalone" if backend.kind == "standalone" else "cluster"
    command = [binary, "--workers", str(workers), "--listen", f"127.0.0.1:{port}", "--backend", kind]
    command += ["--nodes", ",".join(backend.nodes), *extra]
    pid = children.start_server(name, command, f"127.0.0.1:{port}")
    return _ready(Peer(name, f"127.0.0.1:{port}", pid, _first_line(binary, "--version"), _behind(backend.nodes, kind),
                       workers))


def start_haproxy(children, backend, port, splice=False):
    """In tcp mode; asked to, it moves the bytes by splice both ways, which is not its default."""
    name = "haproxy-splice" if splice else "haproxy"
    options = "  option splice-request\n  option splice-response\n" if splice else ""
    pipes = SPLICE_PIPES if splice else 0
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 2 * pipes
    path = children.write(name + ".cfg", f"""
global
  nbthread 1
  maxconn {(open_files - 500) // 2}
  maxpipes {pipes}
defaults
  mode tcp
  timeout connect 5s
  timeout client 5m
  timeout server 5m
{options}listen redis
  bind 127.0.0.1:{port}
  server node {backend.standalone[0]}
""")
    pid = children.start_server(name, ["haproxy", "-db", "-f", path], f"127.0.0.1:{port}")
    behind = "1 standalone, tcp mode" + (" with splice" if splice else "")
    return _ready(Peer(name, f"127.0.0.1:{port}", pid, _first_line("haproxy", "-v"), behind))


def start_nutcracker(children, backend, port):
    servers = "".join(f"\n   - {address}:1" for address in backend.standalone)
    path = children.write("nutcracker.yml", f"""
redis:
  listen: 127.0.0.1:{port}
  redis: true
  hash: fnv1a_64
  hash_tag: "{{}}"
  distribution: ketama
  auto_eject_hosts: false
  timeout: 10000
  backlog: 4096
  servers:{servers}
""")
    files = ["-c", path, "-o", os.path.join(children.folder, "nutcracker.out"), "-p", path + ".pid"]
    command = ["nutcracker", *files, "-a", "127.0.0.1", "-s", str(port + 1)]
    pid = children.start_server("nutcracker", command, f"127.0.0.1:{port}")
    behind = _behind(backend.standalone, "standalone") + ", by hash"
    return _ready(Peer("nutcracker", f"127.0.0.1:{port}", pid, _first_line("nutcracker", "-V"), behind))


def direct(address):
    """The Redis server itself, for what a proxy's way costs; only keys that live there may be asked of it."""
    pid = proc.listener_pid(wire.endpoint_of(address)[1])
    return Peer("direct", address, pid, _first_line("redis-server", "--version"), "nothing: one of the cluster nodes")


def find(description):
    """A peer that was started by somebody else, from "name=host:port" or "name=host:port:pid"."""
    name, _, place = description.partition("=")
    parts = place.split(":")
    if not name or len(parts) not in (2, 3) or not all(part.isdigit() for part in parts[1:]):
        raise PeerFailed(f"--peer {description}: expected name=host:port or name=host:port:pid")
    address = ":".join(parts[:2])
    _wait_until(lambda: wire.accepts(address), f"{name} does not listen on {address}")
    pid = int(parts[2]) if len(parts) == 3 else proc.listener_pid(int(parts[1]))
    if pid is None:
        raise PeerFailed(f"--peer {description}: no process of this machine listens there; add its pid")
    peer = _ready(Peer(name, address, pid, "", "as configured by its operator"))
    return Peer(name, address, pid, _version_by_info(address), peer.behind)


def _ready(peer):
    """Returns the peer once it reads back what it wrote, on all of its servers."""
    failure = None

    def serves():
        nonlocal failure
        try:
            with wire.Wire(peer.address) as connection:
                for index in range(PROBE_KEYS):
                    connection.ask("SET", f"probe:{index}", index)
                    if connection.ask("GET", f"probe:{index}") != str(index):
                        raise PeerFailed(f"probe:{index} does not read back")
            return True
        except (OSError, wire.ErrorReply, PeerFailed) as error:
            failure = error
            return False

    _wait_until(serves, f"{peer.name} at {peer.address} does not serve", lambda: failure)
    return peer


def _wait_until(reached, complaint, reason=lambda: "refused"):
    deadline = time.monotonic() + READY_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise PeerFailed(f"{complaint}: {reason()}")
        time.sleep(0.1)


def _behind(addresses, kind):
    return f"{len(addresses)} {'cluster nodes' if kind == 'cluster' else 'standalone'}"


def _first_line(*command):
    """The program's own words about its version; nutcracker says them on its error output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"


def _version_by_info(address):
    """What INFO says; a program that we do not know is not run with flags that we guess."""
    try:
        lines = (wire.ask(address, "INFO") or "").splitlines()
    except (OSError, wire.ErrorReply):
        lines = []
    return next((line.strip() for line in lines if "version" in line.lower()), "unknown")
