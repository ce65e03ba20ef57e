"""lantu (蓝图, "blueprint"): a language model drafts a picture as a few tokens, a diffusion decoder builds the pixels.

    import lantu
    model = lantu.load()                     # the shipped model, or a name, or a folder
    picture = model.draw("a cat on the left and a dog on the right", seed=7)
    picture.image.save("out.png")

Names are resolved at their first use, so that ``import lantu`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lantu.errors import LantuError
    from lantu.pipeline import Model, load
    from lantu.types import Picture

__version__ = "0.1.0"
__all__ = ["LantuError", "Model", "Picture", "__version__", "load"]

HOMES = {"LantuError": "errors", "Model": "pipeline", "Picture": "types", "load": "pipeline"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'lantu' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lantu.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
