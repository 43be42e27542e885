"""Clients people use, unchanged: redis-cli, redis-benchmark, hiredis, and two for Node.js."""
import os
import shutil
import unittest

from fixture import TestCase, shared_cluster, shared_proxy, shared_standalone_proxy
from process import temporary_folder
from server import HOST

_HERE = os.path.dirname(os.path.abspath(__file__))


class RedisCli(TestCase):

    def cli(self, *arguments, **options):
        return self.run_program(["redis-cli", "-p", shared_proxy().port, *arguments], **options)

    def test_commands(self):
        self.assertEqual(self.cli("SET", "cli:key", "a value"), "OK\n")
        self.assertEqual(self.cli("GET", "cli:key"), "a value\n")
        self.assertEqual(self.cli("-3", "--json", "HSET", "cli:h", "f", "v"), "1\n")
        self.assertEqual(self.cli("-3", "--json", "HGETALL", "cli:h"), '{"f":"v"}\n')
        self.assertIn("PONG", self.cli("PING"))

    def test_scan(self):
        for index in range(20):
            shared_proxy().client().set("cli:scan:%d" % index, "x")
        lines = self.cli("--scan", "--pattern", "cli:scan:*").split()
        self.assertEqual(sorted(set(lines)), sorted("cli:scan:%d" % index for index in range(20)))

    def test_bigkeys(self):
        self.assertIn("Sampled", self.cli("--bigkeys"))

    def test_pipe(self):
        with open(os.path.join(temporary_folder(), "commands"), "w+b") as file:
            for index in range(10000):
                file.write(b"*3\r\n$3\r\nSET\r\n$%d\r\npipe:%d\r\n$1\r\nx\r\n" % (5 + len(str(index)), index))
            file.flush()
            file.seek(0)
            self.assertIn("errors: 0, replies: 10000", self.cli("--pipe", stdin=file))

    def test_a_script_file(self):
        path = os.path.join(temporary_folder(), "script.lua")
        with open(path, "w", encoding="ascii") as file:
            file.write("return {KEYS[1], ARGV[1]}")
        self.assertEqual(self.cli("--eval", path, "cli:key", ",", "argument"), "cli:key\nargument\n")


class Benchmark(TestCase):

    def check(self, *arguments):
        output = self.run_program(["redis-benchmark", "-h", HOST, "-n", 20000, "--csv", *arguments])
        self.assertNotIn("rror", output.replace("WARNING: Could not fetch server CONFIG", ""))
        return [line.split(",")[0].strip('"') for line in output.splitlines() if line.startswith('"')]

    def test_cluster(self):
        tests = self.check("-p", shared_proxy().port, "-t", "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,mset",
                           "-P", 16, "-c", 50, "-r", 10000)
        self.assertEqual(len(tests), 13)  # with the headline

    def test_without_pipelining(self):
        self.check("-p", shared_proxy().port, "-t", "set,get", "-c", 50)

    def test_large_values(self):
        self.check("-p", shared_proxy().port, "-t", "set,get", "-c", 10, "-d", 100000, "-n", 500)

    def test_standalone(self):
        self.check("-p", shared_standalone_proxy().port, "-t", "set,get,mset", "-P", 16, "-c", 50)


class Hiredis(TestCase):

    def test_hiredis(self):
        self.need_program("gcc")
        program = os.path.join(temporary_folder(), "hiredis_client")
        self.run_program(["gcc", "-Wall", "-o", program, os.path.join(_HERE, "hiredis_client.c"), "-lhiredis"])
        self.assertEqual(self.run_program([program, shared_proxy().port]), "fine\n")


class Node(TestCase):
    """The packages are installed once, into SLUICE_NODE_DIR when it is set (a folder that outlives the tests)."""

    time_limit_s = 120

    @classmethod
    def folder(cls):
        folder = os.environ.get("SLUICE_NODE_DIR") or temporary_folder()
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(os.path.join(_HERE, "node")):
            if not name.startswith("node_modules"):
                shutil.copy(os.path.join(_HERE, "node", name), folder)
        return folder

    def setUp(self):
        super().setUp()
        self.need_program("node")
        self.need_program("npm")
        if not hasattr(Node, "installed"):
            folder = self.folder()
            if not os.path.isdir(os.path.join(folder, "node_modules", "ioredis")):
                self.run_program(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], seconds=90, cwd=folder)
            Node.installed = folder

    def check(self, script):
        output = self.run_program(["node", os.path.join(self.installed, script), shared_proxy().port], seconds=30)
        self.assertEqual(output, "fine\n")

    def test_node_redis(self):
        self.check("node_redis.js")

    def test_ioredis(self):
        self.check("ioredis.js")


if __name__ == "__main__":
    unittest.main()
