"""HEIC and HEIF photographs, as phones write them: Pillow reads them where pi-heif is installed."""

from functools import cache

HEAD = 12  # bytes that tell
NEEDED = "reading HEIC needs pi-heif: install lantu[train]"
# Of HEVC pictures and sequences, and of any pictures; AVIF, which Pillow reads itself, has brands of its own.
BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def is_heif(head: bytes) -> bool:
    """Whether a file is HEIF, by its first bytes (ISO/IEC 23008-12)."""
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS


@cache
def read_heif() -> bool:
    """Let Pillow read HEIF, turned upright; False if pi-heif is not there."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True
