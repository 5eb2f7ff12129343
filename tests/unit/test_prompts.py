"""Prompts: fixed, captions and vocabulary."""

import re
from collections import Counter

import pytest

from cia.errors import UserError
from cia.planning.prompts import make_prompts

COLORS = ["red", "blue", "green", "orange"]


def prompts(settings, captions=("",), variants=1, seed=0, ids=None):
    ids = ids or [f"picture {index}" for index in range(len(captions))]
    return make_prompts(settings, ids, list(captions), variants, seed)


def replaced(caption, slots=None, protect=(), variants=20, **settings):
    slots = slots or {"color": COLORS}
    settings = {"kind": "vocabulary", "replace": True, "slots": slots, "protect": list(protect)}
    return set(prompts(settings, [caption], variants))


def test_fixed_takes_all_prompts_equally_often_and_in_turn():
    texts = ["one", "two", "three"]
    made = prompts({"kind": "fixed", "prompts": texts}, [""] * 300, variants=2)
    counts = Counter(made[::2])
    assert set(counts) == set(texts) and min(counts.values()) > 70
    assert all(
        texts.index(second) == (texts.index(first) + 1) % 3
        for first, second in zip(made[::2], made[1::2], strict=True)
    )


def test_fixed_does_not_depend_on_the_other_images():
    settings = {"kind": "fixed", "prompts": ["one", "two", "three"]}
    whole = prompts(settings, [""] * 20, ids=[f"x{i}" for i in range(20)])
    assert prompts(settings, [""], ids=["x7"]) == [whole[7]]


def test_fixed_needs_a_prompt():
    with pytest.raises(UserError, match="list at least one prompt"):
        prompts({"kind": "fixed", "prompts": []})


def test_captions_whole_file_becomes_one_line():
    assert prompts({"kind": "captions"}, ["a dog,\n on  grass\n"], 2) == ["a dog, on grass"] * 2


def test_captions_per_line_takes_the_lines_in_turn():
    settings = {"kind": "captions", "per_line": True}
    assert prompts(settings, ["first\n\n second \n"], 3) == ["first", "second", "first"]


def test_a_missing_caption_is_named():
    with pytest.raises(UserError, match=r"1 of 2 images have no caption \(picture 1\)"):
        prompts({"kind": "captions"}, ["a dog", " \n"])


@pytest.mark.parametrize(
    ("caption", "whole"),
    [("A dog.", "A dog, sharp"), ("A dog", "A dog, sharp"), ("dog, ", "dog, sharp")],
)
def test_suffix(caption, whole):
    assert prompts({"kind": "captions", "suffix": ", sharp"}, [caption]) == [whole]


def test_templates_are_filled_with_every_word_and_repeatably():
    settings = {
        "kind": "vocabulary",
        "templates": ["a {color} car in {place}", "{place}: {color}"],
        "slots": {"color": ["red", "blue"], "place": ["Rome", "the Alps"]},
    }
    made = prompts(settings, [""] * 50, variants=4)
    assert len(set(made)) == 8
    assert made == prompts(settings, [""] * 50, variants=4)
    assert made != prompts(settings, [""] * 50, variants=4, seed=1)


def test_a_template_may_hold_the_caption():
    settings = {
        "kind": "vocabulary",
        "templates": ["photo of {caption} in {place}"],
        "slots": {"place": ["Rome"]},
    }
    assert prompts(settings, ["a dog"]) == ["photo of a dog in Rome"]
    with pytest.raises(UserError, match="have no caption"):
        prompts(settings, [""])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"templates": ["a {colour} car"], "slots": {"color": ["red"]}}, "no slot 'colour'"),
        ({"templates": ["a {color car"], "slots": {"color": ["red"]}}, r"templates\[0\]"),
        ({"templates": ["a {color} car"], "slots": {"color": []}}, "slots.color is empty"),
        ({"templates": ["x"], "slots": {"caption": ["red"]}}, "slots.caption"),
        ({"slots": {"color": ["red"]}}, "neither `templates` nor `replace: true`"),
        ({"replace": True, "slots": {}}, "needs word lists"),
        ({"replace": True, "slots": {"c": ["six"]}, "protect": ["six"]}, "every word is one of"),
    ],
)
def test_mistakes_in_a_vocabulary_name_the_key(settings, message):
    with pytest.raises(UserError, match=message):
        prompts({"kind": "vocabulary", **settings}, ["a red dog"])


def test_replacement_takes_another_word_of_the_list():
    assert replaced("a red dog") == {"a blue dog", "a green dog", "an orange dog"}


def test_replacement_keeps_case():
    assert replaced("RED dog", {"c": ["red", "blue"]}) == {"BLUE dog"}
    assert replaced("Red dog", {"c": ["red", "navy blue"]}) == {"Navy blue dog"}


def test_only_whole_words_are_replaced():
    for caption in ("a redder dog", "a tired dog", "a red-haired dog", "a dog in infra-red"):
        assert replaced(caption) == {caption}


def test_the_longest_match_is_replaced():
    slots = {"color": ["dark red", "red", "blue"]}
    assert replaced("a dark red dog", slots) == {"a red dog", "a blue dog"}


def test_unicode_words():
    slots = {"farbe": ["grün", "weiß"], "tier": ["Käfer", "Öchslein"]}
    assert replaced("das GRÜNE tier, grün", slots) == {"das GRÜNE tier, weiß"}
    decomposed = "ein Ka\u0308fer"
    assert replaced(decomposed, slots) == {"ein Öchslein"}
    assert replaced("हिन्दी", {"x": ["हिन", "क"]}) == {"हिन्दी"}
    assert replaced("İstanbul", {"x": ["istanbul", "rome"]}) == {"İstanbul"}


