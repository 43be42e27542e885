"""Where the proxy listens, what its command line says, and the commands of its own."""
import os
import signal
import socket
import subprocess
import unittest

from fixture import TestCase, shared_cluster, shared_proxy
from process import reserve_port, temporary_folder, wait_until
from proxy import binary
from raw import RawClient


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

    def test_several(self):
        port, path = reserve_port(), os.path.join(temporary_folder(), "s")
        config = 'listen: ["127.0.0.1:%d", "[::1]:%d", "unix:%s"]\n' % (port, port, path)
        proxy = self.proxy(shared_cluster().addresses, config=config, listen=None, wait=False)
        for address in (("127.0.0.1", port), ("::1", port), path):
            self.check_soon(proxy, address)


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

    def test_a_port_in_use(self):
        output = self.refused("--listen", shared_proxy().address_text, "--nodes", shared_cluster().addresses[0])
        self.assertIn(str(shared_proxy().port), output)

    def test_exit_codes(self):
        """What a service manager decides by: whether starting again may help."""
        nodes = ("--nodes", shared_cluster().addresses[0])
        for arguments, code in ((("--check-config", *nodes), 0), (("--workers", "x", *nodes), 1),
                                (("--listen", shared_proxy().address_text, *nodes), 3)):
            with self.subTest(arguments=arguments):
                done = subprocess.run([binary(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      stdin=subprocess.DEVNULL, timeout=20, check=False)
                self.assertEqual(done.returncode, code)

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
        self.assertIn(b":", self.client(shared_proxy()).ask("SLUICE", "INFO"))

    def test_unknown(self):
        self.assertTrue(self.client(shared_proxy()).call("SLUICE", "NOSUCH").startswith(b"-ERR"))
        self.assertTrue(self.client(shared_proxy()).call("SLUICE").startswith(b"-ERR wrong number of arguments"))


if __name__ == "__main__":
    unittest.main()
