"""Picture files that somebody damaged or made up, for every path that reads one."""

import io
import json
import random
import struct
import zlib

import numpy as np
from PIL import Image

from lantu.images import metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def file_of(image, form="png", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def drawn_file(picture):
    """A drawing as it is saved."""
    return file_of(picture.image, pnginfo=metadata.chunk(picture))


def text_of(data):
    """The description in a PNG of ours, as JSON."""
    return json.loads(Image.open(io.BytesIO(data)).text["lantu"])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def described_by(image, *texts, kind=b"iTXt", late=False):
    """A PNG of some pixels with descriptions of its own: JSON values, or bytes."""
    data, more = file_of(image), b""
    for text in texts:
        text = text if isinstance(text, bytes) else json.dumps(text).encode()
        more += {
            b"iTXt": lambda text: chunk(b"iTXt", b"lantu\0\0\0\0\0" + text),
            b"tEXt": lambda text: chunk(b"tEXt", b"lantu\0" + text),
            b"zTXt": lambda text: chunk(b"zTXt", b"lantu\0\0" + zlib.compress(text)),
            b"izTX": lambda text: chunk(b"iTXt", b"lantu\0\1\0\0\0" + zlib.compress(text)),
        }[kind](text)
    at = len(data) - 12 if late else len(SIGNATURE) + 25
    return data[:at] + more + data[at:]


def hostile_descriptions(honest):
    """Name → what a chunk says that can't be right, from one that is."""
    deep = b'{"codes":' * 5000 + b"1" + b"}" * 5000
    values = {
        "no object": [],
        "empty": {},
        "number": 7,
        "codes missing": {name: value for name, value in honest.items() if name != "codes"},
        "codes text": honest | {"codes": "x"},
        "codes flat": honest | {"codes": [1, 2, 3]},
        "codes none": honest | {"codes": []},
        "codes of empty rows": honest | {"codes": [[], []]},
        "codes ragged": honest | {"codes": [[1, 2], [3]]},
        "codes negative": honest | {"codes": [[-1] * 4] * 4},
        "codes missing before others": honest | {"codes": [[1, -1, 2, 3]] * 4},
        "codes fractions": honest | {"codes": [[0.5] * 4] * 4},
        "codes truth": honest | {"codes": [[True] * 4] * 4},
        "codes huge": honest | {"codes": [[10**30] * 4] * 4},
        "codes wide": honest | {"codes": [[0] * 257] * 4},
        "codes many": honest | {"codes": [[0] * 300] * 300},
        "codes nested": honest | {"codes": [[[[0]]]]},
        "prompt number": honest | {"prompt": 5},
        "prompt half a character": honest | {"prompt": "\ud800"},
        "seed text": honest | {"seed": "1"},
        "seed fraction": honest | {"seed": 1.5},
        "seed truth": honest | {"seed": True},
        "seed negative": honest | {"seed": -1},
        "seed huge": honest | {"seed": 2**64},
        "model number": honest | {"model": 3},
        "model missing": {name: value for name, value in honest.items() if name != "model"},
        "settings list": honest | {"settings": [1]},
        "settings text": honest | {"settings": "steps"},
        "pixels number": honest | {"pixels": 3},
        **{
            f"setting {name} {value!r}": honest | {"settings": honest["settings"] | {name: value}}
            for name, value in {
                "steps": "8",
                "guidance": [1],
                "temperature": -1,
                "top_k": 1.5,
                "top_p": 10**400,
                "sampler": 5,
                "render_guidance": {},
                "any other": [[[]]],
            }.items()
        },
        "setting not a number": json.dumps(honest | {"settings": {"guidance": float("nan")}}).encode(),
        "setting infinite": json.dumps(honest | {"settings": {"guidance": float("inf")}}).encode(),
        "seed of 5000 digits": json.dumps(honest).encode().replace(b'"seed": ', b'"seed": ' + b"1" * 5000),
        "deep": deep,
        "long": json.dumps(honest).encode() + b" " * (1 << 20),
        "half": json.dumps(honest).encode()[:40],
        "no text": b"\xff\xfe{",
        "nothing": b"",
    }
    return values


def damaged(seed, picture):
    """One of many files: PNG, JPEG or WebP of a drawing, with damage that the seed chooses."""
    dice = random.Random(seed)
    data = bytearray(dice.choice([drawn_file(picture), file_of(picture.image, "jpeg"), file_of(picture.image, "webp")]))
    kind = dice.randrange(7)
    if kind == 0:  # bytes anywhere
        for _ in range(dice.randint(1, 40)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    elif kind == 1:  # cut off
        del data[dice.randrange(len(data)) :]
    elif kind == 2:  # a stretch twice, or not at all
        start, length = dice.randrange(len(data)), dice.randint(1, 200)
        data[start:start] = data[start : start + length] * dice.randint(0, 3)
        del data[start : start + dice.randint(0, length)]
    elif kind == 3:  # the header
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(min(64, len(data)))] = dice.randrange(256)
    elif kind == 4:  # a check sum that is right over bytes that are not
        data = bytearray(_spoilt_png(drawn_file(picture), dice))
    elif kind == 5:  # the description, one letter or value other
        text = bytearray(json.dumps(text_of(drawn_file(picture))).encode())
        for _ in range(dice.randint(1, 5)):
            text[dice.randrange(len(text))] = dice.choice(b'0123456789-.eE[]{}",:ntf \\\x00\xff')
        form = dice.choice([b"iTXt", b"tEXt", b"zTXt", b"izTX"])
        data = described_by(picture.image, *[bytes(text)] * dice.randint(1, 2), kind=form, late=dice.random() < 0.5)
    else:
        values = hostile_descriptions(text_of(drawn_file(picture)))
        data = described_by(picture.image, values[dice.choice(sorted(values))], late=dice.random() < 0.5)
    return bytes(data)


def _spoilt_png(data, dice):
    """A PNG one of whose chunks holds other bytes, or another size, under a right check sum."""
    chunks, at = [], len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + length])))
        at += length + 12
    body = dice.choice([one for _, one in chunks if one])
    for _ in range(dice.randint(1, 4)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return SIGNATURE + b"".join(chunk(kind, bytes(body)) for kind, body in chunks)


def in_many_modes(rgb):
    """Name → a picture of grey levels in every mode and depth that says the same; and how far off rounding may be."""
    grey = np.asarray(rgb.convert("L"))
    wide = grey.astype(np.uint16) * 257
    image, picture = Image.fromarray, Image.fromarray(grey)
    see_through = Image.merge("LA", (picture, Image.new("L", picture.size, 255)))
    cases = {
        "L": picture,
        "RGB": picture.convert("RGB"),
        "LA": see_through,
        "La": see_through.convert("La"),
        "P": picture.convert("P"),
        "PA": picture.convert("P").convert("PA"),
        "RGBA": picture.convert("RGBA"),
        "RGBa": picture.convert("RGBA").convert("RGBa"),
        "RGBX": picture.convert("RGB").convert("RGBX"),
        "CMYK": picture.convert("RGB").convert("CMYK"),
        "I;16": image(wide),
        "I;16B": image(wide.astype(">u2")),
        "I of 8 bits": image(grey.astype(np.int32)),
        "I of 16 bits": image(grey.astype(np.int32) * 257),
        "F to 1": image(grey.astype(np.float32) / 255),
        "F to 255": image(grey.astype(np.float32)),
        "F to 65535": image(grey.astype(np.float32) * 257),
        "YCbCr": picture.convert("RGB").convert("YCbCr"),
        "HSV": picture.convert("RGB").convert("HSV"),
        "LAB": picture.convert("RGB").convert("LAB"),
    }
    return {name: (case, 2 if name in ("YCbCr", "HSV", "LAB") else 0) for name, case in cases.items()}
