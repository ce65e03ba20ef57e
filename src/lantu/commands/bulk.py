"""``lantu draw --prompts``: draws a file of prompts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.opening import asked_size, load
from lantu.errors import LantuError

if TYPE_CHECKING:
    from lantu.recipes.bulk.cluster import Cluster

Prompts = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        help="Draw a file of prompts into WebDataset shards in the folder -o: .txt, .jsonl, .csv or .tsv.",
        metavar="FILE",
        show_default=False,
    ),
]
PerShard = Annotated[
    int, typer.Option("--per-shard", help="Pictures in each shard of --prompts.", min=1, max=1_000_000, metavar="N")
]
Together = Annotated[
    int, typer.Option("--together", help="Pictures of --prompts drawn at once.", min=1, max=4096, metavar="N")
]
RayWorkers = Annotated[
    int | None,
    typer.Option("--workers", help="Workers of --ray (default: one on each GPU, or core).", min=1, metavar="N"),
]


def cluster_of(ray: bool, address: str | None, workers: int | None) -> "Cluster | None":
    """The cluster to work on, if the user wants one.

    Raises:
        LantuError: the user says something of a cluster without wanting one, or Ray is not installed.
    """
    if not ray:
        if address or workers:
            raise LantuError("this machine alone has no workers", "add --ray")
        return None
    from lantu.recipes.bulk.cluster import Cluster
    from lantu.recipes.ray_cluster import check_installed

    check_installed()
    return Cluster(address, workers)


def draw_prompts(
    prompts: Path,
    out: Path | None,
    model: str | None,
    device: str,
    backend: str,
    size: str | None,
    cluster: "Cluster | None",
    json: bool,
    others: dict[str, Any],
    **options: Any,
) -> None:
    """Draw the prompts and report.

    Args:
        others: what draws one prompt alone: the name of each option and its value, which must be none.
        options: of ``lantu.recipes.bulk.drawing.BulkRun``.

    Raises:
        LantuError: there is no folder to draw into, an option doesn't go with prompts, or see ``BulkRun``.
    """
    if given := next((name for name, value in others.items() if value is not None and value != []), None):
        raise LantuError(f"{given} is for one prompt", "leave it out, or --prompts")
    if out is None:
        raise LantuError("--prompts draws into a folder", "name it: -o DIR")
    from lantu.models.validation import parse_shape
    from lantu.recipes.bulk.drawing import BulkRun, OnRay
    from lantu.recipes.bulk.prompts import PromptFile

    PromptFile(prompts)  # before the model is opened
    if size:
        parse_shape(size)
    # On a cluster the model computes elsewhere.
    opened = load(model, "cpu" if cluster else device, backend)
    options["size"] = asked_size(size, opened.parts.layout) if size else None
    run = BulkRun(opened, prompts, out, device=device, backend=backend, **options)
    with terminal.progress("drawing", shown=not json) as advance:
        result = run.draw(OnRay(cluster) if cluster else None, advance)
    if json:
        terminal.print_json(result)
        return
    kept = result["pictures"] - result["drawn"]
    before = f", {kept:,} of them earlier" if kept else ""
    what = f"{result['pictures']:,} pictures of {result['prompts']:,} prompts in {result['shards']:,} shards"
    print(f"{out}  {what}{before}  seed {result['seed']}")
