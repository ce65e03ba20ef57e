"""A native decoder in two threads at once, as a preview is rendered beside a picture."""

import contextlib
import threading

import numpy as np

from lantu.diffusion.decoder import Conditioning
from lantu.models.lantu.decoder.native import NativeDenoiser


def test_two_passes_at_once_paint_what_each_paints_alone(tiny_model, monkeypatch):
    denoiser = NativeDenoiser.load(tiny_model / "decoder")
    rng = np.random.default_rng(0)
    inputs = [
        (rng.standard_normal((1, 3, 32, 32)).astype(np.float32), 0.5, Conditioning(rng.integers(32, size=(1, 4, 4))))
        for _ in range(2)
    ]
    alone = [denoiser(*each) for each in inputs]
    real, both = denoiser.out, threading.Barrier(2)

    def out(x_TD, into):
        painted = real(x_TD, into=into)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # for the other pass, if nothing keeps it out
        return painted

    monkeypatch.setattr(denoiser, "out", out)
    found = [None, None]

    def paint(place):
        found[place] = denoiser(*inputs[place])

    threads = [threading.Thread(target=paint, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_array_equal(one, other)
