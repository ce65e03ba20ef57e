"""Models of lantu's own family for other tools: a folder for diffusers, a folder for the Hugging Face hub.

``pipeline.py``, ``lantu_decoder.py`` and ``lantu_scheduler.py`` are copied into exported folders as they are, with
``lantu/tokens/prompts.py``. They import nothing of lantu, for they run where it is not installed.
"""
