"""What is asked of each proxy, and what is measured meanwhile. A load measures one peer once, and returns numbers."""

import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import proc
import wire

KEYS = 100_000
FILL_REQUESTS = 500_000  # random keys: enough that less than one in a hundred is missed
RUN_TIMEOUT = 60


class LoadFailed(Exception):
    """This peer has no number for this load; the message says why."""


class WrongBytes(LoadFailed):
    """It did not give back what was put in: worse than any number."""


@dataclass(frozen=True)
class Column:
    key: str
    heading: str
    digits: int = 2
    ratio: bool = False  # whether Sluice's number is set in relation to the peer's
    drawn: bool = False  # whether the plot shows it
    swept: bool = False  # whether it is a line in the plot of a sweep


LATENCIES = [Column("p50_ms", "p50 ms", 3), Column("p99_ms", "p99 ms", 3, ratio=True), Column("p999_ms", "p99.9 ms", 3)]
CPU = Column("cpu_us", "CPU us/request", 3, ratio=True, drawn=True)
PEAK = Column("peak_mb", "peak MB", 1)
AT_FIXED_RATE = [*LATENCIES[:1], Column("p99_ms", "p99 ms", 3, ratio=True, drawn=True), *LATENCIES[2:],
                 Column("cpu_percent", "CPU % of a core", 1, ratio=True, drawn=True),
                 Column("cpu_us", "CPU us/request", 3), PEAK]
OTHERS = Column("others_percent", "others' CPU %", 0)  # far from 0, the machine was not ours and the round says little


@dataclass
class Closed:
    """redis-benchmark's closed loop: SET, then GET, 3 bytes, random keys; latencies are the mean of the two."""

    name: str
    clients: int
    pipeline: int
    seconds: float
    subject: str = "sluice"
    each_worker: bool = False  # for each of the peer's workers so many clients, and a redis-benchmark of its own
    repeated: bool = True
    rates: dict = field(default_factory=dict)  # requests per second that each peer was seen to reach

    columns = [Column("rate", "requests/s", 0, ratio=True, drawn=True), *LATENCIES, CPU,
               Column("cpu_percent", "CPU %", 0), PEAK, OTHERS]

    @property
    def words(self):
        clients = f"{self.clients} clients" + (" and a redis-benchmark for each worker" if self.each_worker else "")
        return f"{clients}, pipelines of {self.pipeline}, as fast as they can"

    def generators(self, peer):
        return peer.workers if self.each_worker else 1

    def prepare(self, peer):
        """A first short run finds how many requests take about as long as asked."""
        requests = max(30_000, 10 * self.clients * self.pipeline)
        self.rates[peer.name] = _benchmark(peer, self.clients, self.pipeline, requests, self.generators(peer))["rate"]

    def measure(self, peer):
        requests = max(1000, int(self.rates[peer.name] * self.seconds / 2))  # of each of the two commands
        watch = CpuWatch(peer)
        values = _benchmark(peer, self.clients, self.pipeline, requests, self.generators(peer))
        self.rates[peer.name] = values["rate"]
        cpu_us = watch.read(2 * requests)["cpu_us"]
        # redis-benchmark idles for half a second before and after; the share of a core is that of the time between.
        return values | {"cpu_us": cpu_us, "cpu_percent": cpu_us * values["rate"] / 1e4,
                         "peak_mb": proc.memory_kb(peer.pid)[1] / 1024}


@dataclass
class Fixed:
    """bench/loadgen.cc: one SET to ten GETs of 32 bytes leave by a timetable, from which their latency counts."""

    name: str
    clients: int
    rate: int
    seconds: float
    tick_us: int
    generator: str
    subject: str = "sluice"
    repeated: bool = True

    columns = [Column("avg_ms", "average ms", 3, ratio=True), *AT_FIXED_RATE,
               Column("late_p99_ms", "generator late p99 ms", 3), OTHERS]

    @property
    def words(self):
        return f"{self.clients} clients, {self.rate} requests/s in ticks of {self.tick_us} us"

    def prepare(self, peer):
        pass

    def measure(self, peer):
        host, port = wire.endpoint_of(peer.address)
        seconds = max(1, round(self.seconds))
        words = [self.generator, host, port, self.clients, self.rate, seconds, self.tick_us, 10, 32, KEYS]
        watch = CpuWatch(peer)
        values = json.loads(_run([str(word) for word in words]))
        if values["errors"] or values["unanswered"]:
            raise LoadFailed(f"{values['errors']} errors, {values['unanswered']} requests without a reply")
        return values | watch.read(values["requests"]) | {"peak_mb": proc.memory_kb(peer.pid)[1] / 1024}


