"""Pixel autoregression: a causal language model drafts the pixels themselves, one colour each, in raster order.

After iGPT (Chen et al. 2020, "Generative pretraining from pixels"): 512 colours by k-means of RGB ("9-bit"), so that a
pixel is one id and not three; pictures of 32 pixels a side, since every pixel is a step; plain next-token
cross-entropy. Where it departs: the words of the prompt are in the same sequence (iGPT had none), and the transformer
is the same stock Qwen3 as lantu's own, with rotary positions, drawn with by the same engine and kernels.

palette.py   colours ↔ pixels: what stands in the place of image tokenizer and decoder
folder.py    the model directory
parts.py     the loaded parts
cost.py      what such a draft costs at larger sizes
"""
