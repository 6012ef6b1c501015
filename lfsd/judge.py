"""The judge: a CLIP model that says how alike two pictures, or a picture and a text, are."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import CLIPModel, CLIPTokenizer

from lfsd.base import silent
from lfsd.errors import BaseUnavailableError
from lfsd.locate import POCKET, locate_base

FOLDER = "image_encoder"
BATCH = 32
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Judge:
    """A CLIP model with its own tokenizer, which never learns a placeholder token.

    Texts must therefore name the class ("a cat on a beach"), not the token ("a V1 cat ...").
    """

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: CLIPTokenizer,
        *,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        subject_dims: int | None = None,
        device: str | torch.device = "cpu",
        fingerprint: str = "",
    ) -> None:
        self.model: Any = model.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.device = torch.device(device)
        self.size: int = model.config.vision_config.image_size
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)
        self.subject_dims = subject_dims
        """How many of an embedding's first numbers tell the subject, not the scene; None: all."""
        self.fingerprint = fingerprint
        """Start of the sha256 of the weights: embeddings of two judges cannot be compared."""

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "Judge":
        """The judge in a base's folder: `image_encoder/` and a tokenizer in it or beside it.

        `image_encoder/preprocessor_config.json` may name another image_mean and image_std than
        CLIP's, and `subject_dims`. BaseUnavailableError when there is no readable CLIP model.
        """
        inside = folder / FOLDER
        weights = inside / "model.safetensors"
        words = inside if (inside / "tokenizer_config.json").is_file() else folder / "tokenizer"
        if not weights.is_file():
            raise BaseUnavailableError(f"{folder} holds no judge ({FOLDER}/model.safetensors)")
        try:
            if json.loads((inside / "config.json").read_text()).get("model_type") != "clip":
                raise ValueError("its config is not that of a whole CLIP model")
            with silent():
                model = CLIPModel.from_pretrained(
                    inside, use_safetensors=True, local_files_only=True
                )
                tokenizer = CLIPTokenizer.from_pretrained(words, local_files_only=True)
            options = _preprocessing(inside / "preprocessor_config.json")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BaseUnavailableError(f"cannot load the judge of {folder}: {first}") from error
        with weights.open("rb") as file:
            fingerprint = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        return cls(model, tokenizer, device=device, fingerprint=fingerprint, **options)

    @classmethod
    def for_base(cls, folder: Path, device: str | torch.device = "cpu") -> "Judge":
        """The judge of the base in `folder`; pocket's for a base that brings none."""
        try:
            return cls.load(folder, device)
        except BaseUnavailableError:
            own = locate_base(POCKET)
            if own == folder:
                raise
            return cls.load(own, device)

    @torch.no_grad()
    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Unit embeddings [n,d] float32 of square pictures (others are squeezed)."""
        return self._embedded(
            [self._pixels(image) for image in images],
            lambda batch: self.model.get_image_features(pixel_values=batch).pooler_output,
        )

    def subjects(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Unit embeddings [n,d] float32 of what the pictures show, their scenes left out as far as
        this judge can tell the two apart (`subject_dims`)."""
        told = self.images(images)[:, : self.subject_dims]
        return told / np.maximum(np.linalg.norm(told, axis=1, keepdims=True), 1e-12)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit embeddings [n,d] float32 of texts in the judge's own words."""
        if not texts:
            return self._embedded([], None)
        ids = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).input_ids
        return self._embedded(
            list(ids), lambda batch: self.model.get_text_features(input_ids=batch).pooler_output
        )

    def _pixels(self, image: Image.Image) -> torch.Tensor:
        small = image.convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC)
        tensor = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
        return ((tensor - self.mean) / self.std)[0]

    def _embedded(self, rows: list[torch.Tensor], embed: Any) -> np.ndarray:
        if not rows:
            return np.zeros((0, self.model.config.projection_dim), np.float32)
        parts = [
            embed(torch.stack(rows[i : i + BATCH]).to(self.device))
            for i in range(0, len(rows), BATCH)
        ]
        unit = torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)
        return unit.cpu().numpy()


def _preprocessing(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    told = json.loads(path.read_text())
    return {
        "mean": told["image_mean"],
        "std": told["image_std"],
        "subject_dims": told.get("subject_dims"),
    }
