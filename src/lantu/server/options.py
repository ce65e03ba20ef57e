"""What a server is told at its start."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lantu.server.filter import Judge
    from lantu.server.provenance import Signer


@dataclass(frozen=True)
class Options:
    """How a server behaves.

    Attributes:
        host, port: where it listens; loopback alone unless told otherwise.
        keys: API keys; none: everybody may come.
        origins: of pages on other hosts that may use it, e.g. "https://example.com".
        proxies: addresses whose word on the client's address is believed.
        public_url: how clients reach it, where a proxy stands between; for ``response_format: "url"``.
        together: pictures that are drafted and painted at once.
        waiting: pictures that may wait; one client may fill half of the places.
        timeout_s: for a request, its waiting included.
        stall_s: for a client that neither sends nor reads.
        drain_s: at the end, for what runs.
        max_body: bytes of a request.
        max_pixels: of a picture that a client sends.
        kept: pictures that can be fetched by their URL, the newest.
        refused: normalised words and phrases that a prompt may not hold.
        judge: says why a prompt or a picture is refused, if it is.
        signer: of all finished pictures; None: they are not signed.
        log_prompts: whether the log tells what was asked for.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    public_url: str = ""
    together: int = 32
    waiting: int = 128
    timeout_s: float = 120.0
    stall_s: float = 30.0
    drain_s: float = 60.0
    max_body: int = 32_000_000
    max_pixels: int = 16_000_000
    kept: int = 256
    refused: tuple[str, ...] = field(default=(), repr=False)
    judge: "Judge | None" = None
    signer: "Signer | None" = None
    log_prompts: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK


LOOPBACK = ("127.0.0.1", "localhost", "::1")
