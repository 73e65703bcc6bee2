import numpy as np
import pytest

from jaxrl.envs.drawing import points
from jaxrl.envs.drawing.shapes import BLUE


@pytest.mark.parametrize(("state", "place"), [([0.5, -1.0], (0.5, -1.0)), ([1.0], (1.0, 0.0)), ([0, 1, 9], (0, 1))])
def test_the_regulator_stands_where_its_first_two_numbers_say(state, place):
    picture = points.regulator(np.array(state), 2.0)
    row, column = np.argwhere((picture == BLUE).all(axis=-1)).mean(axis=0)
    assert column == pytest.approx(200 + place[0] * 200 / 2.1, abs=1)
    assert row == pytest.approx(200 - place[1] * 200 / 2.1, abs=1)
