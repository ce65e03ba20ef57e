"""Does the language model understand a picture that it has drawn only in part?

    python benchmarks/half_drawn.py [--model NAME] [--count 64] [--undrawn paper|hole] [--json]

The first rows of codes are there, the others are not: their cells are blank paper (or the mark of a hole). Two tests:

- *asked*: "what is at the top?", "what is at the bottom?", about pairs that training never showed, in English and
  Chinese, answered in words at temperature 0. Of true pictures, and of drafts that the model has stopped itself.
- *recognised*: which of 16 captions (one true, the others of other pictures) makes the rows so far likeliest, by the
  drafting model's own probabilities. Nothing blank is read here; chance is one in 16.
"""

from collections.abc import Sequence

import numpy as np
from measured import Examined, options, share, show

from lantu.data.phrases import PHRASES
from lantu.data.questions import PHRASES as QUESTIONS
from lantu.data.questions import named
from lantu.data.trials import ABOVE, choose, trial
from lantu.engine.drafting import draft
from lantu.evaluation.trial import Trial
from lantu.tokens import document, grammar
from lantu.tokens.document import LANGUAGES

ROWS = (0, 2, 3, 4, 5, 6, 8)
SIDES = ("top", "bottom")
CHOICES = 16


def pairs(examined: Examined, count: int) -> list[Trial]:
    """Pairs that training never shows together, one thing above the other, in both languages in turns."""
    rng, made = np.random.default_rng(11), []
    for index in range(count):
        concepts, style = choose(examined.composer, 2, rng, held_out=True)
        language = LANGUAGES[index % 2]
        phrase = PHRASES[language]["above"][0]
        made.append(trial(examined.composer, "pairs", ABOVE, concepts, style, language, str(index), phrase))
    return made


def drafted(examined: Examined, asked: Sequence[Trial]) -> np.ndarray:
    """Codes (B, h, w) that the model drafts of the prompts."""
    layout, grid, settings = examined.parts.layout, examined.model.folder.grid, examined.model.folder.settings
    requests = [layout.draw(one.prompt, grid, seed, settings) for seed, one in enumerate(asked)]
    return np.stack([layout.codes(ids, grid) for ids in draft(examined.parts.batched_drafter, requests)])


def answers(examined: Examined, asked: Sequence[Trial], codes_Bhw: np.ndarray, side: str) -> list[str]:
    """What the model says is on a side of each picture."""
    layout, settings = examined.parts.layout, examined.model.folder.settings.change(temperature=0.0)
    requests = []
    for one, codes_hw in zip(asked, codes_Bhw, strict=True):
        question = QUESTIONS[one.language][side][0]
        requests.append(layout.answer([[question, layout.of_codes(codes_hw)]], 0, settings))
    replies = [layout.read_reply(ids) for ids in draft(examined.parts.batched_drafter, requests)]
    return [" ".join(part.strip() for part in reply.parts if isinstance(part, str)) for reply in replies]


def with_holes(examined: Examined, blank: int) -> None:
    """Let the model read the mark of a hole where a cell is blank paper."""
    layout, vocabulary = examined.parts.layout, examined.parts.vocabulary
    written, paper, hole = layout.prefix_of, vocabulary.first_code + blank, vocabulary.special("hole")
    layout.prefix_of = lambda start: [hole if id_ == paper else id_ for id_ in written(start)]


def asked_about(examined: Examined, count: int, undrawn: str) -> list[dict[str, str]]:
    """A row for each number of rows drawn, of true pictures and of drafts."""
    asked, concepts = pairs(examined, count), examined.composer.gallery.concepts
    size = examined.model.size
    blank = int(examined.parts.encode(np.full((1, size[1], size[0], 3), 255, np.uint8))[0, 0, 0])
    if undrawn == "hole":
        with_holes(examined, blank)
    table = []
    for what, codes_Bhw in (("true", examined.codes(asked)), ("drafted", drafted(examined, asked))):
        for rows in ROWS:
            partial_Bhw = codes_Bhw.copy()
            partial_Bhw[:, rows:] = blank
            line = {"picture": what, "rows of codes there": f"{rows} of {codes_Bhw.shape[1]}"}
            for place, side in enumerate(SIDES):
                true = [named(concepts[one.expected[place].concept], one.language) for one in asked]
                said = answers(examined, asked, partial_Bhw, side)
                line[f"what is at the {side}"] = share([a == b for a, b in zip(said, true, strict=True)])
            table.append(line)
    return table


def log_probabilities(examined: Examined, text: str, codes_hw: np.ndarray) -> np.ndarray:
    """log p(code | caption, codes before) of each code, (N,)."""
    parts = examined.parts
    prefix = document.draw_prefix(parts.text.encode(text), *codes_hw.shape, parts.vocabulary)
    ids = document.code_ids(codes_hw, parts.vocabulary)
    row = parts.language.open(len(prefix) + len(ids))
    parts.language.read([row], [[*prefix, *ids[:-1]]])
    logits_NK = parts.language.head(np.ascontiguousarray(row.hidden[-len(ids) :]), grammar.codes(parts.vocabulary))
    top_N = logits_NK.max(-1)
    total_N = top_N + np.log(np.exp(logits_NK - top_N[:, None]).sum(-1))
    return logits_NK[np.arange(len(ids)), codes_hw.ravel()] - total_N


def recognised(examined: Examined, count: int) -> list[dict[str, str]]:
    """Whether the true caption is the likeliest of ``CHOICES``, by rows drawn."""
    asked, rng = pairs(examined, count), np.random.default_rng(3)
    right: dict[int, list[bool]] = {rows: [] for rows in ROWS if rows}
    for place, (one, codes_hw) in enumerate(zip(asked, examined.codes(asked), strict=True)):
        others = [at for at, other in enumerate(asked) if at != place and other.language == one.language]
        texts = [one.prompt, *(asked[at].prompt for at in rng.choice(others, CHOICES - 1, replace=False))]
        sums = np.cumsum([log_probabilities(examined, text, codes_hw) for text in texts], -1)
        for rows, found in right.items():
            found.append(bool(np.argmax(sums[:, rows * codes_hw.shape[1] - 1]) == 0))
    return [
        {"rows of codes there": str(rows), f"true caption likeliest of {CHOICES}": share(found)}
        for rows, found in right.items()
    ]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--undrawn", choices=("paper", "hole"), default="paper")
    arguments = parser.parse_args()
    if arguments.count < 2 * CHOICES:  # of each of two languages one and the others
        parser.error(f"--count must be {2 * CHOICES} or more")
    examined = Examined(arguments.model)
    recognising = recognised(examined, arguments.count)
    asking = asked_about(examined, arguments.count, arguments.undrawn)
    show({"recognised": recognising, "asked": asking}, arguments.json)


if __name__ == "__main__":
    main()
