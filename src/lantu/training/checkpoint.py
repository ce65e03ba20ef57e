"""Training checkpoints: all that a run needs to continue exactly where it was.

    RUN/checkpoints/step-00001200/      the newest ``LoopConfig.kept``
        state.json                      steps done and the values logged since the log's last line
        weights/ average/ optimizer/    safetensors, float32, "module/name"; average/ is the EMA; of several ranks, see
                                        ``sharded``
    RUN/checkpoints/before-decay/       the end of the stable phase: a longer run starts from here
    RUN/checkpoints/best/               the least validation loss so far

A checkpoint is written under another name and then renamed, so it exists completely or not at all.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lantu import files
from lantu.errors import LantuError, ModelError, RecipeError
from lantu.training import sharded
from lantu.training.config import LoopConfig
from lantu.training.distributed import ALONE, Ranks, like
from lantu.training.optimized_module import OptimizedModule
from lantu.training.schedule import decay_start
from lantu.weights import tensors

BEFORE_DECAY, BEST = "before-decay", "best"
KINDS = ("weights", "average", "optimizer")
FOLDER_KIND = files.FolderKind(
    "a checkpoint",
    ("state.json",),
    (
        "state.json",
        *(name for kind in KINDS for name in files.WEIGHTS.within(kind)),
        *(f"{kind}/{sharded.PATTERN}" for kind in KINDS),
    ),
)


@dataclass
class State:
    """The part of a checkpoint that is not tensors.

    Attributes:
        step: updates done.
        steps, stable_until: the schedule that it was trained under.
        skipped, skipped_in_row: see ``Trainer``.
        window: values logged since the last line of the log.
        train_s: seconds of training, over all sessions.
        best: ``validation.Best``; {} before the first validation.
    """

    step: int
    steps: int
    stable_until: int
    skipped: int = 0
    skipped_in_row: int = 0
    window: dict[str, list[float]] = field(default_factory=dict)
    train_s: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)

    def fits(self, config: LoopConfig) -> bool:
        """Whether a run of ``config.steps`` steps would have reached this state: always so before the rate decays."""
        return self.steps == config.steps or self.step <= min(self.stable_until, decay_start(config))


def save(
    checkpoints: Path, name: str, modules: Sequence[OptimizedModule], state: State, ranks: Ranks = ALONE, kept: int = 2
) -> None:
    """Write a checkpoint; of several ranks, each writes its part of the tensors.

    Raises:
        DiskError: it can't be written; earlier checkpoints are kept.
    """
    kinds = {kind: tensors_of(kind, modules) for kind in KINDS}
    if ranks.world == 1:
        with files.replacing_folder(checkpoints / name, FOLDER_KIND) as temporary:
            temporary.mkdir()
            for kind, named in kinds.items():
                tensors.save(named, temporary / kind, dtype=None, max_shard_bytes=1 << 31)
            files.write_json(temporary / "state.json", asdict(state))
    else:
        with ranks.first_opens(lambda: files.replacing_folder(checkpoints / name, FOLDER_KIND)) as temporary:
            for kind, named in kinds.items():
                sharded.save(named, temporary / kind)
            if ranks.first:
                files.write_json(temporary / "state.json", asdict(state))
    if ranks.first:
        for old in numbered(checkpoints)[kept:]:
            files.discard(old, FOLDER_KIND)


def tensors_of(kind: str, modules: Sequence[OptimizedModule]) -> dict[str, Tensor]:
    """A checkpoint's tensors of one of ``KINDS``, as this rank holds them."""
    if kind == "weights":
        return {f"{module.name}/{key}": value for module in modules for key, value in saved(module).items()}
    if kind == "average":
        return {f"{module.name}/{key}": value for module in modules for key, value in averages(module).items()}
    return {
        f"{module.name}/{key}/{slot}": value
        for module in modules
        for key, slots in optimizer_state(module).items()
        for slot, value in slots.items()
    }


