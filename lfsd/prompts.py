"""The words: training prompts of a concept, and the pool of prompts that distillation guards."""

import re
from collections.abc import Sequence
from random import Random

from lfsd.settings import Settings

TRAINING = ("a photo of a {}", "a {}", "a photo of a {}", "a picture of a {}")
SCENES = (
    "on a beach",
    "in the snow",
    "on grass",
    "in a forest",
    "on a wooden floor",
    "in a city street",
    "at sunset",
    "on a plain background",
)
GENERIC = (
    "a photo of a red apple on a wooden floor",
    "a photo of a tiger in the snow",
    "a photo of a house in a forest",
    "a photo of a bird on a beach",
    "a photo of a blue car in a city street",
    "a photo of a dog on grass",
    "a photo of a cat on a wooden floor",
    "a photo of a horse on grass",
    "a photo of a cup on a plain background",
    "a beach at sunset",
    "a mountain in the snow",
    "a photo of a boat on water",
)
COLOURS = {
    "red": (196, 52, 48),
    "orange": (226, 132, 46),
    "yellow": (232, 206, 78),
    "green": (84, 152, 86),
    "blue": (72, 118, 190),
    "purple": (128, 88, 164),
    "pink": (230, 160, 180),
    "brown": (128, 94, 66),
    "grey": (140, 140, 140),
    "white": (238, 238, 236),
    "black": (28, 28, 30),
}
ON_COLOUR = "a photo of a {} on a plain COLOUR background"


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[:1].lower() in 'aeiou' else 'a'} {words}"


def fill(template: str, words: str) -> str:
    """`template` with its "a {}" filled in, "an" where English wants it."""
    return template.replace("a {}", article(words), 1).replace("{}", words)


def concept_words(token: str, class_noun: str) -> str:
    """How prompts name a concept: "V1 cat"."""
    return f"{token} {class_noun}"


def training_prompts(
    token: str, class_noun: str, caption: str | None, prompts: str = "varied"
) -> list[str]:
    """The prompts one photo is shown under, each holding the token; a caption takes precedence.

    `prompts` is "plain" (one template) or "varied".
    """
    if caption:
        return [caption_with_token(caption, token, class_noun)]
    templates = TRAINING[:1] if prompts == "plain" else TRAINING
    return [fill(template, concept_words(token, class_noun)) for template in templates]


def caption_with_token(caption: str, token: str, class_noun: str) -> str:
    """The caption naming the concept: as it is, or with the token put before the noun, or put
    first."""
    if re.search(rf"(?<![\w-]){re.escape(token)}(?![\w-])", caption):
        return caption
    noun = re.compile(rf"(?<![\w-]){re.escape(class_noun)}(?![\w-])", re.IGNORECASE)
    words = concept_words(token, class_noun)
    if noun.search(caption):
        return noun.sub(words.replace("\\\\", ""), caption, count=1)
    return f"{article(words)}, {caption}"


def distillation_prompts(
    class_noun: str, earlier: Sequence[tuple[str, str]], settings: Settings
) -> dict[str, list[str]]:
    """Group -> prompts whose predictions the student must keep; none holds the new token.

    `earlier` are (token, class noun) of the concepts already known: the teacher still draws them,
    so their prompts replay them without their photos. Their class nouns take turns with the new
    one: what is replayed of a cat must not become every cat.
    """
    # A pool holds some of many: which ones changes from session to session.
    earlier = list(earlier)
    Random(f"{settings.seed}/{len(earlier)}").shuffle(earlier)
    groups: dict[str, list[str]] = {}
    if settings.pool_earlier and earlier and settings.teacher != "base":
        groups["earlier"] = _prompts([concept_words(*concept) for concept in earlier])
    if settings.pool_class:
        nouns = list(dict.fromkeys(noun for _, noun in earlier if noun != class_noun))
        groups["class"] = _in_turns(_prompts([class_noun]), _prompts(nouns))
    if settings.pool_generic:
        groups["generic"] = list(GENERIC)
    if settings.pool_empty:
        groups["empty"] = [""]
    return groups or {"empty": [""]}


def _prompts(words: Sequence[str]) -> list[str]:
    """All words once, then all once more, each time under another template than its neighbour."""
    templates = ["a photo of a {}", *(f"a photo of a {{}} {scene}" for scene in SCENES), "a {}"]
    count = len(templates)
    return [
        fill(templates[(i + turn) % count], w) for turn in range(count) for i, w in enumerate(words)
    ]


def _in_turns(first: list[str], second: list[str]) -> list[str]:
    """One of the first, one of the second, until the longer list is through."""
    if not second:
        return first
    longer = max(len(first), len(second))
    return [part[i % len(part)] for i in range(longer) for part in (first, second)]


def share_out(groups: dict[str, list[str]], count: int, offset: int = 0) -> list[str]:
    """`count` prompts for as many trajectories: groups take turns by weight, prompts within them
    too.

    Every second turn is an earlier concept's, as there are ever more of them, and the class has two
    turns for one of the others.
    """
    order = ["earlier", "class", "earlier", "generic", "earlier", "class", "earlier", "empty"]
    turns = [group for group in order if group in groups]
    taken = dict.fromkeys(groups, offset)
    chosen = []
    for i in range(count):
        group = turns[i % len(turns)]
        chosen.append(groups[group][taken[group] % len(groups[group])])
        taken[group] += 1
    return chosen
