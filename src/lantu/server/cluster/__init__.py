"""The server's computing on a cluster, by Ray Serve: ``lantu serve --ray``.

A task (``lantu.tasks``) runs beside the HTTP API, where it needs no weights. Each effect that it yields goes to a
replica of one of two deployments, which scale apart: drafts and computations to ``Drafting``, pictures and previews to
``Rendering``. An effect is a pure function of its arguments, seed included, so one whose replica is lost is computed
again by another, to the same result.

settings.py      what the replicas serve, and how many there are
runner.py        runs jobs: advances their tasks, and has their effects computed
reports.py       sends the events of a job in order
deployed.py      a model on the cluster: its two stages, as the runner sees them
remote.py        calls of replicas
packing.py       effects and results as bytes
router.py        chooses the replica that can admit a call
replicas.py      the two deployments: each replica is a worker of effects
applications.py  connects to Ray; deploys a model, finds the newest, replaces it
metrics.py       one page of all replicas' metrics

Nothing else in lantu imports this package or Ray, except ``lantu serve --ray``.
"""
