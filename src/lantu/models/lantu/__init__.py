"""lantu's own family: image tokenizer, language model, diffusion decoder and control, of one kind of block."""
