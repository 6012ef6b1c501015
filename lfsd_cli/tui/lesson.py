"""What to learn, as a record that knows its command lines."""

from dataclasses import dataclass, replace
from pathlib import Path

from lfsd_cli.tui.job import Job


@dataclass(frozen=True)
class Lesson:
    """One `lfsd learn`: the folder of photos, the token, the class noun, the steps; is a small
    photo kept?"""

    photos: Path
    token: str
    class_noun: str
    steps: int | None = None
    thumbnail: bool = False
    dry_run: bool = False
    resume: bool = False

    def words(self) -> list[str]:
        """The command line, without the program."""
        words = ["learn", "--log-json", f"--token={self.token}", f"--class={self.class_noun}"]
        words += [] if self.steps is None else ["--steps", str(self.steps)]
        words += ["--thumbnail"] if self.thumbnail else []
        words += ["--dry-run"] if self.dry_run else []
        words += ["--resume"] if self.resume else []
        return [*words, "--", str(self.photos.absolute())]

    def check(self, folder: Path) -> Job:
        """The job that looks at the photos and learns nothing; its sheet goes to `folder`."""
        lesson = replace(self, dry_run=True, resume=False)
        title = f"checking the photos of {self.token}"
        return Job(title, lesson.words(), quick=True, folder=folder, about=lesson)

    def job(self) -> Job:
        """The job that learns it."""
        again = "resuming" if self.resume else "learning"
        return Job(f"{again} {self.token} ({self.class_noun})", self.words(), about=self)
