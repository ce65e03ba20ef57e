"""The HTTP API: one engine, any number of clients. The files in the order in which a request meets them.

options.py     how a server is configured
wire.py        a connection: endless headers, bodies sent byte by byte
guard.py       before anything is parsed: request ids, sizes, keys, slow clients; headers of every answer
origins.py     allowed hosts and origins
bodies.py      items, keys and depth of a body, counted while it arrives
keys.py        API keys, compared in constant time
errors.py      every error as ``{"error": {message, type, param, code}}``
validation.py  schema errors in plain words
schemas.py     the fields of bodies
refused.py     fields that are valid but not supported
service.py     what routes share; models, health, readiness, metrics
generations.py OpenAI's images from words
edits.py       OpenAI's edits of pictures
chat.py        OpenAI's conversations, with pictures in and out
native_api.py  what OpenAI has no routes for: codes as they are drafted, redrawing cells, tokenizing, rendering
fields.py      fields that need the model to be read: sizes, sampling parameters, codes, cells
intake.py      a client's picture on its way in
uploads.py     pictures from clients, opened safely
sandbox.py     large ones, decoded in a process of their own
memory.py      gives freed memory back to the system
filter.py      refused words, and the operator's judge
jobs.py        one task (``lantu.tasks``) on its way through the worker, and its events
queue.py       jobs that wait, clients by turns
pace.py        estimates of waits
worker.py      the one thread that computes: advances all jobs together
unavailable.py why a job can't be computed now
answers.py     from a job's events to a client: waiting, streaming, hanging up
gallery.py     pictures in the forms in which OpenAI's image routes answer
files.py       pictures as bytes, and those that are fetched by a URL
provenance.py  signs where a picture comes from into its file (C2PA)
metrics.py     logs.py
app.py         joins the routes
run.py         uvicorn, and shutdown: running requests finish, new ones are refused
"""
