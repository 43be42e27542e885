"""The numbers as people read them: a table for the terminal, and a page for bench/results."""

import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    load: str
    peer: str
    round: int
    values: dict  # empty when it failed
    failure: str = ""
    corrupt: bool = False  # it failed because bytes were not those that were sent


@dataclass
class Results:
    """Everything measured in one run; loads and peers in the order in which they were."""

    loads: list
    peers: list
    samples: list = field(default_factory=list)

    def of(self, load, peer):
        return [sample for sample in self.samples if (sample.load, sample.peer) == (load.name, peer.name)]

    def measured(self, load):
        return [peer for peer in self.peers if self.of(load, peer)]

    def median(self, load, peer, key):
        """None when no round has the number."""
        numbers = [sample.values[key] for sample in self.of(load, peer) if key in sample.values]
        return statistics.median(numbers) if numbers else None

    def failures(self):
        return [sample for sample in self.samples if sample.failure]

    def status(self):
        """What the script ends with: 0 when every peer managed every load, 2 when one mangled bytes, else 1."""
        failures = self.failures()
        return 2 if any(sample.corrupt for sample in failures) else 1 if failures else 0


def table_of(results, load):
    """Rows of text, the headings first: each peer's medians, then how the load's subject stands to that peer."""
    peers = results.measured(load)
    subject = next((peer for peer in peers if peer.name == load.subject), None)
    columns = [column for column in load.columns
               if any(results.median(load, peer, column.key) is not None for peer in peers)]
    compared = [column for column in columns if column.ratio and subject and len(peers) > 1]
    rows = [["", *(column.heading for column in columns),
             *(f"{load.subject}/peer {column.heading.split(' ')[0]}" for column in compared)]]
    for peer in peers:
        numbers = [_number(results.median(load, peer, column.key), column.digits) for column in columns]
        ratios = ["" if peer is subject else _ratio(results, load, subject, peer, column.key) for column in compared]
        rows.append([peer.name, *numbers, *ratios])
    return rows


def as_text(rows):
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(rows):
    ruler = ["---"] + ["---:"] * (len(rows[0]) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ruler, *rows[1:]])


def terminal(results):
    parts = [f"{load.name}: {load.words}\n{as_text(table_of(results, load))}"
             for load in results.loads if results.measured(load)]
    return "\n\n".join(parts + _complaints(results))


def page(results, title, machine, command, plot_name, notes):
    """The whole page in Markdown. The raw numbers stand below the medians, round by round."""
    loads = [load for load in results.loads if results.measured(load)]
    parts = [f"# {title}", f"![Medians of the loads]({plot_name})" if plot_name else "",
             "\n".join(f"- {name}: {value}" for name, value in machine), f"```\n{command}\n```",
             as_markdown(_peer_rows(results.peers)), *_complaints(results), " ".join([_explanation(), notes]).strip()]
    for load in loads:
        parts += [f"## {load.name}: {load.words}", as_markdown(table_of(results, load))]
    parts.append("## Raw numbers")
    for load in loads:
        parts += [f"### {load.name}", as_markdown(_raw_rows(results, load))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _explanation():
    return ("The peers take turns within each round; a table holds the medians of the rounds. CPU is the proxy "
            "process's own, user and system, over the requests. haproxy in tcp mode and nutcracker cannot follow a "
            "cluster's redirects, so each stands in front of the standalone servers named above: for them the same "
            "load is less work. "
            "Others' CPU is what processes outside of the comparison used meanwhile, of one core.")


def _peer_rows(peers):
    return [["peer", "version", "in front of"], *([peer.name, peer.version, peer.behind] for peer in peers)]


def _raw_rows(results, load):
    rows = [["peer", "round", *(column.heading for column in load.columns)]]
    for peer in results.measured(load):
        for sample in results.of(load, peer):
            numbers = [_number(sample.values.get(column.key), column.digits) for column in load.columns]
            rows.append([peer.name, str(sample.round), *numbers])
    return rows


def _complaints(results):
    lines = [f"- {sample.load}, {sample.peer}, round {sample.round}: {sample.failure}" for sample in results.failures()]
    return ["Failed:\n\n" + "\n".join(lines)] if lines else []


def _ratio(results, load, subject, peer, key):
    ours, theirs = results.median(load, subject, key), results.median(load, peer, key)
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"


def _number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"
