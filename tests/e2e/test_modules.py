"""Commands that no table knows: learned from the backend when they are first used, then routed like any other."""
import os
import subprocess
import time
import unittest

from cluster import Cluster, slot_of
from fixture import TestCase
from process import temporary_folder
from raw import encode

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "toy_module.c")


class Modules(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.module = os.path.join(temporary_folder(), "toy.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", cls.module, _SOURCE], check=True, timeout=50)
        cls.backend = Cluster(3, 0, options={"loadmodule": cls.module, "enable-module-command": "local"})
        cls.addClassCleanup(cls.backend.stop)

    def setUp(self):
        super().setUp()
        for node in self.backend.nodes:
            node.command("FLUSHALL")
        self.sluice = self.proxy(self.backend.addresses)
        self.raw = self.client(self.sluice)

    def test_keys_are_found(self):
        for index in range(60):
            self.assertEqual(self.raw.call("TOY.SET", "key%d" % index, index), b"+OK\r\n")
        other = self.client(self.sluice)
        for index in range(60):
            self.assertEqual(other.ask("toy.get", "key%d" % index), b"%d" % index)
            self.assertEqual(other.ask("GET", "key%d" % index), b"%d" % index)
        held = [node.command("DBSIZE") for node in self.backend.nodes]
        self.assertEqual((sum(held), min(held) > 0), (60, True), held)

    def test_learned_in_the_middle_of_a_pipeline(self):
        raw = self.client(self.sluice)
        raw.send(b"".join(encode(*words) for words in (
            ("SET", "k", 1), ("TOY.GET", "k"), ("TOY.SET", "k", 2), ("GET", "k"), ("NO.SUCH", "k"), ("TOY.GET", "k"))))
        self.assertEqual([raw.read_reply() for _ in range(2)], [b"+OK\r\n", b"$1\r\n1\r\n"])
        self.assertEqual([raw.read_reply() for _ in range(2)], [b"+OK\r\n", b"$1\r\n2\r\n"])
        self.assertTrue(raw.read_reply().startswith(b"-ERR unknown command 'NO.SUCH'"))
        self.assertEqual(raw.read_reply(), b"$1\r\n2\r\n")

    def test_several_keys(self):
        """They go where the first one is; of different slots the server says so."""
        self.assertEqual(self.raw.call("TOY.MSET", "{t}a", 1, "{t}b", 2), b"+OK\r\n")
        self.assertEqual(self.raw.ask("MGET", "{t}a", "{t}b"), [b"1", b"2"])
        self.assertTrue(self.raw.call("TOY.MSET", "a", 1, "b", 2).startswith(b"-CROSSSLOT"))

    def test_arity_and_keyless(self):
        self.assertEqual(self.raw.ask("TOY.WHO")[0], b"port")
        self.assertTrue(self.raw.call("TOY.GET").startswith(b"-ERR wrong number of arguments"))

    def test_loaded_while_the_proxy_runs(self):
        nodes = self.backend.nodes
        for node in nodes:
            node.command("MODULE", "UNLOAD", "toy")
        fresh = self.client(self.proxy(self.backend.addresses))
        self.assertTrue(fresh.call("TOY.GET", "k").startswith(b"-ERR unknown command 'TOY.GET'"))
        for node in nodes:
            node.command("MODULE", "LOAD", self.module)
        deadline = time.monotonic() + 20
        while fresh.call("TOY.SET", "k", 1) != b"+OK\r\n":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def test_a_subcommand_that_came_later(self):
        """The container is known from before; what a newer version of it can do is learned too."""
        for index in range(20):
            self.assertEqual(self.raw.call("TOY.BOX", "PUT", "key%d" % index, index), b"+OK\r\n")
        self.assertTrue(self.raw.call("TOY.BOX", "NOSUCH", "k").startswith(b"-ERR unknown subcommand 'NOSUCH'"))
        for node in self.backend.nodes:
            node.command("MODULE", "UNLOAD", "toy")
            node.command("MODULE", "LOAD", self.module, "newer")
        for index in range(20):
            self.assertEqual(self.raw.ask("toy.box", "take", "key%d" % index), b"%d" % index)

    def test_a_slot_that_moves(self):
        source = self.backend.primary_of(slot_of("moved"))
        target = next(node for node in self.backend.nodes if node is not source)
        self.assertEqual(self.raw.call("TOY.SET", "moved", "x"), b"+OK\r\n")
        self.backend.move_slot(slot_of("moved"), source, target)
        self.assertEqual(self.raw.ask("TOY.GET", "moved"), b"x")
        self.assertEqual(self.raw.call("TOY.SET", "moved", b"y" * 500000), b"+OK\r\n")
        self.assertEqual(self.raw.ask("TOY.GET", "moved"), b"y" * 500000)


if __name__ == "__main__":
    unittest.main()
