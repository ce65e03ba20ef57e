"""Emu3-Gen (arXiv:2409.18869), opened in the format that transformers publishes.

config.py     what the directory's JSON files say
weights.py    which tensors belong to which part
layout.py     a prompt → the engine's request: codes are ids of the text's vocabulary, rows end with an id
vision.py     the VQ decoder and encoder, which transformers computes
"""
