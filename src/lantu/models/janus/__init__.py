"""Janus and Janus-Pro (arXiv:2410.13848, 2501.17811), opened in the format that transformers publishes.

    config.py     what the directory's JSON files say
    weights.py    which tensors belong to which part, and their shapes
    layout.py     a prompt → the engine's request; ids → codes
    native.py     the language model on lantu's kernels, with an embedding and a head of its own for image codes
    pytorch.py    the same on torch
    vision.py     the parts that transformers computes: the VQ decoder and encoder, and the tower that reads pictures

Ids are those of the text, then one for each image code.
"""
