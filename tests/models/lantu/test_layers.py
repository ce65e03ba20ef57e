"""The shared block and the way to and from pixels."""

import torch

from lantu.models.lantu.layers import Block, OverlapPatches, rotation, to_patches


def test_patches_keep_every_pixel_in_reading_order():
    pixels = torch.arange(2 * 3 * 8 * 12).view(2, 3, 8, 12).float()
    patches = to_patches(pixels, 4)
    assert patches.shape == (2, 6, 48)
    assert torch.equal(patches[1, 4].view(4, 4, 3), pixels[1, :, 4:8, 4:8].permute(1, 2, 0))


def test_windows_of_neighbours_sum_to_one_inside():
    out = OverlapPatches(8, 4)
    torch.nn.init.zeros_(out.linear.weight)
    torch.nn.init.ones_(out.linear.bias)
    painted = out(torch.zeros(1, 12, 8), 3, 4)
    assert painted.shape == (1, 3, 12, 16)
    torch.testing.assert_close(painted[:, :, 2:-2, 2:-2], torch.ones(1, 3, 8, 12))


def test_a_token_paints_around_its_own_cell():
    out = OverlapPatches(8, 4)
    torch.nn.init.zeros_(out.linear.bias)
    x = torch.zeros(1, 9, 8)
    x[0, 4] = 1.0  # the middle of three by three
    touched = out(x, 3, 3).abs().sum((0, 1)) > 0
    assert touched[4:8, 4:8].all()
    assert not touched[:2].any()
    assert not touched[10:].any()


def test_rotation_depends_on_distances_only():
    small, large = rotation(3, 3, 16), rotation(5, 7, 16)
    rows, columns = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")
    same = large.view(2, 5, 7, -1)[:, rows, columns].flatten(1, 2)
    torch.testing.assert_close(small, same)


def test_a_conditioned_block_starts_as_a_plain_one():
    torch.manual_seed(0)
    plain, conditioned = Block(32, 2), Block(32, 2, conditioned=True)
    conditioned.load_state_dict(plain.state_dict(), strict=False)
    x, turn = torch.randn(2, 6, 32), rotation(2, 3, 16)
    torch.testing.assert_close(plain(x, turn), conditioned(x, turn, torch.zeros(2, 6, 32)))
    moved = conditioned(x, turn, torch.ones(2, 6, 32))
    assert not torch.allclose(plain(x, turn), moved)
