"""Exports load in other programs and draw the same there: diffusers' own loaders are the judge."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import safe_open
from safetensors.numpy import load_file

from lfsd.errors import BaseUnavailableError, NotFoundError, ResourceError, UsageError
from lfsd.export import export
from lfsd.export_notes import loading
from lfsd.kohya import Kind, layer_name
from lfsd.lifelong import LifelongModel
from lfsd.settings import Settings
from store.records import BaseRef
from tests.learn.photos import disc_photos
from tests.tiny import LAYOUTS, tiny_base

# alpha is not the rank: a program that takes one for the other would draw something else
TAUGHT = Settings(
    rank=4,
    alpha=8.0,
    steps=6,
    batch=2,
    pool_size=2,
    lr_adapter=3e-2,
    lr_token=5e-2,
    measure=False,
    contexts=1,
    targets=("attn1", "attn2", "ff", "resnet"),
    token_rows=2,
)
PROMPT = "a photo of a V1 cat"
SPELLED = "a photo of a V1 V1_1 cat"
"""The same as diffusers has to be told of a token with two rows."""


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A store of each layout that learned V1, then V2."""
    photos = tmp_path_factory.mktemp("photos")
    for photo in disc_photos(count=3, side=160, colour=(220, 60, 40)):
        photo.image.save(photos / photo.name)
    found = {}
    for layout in LAYOUTS:
        found[layout] = tmp_path_factory.mktemp(layout) / "home"
        with LifelongModel.create(found[layout], str(tiny_base(layout))) as model:
            for token in ("V1", "V2"):
                model.learn([photos], token=token, class_noun="cat", settings=TAUGHT)
    return found


def states_and_prediction(model: LifelongModel) -> tuple[np.ndarray, np.ndarray]:
    """What our own model hears and predicts."""
    base, adapter = model.stand_at(model.store.head)
    with torch.no_grad(), adapter.merged():
        text = base.encode_text([PROMPT])
        return text.hidden.numpy(), base.predict(noise(base.unet), 500, text).numpy()


def noise(unet: torch.nn.Module) -> torch.Tensor:
    side, channels = unet.config.sample_size, unet.config.in_channels
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(5))


def loaded(
    base: Path, folder: Path, lora: Path, *, sdxl: bool
) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """A plain pipeline with the export in it, by the library's own loaders."""
    kind = StableDiffusionXLPipeline if sdxl else StableDiffusionPipeline
    pipeline = kind.from_pretrained(base, local_files_only=True)
    pipeline.load_lora_weights(lora.parent, weight_name=lora.name)
    rows = folder / "embeddings/V1.safetensors"
    if not sdxl:
        pipeline.load_textual_inversion(rows, token="V1")
        return pipeline
    parts = {name: torch.from_numpy(array) for name, array in load_file(rows).items()}
    for name, end in (("clip_l", ""), ("clip_g", "_2")):
        pipeline.load_textual_inversion(
            parts[name],
            token="V1",
            text_encoder=getattr(pipeline, "text_encoder" + end),
            tokenizer=getattr(pipeline, "tokenizer" + end),
        )
    # as README.txt has it: the published configuration names a wrong end token
    encoder = pipeline.text_encoder_2
    getattr(encoder, "text_model", encoder).eos_token_id = pipeline.tokenizer_2.eos_token_id
    return pipeline


