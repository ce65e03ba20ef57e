"""Does a model find a thing by its name? python benchmarks/finding.py --model DIR --data DIR [--limit 100]

Of the plans that a question could be answered by ("dog; cat, dog yes"), which is likeliest, if all of its pieces are
given? That is whether the mark stands behind the right thing, and behind none where it is not there; to see what the
pieces are is left out of it. Once with the picture between question and plan, and once without any. Chance is a half of
"where", and less of "there". For models of the mixture; --model may also be a run of theirs.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lantu.data.codes import load_codes
from lantu.data.gallery import Concept, load_gallery
from lantu.data.plans import findings, found, thought
from lantu.data.questions import Question, ask
from lantu.data.shards import Shards, read_index
from lantu.models.lantu.language.model import load
from lantu.recipes.codes import ensure_codes, load_tokenizer
from lantu.recipes.sources import part_folder
from lantu.tokens.bpe import TextCodec
from lantu.tokens.document import LANGUAGES, to_ids
from lantu.types import CodeGrid, Document, Part, Role, Sample
from lantu.weights.language_config import read_vocabulary


def plans(asked: Question, sample: Sample, concepts: Mapping[str, Concept], language: str) -> list[str]:
    """All that a question could be answered by, the right one first."""
    right = thought(asked, sample, concepts, language)
    pairs = list(findings(asked.kind, sample, concepts, language).values())
    marks = [{at} for at in range(len(pairs))] + ([set()] if asked.kind == "there" else [])
    others = [found(concepts[asked.thing].names[language], pairs, at, language) for at in marks]
    others.remove(right)
    return [right, *others]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="models/lantu-emoji/tokenizer")
    parser.add_argument("--limit", type=int, default=100, help="questions of each kind in each language")
    arguments = parser.parse_args()
    folder = part_folder(arguments.model, "language")
    model, vocabulary, text = load(folder).eval(), read_vocabulary(folder), TextCodec(folder)
    concepts = load_gallery(read_index(arguments.data)["gallery"]).concepts
    shards = Shards(arguments.data, "val")
    grids = load_codes(arguments.data, ensure_codes(arguments.data, load_tokenizer(arguments.tokenizer)), "val")

    @torch.no_grad()
    def likelihood(parts: tuple[Part, ...], plan: str) -> float:
        """Log-probability of a plan and of its end, behind some parts."""
        document = Document((*parts, Role("assistant"), Role("plan"), plan, Role("assistant")))
        ids, owners = to_ids(document, vocabulary, text.encode)
        targets = torch.from_numpy(ids[1:-1].astype(np.int64))
        logs = model(input_ids=torch.from_numpy(ids[None, :-2].astype(np.int64))).logits[0].log_softmax(-1)
        counted = torch.from_numpy(owners[1:-1] >= len(parts) + 2)
        return float(logs[torch.arange(len(targets)), targets][counted].sum())

    print("| question | with the picture | without | n |\n|---|---|---|---|")
    for kind in ("where", "there"):
        for language in LANGUAGES:
            verdicts: dict[bool, list[bool]] = {True: [], False: []}
            for index in range(len(shards)):
                if len(verdicts[True]) == arguments.limit:
                    break
                sample, rng = shards.sample(index), np.random.default_rng(index)
                if not (asked := ask(kind, sample, concepts, language, rng)):
                    continue
                texts = plans(asked, sample, concepts, language)
                for shown, right in verdicts.items():
                    parts = (Role("user"), asked.text, *([CodeGrid(grids[index])] if shown else []))
                    right.append(int(np.argmax([likelihood(parts, plan) for plan in texts])) == 0)
            shares = " | ".join(f"{np.mean(right):.1%}" for right in verdicts.values())
            print(f"| {kind}, {language} | {shares} | {len(verdicts[True])} |", flush=True)


if __name__ == "__main__":
    main()
