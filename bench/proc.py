"""What the kernel tells about a process: its CPU time, its memory, and who listens where."""

import os
import resource
import time

CPUCLOCK_SCHED = 2  # linux/posix-timers.h: the clock of a whole process, threads that have ended included
LISTENING = "0A"  # the state in /proc/net/tcp


def cpu_ns(pid):
    """CPU time, user and system, of all threads so far, in nanoseconds.

    /proc/PID/stat counts ticks of 10 ms, and summing /proc/PID/task loses the threads that ended; io_uring starts and
    ends worker threads as it likes. The process clock has neither fault.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)
    except OSError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error


class Bystanders:
    """How busy the machine is, from here to read(), with what is neither one of the given processes nor run by us."""

    def __init__(self, pids):
        self._pids = pids
        self._busy, self._wall = self._others_s(), time.monotonic()

    def read(self):
        """As a percentage of one core; ticks make it exact to one or two."""
        busy, wall = self._others_s() - self._busy, time.monotonic() - self._wall
        return max(0, 100 * busy / wall)

    def _others_s(self):
        ours = sum(cpu_ns(pid) for pid in self._pids if os.path.exists(f"/proc/{pid}")) / 1e9
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            ours += usage.ru_utime + usage.ru_stime
        return _machine_busy_s() - ours


def memory_kb(pid):
    """(resident now, most ever resident), in KiB; kernel memory, such as socket buffers, is not in it."""
    fields = _status(pid)
    return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0])


def reset_peak(pid):
    """What was most ever resident counts from here."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")  # proc(5)


def traced(pid):
    """Whether every thread of the process has a tracer attached."""
    threads = os.listdir(f"/proc/{pid}/task")
    return all(_status(f"{pid}/task/{thread}")["TracerPid"] != "0" for thread in threads)


def listener_pid(port):
    """The process that listens on this TCP port, or None; of several that share the socket, the lowest id."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if sockets and not sockets.isdisjoint(_open_files(pid)):
            return pid
    return None


def _machine_busy_s():
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, *_ = (int(word) for word in file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _status(pid):
    with open(f"/proc/{pid}/status") as file:
        pairs = (line.split(":", 1) for line in file)
        return {name: value.strip() for name, value in pairs}


def _listening_inodes(port):
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table) as file:
            next(file)
            for line in file:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    yield fields[9]


def _open_files(pid):
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            yield os.readlink(f"{folder}/{name}")
    except OSError:
        return  # it ended meanwhile, or belongs to somebody else
