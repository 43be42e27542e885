"""The Redis servers behind the proxies: a cluster for those that can follow one, standalone servers for the rest."""

import os
import time
from dataclasses import dataclass

import wire

SLOTS = 16384
SETTLE_SECONDS = 30
STANDALONE_OFFSET = 20  # ports from the base: the cluster's nodes, the standalone servers, the cluster's bus
BUS_OFFSET = 30
MAX_CLIENTS = 12000  # one connection per idle client, when the proxy does not multiplex


@dataclass(frozen=True)
class Shape:
    primaries: int  # 0: no cluster
    replicas: int
    standalone: int


SHAPES = {
    "cluster": Shape(primaries=3, replicas=0, standalone=3),
    "9+9": Shape(primaries=9, replicas=9, standalone=9),
    "standalone": Shape(primaries=0, replicas=0, standalone=1),
}


@dataclass(frozen=True)
class Backend:
    kind: str
    nodes: list  # what a proxy that knows clusters is given
    standalone: list  # what one that does not is given


def start(kind, base_port, children):
    shape = SHAPES[kind]
    standalone = [
        _start_server(children, base_port + STANDALONE_OFFSET + index, None) for index in range(shape.standalone)
    ]
    count = shape.primaries + shape.replicas
    nodes = [_start_server(children, base_port + index, base_port + BUS_OFFSET + index) for index in range(count)]
    if nodes:
        _form_cluster(nodes, shape.primaries, base_port)
    return Backend(kind, nodes or standalone, standalone)


def tag_on(address):
    """A hash tag whose keys live on this node of a cluster."""
    for tag in (f"{{t{number}}}" for number in range(SLOTS)):
        try:
            wire.ask(address, "EXISTS", tag)
            return tag
        except wire.ErrorReply as error:
            if not str(error).startswith("MOVED"):
                raise
    raise LookupError(f"{address} serves no slot")


def _start_server(children, port, bus_port):
    folder = os.path.join(children.folder, f"redis-{port}")
    os.mkdir(folder)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--loglevel", "warning"]
    command += ["--save", "", "--appendonly", "no", "--maxclients", str(MAX_CLIENTS)]
    if bus_port:
        command += ["--cluster-enabled", "yes", "--cluster-port", str(bus_port), "--repl-diskless-sync-delay", "0"]
    address = f"127.0.0.1:{port}"
    children.start_server(f"redis-{port}", command, address)
    return address


def _form_cluster(nodes, primary_count, base_port):
    bounds = [SLOTS * index // primary_count for index in range(primary_count + 1)]
    for index, address in enumerate(nodes):
        wire.ask(address, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        if index < primary_count:
            wire.ask(address, "CLUSTER", "ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
        if index > 0:
            host, port = wire.endpoint_of(address)
            wire.ask(nodes[0], "CLUSTER", "MEET", host, port, base_port + BUS_OFFSET + index)
    for address in nodes:
        _wait(f"{address} to know the cluster", lambda: _known_nodes(address) == len(nodes))
    for index, address in enumerate(nodes[primary_count:]):
        primary_id = wire.ask(nodes[index % primary_count], "CLUSTER", "MYID")
        wire.ask(address, "CLUSTER", "REPLICATE", primary_id)
    for address in nodes[primary_count:]:
        _wait(f"{address} to follow its primary", lambda: "master_link_status:up" in wire.ask(address, "INFO"))
    for address in nodes:
        _wait(f"{address} to see the cluster whole", lambda: "cluster_state:ok" in wire.ask(address, "CLUSTER", "INFO"))


def _known_nodes(address):
    return len(wire.ask(address, "CLUSTER", "NODES").strip().splitlines())


def _wait(what, reached):
    deadline = time.monotonic() + SETTLE_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {SETTLE_SECONDS} s for {what}")
        time.sleep(0.05)