def test_the_article_fits():
    assert replaced("An orange dog", {"c": ["orange", "red"]}) == {"A red dog"}
    assert replaced("a hot dog", {"c": ["hot", "honest", "unique"]}) == {
        "an honest dog",
        "a unique dog",
    }
    # no English article: it did not fit before either
    assert replaced("a orange", {"c": ["orange", "red", "amber"]}) == {"a red", "a amber"}
    settings = {"kind": "vocabulary", "templates": ["a {x} dog"], "slots": {"x": ["old"]}}
    assert prompts(settings) == ["an old dog"]


def test_protected_words_are_neither_replaced_nor_produced():
    made = replaced("an orange on a red table", protect=["orange"])
    assert made == {"an orange on a blue table", "an orange on a green table"}
    assert replaced("a red dog", {"c": ["red", "hot dog", "blue"]}, ["dog"]) == {"a blue dog"}


def test_a_word_inside_a_protected_phrase_stays():
    slots = {"light": ["light", "dark"], "size": ["big traffic", "small"]}
    kept = "a traffic light"
    assert replaced(kept, slots, ["traffic light"]) == {kept}
    assert replaced("big traffic light", slots, ["traffic light"]) == {"big traffic light"}


def test_two_words_that_meet_produce_no_protected_phrase():
    slots = {"light": ["light", "dark", "dim"]}
    assert replaced("traffic dark", slots, ["traffic light"]) == {"traffic dim"}
    settings = {
        "kind": "vocabulary",
        "templates": ["traffic {light}"],
        "slots": {"light": ["light", "dark"]},
        "protect": ["Traffic  Light"],
    }
    assert set(prompts(settings, [""] * 20)) == {"traffic dark"}
    settings["slots"] = {"light": ["light"]}
    with pytest.raises(UserError, match="would put a word of `protect`"):
        prompts(settings)


def test_labels_survive_many_replacements():
    digits = ["zero", "one", "two", "six"]
    slots = {"color": COLORS, "any": [*digits, "big", "small"]}
    caption = "a red six and a blue two on a small table, one and a half"
    for made in replaced(caption, slots, digits, variants=200):
        assert [w for w in re.findall(r"\w+", made) if w in digits] == ["six", "two", "one"]


def test_captions_without_listed_words_are_said(caplog):
    assert replaced("a dog") == {"a dog"}
    assert "1 of 1 captions hold no word" in caplog.text


LISTED = {
    "kind": "vocabulary",
    "object": "a {ink} {class}",
    "templates": ["{objects} on {paper} paper"],
    "slots": {"ink": ["red", "orange"], "paper": ["yellow"]},
}


def listed(objects, **settings):
    return make_prompts({**LISTED, **settings}, ["a"], [""], 1, 0, [objects])[0]


def test_objects_are_listed_as_a_person_would():
    fixed = {"slots": {"ink": ["red"], "paper": ["yellow"]}}
    assert listed(["six"], **fixed) == "a red six on yellow paper"
    assert listed(["six", "two"], **fixed) == "a red six and a red two on yellow paper"
    three = "a red six, a red two and a red six on yellow paper"
    assert listed(["six", "two", "six"], **fixed) == three
    assert listed([], **fixed) == "on yellow paper"
    assert listed([], no_object="nothing", **fixed) == "nothing on yellow paper"


def test_articles_fit_inks_and_classes():
    plain = {"object": "a {class}", "templates": ["{objects}"]}
    assert listed(["eight", "six"], **plain) == "an eight and a six"
    assert listed(
        ["apple"], object="a {ink} {class}", slots={"ink": ["orange"]}, templates=["{objects}"]
    ) == ("an orange apple")
    without = {key: value for key, value in LISTED.items() if key != "object"}
    assert make_prompts(without, ["a"], [""], 1, 0, [["eight"]]) == ["an eight on yellow paper"]


def test_each_object_has_a_word_of_its_own_and_variants_differ():
    slots = {"ink": ["red", "blue", "green", "black"], "paper": ["white", "pink"]}
    settings = {**LISTED, "slots": slots, "protect": ["six", "two"]}
    objects = [["six", "two"]] * 40
    prompts = make_prompts(settings, ["a", "b"], ["", ""], 20, 0, objects)
    pattern = r"a (\w+) six and a (\w+) two on (white|pink) paper"
    words = [re.fullmatch(pattern, prompt).groups() for prompt in prompts]
    assert len(set(words)) > 12 and any(one != other for one, other, _ in words)
    assert prompts == make_prompts(settings, ["a", "b"], ["", ""], 20, 0, objects)


def test_objects_and_captions_may_stand_together():
    settings = {"kind": "vocabulary", "templates": ["{caption}, with {objects}"]}
    prompts = make_prompts(settings, ["a"], ["a street"], 2, 0, [["car"], ["bus", "car"]])
    assert prompts == ["a street, with a car", "a street, with a bus and a car"]


def test_objects_without_labels_and_wrong_slots_are_errors():
    with pytest.raises(UserError, match="needs labels"):
        make_prompts(LISTED, ["a"], [""], 1, 0)
    with pytest.raises(UserError, match="object: no slot 'colour'.*class"):
        listed(["six"], object="a {colour} {class}")
    with pytest.raises(UserError, match="slots.objects"):
        listed(["six"], slots={"objects": ["x"]})