@dataclass
class Memtier:
    """memtier_benchmark at a fixed rate: two threads, a timer for each client; one SET to ten GETs of 32 bytes."""

    name: str
    clients: int
    rate: int
    seconds: float
    program: str
    folder: str
    subject: str = "sluice"
    repeated: bool = True

    columns = [*AT_FIXED_RATE, OTHERS]

    @property
    def words(self):
        return f"memtier_benchmark, {self.clients} clients, {self.rate} requests/s"

    def prepare(self, peer):
        pass

    def measure(self, peer):
        host, port = wire.endpoint_of(peer.address)
        output = os.path.join(self.folder, f"memtier-{peer.name}.json")
        seconds = max(1, round(self.seconds))
        words = [self.program, "-s", host, "-p", port, "-t", 2, "-c", self.clients // 2, "--rate-limiting",
                 self.rate // self.clients, "--test-time", seconds, "--ratio", "1:10", "-d", 32, "--key-maximum", KEYS,
                 "--hide-histogram", "--json-out-file", output]
        watch = CpuWatch(peer)
        _run([str(word) for word in words])
        with open(output, encoding="utf-8") as file:
            total = json.load(file)["ALL STATS"]["Totals"]
        values = watch.read(total["Count"])
        if total["Ops/sec"] < 0.97 * self.rate:
            raise LoadFailed(f"only {total['Ops/sec']:.0f} requests/s")
        latency = total["Percentile Latencies"]
        # Its start and its end are not part of the time in which it sends.
        values["cpu_percent"] = values["cpu_us"] * total["Ops/sec"] / 1e4
        return values | {"p50_ms": latency["p50.00"], "p99_ms": latency["p99.00"], "p999_ms": latency["p99.90"],
                         "peak_mb": proc.memory_kb(peer.pid)[1] / 1024}


@dataclass
class Idle:
    """Clients that send one PING and then keep silent; memory is the process's own, without the kernel's sockets."""

    name: str
    clients: int
    subject: str = "sluice"
    repeated: bool = False

    columns = [Column("bytes_per_client", "bytes/client", 0, ratio=True, drawn=True),
               Column("before_mb", "before MB", 1), Column("during_mb", "with clients MB", 1),
               Column("after_mb", "after MB", 1), OTHERS]

    @property
    def words(self):
        return f"{self.clients} idle clients"

    def prepare(self, peer):
        pass

    def measure(self, peer):
        before = proc.memory_kb(peer.pid)[0]
        clients = []
        try:
            for _ in range(self.clients):
                clients.append(wire.Wire(peer.address))
                clients[-1].send("PING")
            for client in clients:
                client.read()
            time.sleep(0.5)
            during = proc.memory_kb(peer.pid)[0]
        except (OSError, wire.ErrorReply) as error:
            raise LoadFailed(f"at client {len(clients)}: {error}") from error
        finally:
            for client in clients:
                client.close()
        time.sleep(1)  # the proxy notices that they left, and the next peer starts undisturbed
        after = proc.memory_kb(peer.pid)[0]
        return {"bytes_per_client": (during - before) * 1024 / self.clients,
                "before_mb": before / 1024, "during_mb": during / 1024, "after_mb": after / 1024}


@dataclass
class Syscalls:
    """Counts under strace, which slows the proxy down and so makes its batches bigger: to compare, not to add up."""

    name: str
    clients: int
    pipeline: int
    requests: int
    folder: str
    subject: str = "sluice"
    repeated: bool = False

    columns = [Column("syscalls", "syscalls/request", 3, ratio=True), Column("sends", "send syscalls/request", 3),
               Column("commands_per_send", "commands/send (SLUICE INFO)", 2)]

    @property
    def words(self):
        return f"{self.clients} clients, pipelines of {self.pipeline}, under strace -c"

    def prepare(self, peer):
        pass

    def measure(self, peer):
        output = os.path.join(self.folder, f"strace-{peer.name}")
        command = ["strace", "-q", "-c", "-f", "-p", str(peer.pid), "-o", output]
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _await_tracer(tracer, peer)
            _benchmark(peer, self.clients, self.pipeline, self.requests)
        finally:
            tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(10)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait()
        with open(output) as file:
            counts = _syscall_counts(file.read())
        sends = sum(counts.get(call, 0) for call in ("write", "writev", "sendto", "sendmsg", "sendmmsg"))
        values = {"syscalls": sum(counts.values()) / (2 * self.requests), "sends": sends / (2 * self.requests)}
        return values | commands_per_send(peer)


