"""The upscaler: a finished picture → the same picture with more pixels. It knows nothing of codes.

config.py     its sizes
network.py    the network, on torch
native.py     the same without torch
"""
