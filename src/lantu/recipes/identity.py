"""Digests of what runs and parts were made of, and checks that only matching parts are joined.

    codes digest     of an image tokenizer: the mapping from pictures to codes, without its plain decoder
    weights digest   of any other part: its safetensors
    data digest      of a data folder: in its index.json

A language model and a decoder keep the codes digest of their tokenizer in their config.json, and a control the weights
digest of its decoder too. Parts that lantu 0.1 wrote have neither: then the tokenizer beside a part in its model
directory, or the one that the part's run names, is used.
"""

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lantu.data.shards import read_index
from lantu.data.texts import text_digest
from lantu.errors import LantuError, ModelError, RecipeError
from lantu.files import sha256
from lantu.models.lantu.tokenizer.codec_files import digest as codec_digest
from lantu.recipes.sources import BEGINNINGS, autoencoder_folder, part_folder
from lantu.weights.arrays import read_config

log = logging.getLogger(__name__)

Identity = dict[str, str]
# Settings that name a trained part → which part; None for the part that is being trained.
PARTS = {"start": None, "origin": "language", "teacher": "language"}
PARTS |= {name: name for name in ("control", "decoder", "upscaler")}
AFTER_DECODER = ("control", "upscaler")  # parts that are trained for the decoder in ``start``
AUTOENCODER = "autoencoder"  # a setting that names an autoencoder
DATA = ("edits", "beside", "rehearsed")  # settings that name a data folder


def of(part: str, recipe: str, settings: Any, data: str | Path) -> Identity:
    """What a run is made of: its part, its recipe, and a digest of everything that it is given.

    Raises:
        RecipeError: a part that it starts from has learnt the codes of another tokenizer.
        ModelError: a part is missing.
        DataError: the data is missing.
    """
    identity = {"part": part, "recipe": recipe, "data": data_digest(data)}
    if tokenizer := getattr(settings, "tokenizer", ""):
        identity["tokenizer"] = codes_digest(part_folder(tokenizer, "tokenizer"))
    for name, other in PARTS.items():
        source = getattr(settings, name, "")
        if not source or source in BEGINNINGS:
            continue
        kind = other or ("decoder" if part in AFTER_DECODER else part)
        folder = part_folder(source, kind)
        if kind == "tokenizer":
            identity[name] = codes_digest(folder)
            continue
        identity[name] = weights_digest(folder)
        if tokenizer and (learnt := learnt_codes(folder)) and learnt != identity["tokenizer"]:
            if name == "start" and _goes_on(folder, learnt, part_folder(tokenizer, "tokenizer")):
                continue
            what = f"{source} learnt the codes of another tokenizer ({learnt[:12]}, not {identity['tokenizer'][:12]})"
            raise RecipeError(what, f"name its own tokenizer, or another {kind}")
    if source := getattr(settings, AUTOENCODER, ""):
        identity[AUTOENCODER] = weights_digest(autoencoder_folder(source))
    for name in DATA:
        if source := getattr(settings, name, ""):
            identity[name] = data_digest(source)
    if text := getattr(settings, "text", ""):
        identity["text"] = text_digest(text)
    if codec := getattr(settings, "codec", ""):
        identity["codec"] = codec_digest(Path(codec))
    return identity


def _goes_on(part: Path, learnt: str, tokenizer: Path) -> bool:
    """Whether a part has learnt the first codes of a tokenizer that was given more since (``more_codes``)."""
    from lantu.recipes.more_codes import is_extended

    config = read_config(part)
    known = (config.get("lantu") or config).get("codebook_size", 0)
    return is_extended(tokenizer, known, learnt)


def compare(ours: Identity, theirs: Mapping[str, str], run: Path) -> None:
    """Refuse to resume a run with other parts or data than it began with.

    Args:
        ours: what it would continue with.
        theirs: what it has been made of so far.

    Raises:
        RecipeError: something differs.
    """
    for name, was in theirs.items():
        is_ = ours.get(name, "nothing")
        if is_ != was:
            what = "settings" if name in ("part", "recipe") else name
            short = [text if name in ("part", "recipe") else text[:12] for text in (was, is_)]
            hint = f"give the {what} that it began with, or start a new run in another folder"
            raise RecipeError(f"the run in {run} has another {name}: {short[0]}, not {short[1]}", hint)


