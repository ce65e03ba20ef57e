"""transformers' own model of the tiny Janus."""

import pytest


@pytest.fixture(scope="session")
def theirs(janus):
    """transformers' model of the directory, and its processor."""
    from transformers import JanusForConditionalGeneration, JanusProcessor

    return JanusForConditionalGeneration.from_pretrained(janus).eval(), JanusProcessor.from_pretrained(janus)
