"""The English grammar that names of things need: articles, plurals, and nouns that can't be counted.

Not inflect, the usual library, whose plural of milk is "milks" and of cherries "cherry".
"""

import re

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")

# nouns without an article, and the phrase that is counted instead
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
    "lightning": "bolts of lightning",
    "eyeglasses": "pairs of eyeglasses",
    "spectacles": "pairs of spectacles",
    "earphones": "pairs of earphones",
    "trousers": "pairs of trousers",
    "pants": "pairs of pants",
    "short pants": "pairs of short pants",
    "blue jeans": "pairs of blue jeans",
    "wood": "pieces of wood",
    "ice": "pieces of ice",
    "tea": "cups of tea",
    "green tea": "cups of green tea",
    "milk tea": "cups of milk tea",
    "boba": "cups of boba",
    "red wine": "glasses of red wine",
    "pasta": "plates of pasta",
    "curry": "plates of curry",
    "paella": "pans of paella",
    "ramen": "bowls of ramen",
    "cooked rice": "bowls of cooked rice",
    "maize": "ears of maize",
    "sweetcorn": "ears of sweetcorn",
    "honey": "pots of honey",
    "salt": "shakers of salt",
    "luggage": "pieces of luggage",
    "baggage": "pieces of baggage",
    "cutlery": "sets of cutlery",
    "sheet music": "pages of sheet music",
    "sunshine": "rays of sunshine",
    "sakura": "sakura",
    "swords": "swords",
    "bacon": "slices of bacon",
    "bubble tea": "cups of bubble tea",
    "butter": "pieces of butter",
    "canned food": "cans of food",
    "curry rice": "plates of curry rice",
    "shaved ice": "bowls of shaved ice",
    "spaghetti": "plates of spaghetti",
    "sake": "bottles of sake",
    "garlic": "bulbs of garlic",
    "ginger": "pieces of ginger",
    "broccoli": "pieces of broccoli",
    "lettuce": "heads of lettuce",
    "soap": "bars of soap",
    "toilet paper": "rolls of toilet paper",
    "coral": "pieces of coral",
    "fog": "banks of fog",
    "flying money": "bundles of flying money",
    "blueberries": "bunches of blueberries",
    "pancakes": "stacks of pancakes",
    "chopsticks": "pairs of chopsticks",
    "goggles": "pairs of goggles",
    "gloves": "pairs of gloves",
    "socks": "pairs of socks",
    "shorts": "pairs of shorts",
    "briefs": "pairs of briefs",
    "ballet shoes": "pairs of ballet shoes",
    "maracas": "pairs of maracas",
    "prayer beads": "strings of prayer beads",
    "beans": "beans",
    "beer mugs": "beer mugs",
    "bookmark tabs": "bookmark tabs",
    "bubbles": "bubbles",
    "card index dividers": "card index dividers",
    "chains": "chains",
    "champagne glasses": "champagne glasses",
    "control knobs": "control knobs",
    "crossed swords": "crossed swords",
    "hot springs": "hot springs",
    "leaves in the wind": "leaves in the wind",
    "linked paperclips": "linked paperclips",
    "musical notes": "musical notes",
    "paw prints": "paw prints",
    "peanuts": "peanuts",
    "shopping bags": "shopping bags",
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
LINK = re.compile(r" (of|with|in|on|at|over|behind|taking|landing|facing) ?")
CONSONANT_SOUND = ("uni", "use", "euro", "one")
VOWEL_SOUND = ("hour", "honest")


def unique(name: str) -> bool:
    """Whether there is only one of it, so that it takes no article or "the"."""
    return name in ("Santa Claus", "Santa", "Father Christmas", "St Nick", "earth", "planet earth")


def one(name: str, adjective: str = "") -> str:
    """A noun with its article: "an apple", "a big apple", "glasses"."""
    described = f"{adjective} {name}" if adjective else name
    if name in UNCOUNTED or (unique(name) and not adjective):
        return described
    return f"{article(described)} {described}"


def article(name: str) -> str:
    """ "a" or "an", as the word needs."""
    sound = name.lower()
    if sound.startswith(VOWEL_SOUND):
        return "an"
    return "an" if sound[0] in VOWELS and not sound.startswith(CONSONANT_SOUND) else "a"


def many(name: str, count: int) -> str:
    """A noun with a number: "three apples"."""
    return f"{NUMBERS[count]} {plural(name)}"


def plural(name: str) -> str:
    """A noun's plural."""
    if name in UNCOUNTED:
        return UNCOUNTED[name]
    # "cup of tea" and "house with a garden" inflect their first part, "maple leaf" its last word.
    if found := LINK.search(name):
        return plural(name[: found.start()]) + name[found.start() :]
    *before, last = name.split(" ")
    if last in IRREGULAR:
        return " ".join([*before, IRREGULAR[last]])
    if name.endswith("y") and name[-2] not in VOWELS:
        return f"{name[:-1]}ies"
    if name.endswith(("s", "x", "z", "ch", "sh")) or (name.endswith("o") and name[-2] not in VOWELS):
        return f"{name}es"
    return f"{name}s"
