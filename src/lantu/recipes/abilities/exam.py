"""The parts that all suites of abilities share: a model, its scenes, its judge. Shapes: H W pixels, h w grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.backgrounds import ALL, paint
from lantu.data.captions import say
from lantu.data.gallery import Concept
from lantu.data.phrases import PHRASES
from lantu.data.scenes import Composer
from lantu.engine.drafting import draft
from lantu.engine.request import Request
from lantu.engine.sampling_params import Overrides
from lantu.evaluation.results import Verdict
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.trial import Trial
from lantu.models.lantu.layout import LantuLayout
from lantu.pipeline import Model
from lantu.recipes.sheets import save_sheet
from lantu.tasks.draw import render
from lantu.tasks.run import run
from lantu.types import Placed, Sample

NEW = 900_000  # scenes of the validation split from this number on are used nowhere else
RIM_RIGHT = 32  # the largest distance of the rim's colour from the background's, of 255
ON_SHEET = 10


@dataclass(frozen=True)
class Exam:
    """A model under examination.

    Attributes:
        out: folder for sheets of prompts and answers; None for none.
        overrides: sampling parameters, see ``lantu.engine.sampling_params.SamplingParams``.
    """

    model: Model
    composer: Composer
    scorer: Scorer
    seed: int
    out: Path | None
    overrides: Overrides

    @property
    def concepts(self) -> Mapping[str, Concept]:
        """The gallery's concepts by key."""
        return self.composer.gallery.concepts

    @property
    def settings(self) -> Any:
        """How the model draws."""
        return self.model.folder.settings.change(**self.overrides)

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes."""
        return self.model.folder.grid

    @property
    def layout(self) -> LantuLayout:
        """The model's layout of prompts."""
        return self.model.parts.layout

    @property
    def vocabulary(self) -> Any:
        """The model's ids."""
        return self.model.parts.vocabulary

    def codes(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes (h, w) of pictures (H, W, 3) uint8."""
        return list(self.model.parts.encode(np.stack(images)))

    def draft(self, requests: list[Request]) -> list[list[int]]:
        """The ids that answer each request."""
        return draft(self.model.parts.batched_drafter, requests)

    def text(self, ids: list[int]) -> str:
        """The text of some ids."""
        return self.model.parts.text.decode(ids).strip()

    def said(self, ids: list[int]) -> str:
        """The words of an answer."""
        reply = self.layout.read_reply(ids)
        return " ".join(part.strip() for part in reply.parts if isinstance(part, str))

    def picture(self, ids: list[int]) -> np.ndarray:
        """The codes (h, w) of a picture's ids."""
        return self.layout.codes(ids, self.grid)

    def paint(self, grids: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 from codes."""
        parts, params = self.model.parts, self.settings
        drawn = run(parts, [render(parts, grid, seed, params) for seed, grid in enumerate(grids)], batched=True)
        return [np.asarray(picture.image) for picture in drawn]

    def afresh(self, prompts: Sequence[str]) -> list[np.ndarray]:
        """Pictures of prompts."""
        requests = [self.layout.draw(prompt, self.grid, seed, self.settings) for seed, prompt in enumerate(prompts)]
        return self.paint([self.picture(ids) for ids in self.draft(requests)])

    def judge(self, scenes: Sequence[Sample], images: Sequence[np.ndarray]) -> list[Verdict]:
        """Are a scene's things in their halves ("some": the share), and on its background?"""
        asked = [trial(scene, image) for scene, image in zip(scenes, images, strict=True)]
        return [
            verdict | {"score": float(verdict["score"] > 0 and on_background(scene.background, image))}
            for verdict, scene, image in zip(self.scorer.judge(asked, images), scenes, images, strict=True)
        ]

    def named(self, objects: Sequence[Placed]) -> tuple[Concept, ...]:
        """The concepts of some things."""
        return tuple(self.concepts[placed.concept] for placed in objects)

    def caption(self, scene: Sample) -> str:
        """A plain English caption of one thing or two."""
        objects = scene.objects
        relation = "one" if len(objects) == 1 else "beside" if beside(objects) else "above"
        text = say(PHRASES["en"][relation][0], self.named(objects), "en")
        if scene.background == "white":
            return text
        return f"{text} on a {ALL[scene.background].words['en'][0]} background"

    def sheet(self, name: str, *rows: Sequence[np.ndarray]) -> None:
        """Write rows of the first pictures of each, one below the other."""
        if self.out:
            save_sheet(self.out / f"{name}.png", [np.stack(row[:ON_SHEET]) for row in rows])


def trial(scene: Sample, image: np.ndarray) -> Trial:
    """A scene as the judge knows it."""
    return Trial("pairs" if len(scene.objects) > 1 else "single", "", "en", scene.objects, image, scene.key)


def beside(objects: Sequence[Placed]) -> bool:
    """Whether two things are side by side, not one above the other."""
    (ax, ay), (bx, by) = (((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (objects[0].box, objects[-1].box))
    return abs(ax - bx) >= abs(ay - by)


def can_be_judged(scene: Sample) -> bool:
    """Whether the judge can identify a scene's things: in front of a scenery it can't."""
    return not ALL[scene.background].drawn


def on_background(background: str, image: np.ndarray) -> bool:
    """Whether the rim of a picture has the colours of a background."""
    true = paint(background, image.shape[0])
    rim = np.ones(image.shape[:2], bool)
    rim[3:-3, 3:-3] = False
    return float(np.abs(np.median(image[rim].astype(np.float32) - true[rim], axis=0)).max()) < RIM_RIGHT
