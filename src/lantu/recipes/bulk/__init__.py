"""Work on more pictures than anyone waits for: drawings of files of prompts, codes and captions of data sets.

It goes on where it was killed, takes no more memory for more of it, and runs here or on a Ray cluster (``cluster``).
"""
