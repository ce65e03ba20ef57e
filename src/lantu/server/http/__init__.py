"""The HTTP layer: everything that happens to a request before a route handles it, and how errors are answered.

wire.py        connections: limits for slow request heads and for bodies in tiny chunks
guard.py       middleware around the whole app: request ids, keys, body sizes, slow clients, headers of every answer
origins.py     allowed hosts and origins
keys.py        API keys, compared in constant time
bodies.py      limits for items, keys and nesting, checked while a body arrives
memory.py      counts bytes of bodies in memory, and returns freed memory to the system
errors.py      every error as ``{"error": {message, type, param, code}}``
validation.py  schema errors in plain words
"""
