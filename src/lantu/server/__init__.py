"""The HTTP API: one engine, any number of clients. The files in the order in which a request meets them.

options.py     what a server is told at its start
guard.py       before anything is parsed: request ids, sizes, keys, origins, slow clients; headers of every answer
keys.py        API keys, compared in constant time
errors.py      everything that goes wrong as ``{"error": {message, type, param, code}}``
schemas.py     what bodies hold
service.py     what routes share; models, health, readiness, metrics
generations.py OpenAI's images from words
edits.py       OpenAI's edits of pictures
chat.py        OpenAI's conversations, with pictures in and out
own.py         what OpenAI has no routes for: codes on their way, drawing cells anew, tokenizing, rendering
uploads.py     pictures from clients, opened safely
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
