"""diffusers' own pipeline of the tiny GLM-Image."""

import pytest


@pytest.fixture(scope="session")
def theirs(glm_image):
    """``GlmImagePipeline`` of the directory."""
    from diffusers import GlmImagePipeline

    pipeline = GlmImagePipeline.from_pretrained(glm_image)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


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
