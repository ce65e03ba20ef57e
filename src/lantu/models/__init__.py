"""Where models are found, opened and what they are made of; ``lantu/`` is the project's own family."""
