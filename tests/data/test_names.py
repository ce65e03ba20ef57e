import pytest
from fake_packages import CAT, DOG, WHOLE_CAT, make_cache

from lantu.data.english import one, plural
from lantu.data.names import LANGUAGES, WORDED, WORLDS, all_labels, rows, synonyms, table, world_concepts
from lantu.data.styles import STYLES
from lantu.errors import DataError


@pytest.fixture
def cache(tmp_path):
    return make_cache(tmp_path)


@pytest.mark.parametrize("file", ["worlds/everyday.txt", "names.txt"])
def test_no_word_of_a_table_names_two_things(file):
    for language in LANGUAGES:
        words = [word for names in table(file).values() for word in names[language]]
        assert all(word == word.strip() and word for word in words)
        assert len(words) == len(set(words))


def test_no_synonym_names_two_things_or_is_a_plural():
    named = [words["en"][0] for file in ("worlds/everyday.txt", "names.txt") for words in table(file).values()]
    for language in LANGUAGES:
        words = [word for its in synonyms().values() for word in its[language]]
        assert all(word == word.strip() and word for word in words)
        assert len(words) == len(set(words)) >= 150
    for word in (word for its in synonyms().values() for word in its["en"]):
        assert not (word.endswith("s") and one(word) != word and word[:-1] in named), word
        assert plural(word)


def test_larger_worlds_have_more_words_and_the_small_ones_stay(cache):
    small, large = (world_concepts(world, cache) for world in ("everyday", "composable"))
    assert large[WHOLE_CAT].keywords["en"][:2] == ("kitten", "kitty")
    assert large[WHOLE_CAT].keywords["zh"] == ("小猫", "猫咪")
    assert large[WHOLE_CAT].names == {"en": "cat", "zh": "猫"}
    assert "kitten" not in small[CAT].keywords["en"]
    assert "kitten" not in large[CAT].keywords["en"]  # it is a cat's face there
    assert set(WORDED) < set(WORLDS)


def test_the_tables_of_names_do_not_overlap():
    assert not set(table("worlds/everyday.txt")) & set(table("names.txt"))


def test_the_everyday_world_holds_about_two_hundred_things():
    assert 180 <= len(table("worlds/everyday.txt")) <= 240


def test_common_things_take_no_everyday_name():
    everyday, others, common = table("worlds/everyday.txt"), table("names.txt"), dict(rows("worlds/common.txt"))
    assert 140 <= len(common) <= 160
    assert not set(common) & set(everyday)
    names = {words["en"][0] for words in everyday.values()}
    for key, name in common.items():
        assert others[key]["en"][0] == name if key in others else True
        assert name not in names


def test_everyday_things_have_everyday_names(cache):
    concepts = world_concepts("everyday", cache)
    assert list(concepts) == list(table("worlds/everyday.txt"))
    assert concepts[CAT].names == {"en": "cat", "zh": "猫"}
    assert concepts["1F697"].names == {"en": "car", "zh": "汽车"}
    assert concepts["1F697"].keywords == {"en": ("automobile",), "zh": ("小汽车",)}


def test_a_face_leaves_its_everyday_name_to_the_whole_animal(cache):
    concepts = world_concepts("composable", cache)
    assert concepts[WHOLE_CAT].names == {"en": "cat", "zh": "猫"}
    assert concepts[CAT].names == {"en": "cat face", "zh": "猫脸"}
    assert concepts[CAT].keywords == {"en": (), "zh": ()}
    assert concepts[DOG].names == {"en": "dog", "zh": "狗"}


def test_what_has_no_group_is_no_concept(cache):
    assert "1F1E6" in all_labels(cache)
    assert "1F1E6" not in world_concepts("all", cache)


def test_an_unknown_world_is_refused(cache):
    with pytest.raises(DataError, match="few, everyday, common, composable, all"):
        world_concepts("moon", cache)


def test_every_style_has_words_in_both_languages():
    for language in LANGUAGES:
        words = [word for style in STYLES.values() for word in style.words[language]]
        assert len(words) == len(set(words))
        assert all(style.words[language] for style in STYLES.values())


@pytest.mark.network
@pytest.mark.parametrize("world", WORLDS)
def test_no_two_concepts_of_a_real_world_share_a_word(world):
    concepts = world_concepts(world)
    for language in LANGUAGES:
        words = [
            word for concept in concepts.values() for word in (concept.names[language], *concept.keywords[language])
        ]
        assert len(words) == len(set(words))
