import io
import pickle

import numpy as np
import pytest
import torch

from lantu.errors import RecipeError
from lantu.features.lpips import LPIPS, NumpyUnpickler, load_lpips


@pytest.fixture(scope="module")
def distance():
    torch.manual_seed(0)
    return LPIPS("alex").requires_grad_(False)


def test_grows_with_noise_from_zero(distance):
    torch.manual_seed(0)
    pixels, noise = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(2, 3, 64, 64)
    assert distance(pixels, pixels).tolist() == [0, 0]
    little, much = distance(pixels + 0.1 * noise, pixels), distance(pixels + noise, pixels)
    assert (little > 0).all()
    assert (little < much).all()


def test_follows_the_paper(distance):
    """The sum over layers of the mean over places of w · (â - b̂)², written out."""
    torch.manual_seed(0)
    first, second = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    expected = 0.0
    for a, b, head in zip(distance.features(first), distance.features(second), distance.heads, strict=True):
        difference = a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)
        expected += (head.view(1, -1, 1, 1) * difference**2).sum(1).mean()
    torch.testing.assert_close(distance(first, second)[0], expected)


def test_gradients_flow_into_the_first_only_and_stay_finite():
    network = LPIPS("alex").requires_grad_(False)
    for layer in network.layers:
        layer[0].bias.fill_(-1e4)  # every feature is zero, where a root has no slope
    first, second = torch.zeros(2, 1, 3, 64, 64).requires_grad_().unbind()
    first.retain_grad()
    second.retain_grad()
    network(first, second).sum().backward()
    assert torch.equal(first.grad, torch.zeros_like(first))
    assert second.grad is None


def test_an_unknown_network():
    with pytest.raises(RecipeError, match="choose one of alex, vgg"):
        LPIPS("squeeze")


def test_only_arrays_are_unpickled():
    content = pickle.dumps({"kernel": np.arange(6.0).reshape(2, 3)}, protocol=3)
    content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert NumpyUnpickler(io.BytesIO(content)).load()["kernel"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(pickle.UnpicklingError, match=r"print is no NumPy array"):
        NumpyUnpickler(io.BytesIO(pickle.dumps(print))).load()


@pytest.mark.network
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_published_networks(net):
    torch.manual_seed(0)
    network = load_lpips(net)
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    noise = torch.randn_like(pixels)
    distances = [network(pixels + share * noise, pixels).item() for share in (0, 0.1, 0.3, 1)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert 0.1 < distances[3] < 1.5
