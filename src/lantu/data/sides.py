"""Captions that are no longer true of a mirrored or cropped picture: those that tell left from right, or of writing."""

import re
from collections.abc import Iterable

# Word beginnings in languages with spaces between words; a few words too many only leave pictures as they are.
STEMS = (
    # sides, directions and what turns round
    *("left", "right", "clockwise", "anticlockwise", "counterclockwise", "eastward", "westward"),
    *("gauche", "droit", "links", "linke", "rechts", "rechte", "izquierd", "derech", "esquerd", "direit"),
    *("sinistr", "destra", "destro", "лев", "слева", "налево", "прав", "справа", "направо"),
    # writing
    *("text", "word", "letter", "digit", "number", "numeral", "inscri", "caption", "slogan", "handwrit"),
    *("writ", "reads", "reading", "says", "saying", "spell", "logo", "label", "signature", "signpost", "sign"),
    *("alphabet", "calligraph", "typograph", "headline", "subtitle", "screenshot", "newspaper", "poster", "clock"),
    *("буква", "буквы", "цифр", "надпис", "текст", "слово", "слова", "lettre", "chiffre", "buchstabe", "ziffer"),
    *("schrift", "texto", "letra", "numero", "número"),
)
WORDS = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, STEMS))}|(?:map|flag)s?\b)", re.IGNORECASE)
# Anywhere: in languages without spaces, or with articles that are joined to words.
SIGNS = re.compile(
    "يسار|يمين|كتابة|كلمة|حرف|שמאל|ימין|[左右字文号號读讀写寫钟鐘旗]|标志|標誌|标语|数|數|地图|地圖|왼|오른|글|숫자|文字|時計"
)
DIGITS = re.compile(r"\d|[\"“”«»「」『』]")  # a number, or words that are quoted
# A class label that is itself a letter or a digit.
ALONE = re.compile(
    r"\W*(?:[^\W\u3040-\u9fff]|zero|one|two|three|four|five|six|seven|eight|nine|[零〇一二三四五六七八九十])\W*",
    re.IGNORECASE,
)


def tells_sides(captions: Iterable[str]) -> bool:
    """Whether one of some captions tells left from right, speaks of writing or numbers, or is a letter itself."""
    return any(
        WORDS.search(text) or SIGNS.search(text) or DIGITS.search(text) or ALONE.fullmatch(text) for text in captions
    )
