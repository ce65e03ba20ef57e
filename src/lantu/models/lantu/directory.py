"""The files of a model directory of lantu's own family.

NAME/
  model_index.json     name, licence, the class of each component, the sampling parameters that it draws with ("draw"),
                       checksums of configs and headers, and the sides of its pictures in pixels where it draws more
                       than one size ("sides": [shortest, longest])
  language/            an unmodified transformers directory
  tokenizer/           config.json, safetensors
  decoder/             config.json, safetensors
  control/             config.json, safetensors; only where the decoder can be controlled
  upscaler/            config.json, safetensors; only where the decoder's pictures are enlarged
  memory_bank/         config.json, safetensors: pictures to be found and read before a drawing, if there are some
  refiner/             a pretrained decoder (``lantu.models.diffusers.folder``) for a second pass, if there is one
  words.json           words that it was taught, if it lists them; related.json: what is near to them
  README.md            the card
"""

from lantu.files import WEIGHTS, FolderKind
from lantu.models.diffusers.folder import CONTROL_KIND, NETWORKS, VAE
from lantu.models.diffusers.folder import KIND as PRETRAINED_KIND
from lantu.models.lantu.tokenizer.codec_files import KIND as CODEC_KIND

INDEX = "model_index.json"
OPTIONAL_ENTRIES = ("license", "data", "scores")  # of the index, written by the model's makers
PUBLISHED = (*NETWORKS, VAE)  # folders of a pretrained decoder, with gigabytes of weights
PARTS = ("language", "tokenizer", "decoder")
CONTROL, UPSCALER, REFINER, MEMORY = "control", "upscaler", "refiner", "memory_bank"  # parts that may be missing
REFINING = ("refine", "refine_steps")  # parameters of a refiner
FOLDER_KIND = FolderKind(
    "a model directory",
    (INDEX,),
    (
        INDEX,
        "README.md",
        "words.json",
        "related.json",
        *(name for part in (*PARTS, CONTROL, UPSCALER, MEMORY) for name in WEIGHTS.within(part)),
        *CODEC_KIND.within("tokenizer"),
        *(name for part in ("decoder", REFINER) for name in PRETRAINED_KIND.within(part)),
        *CONTROL_KIND.within(CONTROL),
    ),
    ("_class_name", "lantu.Model"),
)
REQUIRED = (INDEX, "language/config.json", "language/tokenizer.json", "tokenizer/config.json", "decoder/config.json")
