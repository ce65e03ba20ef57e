"""Recipes of the rivals (``lantu.rivals``), one module each: ``lantu train rival --recipe NAME``.

A module has settings, a ``Task`` and ``RECIPES`` like every other recipe, and is named in ``MODULES["rival"]`` of
``lantu.recipes``. A recipe is called as its system is in the comparison (``pixel-ar``), that of seconds
``pixel-ar-debug``. What differs from the recipes of a part:

- ``Task.export`` writes a complete model directory by ``directory.write``, not a part. Other parts that a rival is made
  of (an image tokenizer, a decoder, an autoencoder) are named by settings and copied into it.
- ``Task.flops_per_sample`` is counted by ``lantu.training.flops``, the one function for all systems, so that budgets
  can be set equal by ``--set loop.steps=N``. The directory keeps it.
- ``lantu assemble --rival RUN`` (``assembling.py``) adds name, licence, card, words and default settings. For it the
  rival's folder class has three attributes more than ``ModelFolder``: ``kind`` (its ``FolderKind``), ``about`` (what it
  is, with the paper, in a paragraph) and ``drawn`` (what a picture takes: ids, passes or steps, in words).
"""
