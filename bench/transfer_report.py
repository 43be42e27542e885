"""What bench/transfer measured, as people read it: tables of medians, the verdict, a plot."""

import statistics
from dataclasses import dataclass, field

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402  (the backend must be chosen first)

from plot import INK  # noqa: E402
from report import as_markdown, as_text  # noqa: E402

LARGE = 64 << 10  # what concerns large messages alone is measured from here
BEGINNINGS = 16 << 10  # the ways to begin a splice, from here


@dataclass(frozen=True)
class Method:
    words: str
    colour: str = ""  # drawn when it has one
    dashes: str = "-"
    from_bytes: int = 0


METHODS = {
    "plain": Method("poll by the ring, recv(2) into one buffer of 256 KB, send(2)", "#9aa7b4"),
    "copied": Method("multishot receive into leased buffers, copied to a queue, one send per turn (uring::Stream)"),
    "leased": Method("multishot receive into leased buffers (64 of 128 KB), one gathered send per turn", "#0f6fb8"),
    "leased-1m": Method("the same with 8 buffers"),
    "leased-gathering": Method("as leased; turns wait up to 200 us for more than their sends, as a worker's do"),
    "bundled": Method("receive and send bundles, 512 buffers of 16 KB", "#7b5ea7"),
    "zero-copy": Method("receive into registered buffers (4 of 128 KB per route), SEND_ZC", "#b8860b"),
    "splice-64k": Method("poll by the ring, splice(2) through a pipe of 64 KB (uring::Pipe)", "#2e8b57", ":"),
    "splice-256k": Method("the same, pipe of 256 KB", "#2e8b57", "-"),
    "splice-1m": Method("the same, pipe of 1 MB", "#2e8b57", "--"),
    "splice-256k-nonblock": Method("as splice-256k; O_NONBLOCK set once per message, not around each splice"),
    "splice-64k-lowat-64k": Method("as splice-64k, SO_RCVLOWAT = min(left, 64 KB)", from_bytes=LARGE),
    "splice-256k-lowat-128k": Method("as splice-256k, SO_RCVLOWAT = min(left, 128 KB)", from_bytes=LARGE),
    "splice-256k-lowat-256k": Method("as splice-256k, SO_RCVLOWAT = min(left, 256 KB)", from_bytes=LARGE),
    "splice-1m-lowat-512k": Method("as splice-1m, SO_RCVLOWAT = min(left, 512 KB)", from_bytes=LARGE),
    "splice-256k-after-head": Method("one receive of at most 4 KB, sent by the ring, then splice-256k",
                                     from_bytes=BEGINNINGS),
    "splice-256k-after-receive": Method("one receive of at most 128 KB, sent by the ring, then splice-256k",
                                        from_bytes=BEGINNINGS),
    "splice-256k-after-cancel": Method("multishot receive, cancelled at the first bytes, then splice-256k",
                                       from_bytes=BEGINNINGS),
    "op-splice-64k": Method("IORING_OP_SPLICE in and out in turn (io-wq), pipe of 64 KB", "#c0504d", ":"),
    "op-splice-256k": Method("the same, pipe of 256 KB", "#c0504d", "-"),
    "op-splice-1m": Method("the same, pipe of 1 MB", "#c0504d", "--"),
}
SPLICES = ["splice-64k", "splice-256k", "splice-1m"]


@dataclass
class Results:
    """Everything measured in one run; sizes in bytes, in rising order."""

    sizes: list
    routes: list
    methods: list
    samples: dict = field(default_factory=dict)  # (method, size, routes): one dictionary of values per round
    cancels: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    others_percent: float = 0

    def add(self, method, size, routes, values):
        messages = values["bytes"] / size  # a message in its middle counts for its part
        if messages == 0:
            raise ValueError("nothing moved")
        self.samples.setdefault((method, size, routes), []).append({
            "cpu_us": values["cpu_seconds"] * 1e6 / messages,
            "mb_per_s": values["bytes"] / values["seconds"] / 1e6,
            "turns": values["turns"] / messages,
            "calls": (values["turns"] + values["calls"]) / messages,
        })

    def median(self, method, size, routes, key="cpu_us"):
        """None when there is no sample."""
        taken = self.samples.get((method, size, routes))
        return statistics.median(sample[key] for sample in taken) if taken else None

    def best(self, size, routes):
        """(CPU, method) of the cheapest."""
        found = [(self.median(method, size, routes), method) for method in self.methods]
        return min((pair for pair in found if pair[0] is not None), default=(None, ""))

    def threshold(self, method, other, routes):
        """The least size from which on the method is never dearer than the other; None: there is none."""
        found = None
        for size in self.sizes:
            ours, theirs = self.median(method, size, routes), self.median(other, size, routes)
            if ours is None or theirs is None or ours > theirs:
                found = None
            elif found is None:
                found = size
        return found


def size_words(size):
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"


def shape_words(routes):
    return "one pair of connections" if routes == 1 else f"{routes} pairs at once"


def terminal(results):
    parts = []
    for routes in results.routes:
        parts.append(f"{shape_words(routes)}, CPU us per message\n{as_text(_table(results, routes, _cpu))}")
    return "\n\n".join(parts + ["\n".join(_verdict(results))])


