"""Styles that are heard: a picture becomes more likely after its own style's name than after those of other styles.

Which of four styles a picture has is worth 1.4 nats of its 250, so next-token prediction alone learns very slowly what
the name of a style means. Here the same picture follows its caption with each style's name in turn, and the loss is the
cross-entropy of the right name among them,

    -log( p(codes | own name) / sum over all names of p(codes | name) ).

That is training for maximum mutual information, as of speech recognisers (Bahl et al., ICASSP 1986); in models that
draw, a contrast of right and wrong conditions has taken the place of guidance (arXiv:2410.09347). Next-token prediction
goes on beside it and keeps the probabilities of pictures true.

Shapes: B pictures, S styles, R = B·S rows, n = h·w codes of a picture.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lantu.data.styles import STYLES, naming
from lantu.errors import RecipeError
from lantu.recipes.corpus import Corpus
from lantu.recipes.language_task import Objective
from lantu.recipes.next_token import Lesson, code_log_probabilities, lesson
from lantu.recipes.picture_batches import check_one_shape
from lantu.tokens.document import draw_prefix
from lantu.training.task import Metrics


class StyleContrast(Objective):
    """The cross-entropy of a picture's style among all styles of the data, by the likelihoods of its codes.

    Args:
        scales: guidance scales that the model has learnt; half of the pictures follow the token of one.
        weight: of the loss.

    Raises:
        RecipeError: the data has no two styles, or no caption names one.
    """

    def __init__(self, model: Any, corpus: Corpus, scales: Sequence[float], weight: float):
        check_one_shape(corpus.pictures.shards, "a contrast of styles")
        self.model, self.corpus, self.scales, self.weight = model, corpus, scales, weight
        self.styles = sorted({one.style for sample in corpus.samples for one in sample.objects} & set(STYLES))
        known = {index: self.captions(index) for index, _ in enumerate(corpus.samples)}
        self.captioned = {index: captions for index, captions in known.items() if captions}
        self.named = list(self.captioned)
        if len(self.styles) < 2 or not self.named:
            raise RecipeError(
                "the data has no captions that name one of several styles", "leave it out: --set styled=0"
            )

    def captions(self, index: int) -> list[tuple[str, str]]:
        """The captions of a picture that name its style, with their languages; none if it has several styles."""
        languages = sorted(self.corpus.samples[index].captions)
        return [(text, language) for language in languages for text in self.corpus.naming(index, language)]

    def batch(self, indices: Sequence[int], first: int) -> Lesson:
        """As many pictures as indices, S rows of each, the right caption first.

        Others stand in for those whose captions name no style.
        """
        corpus, vocabulary, (height, width) = self.corpus, self.corpus.vocabulary, self.corpus.grid
        prefixes, codes = [], []
        for position, each in enumerate(indices, first):
            rng = np.random.default_rng((corpus.seed, 8, position))
            index = each if each in self.captioned else self.named[int(rng.integers(len(self.named)))]
            scale = self.scales[int(rng.integers(len(self.scales)))] if self.scales and rng.random() < 0.5 else None
            for text in self.variants(index, rng):
                prefixes.append(draw_prefix(corpus.encode(text), height, width, vocabulary, scale))
                codes.append(corpus.grids[index].reshape(-1).astype(np.int64))
        return lesson(prefixes, codes, vocabulary)

    def variants(self, index: int, rng: np.random.Generator) -> list[str]:
        """A caption of a picture that names its style, then the same caption with the name of each other style."""
        known = self.captioned[index]
        text, language = known[int(rng.integers(len(known)))]
        own = self.corpus.samples[index].objects[0].style
        texts = [text]
        for style in self.styles:
            words = STYLES[style].words[language]
            if style != own:
                texts.append(naming(own, language).sub(words[int(rng.integers(len(words)))], text))
        state = rng.bit_generator.state  # all of them are worded as requests, or none
        for place, each in enumerate(texts):
            rng.bit_generator.state = state
            texts[place] = self.corpus.request(each, language, rng)
        return texts

    def loss(self, batch: Lesson, step: int) -> tuple[Tensor, Metrics]:
        """Logged: the loss as "styles", and the share of pictures whose own style is the likeliest as "heard"."""
        log_R = code_log_probabilities(self.model, batch, self.corpus.vocabulary.code_range).sum(-1)
        log_BS = log_R.view(-1, len(self.styles))
        right_B = log_BS.new_zeros(len(log_BS), dtype=torch.long)
        loss = F.cross_entropy(log_BS, right_B)
        heard = (log_BS.argmax(-1) == right_B).float().mean()
        return self.weight * loss, {"styles": loss.detach(), "heard": heard}
