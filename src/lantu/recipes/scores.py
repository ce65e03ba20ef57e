"""Runs a model through the suites of evaluation: joins model, data and judge."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, Unpack

from lantu.data.captions import words_for
from lantu.data.emoji import build_gallery, gallery_place
from lantu.data.gallery import Gallery, load_gallery
from lantu.data.scenes import Composer
from lantu.data.shards import gallery_of, read_index
from lantu.data.trials import trials
from lantu.engine.sampling_params import Overrides
from lantu.errors import DataError
from lantu.evaluation.report import as_json, as_text, write_sheet
from lantu.evaluation.results import SuiteResult
from lantu.evaluation.retrieval import Network, Retrieval
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.suites import evaluate as examine
from lantu.evaluation.trial import SUITES
from lantu.files import cache_dir, write_json, write_text
from lantu.models.validation import require
from lantu.recipes.own import evaluate_own
from lantu.recipes.pictures import Album, changed, is_own, own_data
from lantu.tokens.document import LANGUAGES

if TYPE_CHECKING:
    from lantu.pipeline import Model

Progress = Callable[[int, int], None]


def evaluate(
    model: "Model",
    data: str | Path | None = None,
    suites: Sequence[str] | None = None,
    limit: int = 64,
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress | None = None,
    minutes: float | None = None,
    **overrides: Unpack[Overrides],
) -> dict[str, dict[str, Any]]:
    """Score a model on named suites.

    Args:
        data: a data folder: composed scenes, for their gallery, or a user's own pictures. None: the data that the
            model's index names; its gallery is built in the cache.
        suites: names of ``SUITES`` or of ``lantu.recipes.abilities.WAYS``; None: those whose ability the model
            has. For a user's own pictures, names of ``OWN``; None: all.
        limit: trials of each suite.
        seed: decides the trials and the drawings.
        out: folder for scores.json, scores.txt and sheet.png.
        progress: called with (trials done, in all).
        minutes: of a user's own pictures: about so many, by taking fewer of them.
        overrides: sampling parameters, see ``lantu.engine.sampling_params.SamplingParams``.

    Returns:
        per suite: score, ceiling (of the true pictures), round_trip (of their reconstructions), n, and more. For a
            user's own pictures also "split", the split that they are from, and "notes", what had to be left out.

    Raises:
        DataError: an unknown suite, no gallery, or missing data.
    """
    own = own_data(model.folder) if data is None else Path(data) if is_own(read_index(data)) else None
    if own is not None:
        album, notes = Album(own, model.size), list[str]()
        notes += changed(model.folder, own) if data is None else []
        tell = progress or (lambda done, total: None)
        scores = evaluate_own(model, album, suites, limit, seed, notes.append, tell, minutes, **overrides)
        return report(scores, out, split=album.split, notes=list(dict.fromkeys(notes)), data=str(own))
    return evaluate_scenes(model, data, suites, limit, seed, out, progress, **overrides)


def evaluate_scenes(
    model: "Model",
    data: str | Path | None,
    suites: Sequence[str] | None,
    limit: int,
    seed: int,
    out: str | Path | None,
    progress: Progress | None,
    **overrides: Unpack[Overrides],
) -> dict[str, dict[str, Any]]:
    """``evaluate`` on scenes that are composed of a gallery's drawings."""
    from lantu.features.efficientnet import load_efficientnet
    from lantu.features.lpips import load_lpips
    from lantu.recipes import abilities
    from lantu.recipes.generator import ModelGenerator

    if suites is None:
        able = "captioning" in model.folder.abilities
        suites = [name for name in SUITES if able or not name.endswith("caption")]
        suites += abilities.learnt(model.folder.abilities)
    if unknown := sorted(set(suites) - {*SUITES, *abilities.WAYS}):
        raise DataError(f"no suite called {unknown[0]}", f"choose from {', '.join((*SUITES, *abilities.WAYS))}")
    beyond = [name for name in abilities.WAYS if name in suites]
    for name in beyond:
        require(model.folder, abilities.NEEDED[name])
    tell = progress or (lambda done, total: None)
    composer = composer_of(model, data)
    gallery = composer.gallery
    asked = [trial for suite in SUITES if suite in suites for trial in trials(composer, suite, limit, seed)]
    total = len(asked) + limit * len(beyond)
    network = load_efficientnet()
    scorer = scorer_of(gallery, network)
    scores = examine(
        ModelGenerator(model, **overrides),
        asked,
        scorer,
        perceptual=load_lpips("alex"),
        describe=network.pooled,
        lexicon=lexicon_of(gallery),
        seed=seed,
        progress=lambda done, _: tell(done, total),
    )
    exam = abilities.Exam(model, composer, scorer, seed, Path(out) if out is not None else None, overrides)
    for number, name in enumerate(beyond, 1):
        scores[name] = abilities.WAYS[name](exam, limit)
        tell(len(asked) + limit * number, total)
    return report(scores, out)


def report(scores: Mapping[str, SuiteResult], out: str | Path | None, **more: Any) -> dict[str, dict[str, Any]]:
    """The scores as JSON, each with ``more``; writes scores.json, scores.txt and sheet.png to ``out``, if given."""
    rows = {name: values | more for name, values in as_json(scores).items()}
    if out is not None:
        write_json(Path(out) / "scores.json", rows)
        write_text(Path(out) / "scores.txt", as_text(scores) + "\n")
        write_sheet(scores, Path(out) / "sheet.png")
    return rows


def scorer_of(gallery: Gallery, network: Network) -> Scorer:
    """A judge that knows every drawing of a gallery; its features are kept in the cache."""
    labels = [(concept, style) for concept in gallery.concepts for style in gallery.styles_of(concept)]
    return Scorer(Retrieval.from_sprites(network, labels, gallery.sprite, cache_dir() / "features"))


def lexicon_of(gallery: Gallery) -> dict[str, set[str]]:
    """Language → all words that name something in a gallery."""
    return {
        language: {word for concept in gallery.concepts.values() for word in words_for(concept, language)}
        for language in LANGUAGES
    }


def composer_of(model: "Model | None", data: str | Path | None) -> Composer:
    """A composer of scenes like those of some data, or else like those that the model was trained on.

    They are as large as what the model draws: a decoder or an upscaler may paint more pixels than the data has.

    Raises:
        DataError: the data has no gallery, or the model's index doesn't name its training data.
    """
    if data is not None:
        settings, gallery = read_index(data)["settings"], load_gallery(gallery_of(data))
        if not composed(settings):
            raise DataError(f"{data} doesn't say how its scenes were composed", "build the data again")
    else:
        settings = model.folder.index.get("data") if model else None
        if not composed(settings) or "world" not in settings:
            raise DataError("the model doesn't say what it was trained on", "name the data: --data DIR")
        place, held = gallery_place(settings["world"], settings["styles"])
        gallery = build_gallery(place, settings["world"], held)
    placement, size = settings.get("placement", "slots"), model.size[0] if model else settings["size"]
    return Composer(gallery, size, settings["snap"], 0, settings["styles"], placement)


def composed(settings: Any) -> TypeGuard[dict[str, Any]]:
    """Whether settings of data are those of composed scenes."""
    return isinstance(settings, dict) and {"size", "snap", "styles"} <= set(settings)
