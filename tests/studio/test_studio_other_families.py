"""The studio with a model of another family: a tiny Janus, whose decoder shows nothing before the draft is whole."""

import pytest

pytestmark = pytest.mark.slow


def test_it_draws_and_captions(visit, serve, janus):
    import lantu

    server = serve(janus)
    try:
        studio = visit(server)
        assert studio.find("#setting-guidance").count() == 1
        assert studio.find("#setting-steps").count() == 0  # its decoder takes none
        studio.draw("a red cat", seed=11)
        assert studio.codes() == lantu.load(janus, device="cpu").draw("a red cat", seed=11).codes.tolist()
        studio.page.click("#caption")
        studio.page.wait_for_selector("#caption-text:not(:empty)")
    finally:
        server.stop()


def test_a_sequence_is_drawn_from_as_many_codes_as_one_asks_for(visit, serve, sequence_model):
    import lantu

    server = serve(sequence_model)
    try:
        studio = visit(server)
        number = studio.find("#number-num_codes")
        assert (number.get_attribute("min"), number.get_attribute("max"), number.input_value()) == ("2", "16", "16")
        studio.draw("a cat", seed=3)
        whole = lantu.load(sequence_model, device="cpu").draw("a cat", seed=3)
        assert studio.codes() == whole.codes.tolist()
        number.fill("4")
        studio.draw("a cat", seed=3)
        assert studio.find("#large-sheet .cell[data-state=open]").count() == 0  # the picture is seen as a whole
        texts = studio.find("#large-sheet .cell").all_inner_texts()
        assert [text for text in texts if text] == [str(code) for code in whole.codes.reshape(-1)[:4]]
        studio.page.click("#reset-settings")
        assert number.input_value() == "16"
    finally:
        server.stop()
