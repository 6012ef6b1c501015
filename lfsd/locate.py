"""Where a base model lives on disk and what it is, without importing torch."""

import hashlib
import json
from pathlib import Path

from lfsd.errors import BaseUnavailableError
from store.records import BaseRef

POCKET = "pocket"
BASES = Path(__file__).parent / "bases"
PARTS = (
    "unet",
    "vae",
    "scheduler",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "image_encoder",
)
PATTERNS = ["model_index.json", *(f"{part}/*" for part in PARTS)]
_HINT = "name a folder or hub id in the Stable Diffusion layout, or use --base pocket"


def locate_base(base: str = POCKET, revision: str | None = None) -> Path:
    """The local folder of `base`: "pocket", a folder, or a hub id (the only one that uses the
    network).

    BaseUnavailableError if there is no such folder, or the hub does not give it to us.
    """
    if base == POCKET:
        folder = BASES / POCKET
    elif Path(base).expanduser().is_dir():
        folder = Path(base).expanduser().resolve()
    elif base.count("/") == 1 and not base.startswith((".", "/", "~")):
        folder = _download(base, revision)
    else:
        raise BaseUnavailableError(f"no base model at {base!r}", _HINT)
    if not (folder / "model_index.json").is_file():
        raise BaseUnavailableError(f"{folder} holds no model_index.json", _HINT)
    return folder


def _download(repo: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    ignore = ["*.fp16.*", "*.non_ema.*", "*.bin", "*.ckpt", "*.msgpack", "*.onnx*", "*.xml"]
    try:
        return Path(
            snapshot_download(
                repo, revision=revision, allow_patterns=PATTERNS, ignore_patterns=ignore
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BaseUnavailableError(f"cannot get {repo!r} from the hub: {first}", _HINT) from error


def resolve_base(base: str = POCKET, revision: str | None = None) -> BaseRef:
    """What a store is pinned to: id, revision and the sha256 over (path, sha256) of the base's
    files."""
    folder = locate_base(base, revision)
    known = "" if base == POCKET else str(folder)
    is_hub = base != POCKET and not Path(base).expanduser().is_dir()
    return BaseRef(
        id=base if base == POCKET or is_hub else known,
        revision=folder.name if is_hub else "",
        sha256=content_hash(folder),
        layout=layout_of(folder),
    )


def layout_of(folder: Path) -> str:
    """ "sd" or "sdxl", by whether there is a second text encoder."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError) as error:
        raise BaseUnavailableError(f"cannot read {folder / 'model_index.json'}", _HINT) from error
    if not isinstance(index, dict) or "unet" not in index or "text_encoder" not in index:
        raise BaseUnavailableError(f"{folder} is not in the Stable Diffusion layout", _HINT)
    return "sdxl" if index.get("text_encoder_2", [None])[0] else "sd"


def native_resolution(folder: Path) -> int:
    """The side in pixels that the base draws at, from its configuration alone."""
    try:
        unet = json.loads((folder / "unet" / "config.json").read_text())
        vae = json.loads((folder / "vae" / "config.json").read_text())
        return int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaseUnavailableError(f"cannot read the configuration of {folder}", _HINT) from error


def content_hash(folder: Path) -> str:
    """sha256 over the sorted (relative path, sha256) of the files that make the base what it is."""
    files = [folder / "model_index.json"]
    for part in PARTS:
        files += [
            p for p in (folder / part).rglob("*") if p.suffix in (".json", ".safetensors", ".txt")
        ]
    whole = hashlib.sha256()
    for path in sorted(files, key=lambda p: p.relative_to(folder).as_posix()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return whole.hexdigest()
