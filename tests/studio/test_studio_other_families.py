"""The studio with a model of another family: a tiny Janus, whose decoder shows nothing before the draft is whole."""

import pytest

pytestmark = pytest.mark.slow


def test_it_draws_and_captions(visit, serve, janus):
    import lantu

    server = serve(janus)
    try:
        studio = visit(server)
        assert studio.find("#dial-guidance").count() == 1
        assert studio.find("#dial-steps").count() == 0  # its decoder takes none
        studio.draw("a red cat", seed=11)
        assert studio.codes() == lantu.load(janus, device="cpu").draw("a red cat", seed=11).codes.tolist()
        studio.page.click("#caption")
        studio.page.wait_for_selector("#caption-text:not(:empty)")
    finally:
        server.stop()
