"""What a benchmark's models still know of every concept's photos, asked without any judge.

    python -m benchmarks.lifelong.remembered --protocol ten --photos FOLDER --out DIR
        [--methods a,b] [--seeds 0,1] [--sprites FOLDER] [--base BASE] [--device DEVICE]

DIR is where `python -m benchmarks.lifelong` has run, with its states. For each method the table has
L_DM on the subjects of the concepts' own photos, the same noise for all, mean over concepts and
seeds: as each was just learned, and after the last session. Lower is more; a method is asked for
its adapter's predictions alone, without contexts.
"""

import argparse
import sys
from statistics import fmean

from benchmarks.lifelong.__main__ import parse, prepare
from benchmarks.lifelong.asked import answer
from benchmarks.lifelong.methods import Method
from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.protocol import Session
from benchmarks.lifelong.runner import Bench
from benchmarks.plasticity import PLACES, plain_latents, subject_losses
from lfsd.data import PhotoLatents

Losses = list[float]
"""L_DM at each of `PLACES`."""


def remembered(bench: Bench, method: Method, seed: int) -> tuple[Losses, Losses] | None:
    """L_DM when learned and at the end, mean over concepts; None without a whole run."""
    learned: list[Losses] = []
    photos: dict[str, PhotoLatents] = {}
    for learner in bench.states(method, seed):
        session = bench.sessions[len(learned)]
        own = (session.token, session.class_noun)
        photos[session.token] = plain_latents(bench.base, session.photos, *own)
        learned.append(_losses(learner, session, photos[session.token]))
        if len(learned) == len(bench.sessions):
            end = [_losses(learner, s, photos[s.token]) for s in bench.sessions]
            return _means(learned), _means(end)
    return None


def _losses(learner: Learner, session: Session, photos: PhotoLatents) -> Losses:
    learner.stand(session.token)
    own = (session.token, session.class_noun)
    return subject_losses(learner.base, learner.adapter, photos, *own)


def _means(rows: list[Losses]) -> Losses:
    return [fmean(column) for column in zip(*rows, strict=True)]


def _rows(args: argparse.Namespace) -> list[list[str]]:
    bench, methods, seeds = prepare(args)
    rows = []
    for method in methods:
        found = [remembered(bench, method, seed) for seed in seeds]
        whole = [both for both in found if both is not None]
        if whole:
            learned, end = (_means([both[i] for both in whole]) for i in (0, 1))
            rows.append([method.name, str(len(whole)), *(f"{v:.3f}" for v in [*learned, *end])])
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 and a plain line when there is nothing to ask."""
    args = parse(arguments)
    heads = [f"{when} {place}" for when in ("learned", "end") for place in PLACES]
    return answer(args.out, ["method", "seeds", *heads], 1, lambda: _rows(args))


if __name__ == "__main__":
    sys.exit(main())
