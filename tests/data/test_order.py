import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lantu.data.order import Order


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 50), start=st.integers(0, 500), count=st.integers(0, 200), seed=st.integers(0, 5))
def test_any_stretch_is_a_slice_of_one_stream(length, start, count, seed):
    order = Order(length, seed)
    stream = order.indices(0, start + count)
    assert np.array_equal(order.indices(start, count), stream[start:])


def test_each_epoch_has_every_picture_once_in_another_order():
    epochs = Order(100).indices(0, 300).reshape(3, 100)
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert not np.array_equal(epochs[0], Order(100, seed=1).indices(0, 100))


def test_no_order_of_nothing():
    with pytest.raises(ValueError, match="no order"):
        Order(0)
