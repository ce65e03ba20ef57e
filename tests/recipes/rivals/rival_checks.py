"""What every rival must hold."""

import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import lantu
from lantu.engine.seeds import derive_seeds
from lantu.recipes import train

sys.path.insert(0, str(Path(__file__).parents[2] / "server"))


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines() if '"loss"' in line]


def resumed_alike(recipe, data, place, settings):
    """A run that is interrupted and resumed has the weights of an unbroken one."""
    own = [*settings, "loop.steps=6", "loop.sample_every=0", "loop.validate_every=0", "loop.log_every=1"]
    options = {"progress": False, "device": "cpu"}
    train("rival", recipe, data, place / "whole", own, **options)
    train("rival", recipe, data, place / "broken", [*own, "loop.minutes=0"], **options)
    train("rival", recipe, data, place / "broken", ["loop.minutes=none"], resume=True, **options)
    assert losses(place / "whole") == losses(place / "broken")
    first, second = (sorted((place / name / "model").rglob("*.safetensors")) for name in ("whole", "broken"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def drawn_alike(folder, prompt, certain=False, **settings):
    """n pictures are n drawings of their own seeds, alone and in a batch; ``certain``: one draft, whatever the seed."""
    model = lantu.load(folder, "cpu")
    several = model.draw_many(prompt, 3, seed=5, **settings)
    seeds = derive_seeds(5, 3)
    alone = [lantu.load(folder, "cpu").draw(prompt, seed=seed, **settings) for seed in seeds]
    for one, other in zip(several, alone, strict=True):
        assert np.array_equal(one.codes, other.codes)
        assert np.array_equal(np.asarray(one.image), np.asarray(other.image))
    drafts = len({one.codes.tobytes() for one in several})
    assert drafts == 1 if certain else drafts > 1 or len({one.image.tobytes() for one in several}) == 1
    return several


def served_alike(folder, prompt, previews=True):
    """The server draws the same picture, and shows previews on the way."""
    from running import serving

    with serving(folder) as running:
        *steps, last = running.events("/v1/lantu/draw", json={"prompt": prompt, "seed": 3})
        answer = running.post("/v1/images/generations", json={"prompt": prompt, "seed": 3})
    picture = lantu.load(folder, "cpu").draw(prompt, seed=3)
    assert last["type"] == "completed"
    assert last["picture"]["codes"] == picture.codes.tolist()
    image = Image.open(io.BytesIO(base64.b64decode(last["picture"]["b64_json"])))
    assert np.array_equal(np.asarray(image), np.asarray(picture.image))
    assert answer.status_code == 200
    if previews:
        assert any(step.get("preview") for step in steps)
    return steps
