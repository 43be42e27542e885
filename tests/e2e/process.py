"""Child processes and ports of a test: nothing outlives the test, nothing collides with a test beside it."""
import atexit
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []
_reserved = []
_chooser = random.SystemRandom()

# Below the kernel's ephemeral range (as are the cluster bus ports, 10000 above): an outgoing connection never takes the
# port of a server that is down at the moment.
_PORTS = range(19000, 20000)
BUS_OFFSET = 10000


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child in a process group of its own. Its output goes to `log_path`, appended over restarts; with `piped`, its
    standard input and output are pipes of text (`stdin`, `stdout`) and only its errors go to the log.

    Start it from the main thread: the kernel kills it when the thread that forked it ends.
    """

    def __init__(self, arguments, log_path, piped=False):
        self.arguments = [str(argument) for argument in arguments]
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self._popen = subprocess.Popen(self.arguments, stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                                           stdout=subprocess.PIPE if piped else log, stderr=log, text=piped,
                                           start_new_session=True, preexec_fn=_die_with_parent)
        self.pid = self._popen.pid
        self.stdin, self.stdout = self._popen.stdin, self._popen.stdout
        _running.append(self)

    def signal(self, number):
        self._popen.send_signal(number)

    def exit_code(self):
        """None while it runs."""
        return self._popen.poll()

    def wait(self, seconds):
        """The exit code; raises when it still runs after `seconds`."""
        try:
            return self._popen.wait(seconds)
        finally:
            if self._popen.returncode is not None and self in _running:
                _running.remove(self)

    def destroy(self):
        """Kills the whole group; also when it is stopped (SIGSTOP) or already gone."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.wait(10)

    def log(self):
        with open(self.log_path, "rb") as file:
            return file.read().decode("utf-8", "replace")


_root = tempfile.mkdtemp(prefix="sluice-e2e-")


@atexit.register
def clean_up():
    """Ends all children and removes all folders; runs by itself at exit."""
    for process in list(_running):
        process.destroy()
    shutil.rmtree(_root, ignore_errors=True)


def temporary_folder():
    """A folder that goes when the test process ends."""
    return tempfile.mkdtemp(dir=_root)


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def reserve_port():
    """A free TCP port whose cluster bus port is free too; this process keeps it until it ends.

    The reservation is an abstract unix socket of that name, which no other test process can bind meanwhile.
    """
    for port in _chooser.sample(_PORTS, len(_PORTS)):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind("\0sluice-e2e-port-%d" % port)
        except OSError:
            reservation.close()
            continue
        if _is_free(port) and _is_free(port + BUS_OFFSET):
            _reserved.append(reservation)
            return port
        reservation.close()
    raise RuntimeError("no free port between %d and %d" % (_PORTS.start, _PORTS.stop))


def wait_until(condition, seconds, what, interval=0.02):
    """Polls until `condition()` is true and returns its value. Connection errors count as false."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, ConnectionError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError("waited %.1f s for %s; last: %r" % (seconds, what, last))
        time.sleep(interval)
