"""Other people's noise schedules and autoencoders, as parts of a diffusion decoder."""
