"""Where the proxy listens, what its command line says, and the commands of its own."""
import collections
import ctypes
import datetime
import itertools
import json
import os
import re
import signal
import socket
import struct
import subprocess
import unittest

from fixture import TestCase, shared_cluster, shared_proxy, shared_standalone
from process import reserve_port, temporary_folder, wait_until
from proxy import binary
from raw import RawClient


def forbid_io_uring():
    """In a child before it runs its program: a seccomp filter that lets io_uring_setup fail with EPERM."""
    def step(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)
    steps = step(0x20, 0, 0, 0) + step(0x15, 0, 1, 425) + step(0x06, 0, 0, 0x00050001) + step(0x06, 0, 0, 0x7fff0000)
    code = ctypes.create_string_buffer(steps, len(steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, program) != 0:  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        os._exit(99)


class ListeningCase(TestCase):

    def check_soon(self, proxy, address):
        """Served at `address` within a few seconds."""
        def answers():
            self.assertTrue(proxy.is_running(), proxy.log())
            with RawClient(address) as client:
                return client.call("SET", "listener", 1) == b"+OK\r\n"
        wait_until(answers, 10, "an answer at %s" % (address,))


class Listeners(ListeningCase):

    def test_unix_socket(self):
        path = os.path.join(temporary_folder(), "s")
        proxy = self.proxy(shared_cluster().addresses, listen="unix:" + path, wait=False)
        self.check_soon(proxy, path)

    def test_a_socket_file_left_behind_is_replaced(self):
        path = os.path.join(temporary_folder(), "s")
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.close()
        self.check_soon(self.proxy(shared_cluster().addresses, listen="unix:" + path, wait=False), path)

    def test_ipv6(self):
        port = reserve_port()
        proxy = self.proxy(shared_cluster().addresses, listen="[::1]:%d" % port, wait=False)
        self.check_soon(proxy, ("::1", port))

    def test_the_next_may_start_as_soon_as_one_was_killed(self):
        """The kernel lets go of its sockets a little later than of the process."""
        path = os.path.join(temporary_folder(), "s")
        for listen in (None, "unix:" + path):
            with self.subTest(listen=listen):
                proxy = self.proxy(shared_cluster().addresses, wait=False, **({"listen": listen} if listen else {}))
                address = path if listen else proxy.address
                for _ in range(8):
                    self.check_soon(proxy, address)
                    clients = [RawClient(address) for _ in range(200)]
                    proxy.kill()
                    proxy.start(wait=False)
                    for client in clients:
                        client.close()
                self.check_soon(proxy, address)

    def test_several(self):
        port, path = reserve_port(), os.path.join(temporary_folder(), "s")
        config = 'listen: ["127.0.0.1:%d", "[::1]:%d", "unix:%s"]\n' % (port, port, path)
        proxy = self.proxy(shared_cluster().addresses, config=config, listen=None, wait=False)
        for address in (("127.0.0.1", port), ("::1", port), path):
            self.check_soon(proxy, address)


    def test_every_address_of_a_name(self):
        """It listens on all; and a server is found at the one where it is."""
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("another /etc/hosts needs the right to mount")
        hosts = os.path.join(temporary_folder(), "hosts")
        with open(hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.3 sluice-many\n127.0.0.2 sluice-many\n127.0.0.1 sluice-many\n")
        node = shared_standalone().primary
        port = reserve_port()
        proxy = self.proxy(["sluice-many:%d" % node.port], backend="standalone", listen="sluice-many:%d" % port, wait=False,
                           under=("unshare", "-m", "sh", "-c", "mount --bind %s /etc/hosts && exec \"$@\"" % hosts, "sh"))
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            self.check_soon(proxy, (host, port))


class CommandLine(ListeningCase):

    def run_sluice(self, *arguments):
        return self.run_program([binary(), *arguments], seconds=20)

    def refused(self, *arguments):
        """What is said when it does not start."""
        return self.run_program([binary(), *arguments], seconds=20, succeeds=False)

    def config(self, text):
        path = os.path.join(temporary_folder(), "sluice.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_check_config(self):
        good = self.config('listen: ["127.0.0.1:6380"]\nbackend:\n  kind: cluster\n  nodes: ["127.0.0.1:7001"]\n')
        self.run_sluice("--config", good, "--check-config")

    def test_check_config_names_the_place(self):
        nodes = 'backend:\n  nodes: ["127.0.0.1:7001"]\n'
        for text, line, word in ((nodes + "no_such_key: 1\n", 3, "no_such_key"),
                                 (nodes + "  refresh_interval: soon\n", 3, "refresh_interval"),
                                 ("workers: many\n" + nodes, 1, "workers"),
                                 (nodes + "pool:\n  mode: sharde\n", 4, "mode"),
                                 ("listen: [\n", 0, "")):
            with self.subTest(text=text):
                path = self.config(text)
                output = self.refused("--config", path, "--check-config")
                self.assertIn(path, output)
                self.assertIn(word, output)
                if line:
                    self.assertIn(":%d" % line, output)

    def test_bad_flags(self):
        self.assertIn("--no-such-flag", self.refused("--no-such-flag", "1"))
        self.assertIn("--workers", self.refused("--workers", "x", "--nodes", "127.0.0.1:7001"))
        self.assertIn("nosuch.yaml", self.refused("--config", "/nonexistent/nosuch.yaml"))

    def test_kernel_features(self):
        self.assertIn("multishot", self.run_sluice("--kernel-features"))

    def test_help_and_version(self):
        self.assertIn("--listen", self.run_sluice("--help"))
        self.assertRegex(self.run_sluice("--version"), r"\d+\.\d+")

    def test_a_log_for_machines(self):
        trouble = 'say "no" \\ \t \u00e9 \u20ac \U0001d11e.'
        not_text = b" \xff \xc0\xaf \xed\xa0\x80 \xe2\x82"
        with socket.create_server(("127.0.0.1", 0)) as node:
            node.settimeout(10)
            proxy = self.proxy(["127.0.0.1:%d" % node.getsockname()[1]], password="x", log_format="json", log_level="debug",
                               wait=False)
            with node.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"-ERR %s%s\r\n" % (trouble.encode(), not_text))
                wait_until(lambda: "say" in proxy.log(), 5, "a line about the error")
        lines = [json.loads(line) for line in proxy.log().splitlines()]
        self.assertEqual({tuple(line) for line in lines}, {("time", "level", "message")})
        self.assertTrue(any(trouble + not_text.decode("latin-1") in line["message"] for line in lines), lines)
        for line in lines:
            datetime.datetime.fromisoformat(line["time"])
            self.assertIn(line["level"], ("debug", "info", "warning"))

    def test_a_port_in_use(self):
        output = self.refused("--listen", shared_proxy().address_text, "--nodes", shared_cluster().addresses[0])
        self.assertIn(str(shared_proxy().port), output)

    def test_a_name_without_an_address(self):
        output = self.refused("--listen", "no..name:7000", "--nodes", shared_cluster().addresses[0])
        self.assertIn("cannot listen on no..name:7000: the host name cannot be resolved", output)

    def test_exit_codes(self):
        """What a service manager decides by: whether starting again may help."""
        nodes = ("--nodes", shared_cluster().addresses[0])
        for arguments, code in ((("--check-config", *nodes), 0), (("--workers", "x", *nodes), 1),
                                (("--listen", shared_proxy().address_text, *nodes), 3)):
            with self.subTest(arguments=arguments):
                done = subprocess.run([binary(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      stdin=subprocess.DEVNULL, timeout=20, check=False)
                self.assertEqual(done.returncode, code)

    def test_without_io_uring(self):
        for arguments in (("--nodes", shared_cluster().addresses[0]), ("--kernel-features",)):
            done = subprocess.run([binary(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
                                  stdin=subprocess.DEVNULL, check=False, preexec_fn=forbid_io_uring)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(b"seccomp", done.stdout)

    def test_a_reload_that_is_not_built_harms_nobody(self):
        proxy = self.proxy(shared_cluster().addresses)
        client = self.client(proxy)
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: "SIGHUP" in proxy.log(), 5, "the proxy to say so")
        self.assertEqual(client.call("PING"), b"+PONG\r\n")

    def test_aliases_of_the_small_proxies(self):
        port = reserve_port()
        proxy = self.proxy(listen=None, addr="127.0.0.1:%d" % port, backend=None, wait=False,
                           startup_nodes=",".join(shared_cluster().addresses), read_prefer=0, connect_timeout="1s",
                           slots_reload_interval="5s", backend_idle_connections=2)
        self.check_soon(proxy, ("127.0.0.1", port))


class OwnCommands(TestCase):

    def test_help(self):
        lines = self.client(shared_proxy()).ask("SLUICE", "HELP")
        text = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        self.assertIn(b"INFO", text)

    def test_info(self):
        proxy = self.proxy(shared_cluster().addresses)
        client = self.client(proxy)
        for index in range(100):
            self.assertEqual(client.ask("SET", "info:%d" % index, 1), "OK")
        text = client.ask("SLUICE", "INFO").decode()
        lines = [line.split(":", 1) for line in text.split("\r\n") if ":" in line]
        nodes = [dict(item.split("=") for item in value.split(",")[1:]) for name, value in lines if name == "node"]
        sums = collections.Counter()
        for name, value in lines:
            if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
                sums[name] += float(value)
        self.assertEqual(sums["workers"], 2)
        self.assertEqual(text.count("# Worker "), 2)
        for name in ("commands", "turns", "client_sends", "client_receives", "backend_sends", "backend_receives",
                     "client_buffers", "backend_requests", "backend_replies", "commands_per_send", "commands_per_turn"):
            self.assertGreater(sums[name], 0, name)
        self.assertGreaterEqual(sums["commands"], 101)
        self.assertEqual((sums["shards"], sums["slots_covered"]), (6, 2 * 16384))
        for name in ("client_buffers_in_use", "redirects_moved", "redirects_ask", "backend_connections_lost", "clients_refused",
                     "requests_parked", "protocol_errors"):
            self.assertEqual(sums[name], 0, name)
            self.assertIn(name, sums)
        self.assertEqual(len(nodes), 6)
        self.assertTrue(any(node["state"] == "connected" and int(node["connections"]) > 0 for node in nodes), nodes)
        self.assertTrue(all(node["role"] == "primary" for node in nodes), nodes)

    def test_info_tells_refused_clients_and_reconnects(self):
        cluster = self.cluster(3, 0)
        proxy = self.proxy(cluster.addresses, workers=1, max_clients=2)
        client = self.client(proxy)
        wait_until(lambda: self.number(client, "clients") == 1, 5, "the one that looked whether it had started to be gone")
        self.assertEqual(self.client(proxy).ask("PING"), "PONG")
        with proxy.raw() as refused:
            self.assertIn(b"max number of clients", refused.read_until_closed())
        self.assertEqual(self.number(client, "clients_refused"), 1)
        for index in range(50):
            self.assertEqual(client.ask("SET", "info:%d" % index, 1), "OK")
        before = self.number(client, "backend_connects")
        cluster.kill_connections()
        wait_until(lambda: self.number(client, "backend_connections_lost") >= 3, 5, "the proxy to have lost its connections")
        for index in range(50):
            self.assertEqual(client.ask("GET", "info:%d" % index), b"1")
        self.assertGreaterEqual(self.number(client, "backend_connects"), before + 3)

    def test_clients_go_to_the_worker_with_the_fewest(self):
        proxy = self.proxy(shared_cluster().addresses, workers=3)
        clients = [self.client(proxy) for _ in range(9)]
        counts = lambda: sorted(int(count) for count in re.findall(rb"\nclients:(\d+)", clients[0].ask("SLUICE", "INFO")))
        wait_until(lambda: counts() == [3, 3, 3], 5, "three clients for each worker")
        for client in clients[3::3] + clients[5::3]:  # all of one worker but one, or some of each: the rest is made good
            client.close()
        wait_until(lambda: sum(counts()) == 5, 5, "the clients to be gone")
        clients += [self.client(proxy) for _ in range(4)]
        wait_until(lambda: counts() == [3, 3, 3], 5, "three clients for each worker again")

    def test_active_clients_come_together(self):
        """Whatever moves, each reply is its own; who comes after is counted right."""
        proxy = self.proxy(shared_cluster().addresses, workers=2)
        client = self.client(proxy)
        clients = [self.client(proxy) for _ in range(19)]
        host, port = proxy.address
        load = subprocess.Popen(["redis-benchmark", "-h", host, "-p", str(port), "-c", "20", "-n", "100000000", "-t", "set", "-q"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(load.wait)
        self.addCleanup(load.kill)
        rounds = itertools.count()

        def has_moved_clients():
            value = b"%d" % next(rounds)
            for index, each in enumerate(clients):
                self.assertEqual(each.ask("SET", "moves:%d" % index, value + b":%d" % index), "OK")
            for index, each in enumerate(clients):
                self.assertEqual(each.ask("GET", "moves:%d" % index), value + b":%d" % index)
            # The load has ten at each worker; then at least some of those that are checked here have moved too.
            return self.sum(client, "clients_handed_over") >= 15
        wait_until(has_moved_clients, 30, "clients to have moved")
        load.kill()
        load.wait()
        wait_until(lambda: self.sum(client, "clients") == 20, 5, "the load's clients to be gone")

    @staticmethod
    def sum(client, name):
        return sum(int(value) for value in re.findall(rb"\n%s:(\d+)" % name.encode(), client.ask("SLUICE", "INFO")))

    @staticmethod
    def number(client, name):
        return int(re.search(rb"\n%s:(\d+)" % name.encode(), client.ask("SLUICE", "INFO")).group(1))

    def test_unknown(self):
        self.assertTrue(self.client(shared_proxy()).call("SLUICE", "NOSUCH").startswith(b"-ERR"))
        self.assertTrue(self.client(shared_proxy()).call("SLUICE").startswith(b"-ERR wrong number of arguments"))


if __name__ == "__main__":
    unittest.main()
