"""The medians as a picture: a column of panels for each load, a bar for each peer, Sluice in the one strong colour."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402  (the backend must be chosen first)

SUBJECT_COLOUR = "#0f6fb8"
PEER_COLOURS = ["#9aa7b4", "#c2b59b", "#a9bfa4", "#c4a7b5", "#b3b0cf", "#d0bfa0"]
INK = "#27313b"


def draw(results, title, paths):
    """Writes the same picture to every path; its format is the path's ending."""
    loads = [load for load in results.loads if results.measured(load) and _drawn(load)]
    if not loads:
        return False
    rows = max(len(_drawn(load)) for load in loads)
    bars = max(len(results.measured(load)) for load in loads)
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "svg.hashsalt": "sluice"})
    size = (max(6.4, 1.4 + 2.7 * len(loads)), 1.1 + rows * (0.75 + 0.3 * bars))
    figure, panels = pyplot.subplots(rows, len(loads), figsize=size, squeeze=False)
    for column, load in enumerate(loads):
        for row in range(rows):
            _draw_panel(panels[row][column], results, load, row, bars)
    figure.suptitle(title, x=0.02, y=0.985, ha="left", va="top", fontsize=11, weight="bold")
    figure.tight_layout(h_pad=1.6, w_pad=1.8)
    for path in paths:
        figure.savefig(path, dpi=160, facecolor="white")
    pyplot.close(figure)
    return True


def _drawn(load):
    return [column for column in load.columns if column.drawn]


def _draw_panel(panel, results, load, row, bars):
    panel.axis("off")
    if row >= len(_drawn(load)):
        return
    column = _drawn(load)[row]
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
