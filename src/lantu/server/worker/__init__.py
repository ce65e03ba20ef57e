"""The single thread that computes, and the jobs waiting for it.

unavailable.py     why a request can't be computed now
jobs.py            one task (``lantu.tasks``) on its way through the worker, and the events it sends
queue.py           waiting jobs, fair between clients
wait_estimator.py  estimates how long a queue takes
runner.py          what the rest of the server knows of the worker
worker.py          the thread: advances all running jobs together
"""
