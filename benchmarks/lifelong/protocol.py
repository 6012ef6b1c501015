"""What is learned, in which order, how long, and how it is examined: one JSON file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from lfsd.errors import UsageError
from lfsd.measure import Plan
from lfsd.photos import PreparedPhoto, intake

SPRITES = Path("build/lifelong/sprites")
"""Where `benchmarks.lifelong.sprites` puts the pictures of sprite subjects."""
PROTOCOLS = Path(__file__).parent / "protocols"
SOURCES = ("photos", "sample", "sprite")


@dataclass(frozen=True)
class Lesson:
    """One session as the protocol names it; `name` is a folder of photos, a bundled sample or a
    sprite."""

    number: int
    token: str
    class_noun: str
    source: Literal["photos", "sample", "sprite"]
    name: str

    def folder(self, photos: Path | None, sprites: Path) -> Path:
        """Where its photos lie. UsageError if nobody said, or if the sprites were not made."""
        if self.source == "sample":
            return Path(str(files("lfsd") / "samples" / self.name))
        if self.source == "sprite":
            folder = sprites / slug(self.name)
            if not folder.is_dir():
                raise UsageError(
                    f"there are no pictures of the sprite {self.name!r} in {sprites}",
                    "make them: python -m benchmarks.lifelong.sprites --out FOLDER",
                )
            return folder
        if photos is None:
            raise UsageError(
                f"session {self.number} wants a folder of photos called {self.name!r}",
                "name the folder that holds it: --photos FOLDER",
            )
        return photos / self.name


@dataclass(frozen=True)
class Protocol:
    """The same for every method. `settings` are changes to lfsd's defaults."""

    name: str
    about: str
    lessons: tuple[Lesson, ...]
    methods: tuple[str, ...]
    """Method names; ("all",) for every one there is."""
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    plan: Plan
    every: int
    """All concepts are examined after every so many sessions, and after the first and the last."""
    sheet: tuple[str, ...]
    """Prompts of the contact sheet."""

    def examined(self, number: int) -> bool:
        """Whether all concepts are examined after session `number`, or the new one alone."""
        return number in (1, len(self.lessons)) or number % self.every == 0

    def to_dict(self) -> dict[str, Any]:
        """What must be equal for two lines to be comparable."""
        return {
            "lessons": [asdict(lesson) for lesson in self.lessons],
            "settings": self.settings,
            "measure": asdict(self.plan),
            "every": self.every,
            "sheet": list(self.sheet),
        }


@dataclass(frozen=True)
class Session:
    """A lesson with its photos as the model will see them."""

    number: int
    token: str
    class_noun: str
    photos: Sequence[PreparedPhoto]


def slug(name: str) -> str:
    """A sprite's folder."""
    return name.replace(" ", "_")


def load_protocol(name: str) -> Protocol:
    """ "ten", "thirty", "short" or a JSON file. UsageError says what is wrong with it."""
    path = PROTOCOLS / f"{name}.json"
    if not path.is_file():
        path = Path(name)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        methods = told["methods"]
        return Protocol(
            name=path.stem,
            about=told["about"],
            lessons=tuple(_lesson(i, row) for i, row in enumerate(told["sessions"], 1)),
            methods=("all",) if methods == "all" else tuple(methods),
            seeds=tuple(told["seeds"]),
            settings=told["settings"],
            plan=Plan(**told["measure"]),
            every=int(told["every"]),
            sheet=tuple(told["sheet"]),
        )
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in PROTOCOLS.glob("*.json")))
        raise UsageError(f"no protocol {name!r}", f"known: {known}; or a JSON file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no protocol: {error!r}") from error


def _lesson(number: int, row: dict[str, str]) -> Lesson:
    source = next((s for s in SOURCES if s in row), None)
    if source is None:
        raise ValueError(f"session {number} has none of {', '.join(SOURCES)}")
    return Lesson(number, row["token"], row["class"], source, row[source])  # type: ignore[arg-type]


def gather(
    protocol: Protocol, photos: Path | None, sprites: Path, resolution: int
) -> list[Session]:
    """Every session's photos, through lfsd's own intake."""
    return [
        Session(
            lesson.number,
            lesson.token,
            lesson.class_noun,
            intake(
                [lesson.folder(photos, sprites)],
                resolution=resolution,
                class_noun=lesson.class_noun,
            ).photos,
        )
        for lesson in protocol.lessons
    ]
