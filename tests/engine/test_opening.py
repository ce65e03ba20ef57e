"""A language model's weights are resident once: mapped, or packed for the kernels, not both."""

import importlib.util
import sys
from pathlib import Path

import pytest

from lantu import kernels

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "opening.py"


@pytest.mark.skipif(sys.platform != "linux" or bool(kernels.reason()), reason="Linux counts the pages")
@pytest.mark.parametrize("shard", [20_000_000, 10_000_000_000])
def test_opening_takes_less_than_a_fifth_more_than_the_files(shard, tmp_path):
    spec = importlib.util.spec_from_file_location("opening", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    opening = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(opening)
    size = opening.write(tmp_path, opening.config(6, 768, 16000), shard) / (1 << 20)
    told = opening.opened(tmp_path, 4000)

    def resident(when):
        return told[when]["RssAnon"] + told[when]["RssFile"] - told["before"]["RssAnon"] - told["before"]["RssFile"]

    assert size > 70
    assert 0.5 * size < resident("opened") < 1.2 * size
    assert resident("drafting") < 1.2 * size
    assert told["drafting"]["VmHWM"] - told["before"]["VmHWM"] < 1.3 * size
