"""One redis-server or valkey-server: started, killed, restarted, paused, asked."""
import os
import signal

import redis

from process import BUS_OFFSET, Process, wait_until

HOST = "127.0.0.1"

# Nothing acknowledged is lost by kill -9: the append-only file is written (not synced) before the reply leaves.
_OPTIONS = {
    "bind": HOST, "protected-mode": "no", "daemonize": "no", "save": "", "appendonly": "yes", "appendfsync": "no",
    "enable-debug-command": "yes", "repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1", "loglevel": "notice",
}


class Server:
    """`options` are redis.conf directives, given as flags; they override the defaults above."""

    def __init__(self, folder, port, options=None, binary="redis-server"):
        self.folder = folder
        self.port = port
        self.binary = binary
        self.options = {**_OPTIONS, **(options or {})}
        self.id = None  # of a cluster node; set by Cluster
        self._process = None
        self._control = None
        os.makedirs(folder, exist_ok=True)

    @property
    def address(self):
        return "%s:%d" % (HOST, self.port)

    def __repr__(self):
        return "%s(%s)" % (self.binary, self.address)

    # Life

    def start(self, wait=True):
        arguments = [self.binary, "--port", self.port, "--dir", self.folder]
        for name, value in self.options.items():
            arguments += ["--" + name, value]
        if self.options.get("cluster-enabled") == "yes":
            arguments += ["--cluster-announce-port", self.port, "--cluster-announce-bus-port", self.port + BUS_OFFSET]
        self._process = Process(arguments, os.path.join(self.folder, "log"))
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=10):
        """Answers PING and has loaded its data."""
        def ready():
            if self._process.exit_code() is not None:
                raise RuntimeError("%r ended: %s" % (self, self.log()[-2000:]))
            try:
                return self.command("PING")
            except redis.ResponseError:  # -LOADING
                return False
        wait_until(ready, seconds, "%r to answer" % self)

    def kill(self, number=signal.SIGKILL):
        """Sends the signal and waits for the end."""
        self._process.signal(number)
        self._process.wait(15)
        self._forget_control()

    def is_running(self):
        return self._process is not None and self._process.exit_code() is None

    def restart(self, new_port=None, number=signal.SIGKILL, wait=True):
        """Ends it when it still runs, and starts it again; on another port when one is given."""
        if self.is_running():
            self.kill(number)
        self._forget_control()
        self.port = new_port or self.port
        self.start(wait)

    def pause(self):
        """Hangs: connections stay open, the kernel takes what is sent, nothing is answered."""
        self._process.signal(signal.SIGSTOP)

    def resume(self):
        self._process.signal(signal.SIGCONT)

    def destroy(self):
        if self._process is not None:
            self._process.destroy()

    def log(self):
        return self._process.log()

    # Questions, on a connection kept for control

    def client(self, **options):
        return redis.Redis(HOST, self.port, **{"socket_timeout": 5, **options})

    def command(self, *arguments):
        if self._control is None:
            self._control = self.client(single_connection_client=False)
        try:
            return self._control.execute_command(*arguments)
        except redis.ConnectionError as error:
            raise ConnectionError(str(error)) from error
        except redis.TimeoutError as error:
            raise ConnectionError(str(error)) from error

    def _forget_control(self):
        if self._control is not None:
            self._control.close()
            self._control = None

    def kill_connections(self):
        """Cuts every client's connection but the one that asks."""
        return self.command("CLIENT", "KILL", "TYPE", "normal")

    def role(self):
        """"master" or "slave"."""
        return self.command("ROLE")[0].decode()

    def calls(self, command):
        """How often the node has run a command, by its own count."""
        statistics = self.command("INFO", "commandstats")
        return int(statistics.get("cmdstat_" + command, {"calls": 0})["calls"])
