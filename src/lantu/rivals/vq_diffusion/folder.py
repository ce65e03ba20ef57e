"""The directory of a model that drafts by discrete diffusion: lantu's own layout, with another language/ component."""

from dataclasses import replace

from lantu.models.lantu.directory import FOLDER_KIND as LANTU_FOLDER
from lantu.models.masked.folder import MaskedFolder

CLASS = "lantu.VqDiffusionModel"  # _class_name in model_index.json
LANGUAGE = ["lantu.rivals.vq_diffusion.network", "VqDiffusionTransformer"]
FOLDER_KIND = replace(LANTU_FOLDER, proof=("_class_name", CLASS))
ABOUT = """Discrete diffusion as in VQ-Diffusion (Gu et al. 2022, arXiv:2111.14822): codes are masked and replaced step
by step, and a bidirectional transformer that reads the words predicts the clean codes from the noisy ones. Image
tokenizer and decoder are lantu's own."""


class VqDiffusionFolder(MaskedFolder):
    """A complete model directory; see ``LantuFolder``."""

    kind = FOLDER_KIND
    about = ABOUT

    @property
    def drawn(self) -> str:
        """What a picture takes."""
        return f"{self.entry('language/config.json', 'passes')} forward passes over all {self.draft_length} codes"

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks."""
        return "discrete diffusion draws and fills holes; choose another model for this"
