"""Stock causal language models that draw with ids of their own vocabulary, described by a file instead of code.

    description.py   lantu_layout.json: prompt, ids, grids, sampling, decoder; every field is checked
    known.py         the layouts that come with lantu, and the published directories that they belong to
    layout.py        a prompt → the engine's request, as the description says
    decoders.py      what renders: a VQ-GAN, Emu3's VQ model, a diffusion decoder of lantu's, a pipeline of diffusers
    vqgan.py         VQ-GANs under the names of taming-transformers, LlamaGen and transformers

SimpleAR, Liquid and models like LlamaGen are three such files, in ``layouts/``.
"""
