"""Finding, opening and loading models; ``lantu/`` is the project's own family."""
