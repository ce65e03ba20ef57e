"""The user's control picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lantu import images
from lantu.engine.sampling_params import plain_number

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SCALE = 10.0


@dataclass(frozen=True, eq=False)
class Control:
    """A picture that a drawing follows.

    Attributes:
        picture: as large as the drawing, of any mode.
        kind: one of ``lantu.models.lantu.controls.KINDS``: "edges" (white lines on black), "layout" (white
            where things go), "colour" (blocks of colour).
        scale: strength, at most 10; 1 is that of training, 0 is exactly no control.

    Raises:
        LantuError: the scale is out of range.
    """

    picture: "Image"
    kind: str = "edges"
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "picture", images.to_rgb(self.picture))
        object.__setattr__(self, "scale", plain_number("a control's scale", self.scale, 0, MAX_SCALE))
