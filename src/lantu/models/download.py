"""Models of the Hugging Face hub by their id, ``owner/name`` or ``owner/name@revision``.

What lies whole in the Hugging Face cache opens without a network and without a package. Anything else is downloaded
into that cache by huggingface_hub: weights as safetensors and the text files beside them, never pickles or code.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lantu.errors import DiskError, LantuError, ModelError
from lantu.files import expand, refusal
from lantu.files.untrusted import read_json
from lantu.models.free_memory import GIGA

ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}")
SUFFIXES = (".safetensors", ".json", ".txt", ".model", ".jinja")
NAMES = ("README.md", "LICENSE", "NOTICE")
# The names that transformers and diffusers give weights; a variant is one precision of several.
WEIGHTS = re.compile(r"(model|diffusion_pytorch_model)(?P<variant>\.[^.]+?)?(-\d{5}-of-\d{5})?\.safetensors")
VARIANT_INDEX = re.compile(r".*\.safetensors\.index\.[^.]+\.json")


def is_id(name: str) -> bool:
    """Whether a name may be that of a model on the hub."""
    match = ID.fullmatch(name)
    return match is not None and ".." not in name


def split(name: str) -> tuple[str, str]:
    """An id → owner/name, and the revision: a branch, a tag or a commit."""
    match = ID.fullmatch(name)
    assert match is not None
    return match["repo"], match["revision"] or "main"


def fetch(name: str, parts: Sequence[str] = ()) -> Path:
    """The folder of a model of the hub, from the cache, else downloaded.

    A copy in the cache is used as it is; name a newer revision to have another.

    Args:
        parts: the folders of it that are needed, with the files beside them; () for all. A model has a text encoder of
            many gigabytes that need not be downloaded for its autoencoder.

    Raises:
        ModelError: there is no such model or revision, or its owner must give access first.
        DiskError: the disk is too full.
        LantuError: the hub can't be reached, or huggingface_hub is missing.
    """
    folder = cached(name)
    if folder is not None and is_whole(folder, parts):
        return folder
    if importlib.util.find_spec("huggingface_hub") is None:
        what = f"there is no folder {name} here, and downloading it from the hub needs huggingface_hub"
        raise LantuError(what, "pip install 'lantu[hub]'")
    try:
        return download(name, parts)
    except LantuError:
        raise
    except Exception as problem:
        raise explained(name, problem) from problem


def cache() -> Path:
    """The Hugging Face cache, where its own environment variables put it."""
    for variable, inner in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if place := os.environ.get(variable):
            return expand(os.path.expandvars(place)) / inner
    return expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def repo_folder(repo: str) -> Path:
    """Where the cache keeps a model: refs/, snapshots/ and blobs/."""
    return cache() / f"models--{repo.replace('/', '--')}"


def cached(name: str) -> Path | None:
    """The snapshot in the cache, whole or not; None where there is none."""
    repo, revision = split(name)
    place = repo_folder(repo)
    if not COMMIT.fullmatch(revision):
        try:
            revision = (place / "refs" / revision).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        if not COMMIT.fullmatch(revision):
            return None
    snapshot = place / "snapshots" / revision
    return snapshot if snapshot.is_dir() else None


def is_whole(folder: Path, needed: Sequence[str] = ()) -> bool:
    """Whether a snapshot has all its parts: a download may have been interrupted, or only its configs were wanted.

    Args:
        needed: the folders that are; () for all.
    """
    inner = [each for each in folder.iterdir() if each.is_dir() and (not needed or each.name in needed)]
    parts = [folder, *inner]
    weights = [part for part in parts if any(part.glob("*.safetensors"))]
    if not weights or any((part / "config.json").is_file() and part not in weights for part in parts):
        return False
    try:
        shards = [
            part / name for part in parts for path in part.glob("*.safetensors.index.json") for name in named(path)
        ]
        index = folder / "model_index.json"
        components = read_json(index) if index.is_file() else {}
    except (OSError, ValueError):
        return False
    # A component is [library, class]; [null, null] is one that the pipeline does without.
    pairs = {key: value for key, value in components.items() if isinstance(value, list) and not key.startswith("_")}
    named_parts = [key for key, value in pairs.items() if all(isinstance(each, str) for each in value)]
    wanted = [folder / key for key in named_parts if not needed or key in needed]
    return all(path.exists() for path in [*shards, *wanted])


def named(index: Path) -> set[str]:
    """The shards that an index names. Raises OSError or ValueError."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict):
        raise ValueError(f"{index.name} has no weight_map")
    return {PurePosixPath(str(name)).name for name in names.values()}


