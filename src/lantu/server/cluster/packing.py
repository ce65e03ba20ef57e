"""Effects of tasks and their results, on their way between processes.

Some contain functions (the ids allowed at a step, a logits processor, the work of ``Compute``), so they travel as
cloudpickle, as all that Ray carries. Models stay where they are: the bytes name a model and its parts, and the receiver
puts its own in their place.
"""

import io
import pickle
from typing import Any

from ray import cloudpickle

from lantu.pipeline import Model


def pack(value: Any, model: Model) -> bytes:
    """A value as bytes."""
    file = io.BytesIO()
    Packer(file, model).dump(value)
    return file.getvalue()


def unpack(data: bytes, model: Model) -> Any:
    """The value of ``pack``, with this model and its parts in place of the sender's."""
    return Unpacker(io.BytesIO(data), model).load()


def parts_of(model: Model) -> dict[str, Any]:
    """What is not packed, by the names that stand for it."""
    return {"model": model, "folder": model.folder, "parts": model.parts, "layout": model.parts.layout}


class Packer(cloudpickle.CloudPickler):
    """Packs everything but a model."""

    def __init__(self, file: io.BytesIO, model: Model):
        super().__init__(file)
        self.names = {id(part): name for name, part in parts_of(model).items()}

    def persistent_id(self, value: Any) -> str | None:
        """The name of a part of the model; None for anything else."""
        return self.names.get(id(value))


class Unpacker(pickle.Unpickler):
    """Reads what ``Packer`` wrote in another process of the same cluster."""

    def __init__(self, file: io.BytesIO, model: Model):
        super().__init__(file)
        self.parts = parts_of(model)

    def persistent_load(self, name: str) -> Any:
        """The part of that name."""
        return self.parts[name]
