"""Names by which a part's config.json says what the part is."""

MASKED = "lantu-masked"  # model_type of a language model that drafts by masked diffusion
VQ_DIFFUSION = "lantu-vq-diffusion"  # of one that drafts by discrete diffusion
PRETRAINED_CONTROL = "PretrainedControl"  # of the control of such a decoder
PRETRAINED = "PretrainedDecoder"  # _class_name of a decoder that is a pretrained diffusion model
