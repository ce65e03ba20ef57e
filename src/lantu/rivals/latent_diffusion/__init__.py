"""Text encoder and external diffusion: a denoiser of an autoencoder's latents reads a text encoder's output.

After latent diffusion (Rombach et al. 2022, arXiv:2112.10752), which Stable Diffusion is: an autoencoder makes pictures
smaller, a UNet with cross-attention denoises latents, classifier-free guidance (arXiv:2207.12598) compares with an
empty prompt. The directory is that of diffusers' ``StableDiffusionPipeline``, so the published Stable Diffusion 1 and 2
open here, and those that are trained here open there. Text encoder and UNet are trained together, as in the paper; what
is predicted (ε, v or a flow) is the scheduler's ``prediction_type``.

There is no draft of ids: what is denoised are latents. So that drawing, editing, previews and serving need nothing new,
the numbers of a latent are the codes (``lantu.diffusion.latent_codes``), and the drafter's steps are the denoiser's.

names.py      files and classes of the model directory
folder.py     the model directory
layout.py     a prompt → the request; codes ↔ the numbers of a latent
network.py    text encoder and denoiser on torch
denoising.py  the drafter: one step of all pictures at a time
parts.py      the loaded parts
"""
