"""Draws a public suite of prompts into the folders that its official scorer reads."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lantu.engine.sampling_params import Overrides
from lantu.engine.seeds import choose_seed, derive_seeds
from lantu.errors import DataError, DiskError, LantuError
from lantu.evaluation.contact_sheet import write_page, write_sheet
from lantu.evaluation.prompt_layouts import LAYOUTS, PromptLayout, layout_for
from lantu.evaluation.prompts import SuitePrompt, read_prompts
from lantu.files import HALF_WRITTEN, discard_half_written, write_json
from lantu.files.untrusted import read_json
from lantu.models.validation import drawn_size

if TYPE_CHECKING:
    from lantu.pipeline import Model

RECORD = "suite.json"  # what the run draws, and how
LOCK = ".lock"  # held while a record is written
BATCH = 16  # drawings that are drafted together, or one more prompt's
Advance = Callable[[int, int], None]
Todo = tuple[int, SuitePrompt, list[int]]  # index, prompt, the numbers of its drawings that are missing


class SuiteRun:
    """A model's drawings of a suite, in a folder of their own.

    The drawings of a prompt are those of ``lantu draw PROMPT --seed SEED -n COUNT``, for every prompt with the same
    seed, as GenEval's own script does. On native kernels they are so bit for bit, else up to rounding.

    Args:
        model: any that draws.
        path: of the prompts, see ``read_prompts``.
        out: the folder; an earlier run in it is continued.
        layout: a name in ``LAYOUTS``; by default the one that the file is made for.
        count: drawings of each prompt.
        seed: of each prompt's first drawing.
        limit: only the first prompts; a later run may take more.
        size: width and height in pixels; by default the model's own.
        overrides: sampling parameters.

    Raises:
        DataError: the prompts can't be read, or their layout has no place for them.
        DiskError: ``out`` holds another run, or something else.
        LantuError: the layout is unknown; the model can't draw one of the prompts, or the size.
    """

    def __init__(
        self,
        model: "Model",
        path: str | Path,
        out: str | Path,
        *,
        layout: str | None = None,
        count: int = 4,
        seed: int = 0,
        limit: int | None = None,
        size: tuple[int, int] | None = None,
        **overrides: Unpack[Overrides],
    ):
        self.model, self.path, self.out, self.count = model, Path(path), Path(out), count
        self.suite = read_prompts(self.path)
        self.layout = find_layout(layout, self.path, self.suite)
        self.prompts = self.suite[:limit]
        self.seed, self.size = choose_seed(seed), drawn_size(size or model.size, model.parts.layout)
        self.grid = model.parts.layout.grid_of(self.size)
        self.params = model.folder.settings.change(**overrides)
        self.layout.check(self.suite, count, self.size)
        self.check_prompts()
        self.record = {
            "prompts": digest_of(self.suite),
            "layout": self.layout.name,
            "count": count,
            "seed": self.seed,
            "size": list(self.size),
            "model": model.digest,
            "settings": self.params.as_dict(),
        }
        check_record(self.out, self.record)

    def check_prompts(self) -> None:
        """Refuse a prompt that the model can't draw, before hours are spent on the others."""
        for index, prompt in enumerate(self.prompts):
            try:
                self.model.parts.layout.draw(prompt.text, self.grid, self.seed, self.params)
            except LantuError as problem:
                raise DataError(f"prompt {index} of {self.path}: {problem.message}", problem.hint) from problem

    def warnings(self) -> list[str]:
        """What to know before the drawings are believed, a sentence each."""
        found = [self.model.parts.layout.check_size(self.size)]
        words = Counter(itertools.chain(*self.unknown_words))
        if words:
            concerned = sum(map(bool, self.unknown_words))
            named = ", ".join(f"{word} ({times})" for word, times in words.most_common(5))
            more = f" and {len(words) - 5:,} more" if len(words) > 5 else ""
            of = f"{concerned:,} of {len(self.prompts):,} prompts have words that the model was never taught"
            found.append(f"{of}: {named}{more}")
        return [warning for warning in found if warning]

    @cached_property
    def unknown_words(self) -> list[set[str]]:
        """The words of each prompt that the model was never taught."""
        unknown = self.model.parts.layout.unknown_words
        return [{entry.word for entry in unknown(prompt.text)} for prompt in self.prompts]

    def draw(self, advance: Advance = lambda done, total: None) -> dict[str, Any]:
        """Make the drawings that are missing, then the list of prompts and the contact sheets.

        Args:
            advance: called with (codes drafted, in all).

        Returns:
            as JSON: folder, layout, prompts, pictures, drawn (now), seed, model, unknown_words, scorer.
        """
        discard_half_written(self.out)  # scorers list a folder's files
        write_json(self.out / RECORD, self.record | {"name": self.model.name, "file": self.path.name})
        cells, pictures = self.grid[0] * self.grid[1], len(self.prompts) * self.count
        todo = [(i, prompt, self.missing(i, prompt)) for i, prompt in enumerate(self.prompts)]
        drawn, done = 0, pictures - sum(len(missing) for _, _, missing in todo)
        for group in grouped(todo):

            def step(codes: int, total: int, before: int = done + drawn) -> None:
                advance(before * cells + codes, pictures * cells)

            drawn += self.draw_group(group, step)
        there = [(i, prompt) for i, prompt in enumerate(self.suite) if not self.missing(i, prompt)]
        self.layout.finish(self.out, there)
        shown = [(self.layout.picture(i, prompt), prompt.text) for i, prompt in there]
        write_sheet(self.out, shown, self.out / "sheet.png")
        write_page(f"{self.path.name}, drawn by {self.model.name}", shown, self.out / "index.html")
        return {
            "folder": str(self.out),
            "layout": self.layout.name,
            "prompts": len(self.prompts),
            "pictures": pictures,
            "drawn": drawn,
            "seed": self.seed,
            "model": self.model.name,
            "unknown_words": dict(Counter(itertools.chain(*self.unknown_words)).most_common()),
            "scorer": self.layout.scorer(self.out, self.count, self.size),
        }

    def missing(self, index: int, prompt: SuitePrompt) -> list[int]:
        """Which drawings of a prompt are still to be made."""
        return self.layout.missing(self.out, index, prompt, self.count)

    def draw_group(self, group: Sequence[Todo], advance: Advance) -> int:
        """Draw some prompts' missing pictures together and save them; returns their number."""
        seeds = derive_seeds(self.seed, self.count)
        jobs = [(prompt.text, seeds[k]) for _, prompt, missing in group for k in missing]
        options: dict[str, Any] = {"size": self.size, "progress": advance, "batched": True, **self.params.as_dict()}
        texts, chosen = [text for text, _ in jobs], [seed for _, seed in jobs]
        pictures = iter(self.model.draw_all(texts, chosen, **options) if jobs else ())
        for index, prompt, missing in group:
            self.layout.save(self.out, index, prompt, dict(zip(missing, pictures, strict=False)), self.count)
        return len(jobs)


