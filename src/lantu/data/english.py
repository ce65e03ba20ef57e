"""Enough English grammar to name things: articles, plurals, and nouns that can't be counted."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")

# nouns without an article, and what is counted instead
UNCOUNTED = {
    "bread": "loaves of bread",
    "cheese": "pieces of cheese",
    "popcorn": "boxes of popcorn",
    "rice": "bowls of rice",
    "noodles": "bowls of noodles",
    "sushi": "pieces of sushi",
    "chocolate": "bars of chocolate",
    "milk": "glasses of milk",
    "coffee": "cups of coffee",
    "beer": "mugs of beer",
    "wine": "glasses of wine",
    "corn": "ears of corn",
    "grapes": "bunches of grapes",
    "cherries": "pairs of cherries",
    "French fries": "portions of fries",
    "fries": "portions of fries",
    "jeans": "pairs of jeans",
    "scissors": "pairs of scissors",
    "headphones": "pairs of headphones",
    "glasses": "pairs of glasses",
    "sunglasses": "pairs of sunglasses",
}
IRREGULAR = {
    "mouse": "mice",
    "wolf": "wolves",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "dice": "dice",
    "die": "dice",
    "goose": "geese",
    "leaf": "leaves",
    "knife": "knives",
    "octopus": "octopuses",
    "cactus": "cacti",
    "maple leaf": "maple leaves",
    "kitchen knife": "kitchen knives",
    "piano": "pianos",
    "photo": "photos",
    "person": "people",
    "man": "men",
    "woman": "women",
    "snowman": "snowmen",
    "flamingo": "flamingos",
    "kangaroo": "kangaroos",
    "avocado": "avocados",
    "kiwi": "kiwis",
}
VOWELS = "aeiou"
CONSONANT_SOUND = ("uni", "use", "euro", "one")
VOWEL_SOUND = ("hour", "honest")


def unique(name: str) -> bool:
    """Whether there is only one of it, so that it goes by its name or with "the"."""
    return name in ("Santa Claus", "Santa", "earth")


def one(name: str) -> str:
    """A noun with its article: "an apple", "glasses"."""
    if name in UNCOUNTED or unique(name):
        return name
    return f"{article(name)} {name}"


def article(name: str) -> str:
    """ "a" or "an" before a word."""
    sound = name.lower()
    if sound.startswith(VOWEL_SOUND):
        return "an"
    return "an" if sound[0] in VOWELS and not sound.startswith(CONSONANT_SOUND) else "a"


def many(name: str, count: int) -> str:
    """A noun with a number: "three apples"."""
    return f"{NUMBERS[count]} {plural(name)}"


def plural(name: str) -> str:
    if name in UNCOUNTED:
        return UNCOUNTED[name]
    if name in IRREGULAR:
        return IRREGULAR[name]
    if name.endswith("y") and name[-2] not in VOWELS:
        return f"{name[:-1]}ies"
    if name.endswith(("s", "x", "z", "ch", "sh")) or (name.endswith("o") and name[-2] not in VOWELS):
        return f"{name}es"
    return f"{name}s"
