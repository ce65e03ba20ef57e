"""diffusers' own pipeline of the tiny GLM-Image."""

import pytest

from lantu.models.glm_image.positions import drafted
from tiny_glm_image import CODES, GRID, PROMPTS, TEXT


@pytest.fixture(scope="session")
def theirs(glm_image):
    """``GlmImagePipeline`` of the directory."""
    from diffusers import GlmImagePipeline

    pipeline = GlmImagePipeline.from_pretrained(glm_image)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def generated(theirs) -> list[list[int]]:
    """The ids of transformers' own greedy generation for all prompts, which is kept from ending early."""
    said = [[{"role": "user", "content": [{"type": "text", "text": prompt}]}] for prompt in PROMPTS]
    options = {"target_h": GRID[0] * 32, "target_w": GRID[1] * 32, "padding": True, "return_tensors": "pt"}
    inputs = theirs.processor.apply_chat_template(said, tokenize=True, return_dict=True, **options)
    others = [*range(CODES, TEXT["vision_vocab_size"])]
    made = theirs.vision_language_encoder.generate(
        **inputs, do_sample=False, suppress_tokens=others, max_new_tokens=drafted(GRID)
    )
    return made[:, inputs["input_ids"].shape[1] :].tolist()


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Layers this small gain nothing from a second core, and threads that wait for a busy one cost seconds."""
    import torch

    from lantu import kernels

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with kernels.ThreadGroup(1):
        yield
    torch.set_num_threads(before)
