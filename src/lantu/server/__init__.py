"""The HTTP API: one engine, any number of clients. The files in the order in which a request meets them.

options.py     what a server is told at its start
wire.py        a connection: heads that never end, bodies in crumbs
guard.py       before anything is parsed: request ids, sizes, keys, slow clients; headers of every answer
origins.py     hosts, and pages that may come
bodies.py      items, keys and depth of a body, counted while it arrives
keys.py        API keys, compared in constant time
errors.py      everything that goes wrong as ``{"error": {message, type, param, code}}``
validation.py  what doesn't fit a schema, in plain words
schemas.py     what bodies hold
refused.py     what is asked for and can't be had
service.py     what routes share; models, health, readiness, metrics
generations.py OpenAI's images from words
edits.py       OpenAI's edits of pictures
chat.py        OpenAI's conversations, with pictures in and out
own.py         what OpenAI has no routes for: codes on their way, drawing cells anew, tokenizing, rendering
intake.py      a client's picture on its way in
uploads.py     pictures from clients, opened safely
sandbox.py     large ones, in a process of their own
memory.py      which goes back to the system
filter.py      what is refused: words, and what the operator's judge says no to
wishes.py      what a client asks for as tickets
tickets.py     one draft or rendering on its way, and what is told of it
queue.py       who waits, and who is next
pace.py        how long that takes
worker.py      the one thread that computes
answers.py     from a ticket's events to a client: waiting, streaming, hanging up
files.py       pictures as bytes, and those that are fetched by a URL
provenance.py  where a picture comes from, signed into its file (C2PA)
metrics.py     logs.py
app.py         joins the routes
run.py         uvicorn, and the end: what runs is finished, what comes is refused
"""
