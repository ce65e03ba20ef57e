"""Diffusion: noise schedules, parameterisations, samplers, the decoder that they make up, and its training losses."""
