"""GLM-Image (zai-org/GLM-Image), opened in the format that diffusers publishes: ``GlmImagePipeline`` with its parts.

    config.py     what the directory's JSON files say
    weights.py    which tensors belong to which part
    folder.py     what the directory says of itself; its checks before anything is loaded
    positions.py  the grids of a drawing, and the three-dimensional positions of their codes
    layout.py     a prompt → the engine's request; ids → codes
    language.py   the language model on lantu's engine
    decoder.py    the pipeline's diffusion decoder, with the encoder of quoted text
    parts.py      all of them together

The language model drafts a small grid of codes first, which fixes the composition, then the grid of the picture. Both
have the same ids, 0 to 16,383; the ids of the text follow them. Source of all layouts: transformers 5.24
``models/glm_image``, diffusers 0.42.1 ``pipelines/glm_image``.
"""
