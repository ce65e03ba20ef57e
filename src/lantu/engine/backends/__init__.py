"""Language backends of the engine: native kernels, PyTorch, transformers, vLLM."""
