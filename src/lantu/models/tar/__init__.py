"""Tar (arXiv:2506.18898): a stock Qwen2 drafts text-aligned codes, SANA renders them.

    folder.py    the directory: language model, ``ta_tok/`` and ``sana/``
    features.py  TA-Tok's second half: codes → features, which stand in the place of SANA's prompt
    parts.py     the language model by lantu's engine, pixels by diffusers

The language model draws with ids of its own vocabulary, so layout and engine are those of ``models/plain``.
"""
