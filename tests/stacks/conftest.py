"""Documents for the stacks' tests."""

import pytest
from stacks_running import lantu


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """The prefix of the same documents as JSON lines and in Megatron's format."""
    folder = tmp_path_factory.mktemp("documents")
    counts = ["--train", 60, "--val", 4, "--heldout", 0]
    lantu("data", "build", "emoji", "--world", "few", "--styles", "noto", *counts, "--out", folder / "data")
    lantu("data", "export", folder / "data", "-o", folder / "few.jsonl")
    lantu("data", "export", folder / "data", "-o", folder / "few", "--format", "megatron")
    return folder / "few"
