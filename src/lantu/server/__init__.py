"""The HTTP API: one worker thread, or a cluster, computes for any number of clients.

The files, in the order in which a request meets them:

options.py       a server's configuration
http/            before a route: connections, guard, origins, keys, limits of bodies; errors
routes/          the routes, and what they share
filter.py        the content filter: refused words, and the operator's judge
uploads.py       decodes pictures from clients safely
sandbox.py       decodes large ones in a child process
service.py       the parts of a server that its routes share
subscription.py  delivers the events of jobs to a client: waiting, streaming, disconnecting
worker/          the single thread that computes, and the jobs waiting for it
cluster/         computes on a Ray cluster instead: lantu serve --ray
files.py         pictures as files and in JSON, and the store of pictures that clients fetch by URL
provenance.py    signs pictures with C2PA manifests
metrics.py       Prometheus metrics
logs.py          the log, as JSON lines
page.py          serves the studio, the web page in studio/
app.py           builds the ASGI app from the routes and the middleware
run.py           runs it with uvicorn, and shuts it down gracefully
"""
