"""A cache of npm packages in which a handful of emoji are drawn as plain shapes."""

import io
import json
from pathlib import Path

from PIL import Image

from lantu.data.names import table
from lantu.data.packages import pins

CIRCLE = '<circle cx="8" cy="8" r="4" fill="red"/>'
WIDE = '<path d="M2 7h12v2H2z" fill="#00f"/>'
CAT, DOG, SUN, WHOLE_CAT = "1F431", "1F436", "2600", "1F408"


def make_cache(folder: Path) -> Path:
    """Packages with: a cat and a dog in noto, a cat and a sun in noto-v1 (named by words only), a sun in fluent-3d."""
    known = table("worlds/everyday.txt")
    for language in ("en", "zh"):
        entries = [entry(key, words[language][0], order) for order, (key, words) in enumerate(known.items())]
        entries += [entry(WHOLE_CAT, known[CAT][language][0], 1000), {"hexcode": "1F1E6", "label": "A", "order": 1001}]
        relabel(entries, CAT, {"en": "cat face", "zh": "猫脸"}[language])
        write(folder, "emojibase-data", f"{language}/data.json", entries)
    write(folder, "emojibase-data", "meta/groups.json", {"groups": {"3": "animals-nature"}, "subgroups": {"34": "m"}})
    for file in ("cldr", "emojibase", "github", "iamcal", "joypixels"):
        write(folder, "emojibase-data", f"en/shortcodes/{file}.json", {DOG: "doggy"})
    write_icons(folder, "@iconify-json/noto", {"cat-face": CIRCLE, "dog": WIDE}, {"1f431": "cat-face", "1f436": "dog"})
    write_icons(folder, "@iconify-json/fluent-emoji-flat", {"kitty": CIRCLE}, {"1f431": "kitty"})
    write_icons(folder, "@iconify-json/noto-v1", {"kitty": CIRCLE, "sun": WIDE, "black-sun-with-rays": CIRCLE}, {})
    picture = io.BytesIO()
    Image.new("RGBA", (20, 20), (255, 200, 0, 255)).save(picture, "WEBP", lossless=True)
    path = place(folder, "@lobehub/fluent-emoji-3d") / "assets" / "2600-fe0f.webp"
    path.parent.mkdir(parents=True)
    path.write_bytes(picture.getvalue())
    return folder


def place(folder: Path, package: str) -> Path:
    return folder / "npm" / f"{package.replace('/', '+')}-{pins()[package]['version']}" / "package"


def entry(hexcode: str, label: str, order: int) -> dict:
    return {"hexcode": hexcode, "label": label, "order": order, "group": 3, "subgroup": 34}


def relabel(entries: list[dict], hexcode: str, label: str) -> None:
    next(entry for entry in entries if entry["hexcode"] == hexcode)["label"] = label


def write(folder: Path, package: str, file: str, value: object) -> None:
    path = place(folder, package) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_icons(folder: Path, package: str, icons: dict[str, str], chars: dict[str, str]) -> None:
    bodies = {name: {"body": body} for name, body in icons.items()}
    aliases = {"puppy": {"parent": next(iter(icons))}, "turned": {"parent": next(iter(icons)), "rotate": 1}}
    write(folder, package, "icons.json", {"width": 16, "height": 16, "icons": bodies, "aliases": aliases})
    write(folder, package, "chars.json", chars)
