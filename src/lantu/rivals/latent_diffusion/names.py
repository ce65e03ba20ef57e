"""Names in the directory of a latent diffusion model."""

from lantu.models.diffusers.folder import STEM

CLASS = "StableDiffusionPipeline"  # _class_name in model_index.json
SCHEDULER = "scheduler/scheduler_config.json"
PARTS = ("text_encoder", "unet", "vae")  # those with weights
STEMS = {"text_encoder": "model", "unet": STEM, "vae": STEM}
TINY = ("encoder.safetensors", "decoder.safetensors")  # of a tiny autoencoder
