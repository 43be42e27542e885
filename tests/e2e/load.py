"""chaos.py as a child process: started, told what happens to the backends, and judged."""
import json
import os
import sys

from cluster import slot_of
from process import Process, temporary_folder

_HERE = os.path.dirname(os.path.abspath(__file__))


def ranges_of(slots):
    """Slots as "0-5460,9000-9000"."""
    ranges = []
    for slot in sorted(slots):
        if ranges and slot == ranges[-1][1] + 1:
            ranges[-1][1] = slot
        else:
            ranges.append([slot, slot])
    return ",".join("%d-%d" % (first, last) for first, last in ranges)


class Load:
    """SLUICE_CHAOS_SEED, SLUICE_CHAOS_CONNECTIONS and SLUICE_CHAOS_RATE override what chaos.py takes by itself."""

    def __init__(self, proxy, **options):
        for name in ("seed", "connections", "rate"):
            value = os.environ.get("SLUICE_CHAOS_" + name.upper())
            if value:
                options[name] = value
        arguments = [sys.executable, "-B", os.path.join(_HERE, "chaos.py"), "--port", proxy.port, "--seconds", 120]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        self._early_report = None
        self._process = Process(arguments, os.path.join(temporary_folder(), "load"), piped=True)

    def tell(self, *words):
        """Returns when it has been understood. After a wrong reply the load has ended and nobody listens."""
        try:
            self._process.stdin.write(" ".join(words) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return
        line = self._process.stdout.readline()
        if line.strip() != "ok":
            self._early_report = line

    def is_running(self):
        return self._process.exit_code() is None

    def stop(self):
        """Stops the load and returns its report."""
        try:
            self._process.stdin.write("stop\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        line = self._early_report or self._process.stdout.readline()
        self._process.wait(30)
        self._process.stdout.close()
        if not line:
            raise AssertionError("the load ended without a report:\n" + self._process.log()[-3000:])
        return json.loads(line)


def backend_answers(cluster, final):
    """What the nodes themselves hold for the keys of a report, asked of each slot's primary."""
    owners = {node: cluster.slots_of(node) for node in cluster.primaries()}
    answers = {}
    for node, slots in owners.items():
        mine = [(command, name) for command, name, _ in final if slot_of(name) in slots]
        pipeline = node.client(decode_responses=True).pipeline(transaction=False)
        for command, name in mine:
            pipeline.execute_command(command, name, *(() if command == "GET" else (0, -1)))
        answers.update(zip((name for _, name in mine), pipeline.execute()))
    return answers
