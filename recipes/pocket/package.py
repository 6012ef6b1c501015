"""Stage 7, `package`: checkpoints -> a folder in the Stable Diffusion layout, float16 safetensors.

The saliency network, which belongs to no base, goes beside its code if there is a checkpoint of it.

    python -m recipes.pocket.package --work WORK [--out lfsd/bases/pocket] [--unpack]

`--unpack` goes the other way: the packaged weights become checkpoints, from which every stage trains on.

Refuses a folder over 100 MB or a file over 60 MB. The judge's preprocessor_config.json also says how many of its
embedding's first numbers tell the subject (`subject_dims`).
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from lfsd.saliency_net import WEIGHTS as SALIENCY
from recipes.pocket import models
from recipes.pocket.training import load_into

LIMIT, FILE_LIMIT = 100e6, 60e6
WEIGHTS = {
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
    "judge": "image_encoder/model.safetensors",
}


def package(work: Path, out: Path) -> float:
    """Write the pipeline and the judge; returns the folder's size in MB. Raises SystemExit if it is too big."""
    checkpoints = work / "checkpoints"
    tokenizer = CLIPTokenizer.from_pretrained(work / "pocket/tokenizer")
    parts = {
        "vae": models.vae(),
        "text": models.text_encoder(tokenizer),
        "unet": models.unet(),
        "judge": models.judge(tokenizer),
    }
    for name, module in parts.items():
        if not load_into(module, checkpoints / f"{name}.safetensors"):
            raise SystemExit(f"no checkpoint of {name} in {checkpoints}")
        module.half()
    parts["vae"].register_to_config(
        scaling_factor=float(load_file(checkpoints / "scale.safetensors")["scaling_factor"])
    )
    pipeline = StableDiffusionPipeline(
        vae=parts["vae"], text_encoder=parts["text"], tokenizer=tokenizer, unet=parts["unet"], scheduler=models.scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "image_encoder"):
        shutil.rmtree(out / part, ignore_errors=True)
    pipeline.save_pretrained(out, safe_serialization=True)
    parts["judge"].save_pretrained(out / "image_encoder", safe_serialization=True)
    # transformers loads weights as they lie unless the config says otherwise, diffusers as float32:
    # without this line a plain pipeline would hold a half text encoder beside a single UNet
    for part in ("text_encoder", "image_encoder"):
        path = out / part / "config.json"
        config = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "float32"}
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    told = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "subject_dims": models.PROJECTION // 2}
    (out / "image_encoder/preprocessor_config.json").write_text(
        json.dumps(told, indent=2) + "\n", encoding="utf-8"
    )
    sizes = {p: p.stat().st_size for p in out.rglob("*") if p.is_file()}
    if sum(sizes.values()) > LIMIT or max(sizes.values()) > FILE_LIMIT:
        raise SystemExit(
            f"too big: {sum(sizes.values()) / 1e6:.1f} MB in all, {max(sizes.values()) / 1e6:.1f} MB the largest file"
        )
    return sum(sizes.values()) / 1e6


def unpack(work: Path, out: Path) -> None:
    """Make checkpoints (and the tokenizer's folder) of a packaged base."""
    checkpoints = work / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    for name, path in WEIGHTS.items():
        shutil.copyfile(out / path, checkpoints / f"{name}.safetensors")
    scale = json.loads((out / "vae/config.json").read_text(encoding="utf-8"))["scaling_factor"]
    save_file({"scaling_factor": torch.tensor(scale)}, checkpoints / "scale.safetensors")
    shutil.copytree(out / "tokenizer", work / "pocket/tokenizer", dirs_exist_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    parser.add_argument("--out", type=Path, default=Path("lfsd/bases/pocket"))
    parser.add_argument("--unpack", action="store_true")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    if args.unpack:
        unpack(args.work, args.out)
        shutil.copyfile(SALIENCY, args.work / "checkpoints/saliency.safetensors")
        return
    print(f"{package(args.work, args.out):.1f} MB in {args.out}")
    saliency = args.work / "checkpoints/saliency.safetensors"
    if saliency.exists():
        shutil.copyfile(saliency, SALIENCY)


if __name__ == "__main__":
    main()
