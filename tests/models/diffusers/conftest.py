import warnings

import pytest

pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # transformers, imported by diffusers, warns about torchvision
    pytest.importorskip("diffusers")
