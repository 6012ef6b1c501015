"""The pictures of a protocol's sprite subjects, five of each, composed from pocket's own world.

    python -m benchmarks.lifelong.sprites [--work build/pocket] [--out build/lifelong/sprites]
                                          [--protocol thirty]

WORK is where `python -m recipes.pocket.sources` put the world. The subjects are held out: no stage
of pocket's training saw them. The pictures are composites under their cut-outs' licences and are
not committed; the same command makes the same pictures, but for what another kind of CPU rounds
otherwise: between two instruction sets 16 of the 150 differed, by 5 grey levels at most.
"""

import argparse
from pathlib import Path

from benchmarks.lifelong.protocol import SPRITES, Protocol, load_protocol, slug
from lfsd.errors import UsageError
from recipes.pocket.samples import compose_set
from recipes.pocket.world import World


def make_sprites(world: World, protocol: Protocol, out: Path) -> list[Path]:
    """A folder of pictures per sprite subject; UsageError if the world holds none of that name."""
    made = []
    for lesson in protocol.lessons:
        if lesson.source != "sprite":
            continue
        held_out = [i for i in world.pool(held_out=True) if world.subjects[i].name == lesson.name]
        if not held_out:
            raise UsageError(f"pocket's world has no held-out subject {lesson.name!r}")
        compose_set(world, int(held_out[0]), out / slug(lesson.name), seed=held_out[0])
        made.append(out / slug(lesson.name))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    parser.add_argument("--out", type=Path, default=SPRITES)
    parser.add_argument("--protocol", default="thirty")
    args = parser.parse_args()
    world = World(args.work / "world", "cpu", per_scene=8, seed=78, early=True)
    made = make_sprites(world, load_protocol(args.protocol), args.out)
    print(f"{len(made)} subjects in {args.out}")


if __name__ == "__main__":
    main()
