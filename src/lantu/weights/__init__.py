"""Weights and configs on disk: safetensors as arrays or tensors, and the check of both before anything computes."""
