"""Continuous pictures: a language model drafts a vector for each cell, without a codebook.

Two heads, three spaces, two orders:

    regression of embeddings   Emu (Sun et al. 2023, arXiv:2307.05222): the next visual embedding is regressed by its
                               squared error beside next-token prediction of text; a diffusion decoder renders them
    regression of pixels       the same on patches of pixels, which need no decoder
    a diffusion head           MAR's repair (Li et al. 2024, arXiv:2406.11838): a small network a token denoises the
                               vector, so that the transformer need not commit to the mean of all continuations; in
                               random order with bidirectional attention, or in raster order by a causal model

Where they depart from the papers: Emu's embeddings are of EVA-CLIP, those here of EfficientNet-Lite0 on a grid (as in
Emu2), or features of lantu's image tokenizer before quantisation; the decoder is lantu's, conditioned by vectors in the
place of codes (Emu's: Stable Diffusion); MAR's transformer is an encoder of what is known and a decoder of all cells,
here one stack reads both; the diffusion head predicts velocities.

Vectors travel through engine, server and files as levels: integers so fine (65,536 on each axis; of pixels 256) that
nothing is seen of them.

config.py                sizes, as config.json has them
levels.py                vectors as integers, and back
sampling.py              denoising of a vector, on arrays of NumPy and torch
network.py               input projection and head on torch, for training and GPUs
native.py                the same on the kernels, for drawing on a CPU
backend.py               the language backend whose next "ids" are vectors
bidirectional.py         the transformer of random orders, on torch
bidirectional_native.py  the same on the kernels
drafter.py               drafting in random order, several vectors a pass
vision.py                the frozen vision encoder whose embeddings vectors may be
padded.py                layers of the kernels whose inputs may have any width
decoder.py               lantu's decoder, conditioned by vectors: on torch
rendering.py             the same on the kernels
folder.py                the model directory
parts.py                 the loaded parts of a model
"""
