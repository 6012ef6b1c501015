"""What to draw, as a record that knows its command line, and its variations."""

from dataclasses import dataclass, replace
from pathlib import Path

from lfsd_cli.tui.data import Shot
from lfsd_cli.tui.job import Job


@dataclass(frozen=True)
class Drawing:
    """One `lfsd gen`. `seed` None is a random one; `pair` joins two that are to be compared."""

    prompt: str
    n: int = 1
    seed: int | None = None
    steps: int = 30
    guidance: float | None = None
    guidance_fraction: float | None = None
    negative: str = ""
    context: bool = True
    context_strength: float | None = None
    context_blend: float | None = None
    as_of: str = ""
    pair: int = 0

    def words(self, out: Path, live: Path | None = None) -> list[str]:
        """The command line, without the program."""
        words = ["gen", "--log-json", "--no-preview", "--out", str(out), "-n", str(self.n)]
        words += ["--steps", str(self.steps)]
        numbers = {
            "--seed": self.seed,
            "--guidance": self.guidance,
            "--guidance-fraction": self.guidance_fraction,
            "--context-strength": self.context_strength,
            "--context-blend": self.context_blend,
        }
        for option, number in numbers.items():
            words += [] if number is None else [option, str(number)]
        words += ["--negative", self.negative] if self.negative else []
        words += [] if self.context else ["--no-context"]
        words += ["--as-of", self.as_of] if self.as_of else []
        words += [] if live is None else ["--live", str(live)]
        return [*words, "--", self.prompt]

    def job(self, out: Path, live: Path | None = None) -> Job:
        """The job that draws it; `live` is where the picture is seen while it takes shape."""
        how = f" as of {self.as_of}" if self.as_of else ""
        how += "" if self.context else " without context"
        return Job(f"drawing {self.prompt}{how}", self.words(out, live), about=self)

    def like(self, shot: Shot) -> "Drawing":
        """The same as a picture that is there, in all that `lfsd gen` can be told."""
        return replace(
            self,
            prompt=shot.prompt,
            n=1,
            seed=shot.seed,
            steps=shot.steps or self.steps,
            guidance=shot.guidance,
            guidance_fraction=shot.guidance_fraction,
            negative=shot.negative,
            context=shot.context,
            context_strength=shot.context_strength,
            context_blend=shot.context_blend,
        )
