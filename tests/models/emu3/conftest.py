"""transformers' own model of the tiny Emu3, and what it draws."""

import pytest


@pytest.fixture(scope="session")
def theirs(emu3):
    """transformers' model of the directory, and its processor."""
    from transformers import AutoTokenizer, Emu3ForConditionalGeneration, Emu3ImageProcessor, Emu3Processor

    model = Emu3ForConditionalGeneration.from_pretrained(emu3).eval()
    # Its from_pretrained asks for torchvision, though its only picture processor is NumPy's.
    return model, Emu3Processor(Emu3ImageProcessor.from_pretrained(emu3), AutoTokenizer.from_pretrained(emu3))


@pytest.fixture(scope="session")
def generated(theirs):
    """(prompt, height, width) → the ids and the picture of transformers, drawn greedily as its documentation has it."""
    import torch
    from transformers.utils import logging

    from lantu.models.emu3.layout import NEGATIVE, PRAISE

    model, processor = theirs

    @torch.inference_mode()
    def generate(prompt: str, height: int, width: int):
        options = {"return_for_image_generation": True, "ratio": f"{width}:{height}", "image_area": 64 * height * width}
        logging.set_verbosity_error()
        inputs = processor(text=prompt + PRAISE, return_tensors="pt", **options)
        negative = processor(text=NEGATIVE, return_tensors="pt", **options)
        token = processor.tokenizer.convert_tokens_to_ids
        first = inputs["input_ids"].shape[1]
        ends = [token(name) for name in ("<|extra_201|>", "<|image end|>", "<eos>")]

        def allowed(_, ids):
            drawn = len(ids) - first
            if drawn >= height * (width + 1):
                return [ends[drawn - height * (width + 1)]]
            return [token("<|extra_200|>")] if drawn % (width + 1) == width else model.vocabulary_mapping.image_tokens

        ids = model.generate(
            inputs["input_ids"],
            do_sample=False,
            guidance_scale=3.0,
            negative_prompt_ids=negative["input_ids"],
            prefix_allowed_tokens_fn=allowed,
            max_new_tokens=height * (width + 1) + 3,
        )
        drawn = ids[:, first:]
        pixels = model.decode_image_tokens(image_tokens=drawn, height=height, width=width)
        (picture,) = processor.postprocess(list(pixels.float()), return_tensors="PIL.Image.Image")["pixel_values"]
        rows = drawn[0, :-3].reshape(height, width + 1)
        assert set(rows[:, -1].tolist()) == {token("<|extra_200|>")}
        codes = model.vocabulary_mapping.convert_bpe2img(rows)
        return inputs["input_ids"][0].tolist(), negative["input_ids"][0].tolist(), codes.numpy(), pixels, picture

    return generate
