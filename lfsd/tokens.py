"""Placeholder tokens: what they may be called, how they enter the tokenizer, and their embedding
rows.

A concept's rows live beside the text encoder's table, not in it: `TokenTable` substitutes them into
the
embedding's output. So no other row can change, whatever the optimiser does.
"""

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lfsd.errors import UsageError
from lfsd.randomness import seeded
from lfsd.settings import TokenInit
from lfsd.words import check_name

if TYPE_CHECKING:
    from lfsd.base import BaseModel


class TokenTable(nn.Module):
    """An embedding table with further rows: ids from `first` on look them up, all others the frozen
    table."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table = table.requires_grad_(False)
        self.first = table.num_embeddings
        # token -> [k, D] float32; a plain dict, for a token may be called "keys" or "training"
        self.rows: dict[str, nn.Parameter] = {}

    @property
    def weight(self) -> Tensor:
        """The frozen table, under the name transformers looks for."""
        return self.table.weight

    def ids(self, token: str) -> list[int]:
        """The ids of a token's rows, in the order the tokens were inserted."""
        start = self.first
        for name, rows in self.rows.items():
            if name == token:
                return list(range(start, start + len(rows)))
            start += len(rows)
        raise KeyError(token)

    def forward(self, ids: Tensor) -> Tensor:
        """[B,L] ids -> [B,L,D] embeddings."""
        known = self.table(ids.clamp(max=self.first - 1))
        if not self.rows:
            return known
        further = torch.cat(list(self.rows.values()))
        picked = further[(ids - self.first).clamp(min=0)]
        return torch.where((ids >= self.first)[..., None], picked.to(known.dtype), known)


class Tokenizers(NamedTuple):
    """The tokenizers of a base that is not loaded otherwise."""

    pristine_tokenizers: list[Any]


def load_tokenizers(folder: Path) -> Tokenizers:
    """The tokenizers in a base's folder, one per text encoder."""
    from transformers import CLIPTokenizer

    names = [n for n in ("tokenizer", "tokenizer_2") if (folder / n).is_dir()]
    return Tokenizers([CLIPTokenizer.from_pretrained(folder / n) for n in names])


def check_token(token: str, base: "BaseModel | Tokenizers", taken: Iterable[str]) -> None:
    """UsageError if `token` breaks the grammar, is taken (in any case), or is a word the base
    knows."""
    check_name(token, taken)
    for tokenizer in base.pristine_tokenizers:
        if len(tokenizer(token, add_special_tokens=False).input_ids) == 1:
            raise UsageError(
                f"the base model already knows the word {token!r}",
                "choose a token that is no word, such as V1",
            )


def noun_embedding(base: "BaseModel", class_noun: str) -> list[Tensor]:
    """Mean embedding [D] of the noun's sub-tokens, one per text encoder."""
    means = []
    for tokenizer, table in zip(base.pristine_tokenizers, base.token_tables, strict=True):
        ids = tokenizer(class_noun, add_special_tokens=False).input_ids
        if not ids:
            raise UsageError(
                f"the class {class_noun!r} holds no word", "name it plainly: --class dog"
            )
        weight = table.table.weight
        means.append(weight[torch.tensor(ids, device=weight.device)].float().mean(0))
    return means


def insert_token(
    base: "BaseModel", token: str, class_noun: str, rows: int = 1, init: TokenInit = "noise"
) -> list[nn.Parameter]:
    """Add `token` with `rows` rows per encoder; returns them, trainable.

    "noise" begins them as the table's own rows are spread, the same ones whenever this token is
    added. "noun" begins each at the class noun, all but the first with a little fixed noise, or
    they would stay equal for ever.
    """
    start = []
    for mean, table in zip(noun_embedding(base, class_noun), base.token_tables, strict=True):
        mean, words = mean.cpu(), table.weight.float().cpu()
        if init == "noise":
            noise = torch.randn(rows, len(mean), generator=seeded("token", token, len(start)))
            begun = words.mean(0) + words.std(0) * noise
        else:
            noise = torch.randn(rows, len(mean), generator=torch.Generator().manual_seed(rows))
            noise[0] = 0
            begun = mean + 0.1 * mean.std() * noise
        start.append(begun.numpy())
    restore_token(base, token, start)
    return [table.rows[token].requires_grad_(True) for table in base.token_tables]


def restore_token(base: "BaseModel", token: str, rows: Sequence[np.ndarray]) -> None:
    """Add `token` with known rows, one [k,D] array per text encoder; frozen."""
    if token in base.tokens:
        raise UsageError(f"the token {token} is taken", "choose another one; see: lfsd ls")
    for tokenizer, table, array in zip(base.tokenizers, base.token_tables, rows, strict=True):
        _add_to_tokenizer(tokenizer, token)
        value = torch.tensor(np.asarray(array), dtype=torch.float32, device=table.weight.device)
        table.rows[token] = nn.Parameter(value, requires_grad=False)


def set_tokens(base: "BaseModel", rows: dict[str, Sequence[np.ndarray]]) -> None:
    """Make `rows` (token -> one array per encoder) the only placeholder tokens of the base."""
    base.tokenizers[:] = [copy.deepcopy(t) for t in base.pristine_tokenizers]
    for table in base.token_tables:
        table.rows = {}
    for token, arrays in rows.items():
        restore_token(base, token, arrays)


def token_rows(base: "BaseModel", token: str) -> list[np.ndarray]:
    """The rows of `token`, one [k,D] float32 array per text encoder (copies)."""
    return [table.rows[token].detach().float().cpu().numpy().copy() for table in base.token_tables]


def _add_to_tokenizer(tokenizer: object, token: str) -> None:
    from transformers import AddedToken

    # plain add_tokens would also match inside "V12" and "v1"
    tokenizer.add_tokens([AddedToken(token, single_word=True, normalized=False)])  # type: ignore[attr-defined]
