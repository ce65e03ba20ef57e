"""Rivals: other ways from words to pictures, as models that are opened, drawn with, served and scored like any other.

lantu's claim is that a language model should draft discrete codes and a decoder render them. A claim is worth what its
rivals are worth, so each of them is as strong as its own field would make it at this size, is trained by the same loop
on the same data, and sits behind the same seams (``lantu.models.spec``). A rival is what replaces one of them:

    folder                   rival                        what it replaces
    pixel_ar                 pixel autoregression         the codes: colours of a palette, one a pixel
    latent_diffusion         text encoder and diffusion   the draft: no ids, a denoiser of latents that reads the words
    continuous, …            regression of vectors        the codes: vectors without a codebook
    vq_diffusion, …          discrete diffusion           the drafter: all codes at once, in passes

A rival is one package here, written like a model family (``folder.py``, ``layout.py``, ``parts.py``), with an entry in
``lantu.models.registry`` and a recipe in ``lantu.recipes.rivals``. It may use lantu's own family, tokens, diffusion and
the protocols of the engine, but no other rival; and nothing else imports it (contracts in pyproject.toml). Its package
names in its docstring the paper that it follows, and where it departs from it.

    lantu train rival --recipe pixel-ar --data DATA       a run, whose RUN/model is a complete model directory
    lantu draw "a cat" --model RUN/model                  opened like any model
    lantu assemble --rival RUN -o models/pixel-ar         with card, default settings, cost and checksums
"""
