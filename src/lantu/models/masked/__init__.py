"""Models that draft by masked diffusion: a bidirectional transformer over the codes of lantu's image tokenizer.

config.py    sizes, as config.json has them
network.py   the transformer on torch, for training and GPUs
native.py    the same on the kernels, for drawing on a CPU
sequence.py  prompt and codes as one sequence of ids with positions in two dimensions
folder.py    the model directory
parts.py     the loaded parts of a model: what drawing and serving use
"""
