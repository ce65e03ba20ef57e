"""The routes, and what they share. Routes:

status.py            health, readiness, metrics, models, pictures fetched by URL
generations.py       OpenAI's images from text
edits.py             OpenAI's edits of pictures
chat.py              OpenAI's chat, with pictures in and out
native_api.py        what OpenAI has no routes for: progress as codes, redrawing cells, tokenizing, rendering

Shared by them:

schemas.py           the fields of bodies
openapi.py           the published schema of answers
unsupported.py       refuses valid fields that the server doesn't support
fields.py            fields that need the model to be read: sizes, sampling parameters, codes, cells
warnings.py          warnings that an answer carries
client_pictures.py   pictures that clients send: decoded, judged, recognised if the model drew them
image_answers.py     pictures in the forms in which OpenAI's image routes answer
"""
