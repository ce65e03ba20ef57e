from fake_gallery import STYLES, THINGS

from lantu.data.heldout import held_out_pair, held_out_style


def test_the_lists_never_change():
    assert [key for key in THINGS if held_out_pair("1F431", key)] == ["1F436", "1F697"]
    assert [(key, style) for key in THINGS for style in STYLES if held_out_style(key, style)] == [
        ("1F984", "noto"),
        ("1F353", "fluent-flat"),
        ("1F95B", "fluent-flat"),
        ("1F68C", "noto"),
        ("2708", "fluent-flat"),
    ]


def test_order_does_not_matter_and_nothing_is_kept_from_itself():
    for one in THINGS:
        assert not held_out_pair(one, one)
        assert all(held_out_pair(one, other) == held_out_pair(other, one) for other in THINGS)


def test_shares_are_about_a_tenth_of_the_pairs_and_a_sixteenth_of_the_drawings():
    keys = [f"{number:X}" for number in range(200)]
    pairs = [held_out_pair(one, other) for one in keys for other in keys if one < other]
    assert 0.09 < sum(pairs) / len(pairs) < 0.11
    drawings = [held_out_style(key, style) for key in keys for style in STYLES]
    assert 0.03 < sum(drawings) / len(drawings) < 0.1