def find_layout(name: str | None, path: Path, prompts: Sequence[SuitePrompt]) -> PromptLayout:
    """A layout by name, else the one that a file is made for.

    Raises:
        LantuError: the name is unknown.
    """
    if name is None:
        return layout_for(path, prompts)
    if name not in LAYOUTS:
        raise LantuError(f"no layout called {name}", f"choose one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def grouped(todo: Sequence[Todo]) -> Iterator[list[Todo]]:
    """Prompts in their order, in groups of about ``BATCH`` missing drawings."""
    before = itertools.accumulate((len(missing) for _, _, missing in todo), initial=0)
    for _, group in itertools.groupby(zip(before, todo, strict=False), lambda pair: pair[0] // BATCH):
        yield [one for _, one in group]


def digest_of(prompts: Sequence[SuitePrompt]) -> str:
    """Identifies a list of prompts."""
    text = json.dumps([[one.name, one.text, dict(one.row)] for one in prompts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_record(out: Path, record: dict[str, Any], name: str = RECORD) -> None:
    """Refuse a folder that holds anything but an earlier part of the same run.

    Args:
        name: of the file that holds the record.

    Raises:
        DiskError: it does.
    """
    if out.exists() and not out.is_dir():
        raise DiskError(f"{out} is a file", "name a folder for the drawings")
    if not out.is_dir() or all(path.name == LOCK or HALF_WRITTEN.fullmatch(path.name) for path in out.iterdir()):
        return
    try:
        former = read_json(out / name)
    except (OSError, ValueError) as problem:
        raise DiskError(f"{out} holds other things than drawings of prompts", "choose another folder") from problem
    old, new = flat(former), flat(record)
    if changed := next((key for key, value in new.items() if old.get(key) != value), None):
        known = {"prompts": "other prompts", "model": f"drawings of another model ({former.get('name')})"}
        what = known.get(changed, f"drawings with {changed} {old.get(changed)}, not {new[changed]}")
        raise DiskError(f"{out} holds {what}", "repeat that run to continue it, or choose another folder")


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """The record's entries and those of its settings, under their own names."""
    settings = record.get("settings")
    return {key: value for key, value in record.items() if key != "settings"} | (
        settings if isinstance(settings, dict) else {}
    )