def download(name: str, parts: Sequence[str] = ()) -> Path:
    """Download what ``wanted`` chooses into the cache; progress on stderr. Raises what huggingface_hub raises."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        """A progress bar that is shown on a terminal alone."""

        def __init__(self, *arguments: Any, **options: Any):
            super().__init__(*arguments, **options | {"disable": options.get("disable") or not sys.stderr.isatty()})

    repo, revision = split(name)
    endpoint = os.environ.get("HF_ENDPOINT") or None
    told = HfApi(endpoint=endpoint).model_info(repo, revision=revision, files_metadata=True)
    sizes = {each.rfilename: each.size or 0 for each in told.siblings or []}
    names = wanted(sizes, parts)
    if not any(each.endswith(".safetensors") for each in names):
        raise ModelError(f"{repo} on the hub has no weights as safetensors", "give a model that has them")
    there = repo_folder(repo) / "snapshots" / (told.sha or "")
    missing = sum(sizes[each] for each in names if not (there / each).exists())
    check_space(name, missing)
    print(f"lantu: downloading {name} ({missing / GIGA:.1f} GB) into {cache()}", file=sys.stderr)
    literal = [re.sub(r"([*?[])", r"[\1]", each) for each in names]
    options: dict[str, Any] = {"cache_dir": cache(), "endpoint": endpoint, "allow_patterns": literal, "tqdm_class": Bar}
    return Path(snapshot_download(repo, revision=revision, **options))


def wanted(names: Iterable[str], parts: Sequence[str] = ()) -> list[str]:
    """The files of a repository that a model is opened from: each tensor once.

    Left out are pickles and code; of weights in several precisions the variants; copies of a pipeline in one file, and
    other copies beside the weights that transformers or diffusers reads.

    Args:
        parts: the folders that are needed; () for all.
    """
    needed = [name for name in names if not parts or "/" not in name or name.partition("/")[0] in parts]
    kept = [name for name in needed if name.endswith(SUFFIXES) or name in NAMES]
    folders: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, kept):
        folders[path.parent].append(path)
    chosen: list[str] = []
    for folder, paths in folders.items():
        matches = {path: WEIGHTS.fullmatch(path.name) for path in paths if path.suffix == ".safetensors"}
        standard = [path for path, match in matches.items() if match]
        plain = [path for path, match in matches.items() if match and not match["variant"]]
        weights = plain or standard or list(matches)
        if folder == PurePosixPath() and "model_index.json" in kept:
            weights = []
        rest = [path for path in paths if path not in matches]
        if plain:
            rest = [path for path in rest if not VARIANT_INDEX.fullmatch(path.name)]
        chosen += map(str, [*weights, *rest])
    return sorted(chosen)


def check_space(name: str, size: int) -> None:
    """Refuse a download that the disk can't take. Raises DiskError."""
    place = cache()
    there = next(each for each in [place, *place.absolute().parents] if each.exists())
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(there).free
        if size > free:
            what = f"{name} takes {size / GIGA:.1f} GB, and {there} has {free / GIGA:.1f} GB free"
            raise DiskError(what, "free some space, or set HF_HOME to a folder on another disk")


def explained(name: str, problem: Exception) -> Exception:
    """What huggingface_hub raised, as a one-line error; an exception that is no refusal is returned unchanged."""
    from huggingface_hub import errors

    repo, revision = split(name)
    page = f"{os.environ.get('HF_ENDPOINT') or 'https://huggingface.co'}/{repo}"
    if isinstance(problem, errors.GatedRepoError):  # a kind of RepositoryNotFoundError
        hint = f"ask for it at {page}, then log in: hf auth login"
        return ModelError(f"the owner of {repo} must give you access first", hint)
    if isinstance(problem, errors.RepositoryNotFoundError):
        what = f"there is no folder {name} here and no model {repo} on the hub"
        return ModelError(what, "check the name; to a private model, log in: hf auth login")
    if isinstance(problem, errors.RevisionNotFoundError):
        return ModelError(f"{repo} on the hub has no revision {revision}", f"see {page}/tree/main")
    status = getattr(getattr(problem, "response", None), "status_code", None)
    if status is not None:
        hint = "log in: hf auth login" if status in (401, 403) else "try again later"
        return LantuError(f"the hub refused {repo} (HTTP {status})", hint)
    network = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError)
    if isinstance(problem, network) or type(problem).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore"):
        state = "is only partly in the Hugging Face cache" if cached(name) else "is neither a folder nor in the cache"
        return LantuError(f"{name} {state}, and the hub can't be reached", "go online, or give a model's folder")
    return refusal(problem, cache()) if isinstance(problem, OSError) else problem
