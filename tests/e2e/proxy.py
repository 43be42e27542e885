"""The sluice process under test."""
import os
import re
import signal
import subprocess

import redis

from process import Process, reserve_port, temporary_folder, wait_until
from raw import RawClient
from server import HOST

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SANITIZER = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed|LeakSanitizer:")


def binary():
    """The program to test: SLUICE_BIN, else the release build."""
    return os.environ.get("SLUICE_BIN") or os.path.join(_ROOT, "build", "release", "sluice")


def is_sanitized():
    """True when the binary was built with a sanitizer: slower, and larger in memory."""
    with open(binary(), "rb") as file:
        data = file.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def has_feature(name):
    """What --kernel-features says of it."""
    lines = subprocess.run([binary(), "--kernel-features"], capture_output=True, check=True, text=True).stdout.splitlines()
    return next(line.startswith("yes") for line in lines if name in line)


class Proxy:
    """Started on a port of its own with the flags given: `Proxy(addresses, read_from="replica")` is `--read-from replica`.

    `config` is the text of a YAML file to start it with; its "{folder}" becomes the proxy's own folder. `under`: a command
    that runs it.
    """

    def __init__(self, nodes=None, config=None, wait=True, under=(), **flags):
        self.port = reserve_port()
        self.folder = temporary_folder()
        self._arguments = [*under, binary()]
        if config is not None:
            path = os.path.join(self.folder, "sluice.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config.replace("{folder}", self.folder))
            self._arguments += ["--config", path]
        # Values are relayed from a smaller size on than by default: what is to be seen of that needs no large ones.
        flags = {"listen": self.address_text, "workers": 2, "backend": "cluster", "large_values_threshold": "64kb", **flags}
        if nodes is not None:
            flags["nodes"] = ",".join(nodes)
        for name, value in flags.items():
            if value is not None:
                self._arguments += ["--" + name.replace("_", "-"), str(value)]
        self._process = None
        self.start(wait)

    @property
    def address(self):
        return (HOST, self.port)

    @property
    def address_text(self):
        return "%s:%d" % self.address

    def start(self, wait=True):
        self._process = Process(self._arguments, os.path.join(self.folder, "log"))
        if wait:
            wait_until(self._answers, 15, "the proxy to answer PING")

    def _answers(self):
        if self._process.exit_code() is not None:
            raise RuntimeError("%s ended with %s:\n%s" % (" ".join(self._arguments), self._process.exit_code(), self.log()))
        with RawClient(self.address, timeout=2) as client:
            return client.call("PING") == b"+PONG\r\n"

    def client(self, **options):
        return redis.Redis(HOST, self.port, **{"socket_timeout": 15, **options})

    def raw(self, timeout=15):
        return RawClient(self.address, timeout)

    def raw3(self, timeout=15):
        """A client that has said HELLO 3."""
        client = self.raw(timeout)
        client.call("HELLO", 3)
        return client

    def resident_kb(self):
        return self._memory_kb("VmRSS")

    def peak_kb(self):
        """The most that it has had resident at any time."""
        return self._memory_kb("VmHWM")

    def _memory_kb(self, name):
        with open("/proc/%d/status" % self._process.pid, encoding="ascii") as status:
            return int(re.search(name + r":\s+(\d+)", status.read()).group(1))

    def signal(self, number):
        self._process.signal(number)

    def log(self):
        return self._process.log()

    def is_running(self):
        return self._process.exit_code() is None

    def kill(self):
        """SIGKILL; it may start() again."""
        process, self._process = self._process, None
        process.destroy()

    def stop(self):
        """SIGTERM; raises when it does not end cleanly or has reported a bug of its own on the way."""
        if self._process is None:
            return
        process, self._process = self._process, None
        code = process.exit_code()
        if code is None:
            process.signal(signal.SIGTERM)
            try:
                code = process.wait(20)
            except Exception as error:
                process.destroy()
                raise AssertionError("the proxy did not end on SIGTERM:\n" + process.log()[-4000:]) from error
        log = process.log()
        if code != 0 or _SANITIZER.search(log):
            raise AssertionError("the proxy ended with %s:\n%s" % (code, log[-6000:]))
