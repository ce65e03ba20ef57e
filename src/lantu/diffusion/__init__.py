"""Diffusion: the flow that a decoder learns, samplers, and sampling from codes."""
