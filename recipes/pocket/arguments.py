"""The command line every training stage shares."""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist


def parse(doc: str | None, batch: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--limit", type=int, help="stop after so many steps")
    parser.add_argument("--rows", type=int, default=300_000, help="captioned recipe rows to draw")
    parser.add_argument("--per-scene", type=int, default=300, help="backgrounds painted per scene")
    parser.add_argument("--photo-crops", type=int, default=150, help="crops per photograph")
    parser.add_argument(
        "--latents", type=int, default=600_000, help="pictures encoded ahead of diffusion training"
    )
    parser.add_argument(
        "--play",
        type=float,
        default=1.0,
        help="how much subjects vary in size, place and side, 0 to 1",
    )
    parser.add_argument(
        "--subject-weight",
        type=float,
        default=3.0,
        help="how much more an error on a subject counts in diffusion training than one beside it",
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="noise on the latents that the autoencoder's decoder learns from, in their deviations",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another seed, other pictures: for going on after a run"
    )
    parser.add_argument(
        "--patches", type=float, default=1.0, help="share of each picture's patches the judge sees"
    )
    parser.add_argument(
        "--more",
        type=lambda words: words.split(","),
        default=[],
        help="nouns to show the diffusion model three times as often, separated by commas",
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--whole",
        action="store_true",
        help="the whole world of subjects and scenes, not the early one",
    )
    parser.add_argument(
        "--threads", type=int, help="CPU threads; one each when two stages share the machine"
    )
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    if (
        "RANK" in os.environ
    ):  # under torchrun: on a small CPU two processes of one thread beat one of two
        dist.init_process_group("gloo" if args.device == "cpu" else "nccl")
    args.seed = 1000 * args.seed + (dist.get_rank() if dist.is_initialized() else 0)
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    (args.work / "checkpoints").mkdir(parents=True, exist_ok=True)
    args.log = args.work / "checkpoints/log.jsonl"
    return args
