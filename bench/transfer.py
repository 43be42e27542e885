"""Loads with large values, moved by big_load.cc, which compares every byte that comes back with what was sent."""

import itertools
import json
import os
import subprocess
import threading
from dataclasses import dataclass

import proc
import wire
from load import OTHERS, RUN_TIMEOUT, Column, CpuWatch, LoadFailed, WrongBytes

MB = 1 << 20
WRONG_BYTES = 2  # big_load's exit status
_seeds = itertools.count(1)  # no two runs of one comparison write the same values


@dataclass
class Transfer:
    """So many clients SET, or GET, values of one size, each with a key of its own; keys spread over the servers."""

    name: str
    command: str  # "set" or "get"
    size: int
    clients: int
    seconds: float
    program: str
    swept: bool = True  # whether it is one step of a sweep over sizes, and drawn as such
    subject: str = "sluice"
    repeated: bool = True

    columns = [Column("rate", "operations/s", 1, ratio=True), Column("mb_rate", "MB/s", 0, swept=True),
               Column("cpu_us", "CPU us/operation", 1, ratio=True),
               Column("cpu_us_per_mb", "CPU us/MB", 1, swept=True),
               Column("before_mb", "before MB", 1),
               Column("peak_mb", "peak MB", 1, ratio=True, drawn=True, swept=True), OTHERS]

    @property
    def size_words(self):
        return size_words(self.size)

    @property
    def words(self):
        return f"{self.command.upper()} of {size_words(self.size)}, {self.clients} in flight"

    def prepare(self, peer):
        pass

    def measure(self, peer):
        driven = _drive(peer, self.program, self.command, self.clients, self.size, self.seconds)
        operations = driven["large"]["operations"]
        cpu_us = driven["cpu_us"] / operations
        return {"rate": operations / driven["seconds"], "mb_rate": operations * self.size / MB / driven["seconds"],
                "cpu_us": cpu_us, "cpu_us_per_mb": cpu_us * MB / self.size,
                "before_mb": driven["before_mb"], "peak_mb": driven["peak_mb"]}


@dataclass
class Beside:
    """Small GETs, one at a time, while large values go both ways; all keys on one server, so that all of them meet."""

    name: str
    tag: str
    small_clients: int
    clients: int
    size: int
    slow_bytes_per_second: int  # of one more reader; 0: there is none
    seconds: float
    program: str
    swept: bool = False
    subject: str = "sluice"
    repeated: bool = True

    columns = [Column("rate", "small GETs/s", 0, ratio=True), Column("p50_ms", "p50 ms", 3),
               Column("p99_ms", "p99 ms", 3, ratio=True, drawn=True), Column("p999_ms", "p99.9 ms", 3, drawn=True),
               Column("max_ms", "max ms", 1), Column("mb_rate", "large MB/s", 0),
               Column("cpu_percent", "CPU % of a core", 0), Column("before_mb", "before MB", 1),
               Column("peak_mb", "peak MB", 1), OTHERS]

    @property
    def words(self):
        slow = f" and a reader at {self.slow_bytes_per_second // 1000} KB/s" if self.slow_bytes_per_second else ""
        return (f"small GETs of {self.small_clients} clients beside {self.clients} transfers of "
                f"{size_words(self.size)}{slow}")

    def prepare(self, peer):
        pass

    def measure(self, peer):
        driven = _drive(peer, self.program, "both", self.clients, self.size, self.seconds, self.tag,
                        self.small_clients, self.slow_bytes_per_second)
        small = driven["small"]
        return {"rate": small["operations"] / self.seconds,
                **{key: small[key] for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms")},
                "mb_rate": driven["large"]["bytes"] / MB / driven["seconds"], "cpu_percent": driven["cpu_percent"],
                "before_mb": driven["before_mb"], "peak_mb": driven["peak_mb"]}


def size_of(words):
    """Bytes, from "64kb" or "10mb"."""
    for ending, unit in (("kb", 1 << 10), ("mb", MB)):
        if words.lower().endswith(ending) and words[:-2].isdigit() and int(words[:-2]) > 0:
            return int(words[:-2]) * unit
    raise ValueError(f"{words}: expected a size such as 64kb or 10mb")


def size_words(size):
    return f"{size // MB} MB" if size % MB == 0 else f"{size // 1024} KB"


def _drive(peer, program, commands, clients, size, seconds, tag="", small_clients=0, slow_bytes_per_second=0):
    """One run of big_load; what it reports, the peer's CPU and peak memory meanwhile, and its memory before."""
    host, port = wire.endpoint_of(peer.address)
    words = [program, host, port, commands, clients, size, seconds, tag + "big:", next(_seeds), small_clients,
             slow_bytes_per_second]
    before_kb = proc.memory_kb(peer.pid)[0]
    pipe = subprocess.PIPE
    with subprocess.Popen([str(word) for word in words], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as driver:
        timer = threading.Timer(RUN_TIMEOUT, driver.kill)
        timer.start()
        try:
            _expect_line(driver)
            proc.reset_peak(peer.pid)
            watch = CpuWatch(peer)
            _go(driver)
            report = json.loads(_expect_line(driver))
            used = watch.read(1)
            peak_kb = proc.memory_kb(peer.pid)[1]
            _go(driver)
            if driver.wait() != 0:
                raise _failure_of(driver)
        finally:
            timer.cancel()
            driver.kill()
    return {**report, **used, "before_mb": before_kb / 1024, "peak_mb": peak_kb / 1024}


def _expect_line(driver):
    line = driver.stdout.readline()
    if not line:
        driver.wait()
        raise _failure_of(driver)
    return line


def _go(driver):
    driver.stdin.write("\n")
    driver.stdin.flush()


def _failure_of(driver):
    words = driver.stderr.read().strip() or f"{os.path.basename(driver.args[0])} ended with status {driver.returncode}"
    return WrongBytes(words) if driver.returncode == WRONG_BYTES else LoadFailed(words)
