"""Fixtures of the data tests."""

from pathlib import Path

import pytest
from fake_data import make_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of 10 training and 3 validation pictures of 8 pixels."""
    return make_data(tmp_path / "data")
