"""The guide's sessions and pictures: what it learns and draws, into a new store; pictures to OUT.

python docs/walk.py HOME OUT
"""

import argparse
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
SUBJECTS = {
    "black_cat": "cat",
    "poodle": "dog",
    "teddy_bear": "teddy bear",
    "sports_car": "car",
    "kettle": "teapot",
    "fedora": "hat",
    "handbag": "bag",
    "hiking_boot": "boot",
    "alarm_clock": "clock",
    "rubber_duck": "toy",
}
SEED = "7"


class Walk:
    """One walk through a store."""

    def __init__(self, home: Path, out: Path) -> None:
        if home.exists():
            raise SystemExit(f"{home} is there already: name a new folder")
        self.home, self.out = home, out
        out.mkdir(parents=True, exist_ok=True)

    def type(self, *words: str) -> None:
        """Run one command as a user would."""
        command = [sys.executable, "-m", "lfsd_cli", "--home", str(self.home), *words]
        subprocess.run(command, check=True, cwd=ROOT)

    def learn(self, number: int, name: str) -> None:
        """One session."""
        token = ("--token", f"V{number}", "--class", SUBJECTS[name])
        self.type("learn", f"lfsd/samples/{name}", *token)

    def draw(self, name: str, prompt: str) -> None:
        """Four pictures side by side as `guide-NAME.png`."""
        folder = self.home / "pictures" / name
        self.type("gen", prompt, "-n", "4", "--seed", SEED, "--out", str(folder))
        drawn = [Image.open(path) for path in sorted(folder.glob("*.png"))]
        strip = Image.new("RGB", (sum(image.width for image in drawn), drawn[0].height))
        for i, image in enumerate(drawn):
            strip.paste(image, (i * image.width, 0))
        strip.save(self.out / f"guide-{name}.png")

    def go(self) -> None:
        """From the first photo to the tenth concept."""
        for number, name in enumerate(SUBJECTS, 1):
            self.learn(number, name)
            if number == 1:
                self.draw("first", "a photo of a V1 cat")
                self.draw("beach", "a V1 cat on a beach")
            if number == 2:
                self.draw("second", "a V2 dog on grass")
                self.draw("both", "a V1 cat and a V2 dog")
        for number, noun in enumerate(SUBJECTS.values(), 1):
            self.draw(f"ten-{number}", f"a photo of a V{number} {noun}")
        self.draw("again", "a V1 cat on a beach")
        self.together()

    def together(self) -> None:
        """The ten strips, two beside each other, as one picture."""
        strips = [Image.open(self.out / f"guide-ten-{n}.png") for n in range(1, 11)]
        width, height = strips[0].size
        whole = Image.new("RGB", (2 * width, 5 * height))
        for i, strip in enumerate(strips):
            whole.paste(strip, (i % 2 * width, i // 2 * height))
        whole.save(self.out / "guide-ten.png")
        for number in range(1, 11):
            (self.out / f"guide-ten-{number}.png").unlink()


def main() -> None:
    """Read the two folders and walk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    Walk(asked.home.absolute(), asked.out.absolute()).go()


if __name__ == "__main__":
    main()
