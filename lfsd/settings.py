"""Every open choice of the method, in one frozen record that is stored with its session."""

from typing import Any, Literal

import msgspec

from lfsd.errors import UsageError

Teacher = Literal["previous", "base", "both"]
Trajectory = Literal["teacher", "student"]
Mask = Literal["off", "saliency", "attention"]
TokenInit = Literal["noise", "noun"]
TARGETS = frozenset({"attn1", "attn2", "ff", "resnet"})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one session is learned with.

    The paper (arXiv 2411.05544, abstract and figure captions) fixes L = L_DM + weight * L_KD, the
    25 step DDPM trajectory from pure noise, and that the teacher's latent is followed. All else is
    ours to choose.
    """

    # the adapter
    rank: int = 32
    """LoRA rank; fixed by the first session of a store, because there is one adapter for life."""
    alpha: float = 32.0
    """LoRA alpha; the update is scaled by alpha / rank."""
    targets: tuple[str, ...] | None = None
    """UNet blocks with LoRA: "attn1" (self), "attn2" (cross), "ff" (feed-forward), "resnet"
    (convolutions). None: attention for a UNet as wide as Stable Diffusion's (320 channels at its
    first level), all four for a narrower one, whose attention alone is too small to hold a subject.
    What was chosen is stored with the session."""

    # the loop
    steps: int = 250
    """Optimiser steps."""
    batch: int = 3
    """Photos per step, over all processes together; more in the first sessions, see `replay`."""
    grad_accumulation: int = 1
    """Batches per optimiser step."""
    optimizer: Literal["adamw", "muon"] | None = None
    """What steps the LoRA matrices (token rows: always AdamW). None: AdamW for a UNet as wide as
    Stable Diffusion's, Muon for a narrower one, which learns a subject in fewer steps with it."""
    lr_adapter: float | None = None
    """Learning rate of the LoRA matrices. None: 2e-4 for a UNet as wide as Stable Diffusion's (320
    channels at its first level), in proportion more for a narrower one; for Muon four times as
    much."""
    lr_token: float | None = None
    """Learning rate of the new token's embedding row(s). None: 5e-3 for a text encoder as wide as
    Stable Diffusion's (768), in proportion more for a narrower one."""
    lr_schedule: Literal["constant", "cosine"] = "cosine"
    """What follows the warm-up; cosine ends at a tenth."""
    warmup: int = 10
    """Steps of linear warm-up."""
    weight_decay: float = 0.0
    """AdamW decay of the LoRA matrices (never of token rows)."""
    l2_sp: float = 0.005
    """Share of the way back to where the session began that the LoRA matrices go in every step, in
    proportion to the learning rate's schedule (L2-SP, arXiv 1802.01483, decoupled as AdamW's decay
    is). What the photos do not keep asking for is let go of, and earlier concepts keep it."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this global norm; 0 turns it off."""
    seed: int = 0
    """All randomness of the session derives from it."""

    # data-free knowledge distillation
    distill: bool = True
    """Use L_KD at all."""
    distill_weight: float = 2.0
    """The weight of L_KD in the loss."""
    base_share: float = 0.5
    """Of that weight the share that counts where the base teaches: every session starts to guard
    its words from what they were, while of earlier concepts what is lost stays lost."""
    distill_steps: int = 25
    """Steps of the DDPM trajectory (the paper's 25)."""
    distill_batch: int = 2
    """Pooled latents per step that ride in the student's forward, over all processes together."""
    distill_space: Literal["native", "noise"] = "native"
    """Compare predictions as the UNet makes them, or converted to noise. The same thing for epsilon
    models.
    For v models the conversion multiplies the difference by alpha_t, which switches distillation
    off where
    the trajectory starts and what the picture shows is decided; so native is the default."""
    teacher: Teacher = "both"
    """Who says what must stay: the model as the session began, the base without any adapter, or
    each what it knows best: the former earlier concepts' prompts, the base all others, so that what
    one session shifts of a class noun the next one puts back."""
    trajectory: Trajectory = "teacher"
    """Whose step gives the next latent; "student" is the ablation of the paper's Fig. 5."""
    pool_class: bool = True
    """Distil prompts of the class noun and, in turns with it, of earlier concepts' class nouns."""
    pool_generic: bool = True
    """Distil generic prompts."""
    pool_earlier: bool = True
    """Distil prompts of earlier concepts (data-free replay)."""
    pool_empty: bool = True
    """Distil the empty prompt, which classifier-free guidance relies on."""
    pool_size: int = 24
    """Trajectories in the pool. Of each as many of its `distill_steps` points are kept as the steps
    will use, where `timesteps` says."""
    pool_refresh: int = 0
    """Make the pool anew every so many steps. 0: once per session, and every 25 steps when the
    student's
    trajectory is followed, which goes stale as the student moves."""

    # replay
    replay: int = 4
    """Rows per step, over all processes together, that show earlier concepts' vision contexts again
    under their own prompts, as they are and (with `composites`) cut out, so that a concept goes on
    being learned; 0 for none. No more than there are earlier concepts (with contexts of this
    resolution): until then photos take the other rows, so that every session costs the same."""

    # the photos
    brighten: bool = True
    """Lift photos taken in the dark, so that the subject is learned as it looks in daylight."""

    # the diffusion loss
    timesteps: Literal["uniform", "shapes"] = "shapes"
    """Where in the schedule photos are noised to, and where the teachers are listened to: anywhere,
    or half of the time in 0.4 to 0.9 of it, where shapes are decided."""
    guidance_dropout: float = 0.1
    """Chance that a photo is seen under the empty prompt, from which guidance leads away."""
    flip: float = 0.0
    """Chance that a photo is mirrored: one more view to learn in the same steps, and writing comes
    out backwards."""
    prompts: Literal["plain", "varied"] = "varied"
    """Only "a photo of a V1 cat", or several templates."""
    token_rows: int = 1
    """Embedding rows per text encoder that the token stands for."""
    token_init: TokenInit = "noise"
    """Where they begin: as a word that nobody uses, or at the class noun, from which distillation
    then holds them back."""
    subject_mask: Mask = "saliency"
    """Weight L_DM by where the subject is: saliency of the photo, or cross-attention of its class
    noun."""
    mask_floor: float = 0.1
    """Weight of the background under a subject mask."""
    composites: float = 0.5
    """Chance that a photo's subject is shown on a plain colour named in the prompt instead."""
    context_in_training: bool = False
    """Show the student another photo as a context while it learns, as generation will. Needs
    contexts, icgen "attend" and two photos; without them nothing is shown."""

    # vision contexts
    contexts: int = 4
    """Contexts kept for this concept, which later sessions replay."""
    contexts_drawn: int = 4
    """How many of them guide a picture, the first chosen."""
    context_choice: Literal["first", "medoid", "spread"] = "spread"
    """Which photos become contexts."""
    thumbnail: bool = False
    """Keep a small copy of the first context's photo, to show what the concept is. Otherwise no
    photo is kept once the next session begins."""
    icgen: Literal["attend", "canvas", "off"] = "attend"
    """How generation uses them."""
    context_strength: float = 1.0
    """0 leaves contexts out, 1 attends to each as to the picture itself."""
    context_fraction: float = 0.5
    """Share of the sampling steps, up to the last, that see the contexts: early ones decide what
    the picture shows, which is the words' business."""
    context_mask: Mask = "saliency"
    """Which of a context's tokens count."""

    # the machine
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the device computes it fast, else float32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    resolution: int | None = None
    """Pixels; None is the base's own."""
    gradient_checkpointing: bool = False
    """Trade time for memory."""
    checkpoint_every: int = 50
    """Steps between checkpoints; 0 only when interrupted."""
    preview_every: int = 0
    """Steps between previews; 0 for none."""
    measure: bool = True
    """Run the quick forgetting check at the end."""

    def __post_init__(self) -> None:
        checks = {
            "rank": self.rank >= 1,
            "steps": self.steps >= 1,
            "batch": self.batch >= 1,
            "grad_accumulation": self.grad_accumulation >= 1,
            "distill_steps": 1 <= self.distill_steps <= 1000,
            "distill_batch": self.distill_batch >= 1,
            "distill_weight": self.distill_weight >= 0,
            "base_share": 0 <= self.base_share <= 1,
            "pool_size": self.pool_size >= 1,
            "l2_sp": 0 <= self.l2_sp <= 1,
            "replay": self.replay >= 0,
            "token_rows": 1 <= self.token_rows <= 8,
            "contexts": self.contexts >= 0,
            "contexts_drawn": self.contexts_drawn >= 1,
            "targets": self.targets is None
            or (bool(self.targets) and set(self.targets) <= TARGETS),
            "guidance_dropout": 0 <= self.guidance_dropout <= 1,
            "composites": 0 <= self.composites <= 1,
            "flip": 0 <= self.flip <= 1,
            "mask_floor": 0 <= self.mask_floor <= 1,
            "context_strength": self.context_strength >= 0,
            "context_fraction": 0 <= self.context_fraction <= 1,
            "lr_adapter": self.lr_adapter is None or self.lr_adapter > 0,
            "lr_token": self.lr_token is None or self.lr_token >= 0,
        }
        for name, good in checks.items():
            if not good:
                raise UsageError(
                    f"settings: {name} is out of range: {getattr(self, name, '')}".rstrip(": ")
                )
        if self.thumbnail and not self.contexts:
            raise UsageError(
                "settings: a thumbnail is kept with a context, and contexts is 0",
                "keep one context at least, or leave the thumbnail out",
            )
        if self.context_in_training and self.icgen == "canvas":
            raise UsageError(
                'settings: context_in_training does not go with icgen "canvas"',
                'learn with icgen "attend", or without contexts in training',
            )

    def to_dict(self) -> dict[str, Any]:
        """All settings as a JSON-able dict."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """The settings in `values`; unknown keys and bad values raise UsageError naming them."""
        unknown = sorted(set(values) - set(cls.__struct_fields__))
        if unknown:
            raise UsageError(
                f"unknown settings: {', '.join(unknown)}",
                "they may come from a newer lfsd; upgrade it",
            )
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"settings: {error}") from error

    def changed(self, **values: Any) -> "Settings":
        """A copy with some fields replaced, checked again."""
        return Settings.from_dict({**self.to_dict(), **values})
