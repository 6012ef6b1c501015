"""The base as the method sees it, on every layout, and placeholder tokens in it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lfsd.base import BaseModel
from lfsd.device import pick_dtype
from lfsd.distill import clean_and_noise
from lfsd.errors import BaseUnavailableError, UsageError
from lfsd.locate import locate_base, native_resolution, resolve_base
from lfsd.tokens import (
    check_token,
    insert_token,
    load_tokenizers,
    restore_token,
    set_tokens,
    token_rows,
)
from lfsd.words import find_tokens
from tests.tiny import LAYOUTS, tiny_base


@pytest.fixture(params=LAYOUTS)
def base(request: pytest.FixtureRequest) -> Iterator[BaseModel]:
    yield BaseModel.load(tiny_base(request.param), device="cpu", precision="float32")


@pytest.fixture
def pocket() -> BaseModel:
    return BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32")


def test_base_reads_its_layout(base: BaseModel) -> None:
    assert base.resolution == native_resolution(base.folder) == 32
    text = base.encode_text(["a photo of a cat", ""])
    assert (text.pooled is not None) == (base.ref.layout == "sdxl")
    latents = base.encode_images(torch.zeros(2, 3, 32, 32))
    assert latents.shape == (2, base.latent_channels, 16, 16)
    assert base.predict(latents, torch.tensor([1, 900]), text.detach()).shape == latents.shape
    assert base.decode(latents).shape == (2, 32, 32, 3)


def test_target_is_what_clean_and_noise_inverts(base: BaseModel) -> None:
    x, noise = torch.randn(2, 3, base.latent_channels, 4, 4)
    t = torch.tensor([10, 500, 900])
    a = base.alphas_cumprod[t].view(-1, 1, 1, 1)
    z = base.add_noise(x, noise, t)
    found = clean_and_noise(base.target(x, noise, t), z, a, base.prediction_type)
    torch.testing.assert_close(found[0], x, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1], noise, rtol=1e-3, atol=1e-3)


def test_pooled_text_ends_at_the_true_end_despite_a_placeholder() -> None:
    # the old eos id 2 makes transformers pool at the highest id, which a placeholder would be
    base = BaseModel.load(tiny_base("sdxl"), device="cpu")
    insert_token(base, "V1", "cat")
    pooled = base.encode_text(["a V1 cat", "a V1 cat on a beach"]).pooled
    assert pooled is not None
    assert not torch.allclose(pooled[0], pooled[1])


def test_bf16_is_not_chosen_on_a_processor_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfsd.device._cpu_computes_bf16", lambda: False)
    assert pick_dtype(torch.device("cpu")) == torch.float32
    monkeypatch.setattr("lfsd.device._cpu_computes_bf16", lambda: True)
    assert pick_dtype(torch.device("cpu")) == torch.bfloat16


def test_content_hash_follows_the_weights(tmp_path: Path) -> None:
    first = resolve_base(str(tiny_base("pocket", tmp_path / "a")))
    assert resolve_base(str(tiny_base("pocket", tmp_path / "b"))).sha256 == first.sha256
    weights = tmp_path / "b" / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert resolve_base(str(tmp_path / "b")).sha256 != first.sha256


@pytest.mark.parametrize("wrong", ["no-such-base", "./nowhere", "/nowhere/at/all", "."])
def test_unknown_base_is_named(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(BaseUnavailableError) as caught:
        locate_base(wrong)
    assert caught.value.hint


def test_token_matches_whole_words_in_its_own_case_only(pocket: BaseModel) -> None:
    insert_token(pocket, "V1", "cat")
    first = pocket.token_tables[0].first
    ids = pocket.tokenize(["a V1 cat", "a V12 v1 MV1", "V1-V1"])
    assert (ids >= first).sum(1).tolist() == [1, 0, 2]


def test_token_of_several_rows_takes_as_many_places(pocket: BaseModel) -> None:
    insert_token(pocket, "V1", "cat", rows=3)
    insert_token(pocket, "keys", "dog")
    first = pocket.token_tables[0].first
    ids = pocket.tokenize(["keys V1"])[0].tolist()
    assert ids[1:5] == [first + 3, first, first + 1, first + 2]


def test_new_row_is_the_mean_of_the_nouns_pieces(base: BaseModel) -> None:
    insert_token(base, "V1", "wooden toy", init="noun")
    for table, tokenizer in zip(base.token_tables, base.pristine_tokenizers, strict=True):
        ids = tokenizer("wooden toy", add_special_tokens=False).input_ids
        assert len(ids) == 2
        expected = table.weight[ids].mean(0)
        torch.testing.assert_close(table.rows["V1"][0], expected)


def test_new_rows_of_noise_are_spread_as_words_are_and_differ(base: BaseModel) -> None:
    insert_token(base, "V1", "cat", rows=8)
    insert_token(base, "V2", "cat", rows=8)
    first, second = token_rows(base, "V1"), token_rows(base, "V2")
    for a, b, table in zip(first, second, base.token_tables, strict=True):
        assert np.abs(a - b).max() > float(table.weight.std()), "two tokens begin apart"
        apart = np.abs(a[:, None] - a[None]).max(-1)
        assert apart[np.triu_indices(8, 1)].min() > 0, "rows of a token differ as well"
        spread = float(table.weight.std())
        assert np.concatenate([a, b]).std() == pytest.approx(spread, rel=0.25)
    set_tokens(base, {})
    insert_token(base, "V1", "dog", rows=8)
    for a, b in zip(token_rows(base, "V1"), first, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_class_noun_without_a_word_is_refused_however_rows_begin(pocket: BaseModel) -> None:
    for init in ("noise", "noun"):
        with pytest.raises(UsageError, match="holds no word"):
            insert_token(pocket, "V1", " ", init=init)


def test_rows_come_back_bit_for_bit_and_only_they_count(base: BaseModel) -> None:
    plain = base.encode_text(["a cat", "a dog on a beach"]).hidden.detach()
    insert_token(base, "V1", "cat")
    rows = token_rows(base, "V1")
    set_tokens(base, {})
    assert base.tokens == []
    moved = [r + 1 for r in rows]
    restore_token(base, "V2", moved)
    for a, b in zip(token_rows(base, "V2"), moved, strict=True):
        np.testing.assert_array_equal(a, b)
    assert torch.equal(base.encode_text(["a cat", "a dog on a beach"]).hidden, plain)


def test_gradient_reaches_the_row_and_no_other_weight(base: BaseModel) -> None:
    earlier = insert_token(base, "V1", "cat")
    for row in earlier:
        row.requires_grad_(False)
    rows = insert_token(base, "V2", "dog")
    text = base.encode_text(["a V1 cat and a V2 dog"])
    text.hidden.square().sum().backward()
    assert all(row.grad is not None and row.grad.abs().sum() > 0 for row in rows)
    assert all(row.grad is None for row in earlier)
    assert all(p.grad is None for e in base.text_encoders for p in e.parameters())


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("V1;rm", "cannot be a token"),
        ("1V", "cannot be a token"),
        ("", "cannot be a token"),
        ("a" * 33, "cannot be a token"),
        ("cat", "already knows"),
        ("Dog", "already knows"),
        ("v7", "is taken"),
    ],
)
def test_bad_tokens_are_refused(token: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_token(token, load_tokenizers(tiny_base("pocket")), ["V7"])


def test_find_tokens_tells_near_misses() -> None:
    found = find_tokens("a V1 cat, V12, v2 and V9 in V1's house", ["V1", "V2"])
    assert found.known == ["V1"]
    assert [word for word, _ in found.unsure] == ["V12", "v2", "V9"]
    assert dict(found.unsure)["v2"] == "V2"
