"""Signed pictures: the contents of their manifests; nothing else in the files changes.

benchmarks/signing.py measures what a signature costs.
"""

import base64
import datetime
import io
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from running import png, serving

from lantu import __version__
from lantu.errors import LantuError
from lantu.images import metadata
from lantu.server import files, provenance

c2pa = pytest.importorskip("c2pa", reason="signing is not installed: pip install 'lantu[c2pa]'")
x509 = pytest.importorskip("cryptography.x509")  # a dependency of c2pa

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa  # noqa: E402

DRAW = "/v1/images/generations"
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def named(name):
    parts = {x509.NameOID.ORGANIZATION_NAME: "lantu's tests", x509.NameOID.COMMON_NAME: name}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def certificate(name, key, issuer, issuing, days=30):
    """A signer's certificate, or the authority's own if name and issuer are the same."""
    today, authority = datetime.datetime.now(datetime.UTC), name == issuer
    uses = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    uses |= dict.fromkeys(("encipher_only", "decipher_only"), False)
    uses |= {"digital_signature": not authority, "key_cert_sign": authority, "crl_sign": authority}
    builder = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=60))
        .not_valid_after(today + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.KeyUsage(**uses), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    edwards, rsas = isinstance(issuing, ed25519.Ed25519PrivateKey), isinstance(issuing, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if rsas else None
    return builder.sign(issuing, None if edwards else hashes.SHA256(), rsa_padding=pss)


def write(folder, algorithm="es256", days=30):
    """Write a certificate chain and a key into a folder; returns their paths."""
    root, key = KEYS[algorithm](), KEYS[algorithm]()
    chain = [certificate("signer", key, "root", root, days), certificate("root", root, "root", root)]
    form = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(b"".join(part.public_bytes(form) for part in chain))
    secret = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return folder / "chain.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def signed(tiny_model, pair):
    with serving(tiny_model, signer=provenance.Signer(*pair)) as running:
        yield running


def manifest_of(data, form="png"):
    """A file's manifest, whose signature and hashes must be valid."""
    with c2pa.Reader(files.TYPES[form], io.BytesIO(data)) as reader:
        assert reader.get_validation_state() == "Valid"
        return reader.get_active_manifest()


def created(data, form="png"):
    (assertion,) = manifest_of(data, form)["assertions"]
    assert assertion["label"].startswith("c2pa.actions")
    (action,) = assertion["data"]["actions"]
    assert action["action"] == "c2pa.created"
    return action


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_kind_of_key_signs(tmp_path, algorithm):
    signer = provenance.Signer(*write(tmp_path, algorithm), algorithm)
    data = signer.sign(png(Image.new("RGB", (16, 16))), "png", "tiny", "abc")
    assert manifest_of(data)["signature_info"]["alg"].lower() == algorithm


@pytest.mark.parametrize("form", files.TYPES)
def test_a_manifest_names_the_model(signed, offline, form):
    answer = signed.post(DRAW, json={"prompt": "a cat", "seed": 5, "output_format": form})
    data = base64.b64decode(answer.json()["data"][0]["b64_json"])
    (generator,) = manifest_of(data, form)["claim_generator_info"]
    assert (generator["name"], generator["version"]) == ("lantu", __version__)
    action = created(data, form)
    assert action["digitalSourceType"] == GENERATED
    assert action["softwareAgent"] == {"name": "tiny", "version": offline.digest}


@pytest.mark.parametrize("form", files.TYPES)
def test_signing_keeps_the_pixels(pair, offline, form):
    picture = offline.draw("a cat", seed=5)
    data = files.encode(picture, form)
    after = provenance.Signer(*pair).sign(data, form, "tiny", picture.model)
    assert opened(after).tobytes() == opened(data).tobytes()


def test_signing_keeps_the_metadata(signed, offline):
    picture = signed.events("/v1/lantu/draw", json={"prompt": "一只猫", "seed": 5})[-1]["picture"]
    data = base64.b64decode(picture["b64_json"])
    assert created(data)["digitalSourceType"] == GENERATED
    expected = offline.draw("一只猫", seed=5)
    found = metadata.read_chunk(io.BytesIO(data), opened(data), "it")
    assert metadata.describe(found) == metadata.describe(expected)
    assert opened(data).tobytes() == expected.image.tobytes()
    read = signed.post("/v1/lantu/read", files={"image": data}).json()
    assert (read["prompt"], read["codes"]) == ("一只猫", picture["codes"])


def test_every_route_signs(signed, red, mask):
    codes = {"codes": [[0] * 4] * 4}
    url = signed.post(DRAW, json={"prompt": "a cat", "response_format": "url"}).json()["data"][0]["url"]
    assert created(signed.client.get(url).content)["digitalSourceType"] == GENERATED
    streamed = signed.events(DRAW, json={"prompt": "a cat", "stream": True})[-1]["b64_json"]
    assert created(base64.b64decode(streamed))["digitalSourceType"] == GENERATED
    rendered = signed.post("/v1/lantu/render", json=codes).json()["b64_json"]
    assert created(base64.b64decode(rendered))["digitalSourceType"] == GENERATED
    redrawn = signed.events("/v1/lantu/redraw", json={**codes, "cells": [[0, 0]], "prompt": "a cat"})[-1]
    assert created(base64.b64decode(redrawn["picture"]["b64_json"]))["digitalSourceType"] == GENERATED


def test_conversations_sign(plain_model, pair):
    body = {"messages": [{"role": "user", "content": "a cat"}]}
    with serving(plain_model, signer=provenance.Signer(*pair)) as running:
        message = running.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]
    assert created(base64.b64decode(message["images"][0]["image_url"]["url"].partition(",")[2]))


def test_pictures_with_a_part_of_a_clients_picture_are_composite(signed, red, mask):
    sent = {"image": ("a.png", red), "mask": ("m.png", mask)}
    edited = signed.post("/v1/images/edits", files=sent, data={"prompt": "a cat"}).json()["data"][0]["b64_json"]
    assert created(base64.b64decode(edited))["digitalSourceType"] == COMPOSITE
    body = {"codes": [[0] * 4] * 4, "cells": [[0, 0]], "prompt": "a cat", "picture": base64.b64encode(red).decode()}
    redrawn = signed.events("/v1/lantu/redraw", json=body)[-1]["picture"]["b64_json"]
    assert created(base64.b64decode(redrawn))["digitalSourceType"] == COMPOSITE


def test_a_changed_picture_is_invalid(pair):
    signer = provenance.Signer(*pair)
    data = bytearray(signer.sign(png(Image.new("RGB", (16, 16), "red")), "png", "tiny", "abc"))
    place = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[place - 4 : place])
    data[place + 4 + length // 2] ^= 1
    with c2pa.Reader("image/png", io.BytesIO(bytes(data))) as reader:
        assert reader.get_validation_state() == "Invalid"


def test_many_are_signed_at_once(pair):
    signer, data = provenance.Signer(*pair), png(Image.new("RGB", (16, 16)))
    with ThreadPoolExecutor(8) as pool:
        for place, signed in enumerate(pool.map(lambda place: signer.sign(data, "png", str(place), "abc"), range(64))):
            assert created(signed)["softwareAgent"]["name"] == str(place)
            with c2pa.Reader("image/png", io.BytesIO(signed)) as reader:
                assert reader.get_validation_state() != "Invalid"


def test_without_key_and_certificate_there_is_no_signer(pair):
    assert provenance.make_signer(None, None, None, "") is None
    assert provenance.make_signer(*pair, None, "")


@pytest.mark.parametrize("places", [(0, 2, 2), (2, 1, 2), (2, 2, 3), (2, 2, 4)])
def test_signing_needs_both_certificate_and_key(pair, places):
    values = (*pair, None, "ps256", "http://localhost")
    chain, key, other = (values[place] for place in places)
    algorithm, timestamp = (other, "") if other == "ps256" else (None, other or "")
    with pytest.raises(LantuError, match="--c2pa-cert and --c2pa-key"):
        provenance.make_signer(chain, key, algorithm, timestamp)


def test_bad_certificates_and_keys_are_reported_in_one_line_at_start(pair, tmp_path):
    chain, key = pair
    _, other = write(tmp_path)
    junk, expired = tmp_path / "junk.pem", tmp_path / "expired"
    junk.write_bytes(b"\x00junk")
    expired.mkdir()
    for arguments in (
        (tmp_path / "none.pem", key),
        (chain, tmp_path / "none.pem"),
        (chain, tmp_path),
        (chain, other),
        (chain, junk),
        (junk, key),
        (key, chain),
        (chain, key, "ed25519"),
        (chain, key, "ps256"),
        (*write(expired, days=-30),),
        (chain, key, "es256", "http://127.0.0.1:1"),  # nothing listens there
        (chain, key, "es256", "nowhere"),
        (chain, key, "es256", "a\0b"),
    ):
        with pytest.raises(LantuError) as raised:
            provenance.Signer(*arguments)
        assert raised.value.hint, arguments
        assert "\n" not in str(raised.value)


def test_a_missing_library_is_reported_at_start(pair, monkeypatch):
    monkeypatch.setattr(provenance.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LantuError, match=r"pip install 'lantu\[c2pa\]'"):
        provenance.Signer(*pair)
