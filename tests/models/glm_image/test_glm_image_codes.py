"""GLM-Image's drafts in lantu against transformers' ``generate``, on the kernels and on torch."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.errors import ModelError
from lantu.models.glm_image import language as languages
from lantu.models.glm_image import weights
from lantu.models.glm_image.config import LANGUAGE, Config
from lantu.models.glm_image.folder import GlmImageFolder
from lantu.models.glm_image.parts import GlmImageParts
from lantu.models.glm_image.positions import drafted
from lantu.models.published import modules
from lantu.weights import expected, manifest
from tiny_glm_image import CODES, TEXT, make

PROMPTS = ["a red cat", 'the sign says "OPEN"', "dog"]
GRID = (2, 3)


@pytest.fixture(scope="session")
def folder(glm_image):
    return GlmImageFolder(glm_image).check()


@pytest.fixture(scope="session")
def layout(folder):
    return GlmImageParts(folder).layout


@pytest.fixture(scope="session", params=[languages.load_native, languages.load_torch], ids=["native", "torch"])
def language(request, folder):
    return request.param(folder)


@pytest.fixture(scope="session")
def wanted(theirs) -> list[list[int]]:
    """The ids of transformers' own greedy generation for all prompts, which is kept from ending early."""
    said = [[{"role": "user", "content": [{"type": "text", "text": prompt}]}] for prompt in PROMPTS]
    options = {"target_h": GRID[0] * 32, "target_w": GRID[1] * 32, "padding": True, "return_tensors": "pt"}
    inputs = theirs.processor.apply_chat_template(said, tokenize=True, return_dict=True, **options)
    others = [*range(CODES, TEXT["vision_vocab_size"])]
    made = theirs.vision_language_encoder.generate(
        **inputs, do_sample=False, suppress_tokens=others, max_new_tokens=drafted(GRID)
    )
    return made[:, inputs["input_ids"].shape[1] :].tolist()


def greedy(layout, prompt: str, grid=GRID, **changes):
    """The request of a drawing at temperature 0."""
    return layout.draw(prompt, grid, 0, layout.folder.settings.change(temperature=0, **changes))


def test_codes_are_those_of_transformers(wanted, layout, language):
    assert min(len(set(ids)) for ids in wanted) >= 10  # not one id for ever
    assert len(set(map(tuple, wanted))) == 3
    together = draft(Engine(language, max_jobs=3), [greedy(layout, prompt) for prompt in PROMPTS])
    assert together == wanted
    assert draft(Engine(language), [greedy(layout, PROMPTS[1])]) == wanted[1:2]  # alone
    ahead = greedy(layout, PROMPTS[0], num_draft_tokens=3)
    assert draft(Engine(language), [ahead]) == wanted[:1]
