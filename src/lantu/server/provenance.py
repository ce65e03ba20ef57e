"""Where a picture comes from, signed into its file as C2PA has it (https://c2pa.org): a model drew it, this one."""

import importlib.util
import io
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from lantu import __version__
from lantu.errors import LantuError
from lantu.server import files

Algorithm = Literal["es256", "ps256", "ed25519"]
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DRAWN, MIXED = SOURCE + "trainedAlgorithmicMedia", SOURCE + "compositeWithTrainedAlgorithmicMedia"
SETTINGS = {
    # A thumbnail would be larger than our pictures, and take far longer than the signature.
    "builder": {"thumbnail": {"enabled": False}},
    # No file leaves whose signature does not hold, e.g. since the certificate ran out.
    "verify": {"verify_after_sign": True},
}


class Signer:
    """Signs files with an operator's certificate; any thread may.

    Args:
        chain: PEM file of certificates, the signing one first.
        key: PEM file of its private key.
        algorithm: of the key.
        timestamp: URL of a time-stamp authority (RFC 3161), asked for each picture; "": none.

    Raises:
        LantuError: the library is missing, or a first file can't be signed so.
    """

    def __init__(self, chain: Path, key: Path, algorithm: Algorithm = "es256", timestamp: str = ""):
        if importlib.util.find_spec("c2pa") is None:
            raise LantuError("signing is not installed", "pip install 'lantu[c2pa]'")
        import c2pa

        try:
            info = c2pa.C2paSignerInfo(algorithm, read(chain), read(key), timestamp or None)
            self.context = c2pa.Context.from_dict(SETTINGS, c2pa.Signer.from_info(info))
            self.sign(files.save(Image.new("RGB", (8, 8)), "png"), "png", "lantu", "")
        except (c2pa.C2paError, ValueError) as problem:
            told = " ".join(str(problem).split())
            hint = "give the signing certificate's chain, its unencrypted PKCS#8 key and the key's --c2pa-alg"
            if timestamp:
                hint += ", and a --c2pa-timestamp that answers"
            raise LantuError(f"can't sign with {chain} and {key} ({told})", hint) from problem

    def sign(self, data: bytes, form: str, model: str, digest: str, mixed: bool = False) -> bytes:
        """A picture's file with its manifest; pixels and metadata stay as they are.

        Args:
            form: one of ``files.TYPES``.
            model, digest: of what drew it.
            mixed: whether a part of a client's picture is in it.
        """
        import c2pa

        signed = io.BytesIO()
        with c2pa.Builder(manifest(model, digest, mixed), self.context) as builder:
            builder.sign(files.TYPES[form], io.BytesIO(data), signed)
        return signed.getvalue()


def manifest(model: str, digest: str, mixed: bool) -> dict[str, Any]:
    """What is said of a picture, as the library takes it."""
    agent = {"name": model} | ({"version": digest} if digest else {})
    created = {"action": "c2pa.created", "digitalSourceType": MIXED if mixed else DRAWN, "softwareAgent": agent}
    return {
        "claim_generator_info": [{"name": "lantu", "version": __version__}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }


def signer(chain: Path | None, key: Path | None, algorithm: Algorithm | None, timestamp: str) -> Signer | None:
    """What the command line asks for; None: nothing is signed.

    Raises:
        LantuError: something is missing, or they don't fit.
    """
    if chain and key:
        return Signer(chain, key, algorithm or "es256", timestamp)
    if chain or key or algorithm or timestamp:
        raise LantuError("signing takes a certificate and its key", "give both --c2pa-cert and --c2pa-key")
    return None


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as problem:
        raise LantuError(f"can't read {file} ({problem.strerror})", "give a PEM file that you may read") from problem
