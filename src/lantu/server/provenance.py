"""Signs pictures with C2PA manifests (https://c2pa.org), which say that a model generated them, and which one."""

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
GENERATED, COMPOSITE = SOURCE + "trainedAlgorithmicMedia", SOURCE + "compositeWithTrainedAlgorithmicMedia"
SETTINGS = {
    # A thumbnail would be larger than the picture itself, and take far longer than the signature.
    "builder": {"thumbnail": {"enabled": False}},
    # Raise rather than return a file with an invalid signature, e.g. after the certificate has expired.
    "verify": {"verify_after_sign": True},
}


class Signer:
    """Signs files with the operator's certificate. Thread-safe.

    Args:
        chain: PEM file of certificates, the signing one first.
        key: PEM file of its private key.
        algorithm: of the key.
        timestamp: URL of a time-stamp authority (RFC 3161), which is asked for each picture; "" for none.

    Raises:
        LantuError: the library is not installed, or a test file can't be signed.
    """

    def __init__(self, chain: Path, key: Path, algorithm: Algorithm = "es256", timestamp: str = ""):
        if importlib.util.find_spec("c2pa") is None:
            raise LantuError("the package for signing is not installed", "pip install 'lantu[c2pa]'")
        import c2pa

        try:
            info = c2pa.C2paSignerInfo(algorithm, read(chain), read(key), timestamp or None)
            self.context = c2pa.Context.from_dict(SETTINGS, c2pa.Signer.from_info(info))
            self.sign(files.save(Image.new("RGB", (8, 8)), "png"), "png", "lantu", "")
        except (c2pa.C2paError, ValueError) as problem:
            reason = " ".join(str(problem).split())
            hint = "give the signing certificate's chain, its unencrypted PKCS#8 key and the key's --c2pa-alg"
            if timestamp:
                hint += ", and a --c2pa-timestamp that can be reached"
            raise LantuError(f"can't sign with {chain} and {key} ({reason})", hint) from problem

    def sign(self, data: bytes, form: str, model: str, digest: str, composite: bool = False) -> bytes:
        """A picture's file with a manifest added; its pixels and metadata stay as they are.

        Args:
            form: one of ``files.TYPES``.
            model, digest: name and digest of the model that drew it.
            composite: whether it contains a part of a client's picture.
        """
        import c2pa

        signed = io.BytesIO()
        with c2pa.Builder(manifest(model, digest, composite), self.context) as builder:
            builder.sign(files.TYPES[form], io.BytesIO(data), signed)
        return signed.getvalue()


def manifest(model: str, digest: str, composite: bool) -> dict[str, Any]:
    """A picture's manifest in the library's form; see ``Signer.sign``."""
    agent = {"name": model} | ({"version": digest} if digest else {})
    source = COMPOSITE if composite else GENERATED
    created = {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": agent}
    return {
        "claim_generator_info": [{"name": "lantu", "version": __version__}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }


def make_signer(chain: Path | None, key: Path | None, algorithm: Algorithm | None, timestamp: str) -> Signer | None:
    """The signer for the command line's options; None when none is given.

    Raises:
        LantuError: one is missing, or they don't belong together.
    """
    if chain and key:
        return Signer(chain, key, algorithm or "es256", timestamp)
    if chain or key or algorithm or timestamp:
        raise LantuError("signing needs both a certificate and its key", "give both --c2pa-cert and --c2pa-key")
    return None


def read(file: Path) -> bytes:
    """A file's bytes.

    Raises:
        LantuError: it can't be read.
    """
    try:
        return file.read_bytes()
    except OSError as problem:
        raise LantuError(f"can't read {file} ({problem.strerror})", "give a readable PEM file") from problem
