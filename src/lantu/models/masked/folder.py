"""The directory of a model that drafts by masked diffusion: lantu's own layout, with another language/ component."""

from dataclasses import replace

from lantu.engine.sampling_params import PASSES, PREFIXES
from lantu.models.lantu.directory import FOLDER_KIND as LANTU_FOLDER
from lantu.models.lantu.folder import LantuFolder
from lantu.weights.architecture import MAX_WIDTH

CLASS = "lantu.MaskedModel"  # _class_name in model_index.json
LANGUAGE = ["lantu.models.masked.network", "MaskedTransformer"]
ARRAYS = 8  # of a pass that are alive at once
FOLDER_KIND = replace(LANTU_FOLDER, proof=("_class_name", CLASS))


class MaskedFolder(LantuFolder):
    """A complete model directory; see ``LantuFolder``."""

    @property
    def abilities(self) -> tuple[str, ...]:
        """It draws, and fills holes by the codes around them, as training masked any; a sequence has no places."""
        return ("drawing",) if self.sequence else ("drawing", "filling")

    @property
    def unused_params(self) -> tuple[str, ...]:
        """Those of a refiner, where there is none, and of prefixes, since all codes are drafted together."""
        return (*(name for name in super().unused_params if name not in (*PASSES, *PREFIXES)), *PREFIXES)

    @property
    def sketches(self) -> bool:
        """A draft has no first codes."""
        return False

    @property
    def remembers(self) -> bool:
        """It was not trained on examples."""
        return False

    @property
    def controlled(self) -> bool:
        """A control's bias needs a draft in reading order."""
        return False

    def draft_bytes(self, number_bytes: int) -> int:
        """The arrays of a pass: nothing is cached between passes."""
        from lantu.models.estimate import cache_bytes

        return cache_bytes(ARRAYS, self.number("language/config.json", "width", 1, MAX_WIDTH), self.draft_length, 4)

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks."""
        return "masked diffusion draws and fills holes; choose another model for this"
