"""The medians as a picture: a column of panels for each load, a bar for each peer, Sluice in the one strong colour."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402  (the backend must be chosen first)

SUBJECT_COLOUR = "#0f6fb8"
PEER_COLOURS = ["#9aa7b4", "#c2b59b", "#a9bfa4", "#c4a7b5", "#b3b0cf", "#d0bfa0"]
INK = "#27313b"
STEPS = [step * 10**power for power in range(7) for step in (1, 2, 5)]  # where an axis may have a tick


def draw(results, title, path):
    """Writes the picture; its format is the path's ending."""
    loads = [load for load in results.loads if results.measured(load) and _drawn(load)]
    if not loads:
        return False
    rows = max(len(_drawn(load)) for load in loads)
    bars = max(len(results.measured(load)) for load in loads)
    _set_style()
    size = (max(6.4, 1.4 + 2.7 * len(loads)), 1.1 + rows * (0.75 + 0.3 * bars))
    figure, panels = pyplot.subplots(rows, len(loads), figsize=size, squeeze=False)
    for column, load in enumerate(loads):
        for row in range(rows):
            panels[row][column].axis("off")
            if row < len(_drawn(load)):
                _draw_bars(panels[row][column], results, load, _drawn(load)[row], bars)
    return _save(figure, title, path)


def draw_sweep(results, title, path):
    """Lines over the sizes, a panel for each number and each of (command, clients); the other loads as bars below."""
    steps = [load for load in results.loads if load.swept and results.measured(load)]
    bars = [(load, column) for load in results.loads if not load.swept and results.measured(load)
            for column in _drawn(load)]
    if not steps and not bars:
        return False
    groups = sorted({(load.clients, load.command) for load in steps}, key=lambda group: (group[0], group[1] != "set"))
    numbers = [column for column in (steps[0].columns if steps else []) if column.swept]
    width = max(len(groups), min(len(bars), 4), 1)
    bar_rows = -(-len(bars) // width)
    _set_style()
    size = (max(6.4, 1 + 2.9 * width), 1.4 + 2.1 * len(numbers) + 2.3 * bar_rows)
    figure, panels = pyplot.subplots(len(numbers) + bar_rows, width, figsize=size, squeeze=False)
    for panel in panels.flat:
        panel.axis("off")
    for place, (clients, command) in enumerate(groups):
        chosen = [load for load in steps if (load.clients, load.command) == (clients, command)]
        for row, column in enumerate(numbers):
            _draw_lines(panels[row][place], results, chosen, column, f"{command.upper()}, {clients} in flight")
    most = max((len(results.measured(load)) for load, _ in bars), default=0)
    for place, (load, column) in enumerate(bars):
        _draw_bars(panels[len(numbers) + place // width][place % width], results, load, column, most)
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper right", ncols=len(names) or 1, frameon=False, fontsize=9)
    return _save(figure, title, path)


def _set_style():
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "svg.hashsalt": "sluice"})


def _save(figure, title, path):
    figure.suptitle(title, x=0.02, y=0.985, ha="left", va="top", fontsize=11, weight="bold")
    figure.tight_layout(h_pad=1.6, w_pad=1.8)
    figure.savefig(path, facecolor="white")
    pyplot.close(figure)
    return True


def _draw_lines(panel, results, loads, column, words):
    panel.axis("on")
    sizes = [load.size for load in loads]
    for peer in results.peers:
        medians = [results.median(load, peer, column.key) for load in loads]
        if any(medians):
            ours = peer.name.startswith("sluice")
            heights = [median or float("nan") for median in medians]  # nothing, on this axis, has no place
            panel.plot(sizes, heights, marker="o", markersize=4, linewidth=2.2 if ours else 1.4, label=peer.name,
                       color=_colour(results, peer), zorder=3 if ours else 2)
    if not panel.lines:
        return
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(sizes, [load.size_words for load in loads], fontsize=7)
    panel.minorticks_off()
    low, high = panel.get_ylim()
    ticks = [tick for tick in STEPS if low <= tick <= high]
    panel.set_yticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=7)
    panel.grid(axis="y", color="#e3e7eb", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(f"{words}: {column.heading}", loc="left", fontsize=8.5, color=INK, pad=5)


def _drawn(load):
    return [column for column in load.columns if column.drawn]


def _draw_bars(panel, results, load, column, bars):
    peers = results.measured(load)
    medians = [results.median(load, peer, column.key) for peer in peers]
    longest = max((abs(median) for median in medians if median is not None), default=0) or 1
    for place, (peer, median) in enumerate(zip(peers, medians)):
        panel.barh(place, median or 0, height=0.68, color=_colour(results, peer))
        words = "failed" if median is None else f"{median:,.{_digits(column, longest)}f}"
        panel.text(max(median or 0, 0) + 0.02 * longest, place, words, va="center", fontsize=8)
        panel.text(-0.03 * longest, place, peer.name, va="center", ha="right", fontsize=8)
    panel.set_xlim(0, 1.35 * longest)
    panel.set_ylim(bars - 0.4, -0.6)  # every bar of the picture equally thick
    panel.set_title(f"{load.name}: {column.heading}", loc="left", fontsize=9, color=INK, pad=5)


def _digits(column, longest):
    """Three places that count are enough for the eye."""
    return column.digits if longest < 1 else min(column.digits, 2 if longest < 10 else 1 if longest < 1000 else 0)


def _colour(results, peer):
    if peer.name.startswith("sluice"):
        return SUBJECT_COLOUR
    others = [other.name for other in results.peers if not other.name.startswith("sluice")]
    return PEER_COLOURS[others.index(peer.name) % len(PEER_COLOURS)]
