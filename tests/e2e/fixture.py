"""What the tests share: one cluster and one proxy per shape and process, a time limit per test, a check of the remains."""
import atexit
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import unittest

from cluster import Cluster, Standalone
from process import clean_up
from proxy import Proxy

_started = []


def _stop_all():
    """Stops what the tests shared. A proxy that ended badly makes the whole run fail."""
    failed = False
    while _started:
        thing = _started.pop()
        try:
            thing.stop()
        except AssertionError as error:
            print(error, file=sys.stderr)
            failed = True
    if failed:
        clean_up()
        sys.stderr.flush()
        os._exit(1)


atexit.register(_stop_all)


def value_of(seed, size):
    """Bytes without a pattern, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def _keep(thing):
    _started.append(thing)
    return thing


@functools.lru_cache(maxsize=None)
def shared_cluster():
    """Three primaries. For tests that leave it whole."""
    return _keep(Cluster(3, 0))


@functools.lru_cache(maxsize=None)
def shared_proxy():
    """In front of shared_cluster()."""
    return _keep(Proxy(shared_cluster().addresses))


@functools.lru_cache(maxsize=None)
def shared_standalone():
    return _keep(Standalone())


@functools.lru_cache(maxsize=None)
def shared_standalone_proxy():
    return _keep(Proxy(shared_standalone().addresses, backend="standalone"))


@functools.lru_cache(maxsize=None)
def reference_server():
    """A plain server nobody stands in front of: what it answers is what a client of the proxy should see."""
    return _keep(Standalone()).primary


class TestCase(unittest.TestCase):
    """A test that ends in time."""

    time_limit_s = 60
    maxDiff = None
    longMessage = True

    def setUp(self):
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.alarm(self.time_limit_s)
        self.addCleanup(signal.alarm, 0)

    def _on_alarm(self, *_):
        raise AssertionError("not done after %d s" % self.time_limit_s)

    def proxy(self, *arguments, **options):
        """A proxy for this test alone."""
        proxy = Proxy(*arguments, **options)
        self.addCleanup(proxy.stop)
        return proxy

    def cluster(self, *arguments, **options):
        """A cluster for this test alone."""
        cluster = Cluster(*arguments, **options)
        self.addCleanup(cluster.stop)
        return cluster

    def client(self, proxy, *arguments):
        """A raw client, closed at the end of the test."""
        client = proxy.raw(*arguments)
        self.addCleanup(client.close)
        return client

    def assert_own_error(self, reply):
        self.assertTrue(reply.startswith(b"-ERR sluice:"), reply)

    def need_program(self, name):
        """A missing program is a failure, unless SLUICE_E2E_ALLOW_SKIP says that this machine need not have it."""
        if shutil.which(name) is None:
            if os.environ.get("SLUICE_E2E_ALLOW_SKIP"):
                self.skipTest(name + " is not installed")
            self.fail(name + " is not installed")

    def run_program(self, arguments, seconds=50, succeeds=True, **options):
        """Runs a program to its end, which must be as wished; returns what it printed on both streams."""
        try:
            done = subprocess.run([str(argument) for argument in arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=seconds, check=False,
                                  **{"stdin": subprocess.DEVNULL, **options})
        except subprocess.TimeoutExpired as error:
            self.fail("%s; it has printed: %s" % (error, error.stdout))
        output = done.stdout.decode("utf-8", "replace")
        self.assertEqual(done.returncode == 0, succeeds, output)
        self.assertGreaterEqual(done.returncode, 0, output)
        return output
