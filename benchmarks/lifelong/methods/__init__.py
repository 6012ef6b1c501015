"""Every method by name. A method is a Learner and what it changes of lfsd's own settings."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.lifelong.methods.bounds import Joint, Separate
from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.methods.orthogonal import Orthogonal
from benchmarks.lifelong.methods.penalties import CLora, Ewc
from benchmarks.lifelong.methods.pools import LatentReplay, Preservation, PriorPreservation
from lfsd.errors import UsageError


@dataclass(frozen=True)
class Method:
    """A row of the table."""

    name: str
    about: str
    kind: type[Learner] = Learner
    changes: Mapping[str, Any] = field(default_factory=dict)
    trained_as: str = ""
    """Differs from that method in drawing only, so it takes over what that one learned."""
    weight: float | None = None


PLAIN = {
    "batch": 4,
    "icgen": "off",
    "distill": False,
    "replay": 0,
    "l2_sp": 0.0,
}
"""LoRA as everybody trains it: no distillation, no contexts, nothing that holds it back."""
POOLED = {
    "batch": 4,
    "icgen": "off",
    "distill": True,
    "distill_space": "native",
    "distill_weight": 1.0,
    "base_share": 1.0,
    "trajectory": "teacher",
    "pool_refresh": 0,
    "distill_batch": 2,
    "replay": 0,
    "l2_sp": 0.0,
}
"""Without contexts, with another pool than lfsd's, made once per session. Two of its entries ride
in a step beside four photos, where lfsd has three photos, two of its pool and four contexts
(decision 34)."""
FIXED = {
    "teacher": "previous",
    "trajectory": "teacher",
    "distill_steps": 25,
    "distill_space": "noise",
    "distill_weight": 1.0,
    "prompts": "plain",
    "timesteps": "uniform",
    "batch": 4,
    "pool_class": True,
    "pool_earlier": True,
    "pool_generic": False,
    "pool_empty": False,
    "icgen": "attend",
    "context_in_training": False,
    "distill_batch": 2,
    "replay": 0,
    "l2_sp": 0.0,
}
"""What arXiv 2411.05544 fixes, and the plainest choice where abstract and captions leave one."""

COMPARED = (
    Method("separate", "an adapter for every concept, picked by the prompt", Separate, PLAIN),
    Method("joint", "all photos so far at once, from the start", Joint, PLAIN),
    Method("naive", "one LoRA adapter trained on, session after session", changes=PLAIN),
    Method("prior", "naive + DreamBooth's class pictures", PriorPreservation, POOLED),
    Method(
        "preserve", "naive + the class prompt's output held on the photos", Preservation, POOLED
    ),
    Method("ewc", "naive + elastic weight consolidation", Ewc, PLAIN),
    Method("clora", "naive + C-LoRA's self-regularisation", CLora, PLAIN),
    Method("orthogonal", "a block of orthogonal rows for every session", Orthogonal, PLAIN),
    Method("replay", "naive + earlier photos' latents shown again", LatentReplay, POOLED),
    Method("lfs", "LFS-Diffusion as the paper describes it", changes=FIXED),
    Method("ours", "lfsd's defaults"),
)
ABLATIONS = (
    Method("dfkd", "ours drawn without contexts", changes={"icgen": "off"}, trained_as="ours"),
    Method(
        "icgen",
        "naive drawn with contexts",
        changes={**PLAIN, "icgen": "attend"},
        trained_as="naive",
    ),
    Method(
        "no-replay",
        "ours, distillation in the place of replay",
        changes={"replay": 0, "distill_batch": 6},
    ),
    Method("no-l2-sp", "ours, free to go anywhere", changes={"l2_sp": 0.0}),
    Method("teacher-base", "ours, taught by the untouched base", changes={"teacher": "base"}),
    Method(
        "teacher-previous",
        "ours, taught by the previous session's model alone",
        changes={"teacher": "previous"},
    ),
    Method(
        "path-student",
        "ours along the student's paths",
        # a pool for every 25 steps, so together as many trajectories or more
        changes={"trajectory": "student", "pool_size": 8},
    ),
    Method(
        "pool-class",
        "ours, only the class noun and the empty prompt in the pool",
        changes={"pool_earlier": False, "pool_generic": False},
    ),
    Method(
        "pool-earlier",
        "ours, no generic prompts in the pool",
        changes={"pool_generic": False},
    ),
    Method(
        "canvas",
        "ours drawn with contexts on a canvas",
        changes={"icgen": "canvas"},
        trained_as="ours",
    ),
    Method("seen", "ours, contexts seen in training", changes={"context_in_training": True}),
)
METHODS = {method.name: method for method in (*COMPARED, *ABLATIONS)}


def pick_methods(names: Sequence[str]) -> list[Method]:
    """The methods named, in this order, each after the one it takes its states from.

    "all" is every one. `name@weight` sets a method's weight, `name+setting=value` one of lfsd's
    settings; settings may be several. UsageError for an unknown name.
    """
    picked: dict[str, Method] = {}
    for name in METHODS if list(names) == ["all"] else names:
        method = _one(name)
        if method.trained_as and method.trained_as not in picked:
            picked[method.trained_as] = METHODS[method.trained_as]
        picked[method.name] = method
    return list(picked.values())


def plain_name(name: str) -> str:
    """The method that `name@weight` or `name+setting=value` is a variant of."""
    return re.split("[@+]", name, maxsplit=1)[0]


def _one(name: str) -> Method:
    head, *changes = name.split("+")
    plain, at, weight = head.partition("@")
    if plain not in METHODS:
        raise UsageError(f"no method {plain!r}", f"known: {', '.join(METHODS)}")
    method = METHODS[plain]
    if name == plain:
        return method
    try:
        changed = dict(_setting(change) for change in changes)
        strength = float(weight) if at else None
    except ValueError as error:
        raise UsageError(f"method {name!r}: {error}", "such as ewc@1e4 or ours+rank=8") from None
    # a variant learns for itself
    return replace(
        method,
        name=name,
        weight=strength,
        trained_as="",
        changes={**method.changes, **changed},
    )


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} sets nothing")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
