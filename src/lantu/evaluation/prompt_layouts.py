"""The folders that the scorers of public prompt suites read.

geneval   00000/metadata.jsonl, 00000/samples/00000.png, …, 00000/grid.png
          (djghosh13/geneval, generation/diffusers_generate.py and evaluation/evaluate_images.py)
dpg       images/NAME.png, one picture with up to four drawings of a prompt, two in a row
          (TencentQQGYLab/ELLA, dpg_bench/compute_dpg_bench.py)
parti     00000/00000.png, …, and prompts.tsv, a line for each folder. PartiPrompts are judged by people, who have
          no fixed layout; it serves any other list of prompts as well.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lantu.errors import DataError
from lantu.evaluation.prompts import SuitePrompt
from lantu.files import replacing, write_text
from lantu.files.untrusted import is_plain_name, shown
from lantu.images import open_image
from lantu.images.metadata import save_picture
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_NAME = 200  # characters; file systems allow 255 bytes with the ending
MOST_DPG = 4


class PromptLayout(Protocol):
    """Where the drawings of a suite go. All paths are relative to the folder of the run."""

    name: str

    def check(self, prompts: Sequence[SuitePrompt], count: int, size: tuple[int, int]) -> None:
        """Refuse what its scorer can't read: ``count`` drawings of ``size`` pixels of each prompt.

        Raises:
            DataError: with the reason.
        """
        ...

    def missing(self, folder: Path, index: int, prompt: SuitePrompt, count: int) -> list[int]:
        """Which drawings of a prompt are still to be made."""
        ...

    def save(self, folder: Path, index: int, prompt: SuitePrompt, drawn: Mapping[int, Picture], count: int) -> None:
        """Write the drawings that were missing, and what goes with them."""
        ...

    def picture(self, index: int, prompt: SuitePrompt) -> str:
        """The path of a picture that shows the prompt, with slashes."""
        ...

    def finish(self, folder: Path, drawn: Sequence[tuple[int, SuitePrompt]]) -> None:
        """Write what belongs to all prompts together, given those that are drawn, with their indices."""
        ...

    def scorer(self, folder: Path, count: int, size: tuple[int, int]) -> str:
        """The command of the official scorer; "" if there is none."""
        ...


class GenEval:
    """The folders of GenEval (arXiv:2310.11513)."""

    name = "geneval"

    def check(self, prompts: Sequence[SuitePrompt], count: int, size: tuple[int, int]) -> None:
        for index, prompt in enumerate(prompts):
            if not isinstance(prompt.row.get("tag"), str) or "prompt" not in prompt.row:
                raise DataError(
                    f"prompt {index}, {shown(prompt.text)}, lacks the keys tag and prompt that GenEval's scorer reads",
                    "give GenEval's evaluation_metadata.jsonl, or choose --layout parti",
                )

    def missing(self, folder: Path, index: int, prompt: SuitePrompt, count: int) -> list[int]:
        return [k for k in range(count) if not self.sample(folder, index, k).is_file()]

    def save(self, folder: Path, index: int, prompt: SuitePrompt, drawn: Mapping[int, Picture], count: int) -> None:
        write_text(folder / f"{index:05}/metadata.jsonl", json.dumps(dict(prompt.row)))
        for k, picture in drawn.items():
            save_picture(picture, self.sample(folder, index, k))
        if drawn or not (folder / f"{index:05}/grid.png").is_file():
            images = [open_image(self.sample(folder, index, k)) for k in range(count)]
            save_tiled(images, math.ceil(math.sqrt(count)), folder / f"{index:05}/grid.png")

    def picture(self, index: int, prompt: SuitePrompt) -> str:
        return f"{index:05}/grid.png"

    def finish(self, folder: Path, drawn: Sequence[tuple[int, SuitePrompt]]) -> None:
        """Nothing is left to write."""

    def scorer(self, folder: Path, count: int, size: tuple[int, int]) -> str:
        return f"python evaluation/evaluate_images.py {folder} --outfile results.jsonl --model-path DETECTOR"

    @staticmethod
    def sample(folder: Path, index: int, k: int) -> Path:
        """The path of drawing ``k`` of a prompt."""
        return folder / f"{index:05}/samples/{k:05}.png"


class DPG:
    """The folder of DPG-Bench (arXiv:2403.05135): its scorer cuts each picture into squares."""

    name = "dpg"

    def check(self, prompts: Sequence[SuitePrompt], count: int, size: tuple[int, int]) -> None:
        if count > MOST_DPG:
            raise DataError(f"DPG-Bench judges {MOST_DPG} drawings of a prompt at most, not {count}", f"-n {MOST_DPG}")
        if size[0] != size[1]:
            raise DataError("DPG-Bench judges squares, not {}x{}".format(*size), "choose a --size, or --layout parti")
        seen: dict[str, int] = {}
        for index, prompt in enumerate(prompts):
            name = self.name_of(index, prompt)
            if not is_plain_name(name) or "." in name or len(name) > MAX_NAME or name.startswith("-"):
                why = "it must be the name of a file, without dots, for DPG-Bench's scorer reads it up to the first"
                raise DataError(f"prompt {index} is called {shown(name)}", why)
            if (first := seen.setdefault(name.casefold(), index)) != index:
                raise DataError(f"prompts {first} and {index} are both called {shown(name)}", "rename one of them")

    def missing(self, folder: Path, index: int, prompt: SuitePrompt, count: int) -> list[int]:
        return [] if (folder / self.picture(index, prompt)).is_file() else list(range(count))

    def save(self, folder: Path, index: int, prompt: SuitePrompt, drawn: Mapping[int, Picture], count: int) -> None:
        if drawn:
            save_tiled([drawn[k].image for k in range(count)], 2, folder / self.picture(index, prompt))

    def picture(self, index: int, prompt: SuitePrompt) -> str:
        return f"images/{self.name_of(index, prompt)}.png"

    def finish(self, folder: Path, drawn: Sequence[tuple[int, SuitePrompt]]) -> None:
        """Nothing is left to write."""

    def scorer(self, folder: Path, count: int, size: tuple[int, int]) -> str:
        return f"PIC_NUM={count} bash dpg_bench/dist_eval.sh {folder / 'images'} {size[0]}"

    @staticmethod
    def name_of(index: int, prompt: SuitePrompt) -> str:
        """What its file calls a prompt, else its number."""
        return prompt.name or f"{index:05}"


class Parti:
    """A numbered folder for each prompt, and a list of them."""

    name = "parti"

    def check(self, prompts: Sequence[SuitePrompt], count: int, size: tuple[int, int]) -> None:
        """Any list of prompts fits."""

    def missing(self, folder: Path, index: int, prompt: SuitePrompt, count: int) -> list[int]:
        return [k for k in range(count) if not (folder / f"{index:05}/{k:05}.png").is_file()]

    def save(self, folder: Path, index: int, prompt: SuitePrompt, drawn: Mapping[int, Picture], count: int) -> None:
        for k, picture in drawn.items():
            save_picture(picture, folder / f"{index:05}/{k:05}.png")

    def picture(self, index: int, prompt: SuitePrompt) -> str:
        return f"{index:05}/00000.png"

    def finish(self, folder: Path, drawn: Sequence[tuple[int, SuitePrompt]]) -> None:
        """Write prompts.tsv: the folder, the prompt, and its file's other columns."""
        prompts = [prompt for _, prompt in drawn]
        used = {name for prompt in prompts for name, value in prompt.row.items() if value == prompt.text}
        columns = list(dict.fromkeys(name for prompt in prompts for name in prompt.row if name not in used))
        lines = [("folder", "prompt", *columns)]
        for index, prompt in drawn:
            cells = (prompt.row.get(column, "") for column in columns)
            texts = (cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells)
            lines.append((f"{index:05}", prompt.text, *texts))
        table = ("\t".join(" ".join(cell.split()) for cell in line) for line in lines)
        write_text(folder / "prompts.tsv", "\n".join(table) + "\n")

    def scorer(self, folder: Path, count: int, size: tuple[int, int]) -> str:
        return ""


LAYOUTS: dict[str, PromptLayout] = {layout.name: layout for layout in (GenEval(), DPG(), Parti())}


def layout_for(path: Path, prompts: Sequence[SuitePrompt]) -> PromptLayout:
    """The layout that a file of prompts is made for."""
    if all("tag" in prompt.row and "include" in prompt.row for prompt in prompts):
        return LAYOUTS["geneval"]
    return LAYOUTS["dpg" if path.is_dir() or all("item_id" in prompt.row for prompt in prompts) else "parti"]


def save_tiled(images: "Sequence[Image]", columns: int, path: Path) -> None:
    """Write pictures of one size as one, ``columns`` in a row; places that are left are white."""
    from PIL import Image

    columns = min(columns, len(images))
    width, height = images[0].size
    tiled = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        tiled.paste(image, (column * width, row * height))
    with replacing(path) as temporary:
        tiled.save(temporary, format="PNG")
