import numpy as np
import pytest

from lantu.evaluation.trial import Trial

PICTURE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(("suite", "image"), [("poems", PICTURE), ("pairs", PICTURE[0]), ("pairs", PICTURE / 2)])
def test_what_is_no_trial(suite, image):
    with pytest.raises(ValueError, match=r"no suite|a picture is"):
        Trial(suite, "a cat", "en", (), image, "0")
