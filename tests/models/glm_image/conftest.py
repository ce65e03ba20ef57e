"""diffusers' own pipeline of the tiny GLM-Image."""

import pytest


@pytest.fixture(scope="session")
def theirs(glm_image):
    """``GlmImagePipeline`` of the directory."""
    from diffusers import GlmImagePipeline

    pipeline = GlmImagePipeline.from_pretrained(glm_image)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
