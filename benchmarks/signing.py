"""What a signature costs: python benchmarks/signing.py CHAIN.pem KEY.pem [--count 200]

A drawing of the shipped model, as PNG, JPEG and WebP: milliseconds to encode it, to sign it, and the bytes that the
manifest adds. docs/serving.md tells how to make a chain to try it with.
"""

import argparse
import statistics
import time
from pathlib import Path

import lantu
from lantu.server import files
from lantu.server.provenance import Signer


def measured(work, count):
    """Median milliseconds, and what the last call gave."""
    told = []
    for _ in range(count):
        started = time.perf_counter()
        value = work()
        told.append(1000 * (time.perf_counter() - started))
    return statistics.median(told), value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chain", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("--algorithm", default="es256")
    parser.add_argument("--count", type=int, default=200)
    told = parser.parse_args()
    signer, picture = Signer(told.chain, told.key, told.algorithm), lantu.load().draw("a cat", seed=0)
    print("format   encode ms   sign ms   bytes   of them the manifest")
    for form in files.TYPES:
        encode_ms, data = measured(lambda form=form: files.encode(picture, form), told.count)
        sign_ms, signed = measured(
            lambda data=data, form=form: signer.sign(data, form, "lantu", picture.model), told.count
        )
        print(f"{form:6} {encode_ms:11.2f} {sign_ms:9.2f} {len(signed):7,} {len(signed) - len(data):7,}")


if __name__ == "__main__":
    main()
