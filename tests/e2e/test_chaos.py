"""Things that happen to clusters, under a load that knows what each reply may be (see chaos.py and model.py).

SLUICE_CHAOS_SECONDS is the length of the scenarios that can go on for ever; SLUICE_CHAOS_WORKERS the proxy's threads;
see load.py for the rest. A failure names the seed.
"""
import itertools
import os
import random
import signal
import time
import unittest

from chaos import TAGS, SLOT_OF_TAG
from cluster import Cluster
from fixture import TestCase
from load import Load, backend_answers, ranges_of
from process import reserve_port
from proxy import is_sanitized

SECONDS = float(os.environ.get("SLUICE_CHAOS_SECONDS", "8"))
WORKERS = int(os.environ.get("SLUICE_CHAOS_WORKERS", "2"))


def setUpModule():
    global cluster
    cluster = Cluster(3, 1, node_timeout_ms=2000)
    unittest.addModuleCleanup(cluster.stop)


class Chaos(TestCase):

    time_limit_s = 120

    def setUp(self):
        super().setUp()
        cluster.wait_healthy()
        self.random = random.Random(os.environ.get("SLUICE_CHAOS_SEED", "1"))
        self.sluice = self.proxy(cluster.addresses, workers=WORKERS)
        self.rate = 3000 if is_sanitized() else 10000

    def start_load(self, **options):
        """On an empty cluster: the model begins with no keys at all."""
        for node in cluster.primaries():
            node.command("FLUSHALL")
        load = Load(self.sluice, rate=self.rate, **options)
        time.sleep(1)
        return load

    def finish(self, load, allow_errors=None):
        """Every reply was right, every error is one of those that `allow_errors(error)` takes, and the nodes hold what
        the proxy said."""
        report = load.stop()
        print("        %d requests, %d errors, %d keys, slowest %.2f s" % (
            report["operations"], report["error_count"], len(report["final"]), max(report["slowest"].values())))
        story = "seed %d, %d requests" % (report["seed"], report["operations"])
        self.assertIsNone(report["wrong"], story)
        self.assertGreater(report["operations"], 1000, story)
        bad = [error for error in report["errors"] if allow_errors is None or not allow_errors(error)]
        self.assertEqual(bad[:5], [], "%s; %d errors in all, %d of the listed not allowed"
                         % (story, report["error_count"], len(bad)))
        cluster.wait_healthy()
        held = backend_answers(cluster, report["final"])
        different = [(name, answer, held[name]) for _, name, answer in report["final"] if answer != held[name]]
        self.assertEqual(different[:3], [], story)
        return report


class Reshard(Chaos):

    def test_no_error_while_slots_move(self):
        load = self.start_load()
        deadline = time.monotonic() + SECONDS
        moved = 0
        while time.monotonic() < deadline and load.is_running():
            source, target = self.random.sample(cluster.primaries(), 2)
            mine = cluster.slots_of(source)
            slots = [SLOT_OF_TAG[tag] for tag in TAGS if SLOT_OF_TAG[tag] in mine]
            chosen = self.random.sample(slots, min(len(slots), 40))
            cluster.move_slots(chosen, source, target)
            moved += len(chosen)
        self.finish(load)
        self.assertGreater(moved, 100)


class Failover(Chaos):

    def test_a_replica_takes_over(self):
        primaries = cluster.primaries()
        victim = self.random.choice(primaries)
        replica, = cluster.replicas_of(victim)
        slots = cluster.slots_of(victim)
        groups = ";".join(ranges_of(cluster.slots_of(node)) for node in primaries)
        load = self.start_load(groups=groups)
        time.sleep(1)
        load.tell("lossy", ranges_of(slots))
        victim.kill()
        taken_over = cluster.wait_promoted(replica)
        time.sleep(1)
        load.tell("strict")
        time.sleep(2)
        victim.restart()
        time.sleep(2)
        report = self.finish(load, lambda error: slots & set(error["slots"]) and error["sent_at"] < taken_over)
        for number, used in report["slots_used"].items():
            if not slots & set(used):
                self.assertLess(report["slowest"][number], 1.5, "a client waited that uses none of the slots concerned")


class Restart(Chaos):
    """Nothing is lost: a node writes its file before it answers, and is back before a replica takes over."""

    def test_one_node_at_a_time(self):
        load = self.start_load()
        before = cluster.primaries()
        outages = []
        for node, number in zip(cluster.nodes, itertools.cycle((signal.SIGKILL, signal.SIGTERM))):
            slots = cluster.slots_of(node) if node in before else set()
            started = time.monotonic()
            node.kill(number)
            outage = Outage(started - 1, time.monotonic() + 0.5, slots)
            outages.append(outage)
            node.restart()
            cluster.wait_healthy()
            outage.healthy = time.monotonic()
            time.sleep(1.2)  # what waited for this node is answered before the next goes
        self.assertEqual(cluster.primaries(), before)
        self.finish(load, lambda error: any(outage.explains(error) for outage in outages))

    def test_another_port(self):
        load = self.start_load()
        outages = []
        primary = self.random.choice(cluster.primaries())
        for node in (primary, *cluster.replicas_of(primary)):
            slots = cluster.slots_of(node) if node is primary else set()
            started = time.monotonic()
            node.kill(signal.SIGTERM)
            outage = Outage(started - 1, time.monotonic() + 0.5, slots)
            outages.append(outage)
            node.restart(new_port=reserve_port())
            cluster.wait_healthy()
            outage.healthy = time.monotonic()
            time.sleep(1)
        self.finish(load, lambda error: any(outage.explains(error) for outage in outages))


class Outage:
    """A node went between `first` and `last`; all nodes said that the cluster is up at `healthy`."""

    def __init__(self, first, last, slots):
        self._first, self._last, self._slots = first, last, slots
        self.healthy = last
        self._overtaken = 0

    def explains(self, error):
        """A request sent to the node just before it went: its outcome is unknown. Later ones wait for the node; but one of
        a pipeline that meets the last moment of CLUSTERDOWN cannot run any more once a later one of its slot has."""
        if error["text"].startswith("CLUSTERDOWN ") and self._first <= error["sent_at"] <= self.healthy:
            self._overtaken += 1
            return self._overtaken <= 3
        return (error["text"].startswith("ERR sluice:") and self._first <= error["sent_at"] <= self._last
                and bool(self._slots & set(error["slots"])))


class Cut(Chaos):

    def test_backend_connections(self):
        load = self.start_load()
        deadline = time.monotonic() + SECONDS / 2
        last = 0
        while time.monotonic() < deadline and load.is_running():
            cluster.kill_connections()
            last = time.monotonic()
            time.sleep(0.3)
        time.sleep(1)
        report = self.finish(load, lambda error: error["text"].startswith("ERR sluice:") and error["sent_at"] < last + 0.2)
        self.assertLess(report["error_count"], report["operations"] / 5)

    def test_client_connections(self):
        load = self.start_load(cut_every=0.02)
        time.sleep(SECONDS / 2)
        self.finish(load)


if __name__ == "__main__":
    unittest.main()
