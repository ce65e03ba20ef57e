"""Discrete diffusion of image codes: VQ-Diffusion (Gu et al. 2022, arXiv:2111.14822).

Codes are noised by steps that keep, replace or mask them, and a bidirectional transformer, which reads the time too,
predicts the clean codes from the noisy ones. Unlike masked diffusion (``lantu.models.masked``, the modern form without
replacing), a code that was drafted wrongly can still change.

Where it departs from the paper: the prompt is a part of the sequence (the paper's network reads CLIP's text features by
cross-attention), guidance is classifier-free (as in arXiv:2205.16007, which improves the paper), and image tokenizer
and decoder are lantu's own.

transitions.py   mask-and-replace steps, their products and posteriors in closed form
config.py        sizes, as config.json has them
network.py       the transformer on torch, for training and GPUs
native.py        the same on the kernels, for drawing on a CPU
drafter.py       ancestral sampling, in fewer passes than steps
folder.py        the model directory
parts.py         the loaded parts of a model
"""