def choose(checkpoints: Path, config: LoopConfig) -> tuple[Path, State] | None:
    """The newest checkpoint from which a run of ``config`` can continue; None if there is no checkpoint.

    Raises:
        RecipeError: ``steps`` has changed, and the rate was already decaying in all checkpoints.
    """
    found = []
    for path in resumable(checkpoints):
        try:
            state = State(**json.loads((path / "state.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        found.append(state)
        if state.fits(config):
            return path, state
    if found:
        raise RecipeError(
            f"a run of {found[0].steps} steps can't become one of {config.steps}: its rate had begun to fall",
            f"set loop.steps={found[0].steps}, or begin a new run",
        )
    return None


def restore(path: Path, modules: Sequence[OptimizedModule]) -> None:
    """Load a checkpoint's tensors into the modules, however many ranks wrote it and read it.

    Raises:
        RecipeError: it is damaged, or belongs to other networks.
    """
    hint = "use the settings that the run began with, or start a new run"
    try:
        if sharded.is_sharded(path / "weights"):
            restore_sharded(path, modules)
            return
        stored = {kind: tensors.load(path / kind) for kind in KINDS}
        for module in modules:
            fill(saved(module), stored["weights"], module.name)
            fill(averages(module), stored["average"] or stored["weights"], module.name)
            fill_optimizer(module, stored["optimizer"])
    except ModelError as problem:
        raise RecipeError(f"{path} is damaged", "remove it to resume from the one before") from problem
    except (KeyError, ValueError) as problem:
        raise RecipeError(f"{path} does not fit these networks ({problem})", hint) from problem


def restore_sharded(path: Path, modules: Sequence[OptimizedModule]) -> None:
    """``restore`` of a checkpoint that several ranks wrote."""
    sharded.load(tensors_of("weights", modules), path / "weights")
    if average := tensors_of("average", modules):
        sharded.load(average, path / ("average" if sharded.is_sharded(path / "average") else "weights"))
    if sharded.is_sharded(path / "optimizer"):
        for module in modules:
            make_slots(module, sharded.shapes(path / "optimizer"))
        sharded.load(tensors_of("optimizer", modules), path / "optimizer")


def put_average(path: Path, networks: dict[str, torch.nn.Module]) -> int:
    """Load a checkpoint's EMA weights into networks, to export or score a run that has not ended.

    Args:
        path: one of ``numbered(RUN / "checkpoints")``.

    Returns:
        the number of updates done.

    Raises:
        RecipeError: it can't be read, or belongs to other networks.
    """
    try:
        step = json.loads((path / "state.json").read_text(encoding="utf-8"))["step"]
        if sharded.is_sharded(path / "weights"):
            stored = sharded.load_whole(path / "weights") | sharded.load_whole(path / "average")
        else:
            stored = tensors.load(path / "weights") | tensors.load(path / "average")
        for name, network in networks.items():
            fill(network.state_dict(), stored, name)
    except (OSError, LantuError, KeyError, ValueError) as problem:
        hint = "name a checkpoint of a run, and that run's recipe"
        raise RecipeError(f"{path} can't be used ({problem})", hint) from problem
    return step


def clean(checkpoints: Path, after: int) -> None:
    """Remove what a killed process left half written, and checkpoints after step ``after``, which will come again."""
    for pattern in (".step-*", f".{BEFORE_DECAY}.*", f".{BEST}.*"):
        for path in checkpoints.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
    for path in [*numbered(checkpoints), checkpoints / BEST]:
        if path.exists() and step_of(path) > after:
            files.discard(path, FOLDER_KIND)


def step_of(checkpoint: Path) -> int:
    """Updates done by a checkpoint; a huge number if it can't be read, for then it is of no use."""
    try:
        return int(json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1 << 62


def numbered(checkpoints: Path) -> list[Path]:
    """The checkpoints with a step number, newest first."""
    found = [path for path in checkpoints.glob("step-*") if path.name.removeprefix("step-").isdecimal()]
    return sorted(found, key=number, reverse=True)


def resumable(checkpoints: Path) -> list[Path]:
    """The checkpoints that a run may go on from, in the order in which they are tried."""
    before = checkpoints / BEFORE_DECAY
    return [*numbered(checkpoints), *([before] if before.is_dir() else [])]


def number(path: Path) -> int:
    """The step of a checkpoint's name."""
    return int(path.name.removeprefix("step-"))


def name_of(step: int) -> str:
    """The name of a step's checkpoint."""
    return f"step-{step:08d}"


def saved(module: OptimizedModule) -> dict[str, Tensor]:
    """A module's weights and buffers, sharing memory with the network."""
    state = module.network.state_dict()
    if module.saves_frozen:
        return state
    trained = {id(parameter) for parameter in module.named.values()}
    everything = module.network.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in everything if id(parameter) not in trained}
    return {name: value for name, value in state.items() if name not in frozen}


def averages(module: OptimizedModule) -> dict[str, Tensor]:
    """A module's EMA weights; none if it has no EMA."""
    return dict(zip(module.named, module.average.values, strict=True)) if module.average else {}


def optimizer_state(module: OptimizedModule) -> dict[str, dict[str, Tensor]]:
    """Parameter's name → slot (a moment, a count) → tensor."""
    names = {id(parameter): name for name, parameter in module.named.items()}
    return {
        names[id(parameter)]: slots for optimizer in module.optimizers for parameter, slots in optimizer.state.items()
    }


@torch.no_grad()
def fill(targets: dict[str, Tensor], stored: dict[str, Tensor], module: str) -> None:
    """Copy stored tensors into ``targets``.

    Raises:
        KeyError: one is missing.
        ValueError: one has another shape.
    """
    for name, target in targets.items():
        value = stored[f"{module}/{name}"]
        if value.shape != target.shape:
            raise ValueError(f"{name} is {tuple(value.shape)}, not {tuple(target.shape)}")
        target.copy_(like(value, target))


def owners_of(module: OptimizedModule) -> dict[int, torch.optim.Optimizer]:
    """id of a parameter → the optimizer that updates it."""
    return {
        id(parameter): optimizer
        for optimizer in module.optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def fill_optimizer(module: OptimizedModule, stored: dict[str, Tensor]) -> None:
    """Restore the moments of each parameter; those without any start at zero, as in a new run."""
    owners = owners_of(module)
    for key, value in stored.items():
        owner, name, slot = key.split("/")
        if owner != module.name:
            continue
        parameter = module.named[name]
        # Moments are shaped and sharded as the parameter; a count is not.
        value = like(value, parameter.detach()) if value.shape == parameter.shape else value.to(parameter.device)
        owners[id(parameter)].state[parameter][slot] = value


def make_slots(module: OptimizedModule, stored: Mapping[str, tuple[torch.Size, torch.dtype]]) -> None:
    """Make the moments that a checkpoint will fill; ``stored`` has the shape and dtype of each."""
    owners = owners_of(module)
    for key, (shape, dtype) in stored.items():
        owner, name, slot = key.split("/")
        if owner == module.name:
            parameter = module.named[name]
            like_it = shape == parameter.shape
            empty = torch.zeros_like(parameter) if like_it else torch.zeros(shape, dtype=dtype, device=parameter.device)
            owners[id(parameter)].state[parameter][slot] = empty
