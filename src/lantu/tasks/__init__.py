"""What a model can do, each task written once.

A task is a generator: it yields effects (``tasks.effects``: draft these ids, render these codes, compute this), is sent
their results, and returns its own. The library runs tasks to their end (``tasks.run``), the server's worker advances
many together; progress, previews, cancellation and deadlines are up to the runner.
"""
