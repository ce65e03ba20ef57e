"""Of a system that doesn't draw recognisable things yet, the report says so, and what it would need."""

import pytest
from PIL import Image

from lantu.evaluation.metrics import interval
from lantu.recipes.compare import columns, page
from lantu.recipes.compare.need import recognisable, said

N = 256


def share(value):
    return {"value": value, "interval": list(interval(value, N)), "n": N}


def points(*shares, times=4):
    return [(1e13 * times**place, share(value)) for place, value in enumerate(shares)]


def test_a_system_that_draws_needs_no_more():
    assert recognisable(points(0.1, 0.3, 0.5)) == {"holds": True, "share": 0.5, "flops": 1.6e14, "needed": 1.6e14}


def test_the_line_is_extended_to_half():
    # Odds of 1/8, then 1/4: they double with each fourfold budget, and are 1 after two more.
    found = recognisable(points(1 / 9, 1 / 5))
    assert not found["holds"]
    assert found["needed"] == pytest.approx(4e13 * 4**2)
    assert "if its curve goes on, half of them at about 6e+14, 16 times as many" in said("pixel-ar", found)


@pytest.mark.parametrize("shares", [(0.02,), (0.0, 0.0), (0.1, 0.1), (0.1, 0.12), (0.3, 0.1), (0.4, 0.41)])
def test_what_the_curve_does_not_tell_is_not_guessed(shares):
    found = recognisable(points(*shares))
    assert (found["holds"], found["needed"]) == (False, None)
    assert "doesn't tell" in said("a", found)


def test_a_share_of_nothing_can_rise():
    assert 1.6e14 < recognisable(points(0.0, 0.05, 0.3))["needed"] < 1e16
    assert recognisable(points(0.0, 0.05, times=1e6))["needed"] is None  # too far to say


def test_nothing_scored_is_nothing_claimed():
    assert recognisable([]) == {"holds": False, "share": 0.0, "flops": 0.0, "needed": None}
    line = "a: 10% of single things; its curve doesn't tell how many it would need"
    assert said("a", recognisable([(0.0, share(0.1))])) == line


def test_the_page_says_what_is_not_claimed_and_shows_true_pictures(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    drawn = [{"prompt": "a <cat>", "file": str(tmp_path / "one.png"), "right": False}]
    pictures = [each | {"true": str(tmp_path / "one.png")} for each in drawn]
    systems = {
        "good": {"recognisable": recognisable(points(0.9)), "pictures": {"1": pictures}},
        "poor": {"recognisable": recognisable(points(0.1)), "pictures": {"1": drawn}},
    }
    assert "poor: 10% of single things" in page.unclaimed(systems)
    assert "good" not in page.unclaimed(systems)
    assert page.unclaimed({"good": systems["good"]}) == ""
    assert [columns.cell(columns.COLUMNS["recognisable"], one) for one in systems.values()] == ["yes", "no"]
    sheet = page.drawings(systems, tmp_path)
    assert "<b>true pictures</b>" in sheet
    assert {path.name for path in tmp_path.glob("*.png")} == {"one.png", "true-1-0.png", "good-1-0.png", "poor-1-0.png"}
    former = {name: one | {"pictures": {"1": drawn}} for name, one in systems.items()}  # of a ledger of older lantu
    assert "true" not in page.drawings(former, tmp_path)
