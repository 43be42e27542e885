"""The machine on which the numbers were taken, in words."""

import os
import platform
import subprocess


def describe():
    """Pairs of a name and its value, in the order in which a reader wants them."""
    return [
        ("CPU", _cpu()),
        ("Memory", f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) // 1024} MB"),
        ("Kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("TCP congestion control by default", _text("/proc/sys/net/ipv4/tcp_congestion_control")),
        ("Load average at the start", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("redis-server", _output("redis-server", "--version")),
        ("redis-benchmark", _output("redis-benchmark", "--version")),
    ]


def available_bytes():
    return int(_field("/proc/meminfo", "MemAvailable").split()[0]) * 1024


def commit(folder):
    """(short hash of HEAD, whether files that git knows differ from it)."""
    head = _output("git", "-C", folder, "rev-parse", "--short", "HEAD") or "unknown"
    changes = _output("git", "-C", folder, "status", "--porcelain", "--untracked-files=no")
    return head, bool(changes)


def _cpu():
    model = _field("/proc/cpuinfo", "model name")
    guest = " of a virtual machine" if "hypervisor" in _field("/proc/cpuinfo", "flags").split() else ""
    return f"{model}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores{guest}"


def _text(path):
    with open(path) as file:
        return file.read().strip()


def _field(path, name):
    with open(path) as file:
        for line in file:
            if line.startswith(name):
                return line.split(":", 1)[1].strip()
    return "unknown"


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except OSError:
        return ""
