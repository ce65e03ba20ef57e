"""The tiny Janus directory, written once, and transformers' own model of it."""

import pytest
from tiny_janus import make


@pytest.fixture(scope="session")
def janus(tmp_path_factory):
    """The directory."""
    folder = tmp_path_factory.mktemp("models") / "tiny-janus"
    make(folder)
    return folder


@pytest.fixture(scope="session")
def theirs(janus):
    """transformers' model of the directory, and its processor."""
    from transformers import JanusForConditionalGeneration, JanusProcessor

    return JanusForConditionalGeneration.from_pretrained(janus).eval(), JanusProcessor.from_pretrained(janus)
