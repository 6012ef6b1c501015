"""Lifelong methods against each other, session by session.

    python -m benchmarks.lifelong --protocol ten --photos FOLDER --out DIR
        [--methods a,b@weight,c+setting=value] [--seeds 0,1,2]
        [--sprites FOLDER] [--base BASE] [--device DEVICE]

FOLDER holds one folder of photos per subject. Every method and seed has its folder in DIR: a JSON
line per session and the state behind it, so that the same command goes on where a killed one
stopped. `python -m benchmarks.lifelong.report DIR` makes tables, plots and contact sheets of it.
docs/benchmark-methods.md says what is measured.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.lifelong.methods import METHODS, Method, pick_methods
from benchmarks.lifelong.protocol import SPRITES, gather, load_protocol
from benchmarks.lifelong.runner import Bench
from lfsd.base import BaseModel
from lfsd.errors import LfsdError
from lfsd.judge import Judge


def numbers(text: str) -> list[int]:
    """ "0,1,2"."""
    return [int(part) for part in text.split(",")]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lifelong",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="methods:\n" + "\n".join(f"  {m.name:13} {m.about}" for m in METHODS.values()),
    )
    parser.add_argument("--protocol", default="ten", help="ten, thirty, short or a JSON file")
    parser.add_argument("--photos", type=Path, help="folder with a folder of photos per subject")
    parser.add_argument("--sprites", type=Path, default=SPRITES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", help="default: those of the protocol")
    parser.add_argument("--seeds", type=numbers, help="default: those of the protocol")
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--device", default="auto")
    return parser.parse_args(arguments)


def prepare(args: argparse.Namespace) -> tuple[Bench, list[Method], list[int]]:
    """The bench, the methods and the seeds that the command line names; UsageError if it cannot."""
    protocol = load_protocol(args.protocol)
    methods = pick_methods(args.methods.split(",") if args.methods else protocol.methods)
    base = BaseModel.load(args.base, device=args.device)
    sessions = gather(protocol, args.photos, args.sprites, base.resolution)
    judge = Judge.for_base(base.folder, base.device)
    bench = Bench(base, judge, protocol, sessions, args.out)
    return bench, methods, list(args.seeds or protocol.seeds)


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing; 1 and a plain line when something is wrong."""
    args = parse(arguments)
    try:
        bench, methods, seeds = prepare(args)
        about = [f"{s.token} {s.class_noun}: {len(s.photos)} photos" for s in bench.sessions]
        print(", ".join(about))
        for seed in seeds:
            for method in methods:
                bench.run(method, seed)
    except LfsdError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
