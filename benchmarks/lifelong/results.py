"""The lines of a benchmark's folder, and the figures that tables and plots are made of."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.lifelong.journal import ABOUT, Journal
from benchmarks.lifelong.methods import METHODS, plain_name
from lfsd.errors import UsageError

Line = dict[str, Any]
BOUND, PLAIN, OURS = "separate", "naive", "ours"
CONDITIONS = ("protocol", "base", "judge", "device", "precision")
"""What must be the same for runs to stand in one table, beside their photos."""


@dataclass(frozen=True)
class Run:
    """One method with one seed, with the runs of the same seed that it is held against."""

    method: str
    seed: int
    lines: list[Line]
    folder: Path
    sessions: int
    """How many the protocol has."""

    @property
    def whole(self) -> bool:
        """Whether it came to its end."""
        return len(self.lines) == self.sessions

    @property
    def learned(self) -> list[Line]:
        """The sessions in which something was learned and measured."""
        return [line for line in self.lines if "new" in line]

    @property
    def examined(self) -> list[Line]:
        """The sessions after which all concepts were examined."""
        return [line for line in self.lines if line["full"]]


@dataclass(frozen=True)
class Results:
    """All runs of a folder, in the order of the methods' table."""

    runs: list[Run]

    @property
    def methods(self) -> list[str]:
        """The methods with a run, known ones first."""
        order = list(METHODS)
        found = dict.fromkeys(run.method for run in self.runs)
        return sorted(found, key=lambda m: (order.index(plain_name(m)), m))

    def of(self, method: str) -> list[Run]:
        """A method's whole runs."""
        return [run for run in self.runs if run.method == method and run.whole]

    def beside(self, run: Run, method: str) -> Run | None:
        """The whole run of another method with the same seed."""
        return next((other for other in self.of(method) if other.seed == run.seed), None)


def read_results(out: Path) -> Results:
    """Every run in the folder. UsageError if there is none, or not all are of one protocol."""
    runs, conditions = [], set()
    for path in sorted(out.glob(f"*/seed-*/{ABOUT}")):
        folder = path.parent
        if plain_name(folder.parent.name) not in METHODS:
            continue
        about = json.loads(path.read_text(encoding="utf-8"))
        same = [*(about[key] for key in CONDITIONS), _given(about)]
        conditions.add(json.dumps(same, sort_keys=True))
        runs.append(
            Run(
                folder.parent.name,
                int(folder.name.removeprefix("seed-")),
                Journal(folder).lines(),
                folder,
                len(about["protocol"]["lessons"]),
            )
        )
    if not any(run.lines for run in runs):
        raise UsageError(f"{out} holds no lines", "python -m benchmarks.lifelong makes them")
    if len(conditions) > 1:
        raise UsageError(f"the runs in {out} are of several protocols, bases, judges or precisions")
    return Results(runs)


def _given(about: dict[str, Any]) -> dict[str, list[str]]:
    """Token -> hashes of its photos, but for sprites.

    Those are made by protocol and world, and rounded a little otherwise on another kind of CPU.
    """
    made = {x["token"] for x in about["protocol"]["lessons"] if x["source"] == "sprite"}
    return {token: hashes for token, hashes in about["photos"].items() if token not in made}


# figures of one line, examined in full


def mean_fidelity(line: Line) -> float:
    """Mean fidelity over all concepts so far."""
    return fmean(line["fidelity"].values())


def lost(line: Line) -> float | None:
    """PCF: fidelity that earlier concepts lost since they were learned; above 0 is forgetting."""
    changes = [-found["change"] for found in line["pcf"].values()]
    return fmean(changes) if changes else None


def similar(line: Line) -> float | None:
    """PCF: cosine of earlier concepts' pictures with those when they were just learned."""
    found = [figures["similarity"] for figures in line["pcf"].values()]
    return fmean(found) if found else None


def confusion(line: Line) -> float | None:
    """Share of pictures nearest to another concept's photo. None in lines of before decision 27."""
    found = line.get("taken_for")
    return 1 - fmean(shares[token] for token, shares in found.items()) if found else None


def class_figure(name: str) -> Callable[[Line], float | None]:
    """RCF: the mean over class nouns of `drift`, `toward`, `away` or `diversity`."""

    def figure(line: Line) -> float | None:
        return fmean(noun[name] for noun in line["rcf"].values())

    return figure


def kept_diversity(line: Line) -> float | None:
    """Diversity of class pictures as a share of the untouched base's."""
    before = fmean(noun["diversity_before"] for noun in line["rcf"].values())
    return fmean(noun["diversity"] for noun in line["rcf"].values()) / before if before else None


# figures of one run, some held against another method's run of the same seed


def at_end(figure: Callable[[Line], float | None]) -> Callable[[Results, Run], float | None]:
    """A line's figure after the last session."""
    return lambda results, run: figure(run.lines[-1])


def new_fidelity(results: Results, run: Run) -> float | None:
    """Mean fidelity of each concept right after its own session."""
    return fmean(line["new"] for line in run.learned)


def plasticity(results: Results, run: Run) -> float | None:
    """Mean ratio of a concept's fidelity when learned to that of learning it alone."""
    alone = results.beside(run, BOUND)
    if alone is None:
        return None
    by_session = {line["session"]: line["new"] for line in alone.learned}
    return fmean(line["new"] / by_session[line["session"]] for line in run.learned)


def ratio(
    to: str, figure: Callable[[Results, Run], float | None]
) -> Callable[[Results, Run], float | None]:
    """A figure as a share of another method's with the same seed."""

    def share(results: Results, run: Run) -> float | None:
        other = results.beside(run, to)
        mine, theirs = figure(results, run), other and figure(results, other)
        # a share of nothing, or of less than nothing, says nothing
        return mine / theirs if mine is not None and theirs and theirs > 0 else None

    return share


def cost(name: str) -> Callable[[Results, Run], float | None]:
    """Mean over sessions of a cost."""
    return lambda results, run: fmean(line[name] for line in run.learned)


def cost_growth(name: str) -> Callable[[Results, Run], float | None]:
    """A cost of the last three sessions as a share of the first three's; one each if few."""

    def growth(results: Results, run: Run) -> float | None:
        values = [line[name] for line in run.learned]
        count = 3 if len(values) >= 6 else 1
        return fmean(values[-count:]) / fmean(values[:count])

    return growth


def bytes_per_concept(results: Results, run: Run) -> float | None:
    """Bytes that each concept after the first adds to what must be kept."""
    first, last = run.learned[0], run.learned[-1]
    more = last["session"] - first["session"]
    return (last["bytes"] - first["bytes"]) / more if more else None


def spread(values: Sequence[float | None]) -> tuple[float, float | None] | None:
    """Mean and standard deviation over seeds; no deviation for a single one."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    return fmean(known), stdev(known) if len(known) > 1 else None
