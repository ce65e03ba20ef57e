"""The card of a model on the Hugging Face hub: metadata as YAML, then what its makers wrote, how to draw, pictures."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lantu.data.styles import STYLES

HEADER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)  # the metadata of an older card
BEGIN, END = "<!-- written by lantu export hub -->", "<!-- end of what lantu export hub wrote -->"
MADE = re.compile(rf"{BEGIN}.*?{END}\n*", re.DOTALL)  # by an earlier export
DRAWING = """## Draw with it

    pip install 'lantu[hub]'
    lantu draw "a cat" --model OWNER/{name} --seed 7 -o out.png

```python
import lantu

model = lantu.load("OWNER/{name}")
model.draw("a cat", seed=7).image.save("out.png")
```

One seed gives one picture, on any day and in any batch. Pictures have {pixels} pixels ({ids} codes).{fewer}
"""


def card(facts: Mapping[str, Any], written: str, samples: Sequence[tuple[str, str, int]]) -> str:
    """The text of README.md.

    Args:
        facts: ``ModelFolder.describe``.
        written: the card that the model has; "" for none.
        samples: file, prompt and seed of each picture.
    """
    body = MADE.sub("", HEADER.sub("", written)).strip() or f"# {facts['name']}"
    drawing = DRAWING.format(name=facts["name"], pixels=facts["pixels"], ids=facts["ids"], fewer=fewer(facts))
    made = [BEGIN, drawing.strip(), pictures(samples), attribution(facts), END]
    parts = [f"---\n{metadata(facts)}\n---", body, *made]
    return "\n\n".join(part for part in parts if part) + "\n"


def fewer(facts: Mapping[str, Any]) -> str:
    """What to say of drawing from the first codes; "" for a model that has not learnt it."""
    if not isinstance(codes := facts.get("codes"), Mapping):
        return ""
    return f" With `--codes N` it draws from the first N codes alone, from {codes['fewest']} to {codes['most']}."


def metadata(facts: Mapping[str, Any]) -> str:
    """What the hub indexes, as YAML; scores where the model has them."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult("text-to-image", "lantu-eval", f"lantu eval: {suite}", "accuracy", score, metric_name=suite)
        for suite, score in scores_of(facts).items()
    ]
    tags = ["lantu", "text-to-image", "autoregressive", "diffusion", "image-tokens"]
    licence, licence_name = licence_of(str(facts.get("license") or ""))
    data = ModelCardData(
        license=licence,
        license_name=licence_name,
        language=["en", "zh"],
        library_name="lantu",
        pipeline_tag="text-to-image",
        tags=tags,
        model_name=facts["name"] if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def licence_of(name: str) -> tuple[str, str | None]:
    """The licence as the hub names it: identifiers in lower case; all else is "other", with its name."""
    if re.fullmatch(r"(apache|mit|cc|bsd|gpl|lgpl|agpl|openrail|creativeml|mpl)[\w.+-]*", name, re.I):
        return name.lower(), None
    return "other", re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "unknown"


def scores_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """The score of each suite, as ``lantu eval --json`` writes them."""
    found = {}
    scores = facts.get("scores")
    for suite, told in scores.items() if isinstance(scores, Mapping) else ():
        score = told.get("score") if isinstance(told, Mapping) else told
        if isinstance(score, int | float):
            found[str(suite)] = float(score)
    return found


def pictures(samples: Sequence[tuple[str, str, int]]) -> str:
    """The samples, each with its prompt and seed."""
    if not samples:
        return ""
    rows = [f"| ![{prompt}]({file}) | {prompt} | {seed} |" for file, prompt, seed in samples]
    return "\n".join(["## Pictures", "", "| picture | prompt | seed |", "|---|---|---|", *rows])


def attribution(facts: Mapping[str, Any]) -> str:
    """Whom to credit for the drawings that the model was trained on."""
    data = facts.get("data")
    named = data.get("styles") if isinstance(data, Mapping) else None
    styles = [STYLES[name] for name in named or () if isinstance(name, str) and name in STYLES]
    if not styles:
        return ""
    lines = [f"- {style.attribution} ({style.licence})" for style in styles]
    changed = "They were rasterised, cut to their visible part and composed into scenes."
    return "\n".join(["## Attribution", "", f"Trained on drawings of others. {changed}", "", *lines])
