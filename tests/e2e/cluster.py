"""Real backends on loopback: a cluster that can be resharded, failed over and broken, and a replicated single server."""
import os
import time

import redis
from redis.crc import key_slot

from process import reserve_port, temporary_folder, wait_until
from server import HOST, Server

SLOTS = 16384
_MIGRATE_BATCH = 100
_MIGRATE_TIMEOUT_MS = 5000


def slot_of(key):
    return key_slot(key if isinstance(key, bytes) else key.encode())


class Cluster:
    """`primaries` shards of equal size with `replicas` replicas each. A dead shard leaves the others serving.

    The program is SLUICE_E2E_SERVER (redis-server, valkey-server) unless `server` names one.
    """

    def __init__(self, primaries=3, replicas=1, server=None, node_timeout_ms=1500, start=True, options=None):
        server = server or os.environ.get("SLUICE_E2E_SERVER", "redis-server")
        self._folder = temporary_folder()
        options = {
            "cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": node_timeout_ms, "cluster-require-full-coverage": "no",
            "cluster-replica-validity-factor": "0", **(options or {}),
        }
        self.nodes = []
        for index in range(primaries * (1 + replicas)):
            port = reserve_port()
            self.nodes.append(Server(os.path.join(self._folder, "%02d" % index), port, options, server))
        self._primary_count = primaries
        if start:
            self.start()

    def start(self):
        """Starts all nodes and makes one cluster of them."""
        for node in self.nodes:
            node.start(wait=False)
        for index, node in enumerate(self.nodes):
            node.wait_ready()
            node.id = node.command("CLUSTER", "MYID").decode()
            node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        first = self.nodes[:self._primary_count]
        for index, node in enumerate(first):
            low = index * SLOTS // len(first)
            high = (index + 1) * SLOTS // len(first) - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", low, high)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", HOST, self.nodes[0].port)
        for node in self.nodes:
            wait_until(lambda n=node: len(self._described(n)) == len(self.nodes), 15, "%r to meet all" % node)
        for index, node in enumerate(self.nodes[self._primary_count:]):
            node.command("CLUSTER", "REPLICATE", first[index % len(first)].id)
        self.wait_healthy()

    def stop(self):
        for node in self.nodes:
            node.destroy()

    @property
    def addresses(self):
        return [node.address for node in self.nodes]

    # Who is what. Asked of the nodes each time: a failover changes it.

    @staticmethod
    def _described(node):
        """What a node knows of the cluster: id -> (flags, primary's id, link state, text of its slots)."""
        text = node.client(decode_responses=False).execute_command("CLUSTER NODES")
        described = {}
        for address, entry in text.items():
            if "handshake" not in entry["flags"] and not address.startswith(":"):
                described[entry["node_id"]] = entry
        return described

    def running(self):
        return [node for node in self.nodes if node.is_running()]

    def primaries(self):
        """The nodes that serve slots, by their own word, in the order of `nodes`."""
        return [node for node in self.running() if node.role() == "master" and self._own_slots(node)]

    def _own_slots(self, node):
        return self._described(node)[node.id]["slots"]

    def replicas_of(self, primary):
        return [node for node in self.running()
                if self._described(node)[node.id]["master_id"] == primary.id]

    def primary_of(self, slot):
        """The running node that says that it serves the slot; None when there is none."""
        for node in self.running():
            if node.role() != "master":
                continue
            for bounds in self._own_slots(node):
                if int(bounds[0]) <= slot <= int(bounds[-1]):
                    return node
        return None

    def slots_of(self, primary):
        """The slots a node serves, as a set."""
        slots = set()
        for bounds in self._own_slots(primary):
            slots.update(range(int(bounds[0]), int(bounds[-1]) + 1))
        return slots

    def wait_healthy(self, seconds=20):
        """All running nodes: state ok, all slots served, one opinion, replicas in sync."""
        for node in self.running():
            wait_until(lambda n=node: self._is_healthy(n), seconds, "%r to be healthy" % node)
        self.wait_agreed(seconds)

    def _is_healthy(self, node):
        try:
            info = node.command("CLUSTER INFO")
            replication = node.command("INFO", "replication")
        except redis.ResponseError:
            return False
        in_sync = replication["role"] == "master" or replication["master_link_status"] == "up"
        return info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == SLOTS and in_sync

    def _opinion(self, node):
        described = self._described(node)
        return tuple(sorted((identity, str(entry["slots"]), entry["master_id"] if entry["master_id"] != "-" else "")
                            for identity, entry in described.items()))

    # Breaking and changing it

    def move_slot(self, slot, source, target):
        """The resharding dance of redis-cli --cluster reshard. Clients may use the slot all the while.

        In a cluster with replicas use move_slots.
        """
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while True:
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, _MIGRATE_BATCH)
            if not keys:
                break
            source.command("MIGRATE", HOST, target.port, "", 0, _MIGRATE_TIMEOUT_MS, "KEYS", *keys)
        self._assign_slot(slot, source, target)

    def move_slots(self, slots, source, target):
        """Moves them one after the other, and waits until all nodes know it.

        A replica learns of a move by gossip alone. When the source of one move becomes the target of another before the
        replica has heard, the replica takes the source's new epoch for a claim to the slots it once had, and talks their
        new owner out of them: each of the two then names the other.
        """
        for slot in slots:
            self.move_slot(slot, source, target)
        self.wait_agreed()

    def wait_agreed(self, seconds=20):
        """Until all running nodes are of one opinion on who serves what."""
        wait_until(lambda: len({self._opinion(node) for node in self.running()}) == 1, seconds,
                   "the nodes to agree on the slots")

    def _assign_slot(self, slot, source, target):
        """The target first: it must own the slot before the source sends clients to it for good."""
        others = [node for node in self.running() if node not in (source, target) and node.role() == "master"]
        for node in (target, source, *others):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        # The target has taken a new epoch. A node that took its own next one before it has heard of that would take the
        # same: two owners of one epoch, and the slot falls back to the wrong one. And one that knows of the new epoch,
        # but not that it is the target's, would believe an old claim of the source's that is still on its way.
        running = {node.id for node in self.running()}
        wait_until(lambda: len({self._epochs(node, running) for node in self.running()}) == 1, 5,
                   "the nodes to hear of the move", interval=0.002)

    def _epochs(self, node, whose):
        """Other nodes' epochs, as one node knows them."""
        return tuple(sorted((identity, entry["epoch"]) for identity, entry in self._described(node).items()
                            if identity in whose))

    def wait_promoted(self, replica, seconds=20):
        """Until a replica has taken over; returns time.monotonic() of when that was seen."""
        wait_until(lambda: replica.role() == "master" and self._own_slots(replica), seconds, "%r to be promoted" % replica,
                   interval=0.01)
        return time.monotonic()

    def have_given_up(self, dead):
        """Whether all running nodes say that this one has failed."""
        return all("fail" in self._described(node)[dead.id]["flags"].split(",") for node in self.running())

    def kill_connections(self):
        for node in self.running():
            node.kill_connections()

    def wait_replicated(self, seconds=5):
        """Until every replica has what its primary has now."""
        for primary in self.primaries():
            count = len(self.replicas_of(primary))
            if count:
                offset = int(primary.command("INFO", "replication")["master_repl_offset"])
                for replica in self.replicas_of(primary):
                    wait_until(lambda r=replica: int(r.command("INFO", "replication")["slave_repl_offset"]) >= offset,
                               seconds, "%r to catch up" % replica)


class Standalone:
    """One primary that knows no cluster, with replicas."""

    def __init__(self, replicas=0, server="redis-server", options=None):
        folder = temporary_folder()
        self.primary = Server(os.path.join(folder, "primary"), reserve_port(), options, server)
        self.primary.start()
        self.replicas = []
        for index in range(replicas):
            replica = Server(os.path.join(folder, "replica%d" % index), reserve_port(),
                             {**(options or {}), "replicaof": "%s %d" % (HOST, self.primary.port)}, server)
            replica.start(wait=False)
            self.replicas.append(replica)
        for replica in self.replicas:
            wait_until(lambda r=replica: r.command("INFO", "replication")["master_link_status"] == "up", 15,
                       "%r to be in sync" % replica)
        # A replica is in sync up to 100 ms before its primary names it: that waits for the child which sent the data.
        wait_until(lambda: len(self.primary.command("ROLE")[2]) == replicas, 5, "%r to name its replicas" % self.primary)

    @property
    def nodes(self):
        return [self.primary, *self.replicas]

    @property
    def addresses(self):
        return [node.address for node in self.nodes]

    def stop(self):
        for node in self.nodes:
            node.destroy()
