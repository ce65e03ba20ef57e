"""The two states in which a training leaves a language model that has overfitted, and which of them draws better.

``RUN/model`` has the least validation loss; ``RUN/last`` is how the run ended, where that loss had risen since
(``lantu.training.loop``). The state with the larger loss may well be the one that draws better: docs/make.md has the
figures of photographs, and language models that are taught to answer do so better after their validation loss began to
rise (arXiv:2203.02155, section 3.5). So both are assembled and draw the same captions, and the one stays whose drawings
have the larger value (``lantu.recipes.tuning``).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lantu.models.lantu.folder import LantuFolder
from lantu.recipes.sources import part_folder
from lantu.recipes.tuning import Choice, keep
from lantu.training.loop import LAST

LEAST_LOSS = "least validation loss"
END = "end of the training"


def states_of(language: str | Path) -> dict[str, Path]:
    """Where a language model's states are; one, unless a run is named that ended worse than it had been.

    Args:
        language: as ``part_folder`` takes it.
    """
    run, last = Path(language), part_folder(language, "language").with_name(LAST)
    both = last.parent.resolve() == run.resolve() and (last / "config.json").is_file()
    return {LEAST_LOSS: run, END: last} if both else {LEAST_LOSS: run}


def assemble_better(
    build: Callable[[Path], LantuFolder],
    states: Mapping[str, Path],
    tune: Callable[[LantuFolder, Mapping[str, Any]], Choice],
    fixed: Mapping[str, Any],
) -> tuple[LantuFolder, Choice]:
    """Assemble the state that draws better, with the settings chosen for it; the first one where nothing can tell.

    Args:
        build: a state's folder → the model directory, assembled with it.
        states: what it is → its folder.
        tune: a model directory, settings that are given → the choice of the others, as ``lantu.recipes.tuning.tune``.
        fixed: settings that are given. All states are rendered by the decoder's settings that the first one chose.
    """
    (first, folder), *others = states.items()
    model = build(folder)
    chosen = tune(model, fixed)
    if not others or chosen.value is None:
        return model, chosen
    decoder = {name: chosen.settings[name] for name in ("sampler", "steps") if name in chosen.settings}
    tried = {first: chosen}
    for name, folder in others:
        model = build(folder)
        tried[name] = tune(model, {**fixed, **decoder})
    values = {name: one.value or 0.0 for name, one in tried.items()}
    best = max(values, key=lambda name: values[name])
    if best != name:
        model = build(states[best])
    choice = replace(
        tried[best],
        settings={**decoder, **tried[best].settings},
        decoders=chosen.decoders,
        states=[{"language": name, "value": value} for name, value in values.items()],
        state=best,
    )
    keep(model, choice)
    return model, choice
