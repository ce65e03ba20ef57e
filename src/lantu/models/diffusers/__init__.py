"""Parts of diffusers' models as parts of a diffusion decoder: their configs and autoencoders."""
