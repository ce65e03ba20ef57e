"""What model directories in their publishers' format share, whatever their family.

``folder.py`` reads what a directory says of itself, ``text.py`` its text tokenizer, ``layout.py`` and ``parts.py`` hold
what a family's own layout and parts would repeat, and ``modules.py`` builds a module of transformers or diffusers whose
every tensor was checked.
"""
