"""The processes of one comparison: started together, logged into one folder, and none of them outlives the script."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time

import wire

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 3
_libc = ctypes.CDLL(None)


class ChildFailed(Exception):
    pass


def _die_with_parent():
    """Covers the one end that no handler of ours sees: a kill -9 of the script."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the script, which stops us in order


class Children:
    """Use as a context: leaving it, however that happens, stops every process and removes the folder."""

    def __init__(self):
        self._processes = {}
        self._folder = tempfile.TemporaryDirectory(prefix="sluice-compare-")

    @property
    def folder(self):
        return self._folder.name

    @property
    def pids(self):
        return [process.pid for process in self._processes.values() if process.poll() is None]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name, process in self._processes.items():
            if process.poll() is not None:
                print(f"{name} had ended with status {process.returncode}:\n{self._log_tail(name)}", file=sys.stderr)
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._folder.cleanup()

    def write(self, name, text):
        """A file in the folder, such as a configuration; returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def start(self, name, command):
        with open(self._log(name), "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent
            )
        self._processes[name] = process
        return process

    def start_server(self, name, command, address, seconds=10):
        """Starts a process and waits until it accepts connections at the address; returns its id."""
        if wire.accepts(address):
            raise ChildFailed(f"{name}: {address} is taken already; choose another --base-port")
        process = self.start(name, command)
        deadline = time.monotonic() + seconds
        while not wire.accepts(address):
            if process.poll() is not None:
                raise ChildFailed(f"{name} ended with status {process.returncode}:\n{self._log_tail(name)}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{name} does not listen on {address}:\n{self._log_tail(name)}")
            time.sleep(0.02)
        return process.pid

    def _log(self, name):
        return os.path.join(self.folder, name + ".log")

    def _log_tail(self, name):
        with open(self._log(name), errors="replace") as file:
            return "".join(file.readlines()[-8:])
