"""Stage 2, `tokenizer`: a small byte-level BPE in CLIP's format, so that any English prompt tokenises.

    python -m recipes.pocket.tokenizer --work WORK

Trained on the world's own captions and a common English word list (Debian `wamerican`), lower case as CLIP's.
Writes WORK/pocket/tokenizer/.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from recipes.pocket.scenes import SCENES
from recipes.pocket.sources import NOUNS, Subject, fetch
from recipes.pocket.world import STYLES

VOCABULARY = 6000
LENGTH = 24
_START, _END = "<|startoftext|>", "<|endoftext|>"


def corpus(work: Path) -> list[str]:
    """Captions many times over, then the word list once: words of the world become single tokens."""
    listing = json.loads((work / "world/subjects.json").read_text(encoding="utf-8"))
    world = [s.name for s in (Subject(**x) for x in listing["subjects"])] + [n for n, _ in NOUNS]
    world += [p for _, phrases, _ in SCENES.values() for p in phrases] + [
        f for fs in STYLES.values() for f in fs
    ]
    words = (
        next((fetch(work) / "wamerican").rglob("american-english"))
        .read_text(encoding="utf-8")
        .splitlines()
    )
    return world * 40 + [w.lower() for w in words if w.isascii() and "'" not in w]


def train(work: Path) -> CLIPTokenizer:
    bpe = Tokenizer(
        models.BPE(unk_token=_END, end_of_word_suffix="</w>", continuing_subword_prefix="")
    )
    bpe.normalizer = normalizers.Lowercase()
    split = pre_tokenizers.Split(pre_tokenizers_pattern(), behavior="removed", invert=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [split, ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = sorted(ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
        min_frequency=2,
    )
    bpe.train_from_iterator(corpus(work), trainer)
    state = json.loads(bpe.to_str())["model"]
    vocabulary = {**state["vocab"]}
    for byte in alphabet:  # a lone byte at a word's end must be known too
        vocabulary.setdefault(byte + "</w>", len(vocabulary))
    for special in (_START, _END):
        vocabulary.setdefault(special, len(vocabulary))
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in state["merges"]]
    folder = work / "pocket/tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer(
        vocab=vocabulary, merges=merges, model_max_length=LENGTH, pad_token=_END, unk_token=_END
    )
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(" ".join(m) for m in merges), encoding="utf-8"
    )
    return tokenizer


def pre_tokenizers_pattern():
    from tokenizers import Regex

    return Regex(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    tokenizer = train(parser.parse_args().work)
    words = Counter(
        len(tokenizer.tokenize(w))
        for w in "cat teapot sneaker photo beach giraffe philosophy".split()
    )
    print(len(tokenizer), "tokens; pieces per word:", dict(words))


if __name__ == "__main__":
    main()
