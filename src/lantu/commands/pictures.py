"""The commands ``draw``, ``detokenize``, ``caption`` and ``tokenize``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lantu.commands import terminal
from lantu.commands.bulk import PerShard, Prompts, RayWorkers, Together, cluster_of, draw_prompts
from lantu.commands.drawing import Order, check_heard, check_rendered, make
from lantu.commands.opening import asked_size, examples, load, opened, read_grids, say, steering
from lantu.commands.options import (
    Backend,
    Device,
    Examples,
    Fit,
    Json,
    ModelName,
    Output,
    Ray,
    RayAddress,
    RenderGuidance,
    Sampler,
    Seed,
    Steps,
    as_text,
    given,
    renamed_to,
    unused,
)
from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed
from lantu.errors import LantuError, PromptError

FOUND = 2  # examples that --memory finds, unless --shots says how many


def draw(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help="What to draw, in English or Chinese.", show_default=False, callback=as_text)
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many pictures.", metavar="N")] = 1,
    output: Output = None,
    steps: Steps = None,
    guidance: Annotated[
        float | None, typer.Option(help="How closely to follow the prompt; 1 is off.", metavar="G")
    ] = None,
    contrast: Annotated[
        int | None, typer.Option(help="Contrastive decoding instead of guidance; 0: off.", metavar="K")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 gives the likeliest picture.", metavar="T")] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Sample from the K likeliest codes; 0: from all.", metavar="K")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Sample from the likeliest codes that hold this share of probability.", metavar="P"),
    ] = None,
    num_draft_tokens: Annotated[
        int | None, typer.Option(help="Codes to draft after the next one in each forward pass.", metavar="N")
    ] = None,
    min_accepted: Annotated[
        int | None,
        typer.Option(help="Codes that each pass accepts unchecked; above 1, results are not exact.", metavar="N"),
    ] = None,
    passes: Annotated[
        int | None, typer.Option(help="Forward passes of a draft by masked or discrete diffusion.", metavar="N")
    ] = None,
    codes: Annotated[
        int | None, typer.Option(help="Codes to draft, of a model whose first codes make a picture.", metavar="N")
    ] = None,
    ahead: Annotated[int | None, typer.Option(hidden=True, callback=renamed_to("--num-draft-tokens"))] = None,
    least: Annotated[int | None, typer.Option(hidden=True, callback=renamed_to("--min-accepted"))] = None,
    sampler: Sampler = None,
    refine: Annotated[
        float | None, typer.Option(help="Strength of a second pass by the model's refiner; 0: none.", metavar="S")
    ] = None,
    render_guidance: RenderGuidance = None,
    size: Annotated[
        str | None, typer.Option(help="In pixels, e.g. 192x192, or a ratio, e.g. 3:4.", metavar="WxH|W:H")
    ] = None,
    control: Annotated[
        Path | None, typer.Option(help="A picture to follow, see --control-kind.", metavar="FILE", show_default=False)
    ] = None,
    control_kind: Annotated[
        Literal["edges", "layout", "colour", "photo"],
        typer.Option(help="White lines; white areas; colour blocks; or a photo, whose edges are used."),
    ] = "edges",
    control_scale: Annotated[
        float, typer.Option(help="Strength of the control; 0: none.", min=0, max=10, metavar="S")
    ] = 1.0,
    example: Examples = None,
    memory: Annotated[
        Path | None,
        typer.Option(help="A data folder, or a memory bank, to find examples in.", metavar="DIR", show_default=False),
    ] = None,
    shots: Annotated[
        int | None, typer.Option(help="Pictures to find first: in --memory, or in the model's own.", metavar="N")
    ] = None,
    fit: Fit = False,
    tokens_out: Annotated[Path | None, typer.Option(help="Also write the codes, as JSON.", metavar="FILE")] = None,
    from_tokens: Annotated[
        Path | None, typer.Option(help="Render these codes instead of drafting.", metavar="FILE")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="Draw with the prompt, seed and parameters of this PNG.", metavar="PNG")
    ] = None,
    preview: Annotated[
        bool | None,
        typer.Option(help="Show the picture while it is drawn (default: on a terminal).", show_default=False),
    ] = None,
    prompts: Prompts = None,
    per_shard: PerShard = 1000,
    together: Together = 16,
    ray: Ray = False,
    ray_address: RayAddress = None,
    workers: RayWorkers = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Draw a picture from a prompt, or many from a file of prompts."""
    from lantu.images import metadata

    overrides = {"steps": steps, "guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    overrides |= {"contrast": contrast, "sampler": sampler, "refine": refine, "render_guidance": render_guidance}
    overrides |= {"passes": passes, "num_draft_tokens": ahead if num_draft_tokens is None else num_draft_tokens}
    overrides |= {"shots": 0 if memory else shots, "num_codes": codes}
    overrides |= {"min_accepted": least if min_accepted is None else min_accepted}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    if prompts:
        others = {"PROMPT": prompt, "--control": control, "--example": example, "--memory": memory, "--like": like}
        others |= {"--tokens-out": tokens_out, "--from-tokens": from_tokens, "--preview": preview}
        others |= dict.fromkeys(given(context, "control_kind", "control_scale", "fit"), True)
        many = {"count": count, "seed": seed, "per_shard": per_shard, "together": together, **overrides}
        cluster = cluster_of(ray, ray_address, workers)
        draw_prompts(prompts, output, model, device, backend, size, cluster, json, others, **many)
        return
    if ray or ray_address or workers:
        raise LantuError("a cluster draws a file of prompts", "give it: --prompts FILE -o DIR --ray")
    if output:
        metadata.check_output(output)
    if tokens_out:
        metadata.check_tokens_output(tokens_out, (output, from_tokens, like, control))
    if from_tokens:
        words = {"the prompt": prompt is not None, "--size": size, "-n": count > 1}
        check_rendered(words | {"--control": control, "--example": example, "--memory": memory}, overrides)
    check_heard(context, bool(control or example), bool(control))
    found = SamplingParams(shots=FOUND if shots is None else shots).shots if memory else 0
    if prompt is None and not from_tokens and not like:
        raise PromptError("nothing to draw", 'say what, e.g. lantu draw "a cat"')
    order = Order(prompt, read_grids(from_tokens) if from_tokens else None, seed, None, overrides)
    if size:
        from lantu.models.validation import parse_shape  # NumPy

        parse_shape(size)  # before the model is opened
    former = metadata.read_picture(like) if like else None
    opened_model = load(model, device, backend)
    if size:
        order = replace(order, size=asked_size(size, opened_model.parts.layout))
    if example or found:
        order = replace(order, examples=examples(opened_model, example or [], fit, memory, prompt or "", found))
    if former and like:
        order = order.like(former, like, opened_model)
    if control:  # whose size is that of the drawing
        size_px = order.size or opened_model.size
        order = replace(order, control=steering(opened_model, control, control_kind, control_scale, size_px, fit))
    make(opened_model, order, count, output, tokens_out, preview, json)


def detokenize(
    tokens: Annotated[Path, typer.Argument(metavar="TOKENS", help="A tokens file; - for stdin.", show_default=False)],
    output: Output = None,
    steps: Steps = None,
    sampler: Sampler = None,
    render_guidance: RenderGuidance = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Render codes as pictures."""
    from lantu.images import metadata

    if output:
        metadata.check_output(output)
    grids = read_grids(tokens)
    output = output or unused(Path("tokens.png" if str(tokens) == "-" else f"{tokens.stem}.png"), len(grids))
    overrides = {"steps": steps, "sampler": sampler, "render_guidance": render_guidance}
    order = Order(None, grids, seed, None, overrides)
    make(load(model, device), order, 1, output, None, None, json)


def caption(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", show_default=False)],
    lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of the caption.")] = "en",
    fit: Fit = False,
    temperature: Annotated[float, typer.Option(min=0, help="0 gives the likeliest caption.", metavar="T")] = 0.0,
    example: Examples = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Describe a picture."""
    from lantu.tasks import reader
    from lantu.tokens.words import Lexicon

    opened_model = load(model, device, ability="captioning")
    if (lexicon := Lexicon.load(opened_model.folder.path)) and lang not in lexicon.languages:
        say(f"{opened_model.name} learnt no captions in {lang}")
    source = reader.read(image, str(image), opened_model.parts, say)
    if source.note:
        say(source.note)
    shots = examples(opened_model, example or [], fit)
    options: dict[str, Any] = {"fit": fit, "seed": choose_seed(seed), "temperature": temperature, "examples": shots}
    text = opened_model.caption(source.drawing or source.image, lang, **options)
    if json:
        terminal.print_json({"caption": text, "language": lang, "file": str(image), "model": opened_model.name})
    else:
        print(text)


def tokenize(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", show_default=False)],
    output: Output = None,
    fit: Fit = False,
    model: ModelName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Encode pictures as codes: JSON on stdout, or in a file."""
    from lantu.images import metadata

    if output:
        metadata.check_tokens_output(output, images)
    pictures = [opened(image) for image in images]
    opened_model = load(model, device)
    entries = [
        {"file": str(image), "model": opened_model.digest, "codes": opened_model.tokenize(picture, fit=fit).tolist()}
        for image, picture in zip(images, pictures, strict=True)
    ]
    if output is None:
        print(terminal.printable_json(metadata.tokens_text(entries)), end="")
        return
    metadata.write_tokens(entries, output)
    if json:
        terminal.print_json({"files": [str(output)], "pictures": len(entries), "model": opened_model.name})
    else:
        print(f"{output}  {len(entries)} picture{'s' if len(entries) > 1 else ''}")
