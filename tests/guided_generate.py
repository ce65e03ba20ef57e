"""What transformers' own ``generate`` draws with a stock language model, guided and greedily."""

import torch


def generated(folder, prompt: str, unconditional: str, codes: range, count: int, scale: float, row=None, special=True):
    """The ids behind a prompt, the ends of rows among them.

    Args:
        codes: ids of codes.
        row: length of a row and the id behind it.
        special: the tokenizer adds its own tokens.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    options = {"return_tensors": "pt", "add_special_tokens": special}
    prefix, negative = (words(text, **options)["input_ids"] for text in (prompt, unconditional))

    def allowed(_, ids):
        drawn = len(ids) - prefix.shape[1]
        return [row[1]] if row and drawn % (row[0] + 1) == row[0] else list(codes)

    found = model.generate(
        prefix,
        attention_mask=torch.ones_like(prefix),
        do_sample=False,
        guidance_scale=scale,
        negative_prompt_ids=negative,
        prefix_allowed_tokens_fn=allowed,
        max_new_tokens=count,
    )
    return found[0, prefix.shape[1] :].tolist()
