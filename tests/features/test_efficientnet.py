import pytest
import torch
import torch.nn.functional as F

from lantu.features.efficientnet import EfficientNetLite0, SameConv, fold, load_efficientnet


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return EfficientNetLite0().eval().requires_grad_(False)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 50)])
def test_shapes(network, height, width):
    pixels = torch.rand(2, 3, height, width) * 2 - 1
    maps = network.maps(pixels)
    assert maps.shape == (2, 112, -(-height // 16), -(-width // 16))
    assert network.deep(maps).shape == (2, 1280, -(-height // 32), -(-width // 32))
    assert network.pooled(pixels).shape == (2, 1280)
    assert network(pixels).shape == (2, 1000)


def test_an_odd_pixel_of_padding_goes_last():
    conv = SameConv(1, 1, 3, stride=2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    rows = torch.arange(1.0, 5.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert conv(rows)[0, 0].tolist() == [[18, 21], [12, 14]]


def test_folding_equals_the_batch_norm(network):
    conv, norm = torch.nn.Conv2d(3, 32, 3, 2, bias=False), torch.nn.BatchNorm2d(32, eps=1e-3)
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    published = {f"_conv_stem.{name}": value for name, value in conv.state_dict().items()}
    published |= {f"_bn0.{name}": value for name, value in norm.state_dict().items()}
    published |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    state = fold(published)
    pixels = torch.rand(1, 3, 16, 16)
    folded = F.conv2d(pixels, state["stem.weight"], state["stem.bias"], 2)
    torch.testing.assert_close(folded, norm.eval()(conv(pixels)), atol=1e-5, rtol=1e-4)
    assert set(state) == {"stem.weight", "stem.bias", "classifier.weight", "classifier.bias"}


@pytest.mark.network
def test_the_published_network_knows_a_photograph():
    import matplotlib.cbook
    import numpy as np
    from PIL import Image

    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        photo = Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1
    network = load_efficientnet()
    military_uniform = 652
    assert network(pixels).argmax().item() == military_uniform
    assert not any(parameter.requires_grad for parameter in network.parameters())
