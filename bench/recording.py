"""Where a run's page goes, and what stands above it."""

import datetime
import os
import sys

import machine

BENCH = os.path.dirname(os.path.abspath(__file__))
HOUSE = os.path.dirname(BENCH)


def begin(subject, output, suffix):
    """(path without an ending, title): `output`, or bench/results/<date>-<commit><suffix>."""
    head, changed = machine.commit(HOUSE)
    date = datetime.date.today().isoformat()
    stem = output or os.path.join(BENCH, "results", f"{date}-{head}{suffix}")
    os.makedirs(os.path.dirname(os.path.abspath(stem)), exist_ok=True)
    return stem, f"{subject}, {date}, commit {head}{' with changes' if changed else ''}"


def write(stem, page):
    with open(stem + ".md", "w", encoding="utf-8") as file:
        file.write(page)
    print(f"recorded in {os.path.relpath(stem)}.md", file=sys.stderr, flush=True)