@torch.no_grad()
def theirs(pipeline: StableDiffusionPipeline, *, sdxl: bool) -> tuple[np.ndarray, np.ndarray]:
    """What the plain pipeline hears and predicts."""
    hidden, _, *rest = pipeline.encode_prompt(
        SPELLED, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    added = None
    if sdxl:
        side = float(pipeline.unet.config.sample_size * pipeline.vae_scale_factor)
        ids = torch.tensor([[side, side, 0.0, 0.0, side, side]])
        added = {"text_embeds": rest[0], "time_ids": ids}
    out = pipeline.unet(noise(pipeline.unet), 500, hidden, added_cond_kwargs=added).sample
    return hidden.numpy(), out.numpy()


@pytest.mark.parametrize("form", ["kohya", "diffusers"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_plain_pipeline_hears_and_predicts_the_same(
    homes: dict[str, Path], layout: str, form: str, tmp_path: Path
) -> None:
    base, sdxl = tiny_base(layout), layout == "sdxl"
    with LifelongModel.open(homes[layout], precision="float32") as model:
        done = export(model, ["V1"], tmp_path / "out", form=form)  # type: ignore[arg-type]
        heard, predicted = states_and_prediction(model)
    lora = next(f for f in done.files if "lora" in f.name or f.parent.name == "lora")
    pipeline = loaded(base, done.folder, lora, sdxl=sdxl)
    their_heard, their_predicted = theirs(pipeline, sdxl=sdxl)
    assert np.allclose(heard, their_heard, atol=1e-5)
    assert np.allclose(predicted, their_predicted, atol=1e-4)
    pipeline.disable_lora()
    assert not np.allclose(predicted, theirs(pipeline, sdxl=sdxl)[1], atol=1e-3)


BLOCK = "transformer_blocks"
# (layer, name in published files), one of each kind of place
PUBLISHED = {
    False: [
        (f"down_blocks.0.attentions.0.{BLOCK}.0.attn1.to_q",
         f"down_blocks_0_attentions_0_{BLOCK}_0_attn1_to_q"),
        (f"mid_block.attentions.0.{BLOCK}.0.attn2.to_out.0",
         f"mid_block_attentions_0_{BLOCK}_0_attn2_to_out_0"),
        (f"up_blocks.3.attentions.2.{BLOCK}.0.ff.net.0.proj",
         f"up_blocks_3_attentions_2_{BLOCK}_0_ff_net_0_proj"),
        ("up_blocks.1.resnets.0.conv1", "up_blocks_1_resnets_0_conv1"),
    ],
    True: [
        (f"down_blocks.1.attentions.0.{BLOCK}.0.attn1.to_k",
         f"input_blocks_4_1_{BLOCK}_0_attn1_to_k"),
        (f"down_blocks.2.attentions.1.{BLOCK}.9.attn2.to_v",
         f"input_blocks_8_1_{BLOCK}_9_attn2_to_v"),
        (f"mid_block.attentions.0.{BLOCK}.3.attn1.to_out.0",
         f"middle_block_1_{BLOCK}_3_attn1_to_out_0"),
        (f"up_blocks.0.attentions.0.{BLOCK}.0.ff.net.2",
         f"output_blocks_0_1_{BLOCK}_0_ff_net_2"),
        (f"up_blocks.1.attentions.2.{BLOCK}.1.attn2.to_q",
         f"output_blocks_5_1_{BLOCK}_1_attn2_to_q"),
        ("down_blocks.0.resnets.1.conv1", "input_blocks_2_0_in_layers_2"),
        ("mid_block.resnets.1.conv2", "middle_block_2_out_layers_3"),
        ("up_blocks.2.resnets.2.conv2", "output_blocks_8_0_out_layers_3"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("sdxl", [False, True])
def test_layers_have_the_names_of_published_files(sdxl: bool) -> None:
    kind = Kind("x", sdxl, v_prediction=False, layers_per_block=2, text_width=768)
    for layer, name in PUBLISHED[sdxl]:
        assert layer_name(layer, kind) == "lora_unet_" + name


def test_a_layer_of_no_known_place_is_not_named() -> None:
    kind = Kind("x", sdxl=True, v_prediction=False, layers_per_block=2, text_width=2048)
    with pytest.raises(ValueError, match="time_embed"):
        layer_name("time_embed.linear_1", kind)


@pytest.mark.parametrize(
    ("sdxl", "v", "width", "architecture", "version"),
    [
        (False, False, 768, "stable-diffusion-v1/lora", "sd_v1"),
        (False, True, 1024, "stable-diffusion-v2-768-v/lora", "sd_v2"),
        (False, False, 1024, "stable-diffusion-v2-512/lora", "sd_v2"),
        (True, False, 2048, "stable-diffusion-xl-v1-base/lora", "sdxl_base_v1-0"),
    ],
)
def test_a_file_names_its_base(
    sdxl: bool, v: bool, width: int, architecture: str, version: str
) -> None:
    kind = Kind("x", sdxl, v, layers_per_block=2, text_width=width)
    assert (kind.architecture, kind.version) == (architecture, version)


def test_a_lora_file_says_its_trigger_words_and_rank(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    with LifelongModel.open(homes["sd1"]) as model:
        done = export(model, [], tmp_path / "all")
    with safe_open(tmp_path / "all/lora/lfsd.safetensors", "np") as file:
        told = file.metadata()
        alphas = {float(file.get_tensor(key)) for key in file.keys() if key.endswith(".alpha")}
    assert told["modelspec.trigger_phrase"] == "V1 cat, V2 cat"
    assert told["ss_network_dim"] == told["ss_network_alpha"] == "4"
    assert alphas == {4.0}
    said = done.files[-1].read_text()
    assert "V1 cat, V2 cat" in said
    assert "a photo of a V1 cat <lora:lfsd:1>" in said
    assert "a photo of an embedding:V1 cat" in said and "a photo of a <V1> cat" in said


def test_as_of_an_earlier_session(homes: dict[str, Path], tmp_path: Path) -> None:
    with LifelongModel.open(homes["sd1"]) as model:
        first = export(model, ["V1"], tmp_path / "first", at="1")
        now = export(model, ["V1"], tmp_path / "now")
        with pytest.raises(NotFoundError, match="V2"):
            export(model, ["V2"], tmp_path / "none", at="1")
        with pytest.raises(NotFoundError, match="nothing to export"):
            export(model, [], tmp_path / "none", at="0")
    assert not (tmp_path / "none").exists()
    loras = [load_file(done.folder / "lora/lfsd-V1.safetensors") for done in (first, now)]
    assert any(not np.array_equal(loras[0][key], loras[1][key]) for key in loras[0])


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_folder_holds_one_export(homes: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with LifelongModel.open(homes["sd1"]) as model:
        export(model, ["V1"], out)
        first = names(out)
        with pytest.raises(UsageError, match="earlier export"):
            export(model, ["V2"], out)
        assert names(out) == first
        export(model, ["V2"], out, form="diffusers", force=True)
    assert names(out) == [
        "README.txt",
        "embeddings/V2.safetensors",
        "pytorch_lora_weights.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kept", ["README.txt", "holiday.jpg"])
def test_what_is_not_ours_stays(homes: dict[str, Path], tmp_path: Path, kept: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / kept).write_text("mine")
    (tmp_path / "file").touch()
    with LifelongModel.open(homes["sd1"]) as model:
        for place in ("out", "file"):
            with pytest.raises(UsageError, match="there already"):
                export(model, ["V1"], tmp_path / place, force=True)
        with pytest.raises(UsageError, match="cannot write"):
            export(model, ["V1"], tmp_path / "file/below")
        with pytest.raises(UsageError, match="cannot write"):
            export(model, ["V1"], tmp_path / ("x" * 300))
    assert names(tmp_path) == ["file", f"out/{kept}"]


def test_a_full_disk_leaves_nothing(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        if self.name == "README.txt":
            raise OSError(28, "No space left on device")
        return written(self, data)

    written = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    with LifelongModel.open(homes["sd1"]) as model:
        with pytest.raises(ResourceError, match="No space left"):
            export(model, ["V1"], tmp_path / "out")
        assert not list(tmp_path.iterdir())
        monkeypatch.undo()
        export(model, ["V1"], tmp_path / "out")
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(ResourceError):
            export(model, ["V2"], tmp_path / "out", force=True)
    assert "embeddings/V1.safetensors" in names(tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_broken_base_is_named(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "base"
    shutil.copytree(tiny_base("sd1"), broken)
    (broken / "unet/config.json").write_text("{}")
    monkeypatch.setattr("lfsd.export.locate_base", lambda *_: broken)
    with LifelongModel.open(homes["sd1"]) as model:
        with pytest.raises(BaseUnavailableError, match="configuration"):
            export(model, ["V1"], tmp_path / "out")
        export(model, ["V1"], tmp_path / "out", form="diffusers")  # needs nothing of the base


def test_pocket_is_found_where_lfsd_is(homes: dict[str, Path]) -> None:
    with LifelongModel.open(homes["pocket"]) as model:
        pocket = BaseRef("pocket", "", "ab" * 32, "sd")
        told = loading(pocket, model.concepts())
    assert "from lfsd.locate import locate_base" in told
    assert "from_pretrained(locate_base())" in told and "V1 V1_1 cat" in told


def test_the_read_me_of_diffusers_runs(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for layout in ("sd1", "sdxl"):
        base = tmp_path / layout
        shutil.copytree(tiny_base(layout), base)
        with LifelongModel.open(homes[layout]) as model:
            done = export(model, [], tmp_path / f"of-{layout}", form="diffusers")
        lines = done.files[-1].read_text().splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("import"))
        end = next(i for i, line in enumerate(lines) if line.startswith('pipeline("'))
        program = "\n".join(lines[start : end + 1])
        program = program.replace(".images", ", num_inference_steps=1).images").replace(
            '"), num', '", num'
        )
        monkeypatch.chdir(done.folder)
        exec(program, {})  # noqa: S102
        assert (done.folder / "picture.png").exists()