class CpuWatch:
    """CPU time of the peer's process from here to read(), per request and as a share of one core."""

    def __init__(self, peer):
        self._pid = peer.pid
        self._cpu, self._wall = proc.cpu_ns(peer.pid), time.monotonic_ns()

    def read(self, requests):
        cpu, wall = proc.cpu_ns(self._pid) - self._cpu, time.monotonic_ns() - self._wall
        return {"cpu_us": cpu / 1000 / requests, "cpu_percent": 100 * cpu / wall}


def fill(peer):
    """Puts all keys in place, so that every GET of every round finds one."""
    try:
        _run([*_generator(peer, 50, 16, FILL_REQUESTS), "-t", "set"])
    except LoadFailed as failure:
        raise LoadFailed(f"{peer.name}: {failure}") from failure


def commands_per_send(peer):
    """What Sluice says of itself, since its start; nothing for the others, which do not know the question."""
    try:
        text = str(wire.ask(peer.address, "SLUICE", "INFO"))
    except (OSError, wire.ErrorReply):
        return {}
    found = re.search(r"commands_per_send:([0-9.]+)", text)
    return {"commands_per_send": float(found.group(1))} if found else {}


def _generator(peer, clients, pipeline, requests):
    host, port = wire.endpoint_of(peer.address)
    sizes = {"-c": clients, "-P": pipeline, "-n": requests, "-r": KEYS}
    return ["redis-benchmark", "-h", host, "-p", str(port), *(str(word) for pair in sizes.items() for word in pair)]


def _benchmark(peer, clients, pipeline, requests, generators=1):
    """`requests` of each command in all, by several generators at the same time: one has one thread, and with many
    clients that is what would be measured. Rates are summed up, latencies are means."""
    with ThreadPoolExecutor(generators) as pool:
        runs = [pool.submit(_one_benchmark, peer, clients, pipeline, requests // generators) for _ in range(generators)]
        results = [run.result() for run in runs]
    means = {key: sum(result[key] for result in results) / generators for key in results[0]}
    return means | {"rate": means["rate"] * generators}


def _one_benchmark(peer, clients, pipeline, requests):
    """The report for people is read, not --csv: only it holds p99.9 (the first percentile printed at or above)."""
    text = _run([*_generator(peer, clients, pipeline, requests), "-t", "set,get"])
    reports = re.split(r"====== (?:SET|GET) ======", text)[1:]
    if len(reports) != 2:
        raise LoadFailed("redis-benchmark did not finish: " + _last_line(text))
    results = [_read_report(report) for report in reports]
    means = {key: sum(result[key] for result in results) / 2 for key in results[0]}
    return means | {"rate": 2 / sum(1 / result["rate"] for result in results)}


def _read_report(report):
    rate = re.search(r"throughput summary: ([0-9.]+)", report)
    summary = re.search(r"avg +min +p50 +p95 +p99 +max\s+(.+)", report)
    if not rate or not summary:
        raise LoadFailed("redis-benchmark did not finish: " + _last_line(report))
    average, _, p50, _, p99, _ = (float(word) for word in summary.group(1).split())
    by_percentile = report.split("Latency by percentile distribution:")[1].split("Cumulative distribution")[0]
    steps = re.findall(r"([0-9.]+)% <= ([0-9.]+) milliseconds", by_percentile)
    p999 = next(float(time_ms) for share, time_ms in steps if float(share) >= 99.9)
    return {"rate": float(rate.group(1)), "avg_ms": average, "p50_ms": p50, "p99_ms": p99, "p999_ms": p999}


def _run(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{os.path.basename(command[0])} took more than {RUN_TIMEOUT} s") from error
    if done.returncode != 0:
        raise LoadFailed(f"{os.path.basename(command[0])}: {_last_line(done.stderr or done.stdout)}")
    return done.stdout


def _last_line(text):
    lines = text.replace("\r", "\n").strip().splitlines()
    return lines[-1].strip() if lines else "no output"


def _await_tracer(tracer, peer):
    deadline = time.monotonic() + 5
    while not proc.traced(peer.pid):
        if tracer.poll() is not None:
            raise LoadFailed("strace: " + _last_line(tracer.stderr.read().decode(errors="replace")))
        if time.monotonic() > deadline:
            raise LoadFailed("strace does not attach")
        time.sleep(0.02)


def _syscall_counts(table):
    """Rows of strace -c: share, seconds, time per call, calls, perhaps errors, name."""
    rows = (line.split() for line in table.splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) in (5, 6) and row[3].isdigit() and row[-1] != "total"}