def check_added(ours: Identity, theirs: Mapping[str, str], run: Path, options: Mapping[str, Any]) -> None:
    """Refuse to resume a run with a part or data that it began without.

    Args:
        options: the run's own settings; an older run has some that it did not record in its identity.

    Raises:
        RecipeError: there is such a part.
    """
    for name in ours.keys() - theirs.keys():
        if not options.get(name):
            hint = f"leave out {name}, or start a new run in another folder"
            raise RecipeError(f"the run in {run} began without {name}", hint)


def data_digest(folder: str | Path) -> str:
    """The digest of a data folder.

    Raises:
        DataError: there is no data.
    """
    return str(read_index(folder)["digest"])


def weights_digest(folder: Path) -> str:
    """The SHA-256 of a part's safetensors, as hex; of a pretrained decoder also those of its folders."""
    return sha256(*sorted(folder.rglob("*.safetensors")))


def codes_digest(folder: Path) -> str:
    """The digest of the mapping from pictures to codes of the image tokenizer in ``folder``.

    Raises:
        ModelError: there is none.
    """
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return _codes_digest(folder, sha256(*files))


@lru_cache(maxsize=8)
def _codes_digest(folder: Path, content: str) -> str:
    from lantu.models.lantu.tokenizer.model import ImageTokenizer

    return ImageTokenizer.load(folder).codes_digest()


def recorded_codes(config: Mapping[str, Any]) -> str:
    """The codes digest in a part's config.json; "" if there is none."""
    own = config.get("lantu")
    digest = own.get("tokenizer", "") if isinstance(own, dict) else config.get("tokenizer", "")
    return digest if isinstance(digest, str) else ""


def learnt_codes(folder: Path) -> str:
    """The codes digest of the tokenizer whose codes a part has learnt; "" if it is unknown.

    Args:
        folder: of the part.
    """
    if digest := recorded_codes(read_config(folder)):
        return digest
    try:
        if (folder.parent / "model_index.json").is_file():
            return codes_digest(part_folder(folder.parent / "tokenizer", "tokenizer"))
        options = json.loads((folder.parent / "config.json").read_text(encoding="utf-8"))
        return codes_digest(part_folder(options["tokenizer"], "tokenizer"))
    except (OSError, ValueError, KeyError, TypeError, LantuError):
        return ""


def check_codes(language: Path, name: str) -> None:
    """Refuse codes that a language model has not learnt.

    Args:
        language: its folder.
        name: of the codes: the beginning of a codes digest.

    Raises:
        ModelError: it has learnt others.
    """
    learnt = learnt_codes(language)
    if not learnt:
        log.warning(f"the language model in {language} doesn't record whose codes it learnt: not checked")
    elif not learnt.startswith(name):
        what = f"the language model in {language} learnt the codes of another tokenizer ({learnt[:12]}, not {name})"
        raise ModelError(what, "give the tokenizer that it was trained on")


def check_parts(folders: Mapping[str, Path]) -> None:
    """Refuse parts that were not made for one another; warn about those that can't be checked.

    Args:
        folders: of a tokenizer, and of the language, decoder and control to be joined with it.

    Raises:
        ModelError: a part has learnt other codes, or a control another decoder.
    """
    wanted = codes_digest(folders["tokenizer"])
    for part, folder in folders.items():
        if part in ("tokenizer", "upscaler"):  # which reads pixels alone
            continue
        learnt = learnt_codes(folder)
        if not learnt:
            log.warning(f"the {part} in {folder} doesn't record whose codes it learnt: not checked")
        elif learnt != wanted:
            what = f"the {part} in {folder} learnt the codes of another tokenizer ({learnt[:12]}, not {wanted[:12]})"
            raise ModelError(what, "join parts that were trained on the same tokenizer")
    if "control" in folders and (beside := read_config(folders["control"]).get("decoder")):
        decoder = weights_digest(folders["decoder"])
        if beside != decoder:
            what = f"the control in {folders['control']} was trained beside another decoder"
            raise ModelError(
                f"{what} ({str(beside)[:12]}, not {decoder[:12]})", "join it with that one, or train another"
            )
