"""How a server is configured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.server.provenance import Signer

# judge(prompt, image): the reason for a refusal, or None.
Judge = Callable[["str | None", "Image | None"], "str | None"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Options:
    """A server's configuration.

    Attributes:
        host, port: the address to listen at; by default only this machine can reach it.
        keys: valid API keys; if there are none, no key is required.
        origins: origins of other hosts' pages that may use the server, e.g. "https://example.com".
        proxies: addresses of proxies whose X-Forwarded-For is trusted.
        public_url: the server's URL as clients see it behind a proxy; for ``response_format: "url"``.
        max_running: the most jobs that run at once.
        max_waiting: the most jobs that wait; one client may fill half of the places.
        timeout_s: the most time for a request, waiting included.
        stall_s: how long a client may neither send nor read.
        drain_s: how long running requests may take at shutdown.
        max_body: the largest request body, in bytes.
        max_pixels: the largest picture that a client may send.
        max_kept: how many of the newest pictures can be fetched by URL.
        refused_phrases: normalised words and phrases that prompts may not contain.
        judge: says why a prompt or picture is refused; None if there is no judge.
        signer: signs all finished pictures; None leaves them unsigned.
        log_prompts: whether prompts are logged.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    public_url: str = ""
    max_running: int = 32
    max_waiting: int = 128
    timeout_s: float = 120.0
    stall_s: float = 30.0
    drain_s: float = 60.0
    max_body: int = 32_000_000
    max_pixels: int = 16_000_000
    max_kept: int = 256
    refused_phrases: tuple[str, ...] = field(default=(), repr=False)
    judge: Judge | None = None
    signer: "Signer | None" = None
    log_prompts: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK
