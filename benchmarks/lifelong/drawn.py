"""How a benchmark's models draw best: guidance and contexts, in all steps or in their own half,
and with contexts blended in or not.

    python -m benchmarks.lifelong.drawn --protocol ten --photos FOLDER --out DIR
        [--methods a,b] [--seeds 0,1] [--sprites FOLDER] [--base BASE] [--device DEVICE]

DIR is where `python -m benchmarks.lifelong` has run, with its states. Every concept is drawn after
the last session as the protocol examines it, in each of `WAYS`; a row is the mean over seeds.
"""

import argparse
import sys
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.lifelong.__main__ import parse, prepare
from benchmarks.lifelong.asked import answer
from benchmarks.lifelong.methods import Method
from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.runner import Bench
from lfsd.events import ignore
from lfsd.figures import fidelity, nearest_shares
from lfsd.measure import Examiner
from lfsd.sampler import Sampling

OWN = Sampling()
"""How lfsd draws."""
NONE: dict[str, Any] = {"icgen": "off"}
ALL: dict[str, Any] = {"context_fraction": 1.0}
LATE: dict[str, Any] = {
    "context_fraction": OWN.context_fraction,
    "context_strength": OWN.context_strength,
    "contexts": OWN.contexts,
}


class Way(NamedTuple):
    """The share of the steps that is guided, what is changed of how contexts are shown, and the
    share of the steps that they are blended into (None: as lfsd does)."""

    guided: float
    contexts: dict[str, Any]
    blend: float | None = 0.0


WAYS = {
    "all steps guided": Way(1.0, NONE),
    "all steps guided, contexts in all (the protocol)": Way(1.0, ALL),
    "the first half guided": Way(0.5, NONE),
    "the first half guided, contexts in all": Way(0.5, ALL),
    "the first half guided, contexts in the second": Way(0.5, LATE),
    "the first half guided, contexts blended in, seen in the second (lfsd)": Way(0.5, LATE, None),
}
"""The protocol shows two contexts at half strength each, lfsd four at full strength."""
HEADS = ("fidelity", "first concept", "confusion", "text alignment")


def drawn(bench: Bench, method: Method, seed: int, way: Way) -> tuple[float, ...] | None:
    """The figures of `HEADS` after the last session; None without a whole run."""
    for number, learner in enumerate(bench.states(method, seed), 1):
        if number == len(bench.sessions):
            return _figures(bench, learner, way)
    return None


def _figures(bench: Bench, learner: Learner, way: Way) -> tuple[float, ...]:
    examination, sampling = bench.examination, learner.sampling()
    plan = replace(bench.protocol.plan, guidance_fraction=way.guided, context_blend=way.blend)
    run = Examiner(
        bench.base, examination.judge, plan, replace(sampling, **way.contexts), ignore, 0
    )
    pictures, alignment = {}, []
    for session in bench.sessions:
        subject = examination.subject(learner, session)
        learner.stand(session.token)
        with learner.adapter.merged():
            pictures[session.token] = run.concept(subject)
            alignment.append(run.scenes(subject)[0])
    known = examination.references
    near = nearest_shares(pictures, known)
    each = [fidelity(embedded, known[token]) for token, embedded in pictures.items()]
    confused = 1 - fmean(near[token].get(token, 0.0) for token in pictures)
    return fmean(each), each[0], confused, fmean(alignment)


def _rows(args: argparse.Namespace) -> list[list[str]]:
    bench, methods, seeds = prepare(args)
    rows = []
    for method in methods:
        for name, way in WAYS.items():
            found = [drawn(bench, method, seed, way) for seed in seeds]
            whole = [figures for figures in found if figures is not None]
            if whole:
                means = [f"{fmean(column):.3f}" for column in zip(*whole, strict=True)]
                rows.append([method.name, name, str(len(whole)), *means])
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 and a plain line when there is nothing to draw."""
    args = parse(arguments)
    return answer(args.out, ["method", "drawn with", "seeds", *HEADS], 2, lambda: _rows(args))


if __name__ == "__main__":
    sys.exit(main())
