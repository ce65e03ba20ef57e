"""Continuous pictures: a stock causal language model drafts a vector for each cell, without a codebook.

Two heads, two spaces:

    regression of features   Emu (Sun et al. 2023, arXiv:2307.05222): the next visual embedding is regressed by its
                             squared error beside next-token prediction of text; a diffusion decoder renders them
    regression of pixels     the same on patches of pixels, which need no decoder
    a diffusion head         MAR's repair (Li et al. 2024, arXiv:2406.11838): a small network a token denoises the next
                             vector, so that the language model need not commit to the mean of all continuations

Where they depart from the papers: embeddings are those of lantu's image tokenizer before quantisation (Emu's: EVA-CLIP
and a causal transformer); the decoder is lantu's, conditioned by vectors in the place of codes (Emu's: Stable
Diffusion); the diffusion head drafts in raster order with a KV cache (MAR's main form: random order, bidirectional),
predicts velocities, and guides with one scale.

Vectors travel through engine, server and files as levels: integers so fine (65,536 on each axis; of pixels 256) that
nothing is seen of them.

config.py     sizes, as config.json has them
levels.py     vectors as integers, and back
sampling.py   denoising of a vector, on arrays of NumPy and torch
network.py    input projection and head on torch, for training and GPUs
native.py     the same on the kernels, for drawing on a CPU
backend.py    the language backend whose next "ids" are vectors
padded.py     layers of the kernels whose inputs may have any width
decoder.py    lantu's decoder, conditioned by vectors: on torch
rendering.py  the same on the kernels
folder.py     the model directory
parts.py      the loaded parts of a model
"""
