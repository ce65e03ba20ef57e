"""The commands serve and studio."""

import importlib.util
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from lantu.commands import terminal
from lantu.commands.options import Backend, Device, ModelName, Ray, RayAddress
from lantu.errors import LantuError
from lantu.files import expand

Host = Annotated[
    str, typer.Option("--host", help="Address to listen at; 0.0.0.0 lets other machines connect.", metavar="ADDRESS")
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0 picks a free one.", metavar="N")
]
Keys = Annotated[
    Path | None,
    typer.Option("--keys", help="File of API keys, one per line; or set LANTU_API_KEYS.", metavar="FILE"),
]
Origin = Annotated[
    list[str] | None,
    typer.Option("--origin", help="Allow pages of this origin, e.g. https://example.com.", metavar="URL"),
]
Proxy = Annotated[
    list[str] | None, typer.Option("--proxy", help="Trust X-Forwarded-For from this proxy.", metavar="ADDRESS")
]
PublicUrl = Annotated[
    str, typer.Option("--public-url", help="The server's URL for clients behind a proxy.", metavar="URL")
]
Together = Annotated[
    int, typer.Option("--together", min=1, max=64, help="Maximum number of pictures drawn at once.", metavar="N")
]
Waiting = Annotated[int, typer.Option("--waiting", min=1, help="Maximum number of waiting pictures.", metavar="N")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Time limit for a request in seconds, waiting included.", metavar="S")
]
Drain = Annotated[
    float, typer.Option("--drain", min=0, help="Time limit for running requests at shutdown, in seconds.", metavar="S")
]
MaxBody = Annotated[int, typer.Option("--max-body", min=1000, help="Maximum size of a request in bytes.", metavar="N")]
Refuse = Annotated[
    Path | None,
    typer.Option("--refuse", help="File of words that prompts may not contain, one per line.", metavar="FILE"),
]
Judge = Annotated[
    str | None,
    typer.Option(
        "--judge",
        help="Your function(prompt, image), which returns the reason for a refusal, or None.",
        metavar="MODULE:FUNCTION",
    ),
]
Certificate = Annotated[
    Path | None, typer.Option("--c2pa-cert", help="Sign pictures with this certificate chain, PEM.", metavar="FILE")
]
PrivateKey = Annotated[
    Path | None, typer.Option("--c2pa-key", help="The certificate's private key, PEM.", metavar="FILE")
]
Algorithm = Annotated[
    Literal["es256", "ps256", "ed25519"] | None,
    typer.Option("--c2pa-alg", help="The key's algorithm; es256 by default."),
]
Timestamp = Annotated[
    str, typer.Option("--c2pa-timestamp", help="Time-stamp authority, asked for each picture.", metavar="URL")
]
LogPrompts = Annotated[bool, typer.Option("--log-prompts", help="Log prompts.")]
Browser = Annotated[
    bool | None,
    typer.Option("--browser/--no-browser", help="Open the studio (lantu studio does).", show_default=False),
]
Drafters = Annotated[
    str | None, typer.Option("--drafters", help="With --ray: replicas that draft.", metavar="N|MIN-MAX")
]
Renderers = Annotated[
    str | None, typer.Option("--renderers", help="With --ray: replicas that render.", metavar="N|MIN-MAX")
]
ReplicaCpus = Annotated[
    float | None,
    typer.Option("--replica-cpus", min=0, help="With --ray: processor cores of a replica (default: 1).", metavar="N"),
]
ReplicaGpus = Annotated[
    float | None,
    typer.Option("--replica-gpus", min=0, help="With --ray: GPUs of a replica, on CUDA (default: 1).", metavar="N"),
]
Update = Annotated[
    bool, typer.Option("--update", help="With --ray: replace the model that the cluster serves, and end.")
]


def serve(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    keys: Keys = None,
    origin: Origin = None,
    proxy: Proxy = None,
    public_url: PublicUrl = "",
    together: Together = 32,
    waiting: Waiting = 128,
    timeout: Timeout = 120.0,
    drain: Drain = 60.0,
    max_body: MaxBody = 32_000_000,
    refuse: Refuse = None,
    judge: Judge = None,
    c2pa_cert: Certificate = None,
    c2pa_key: PrivateKey = None,
    c2pa_alg: Algorithm = None,
    c2pa_timestamp: Timestamp = "",
    log_prompts: LogPrompts = False,
    browser: Browser = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    ray: Ray = False,
    ray_address: RayAddress = None,
    drafters: Drafters = None,
    renderers: Renderers = None,
    replica_cpus: ReplicaCpus = None,
    replica_gpus: ReplicaGpus = None,
    update: Update = False,
) -> None:
    """Serve the HTTP API, including OpenAI's image routes, and the studio."""
    if importlib.util.find_spec("fastapi") is None:
        raise LantuError("the server is not installed", "pip install 'lantu[serve]'")
    from lantu.commands import cluster
    from lantu.commands.pictures import load
    from lantu.server import app, logs, provenance, run
    from lantu.server.filter import load_judge, read_phrases
    from lantu.server.http.keys import read_keys
    from lantu.server.http.origins import check_origins
    from lantu.server.options import Options

    options = Options(
        host=host,
        port=port,
        keys=read_keys(keys),
        origins=check_origins(origin or []),
        proxies=tuple(proxy or ()),
        public_url=public_url.rstrip("/"),
        max_running=together,
        max_waiting=waiting,
        timeout_s=timeout,
        drain_s=drain,
        max_body=max_body,
        refused_phrases=read_phrases(refuse),
        judge=load_judge(judge),
        signer=provenance.make_signer(c2pa_cert, c2pa_key, c2pa_alg, c2pa_timestamp),
        log_prompts=log_prompts,
    )
    wanted = cluster.Wanted(drafters, renderers, replica_cpus, replica_gpus, ray_address)
    if not ray and (update or wanted != cluster.Wanted()):
        raise LantuError("this machine alone has no replicas", "add --ray")
    if update:
        cluster.update(model, device, backend, options, wanted)
        return
    if not options.loopback and not options.keys:
        terminal.say(f"lantu: anyone who can reach {host} can use this server; to require keys: --keys FILE")
    logs.set_up()
    opens_browser = context.info_name == "studio" if browser is None else browser
    if ray:
        made = cluster.make(model, device, backend, options, wanted)
    else:
        _check_model(model, device, backend)
        made = app.make(lambda: load(model, device, backend), options)
    run.serve(made, options, _announce(opens_browser))


def _check_model(model: str | None, device: str, backend: str) -> None:
    """Refuse a model that can't be opened before the server listens and a browser shows its page; loads no weights.

    A model of the hub is left to the worker, because a download may take longer than clients wait for a server.
    """
    from lantu.models import hub
    from lantu.pipeline import Model

    if model is None or not hub.is_id(model) or expand(model).is_dir():
        Model.load(model, device, backend)


def _announce(opens_browser: bool) -> Callable[[str], None]:
    """A function that prints the server's URL, and opens it in a browser if wanted."""

    def on_listening(url: str) -> None:
        terminal.say(f"lantu: {url}")
        if opens_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    return on_listening