def page(results, title, machine, command, plot_name):
    parts = [f"# {title}", f"![CPU per megabyte]({plot_name})",
             "\n".join(f"- {name}: {value}" for name, value in machine), f"```\n{command}\n```", _explanation(),
             "\n".join(f"- `{name}`: {METHODS[name].words}" for name in results.methods),
             "## Verdict", "\n".join(f"- {line}" for line in _verdict(results))]
    for routes in results.routes:
        parts.append(f"## {shape_words(routes).capitalize()}")
        for heading, cell in TABLES:
            parts += [heading, as_markdown(_table(results, routes, cell))]
    parts += ["## Raw numbers", "CPU us per message, round by round."]
    for routes in results.routes:
        parts += [f"### {shape_words(routes).capitalize()}", as_markdown(_table(results, routes, _raw))]
    if results.failures:
        parts.append("Failed:\n\n" + "\n".join(f"- {failure}" for failure in results.failures))
    return "\n\n".join(parts) + "\n"


def _explanation():
    return ("TCP over loopback. The far ends are one other process: the sender gives a message, and the next one when "
            "the receiver has all of it. CPU is that of the forwarding process, its io-wq threads among it, as the "
            "kernel counts it; what TCP does for the far ends within the forwarder's own calls is in it, for all "
            "methods alike. The methods take turns within each round; tables hold medians of the rounds. Before each "
            "sample every byte that arrives is compared; while it is measured the receiver throws the bytes away, "
            "and a message in its middle counts for its part. Loopback has no zero-copy send: the kernel copies what "
            "SEND_ZC gave it, on the way to the receiver. `plain`, `leased`, `bundled` and `splice-*` wait for one "
            "completion without a time limit; `copied` and `leased-gathering` wait as a worker does.")


def _verdict(results):
    lines = []
    for routes in results.routes:
        for size in results.sizes:
            lines.append(_verdict_of(results, size, routes))
        for method in SPLICES:
            for other in ("leased", "plain"):
                if method in results.methods and other in results.methods:
                    found = results.threshold(method, other, routes)
                    words = f"from {size_words(found)} on" if found else "for no size class to the end"
                    lines.append(f"{shape_words(routes)}: {method} costs no more than {other} {words}")
    for key, words in (("cpu_us_armed", "arm a multishot receive, cancel it by descriptor, wait for its end"),
                       ("cpu_us_idle", "two turns with a NOP each")):
        lines.append(f"{words}: {statistics.median(cancel[key] for cancel in results.cancels):.2f} us")
    return lines


def _verdict_of(results, size, routes):
    cpu, best = results.best(size, routes)
    compared = [name for name in ("leased", "bundled", "zero-copy", "splice-256k", "op-splice-256k", "plain")
                if name != best and results.median(name, size, routes) is not None]
    ratios = ", ".join(f"{name} x{results.median(name, size, routes) / cpu:.2f}" for name in compared)
    return f"{shape_words(routes)}, {size_words(size)}: {best} won with {cpu:,.1f} us; {ratios}"


def _table(results, routes, cell):
    rows = [["", *(size_words(size) for size in results.sizes)]]
    for method in results.methods:
        measured = [(method, size, routes) in results.samples for size in results.sizes]
        rows.append([method, *(cell(results, method, size, routes) if there else "-"
                               for there, size in zip(measured, results.sizes))])
    return rows


def _cpu(results, method, size, routes):
    cpu = results.median(method, size, routes)
    return f"{cpu:,.1f}" if cpu < 1000 else f"{cpu:,.0f}"


def _share(results, method, size, routes):
    return f"{results.median(method, size, routes) / results.best(size, routes)[0]:.2f}"


def _speed(results, method, size, routes):
    return f"{results.median(method, size, routes, 'mb_per_s'):,.0f}"


def _calls(results, method, size, routes):
    return f"{results.median(method, size, routes, 'calls'):,.1f}"


def _turns(results, method, size, routes):
    return f"{results.median(method, size, routes, 'turns'):,.1f}"


def _raw(results, method, size, routes):
    return " ".join(f"{sample['cpu_us']:.1f}" for sample in results.samples[(method, size, routes)])


TABLES = [("CPU us per message:", _cpu), ("CPU, times that of the cheapest:", _share), ("MB/s:", _speed),
          ("System calls per message, entering the ring included:", _calls),
          ("Turns (wake-ups of the ring) per message:", _turns)]


def draw(results, title, path):
    """CPU per megabyte over the message size, a panel for each shape."""
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "svg.hashsalt": "sluice"})
    figure, panels = pyplot.subplots(1, len(results.routes), figsize=(5.4 * len(results.routes), 4.6), squeeze=False,
                                     sharey=True)
    for panel, routes in zip(panels[0], results.routes):
        _draw_panel(panel, results, routes)
    panels[0][0].set_ylabel("CPU us per MB")
    panels[0][0].legend(fontsize=8, frameon=False)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11, weight="bold")
    figure.tight_layout()
    figure.savefig(path, facecolor="white")
    pyplot.close(figure)


def _draw_panel(panel, results, routes):
    for name in results.methods:
        method = METHODS[name]
        points = [(size, results.median(name, size, routes)) for size in results.sizes]
        points = [(size, cpu * (1 << 20) / size) for size, cpu in points if cpu is not None]
        if method.colour and points:
            panel.plot(*zip(*points), method.dashes, color=method.colour, marker="o", markersize=3, label=name)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(results.sizes, [size_words(size) for size in results.sizes], rotation=45)
    panel.set_title(shape_words(routes), loc="left", fontsize=9, color=INK)
    panel.grid(color="#e3e7eb", linewidth=0.6)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
