"""The prompt of each synthetic image: fixed, the real image's caption, or words from lists.

Choices are drawn from a hash of the configured seed, the image's id and the variant, so a prompt
does not depend on which other images there are.
"""

import logging
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cia import draws
from cia.errors import UserError, about

logger = logging.getLogger("cia")

Choice = tuple[str | None, list[str]]
"""A word of the caption that may be replaced (None: a slot of a template), and what may come in."""

Pieces = list[str | Choice]
"""A prompt in the making: text, and choices."""


@dataclass(frozen=True)
class _Place:
    """Where a template has what each image brings: its caption, its objects, an object's class."""

    name: str


Template = list[str | Choice | _Place]

_MEANINGS = {
    "caption": "the real image's caption",
    "objects": "the list of what the image shows",
    "class": "the class name of an object",
}

_HOLE = "\ufffc"
"""Stands for a word not chosen yet; no word of any list can hold it."""

_SOUNDS_LIKE_CONSONANT = re.compile(r"(uni|use|usu|uti|eu|one|once|ubiq)", re.IGNORECASE)
_SOUNDS_LIKE_VOWEL = re.compile(r"(hour|honest|honou?r|heir)", re.IGNORECASE)
_ARTICLE = re.compile(r"(?<!\w)(an?)(\s+)$", re.IGNORECASE)


def make_prompts(
    settings: dict,
    ids: Sequence[str],
    captions: Sequence[str],
    variants: int,
    seed: int,
    objects: Sequence[Sequence[str]] | None = None,
    key: str = "prompts",
) -> list[str]:
    """Write the prompts of all variants of all images.

    Parameters
    ----------
    settings : dict
        One entry of the config's `prompts`: kind, and that kind's keys.
    ids, captions : sequence of str
        Of the real images, in one order.
    variants : int
        Prompts per image.
    seed : int
        The configured seed.
    objects : sequence of sequence of str, optional
        What {objects} in a template names: the class names of what each image to make shows, from
        left to right, in the order of the prompts.
    key : str
        Where in the config the settings are, for messages: `prompts.NAME`.

    Returns
    -------
    list of str
        `len(ids) * variants` prompts: all variants of the first image, then of the second, ...

    Raises
    ------
    UserError
        If the settings contradict themselves, or a caption is needed that is not there.
    """
    finish = _finisher(settings.get("suffix", ""))
    with about(key):
        write = _WRITERS[settings["kind"]]
        prompts = write(settings, ids, captions, variants, seed, objects, key)
        return [finish(prompt) for prompt in prompts]


def check_prompts(settings: dict) -> None:
    """Raise a `UserError` if the settings contradict themselves, whatever the images."""
    if settings["kind"] == "vocabulary":
        Vocabulary(settings)


def _fixed(settings, ids, captions, variants, seed, objects, key) -> Iterator[str]:
    """Take the listed prompts in turn, beginning where the image's hash says, so all are used."""
    prompts = [text for text in map(_one_line, settings.get("prompts") or []) if text]
    if not prompts:
        raise UserError("`prompts` of kind fixed is empty; list at least one prompt")
    for id_ in ids:
        start = _draws(seed, id_, 0)(len(prompts))
        for variant in range(variants):
            yield prompts[(start + variant) % len(prompts)]


def _captions(settings, ids, captions, variants, seed, objects, key) -> Iterator[str]:
    _require_captions(ids, captions)
    for caption in captions:
        lines = caption.splitlines() if settings.get("per_line") else [caption]
        texts = [text for text in map(_one_line, lines) if text]
        for variant in range(variants):
            yield texts[variant % len(texts)]


def _vocabulary(settings, ids, captions, variants, seed, objects, key) -> Iterator[str]:
    vocabulary = Vocabulary(settings)
    if vocabulary.needs_captions:
        _require_captions(ids, captions)
    if vocabulary.needs_objects and objects is None:
        raise UserError("{objects} in a template needs labels, and there are none")
    unchanged, shown = 0, iter(objects or [])
    for id_, caption in zip(ids, captions, strict=True):
        pieces = vocabulary.pieces(caption)
        unchanged += vocabulary.replaces and len(pieces) == 1
        for variant in range(variants):
            yield vocabulary.write(pieces, _draws(seed, id_, variant), next(shown, ()))
    if unchanged:
        logger.warning(
            "%s: %d of %d captions hold no word that `slots` could replace; they stay as they are",
            key,
            unchanged,
            len(ids),
        )


_WRITERS = {"fixed": _fixed, "captions": _captions, "vocabulary": _vocabulary}


class Vocabulary:
    """Templates with slots, and the replacement of listed words inside captions.

    Parameters
    ----------
    settings : dict
        `slots`: word lists by name. `templates`: prompts with `{slot}`s, where `{caption}` is the
        real image's caption and `{objects}` a list of what the image shows; without templates the
        caption alone. `object`: what that list says of each object, where `{class}` is its class.
        `no_object`: what it says where there is none. `replace`: replace words of a
        list that stand in the caption by others of that list. `protect`: words that carry the
        label; they are neither replaced nor produced, also not by two words that meet.
    """

    def __init__(self, settings: dict):
        self.replaces = bool(settings.get("replace", False))
        self._templates = settings.get("templates") or ["{caption}"]
        if self._templates == ["{caption}"] and not self.replaces:
            raise UserError(
                "kind vocabulary has neither `templates` nor `replace: true`; give one "
                "(or use kind captions)"
            )
        self._protected = _matcher(settings.get("protect") or [])
        self._lists = self._word_lists(settings.get("slots") or {})
        self._siblings: dict[str, list[str]] = {}
        for words in self._lists.values():
            for word in words:  # a word of two lists belongs to the first
                self._siblings.setdefault(_key(word), [w for w in words if _key(w) != _key(word)])
        self._words = _matcher([word for words in self._lists.values() for word in words])
        self._parsed = [
            self._parse(text, f"templates[{index}]", ("caption", "objects"))
            for index, text in enumerate(self._templates)
        ]
        self._object = self._parse(settings.get("object", "a {class}"), "object", ("class",))
        self._no_object = settings.get("no_object", "")
        self.needs_captions = self.replaces or any(
            _Place("caption") in template for template in self._parsed
        )
        self.needs_objects = any(_Place("objects") in template for template in self._parsed)

    def pieces(self, caption: str) -> Pieces:
        """Split a caption into text and, where a listed word may be replaced, choices."""
        caption = _one_line(caption)
        if not self.replaces:
            return [caption]
        kept = [match.span() for match in _matches(self._protected, caption)]
        pieces, end = [], 0
        for match in _matches(self._words, caption):
            start, stop = match.span()
            others = self._siblings.get(_key(match[0]))
            if not others or any(start < b and a < stop for a, b in kept):
                continue
            cased = [_like(match[0], other) for other in others]
            pieces += [caption[end:start], (match[0], cased)]
            end = stop
        return [*pieces, caption[end:]]

    def write(
        self, caption: Pieces, draw: Callable[[int], int], objects: Sequence[str] = ()
    ) -> str:
        """Write one prompt.

        Parameters
        ----------
        caption : list
            What `pieces` made of the caption.
        draw : callable
            Takes n and returns a random integer from 0 to n - 1.
        objects : sequence of str
            Class names of what the image shows, from left to right.
        """
        template = self._parsed[draw(len(self._parsed))]
        whole: Pieces = []
        for piece in template:
            if piece == _Place("caption"):
                whole += caption
            elif piece == _Place("objects"):
                whole += self._list_objects(objects)
            else:
                whole.append(piece)
        prompt = self._fill(whole, draw)
        return prompt if objects else _one_line(prompt)  # no gap where no object is named

    def _list_objects(self, objects: Sequence[str]) -> Pieces:
        """Return the objects' pieces, joined with commas and "and"."""
        if not objects:
            return [self._no_object]
        listed: Pieces = []
        for number, name in enumerate(objects):
            if number:
                listed.append(" and " if number == len(objects) - 1 else ", ")
            for piece in self._object:
                if piece != _Place("class"):
                    listed.append(piece)
                elif listed and isinstance(listed[-1], str):
                    listed[-1] = _with_article(listed[-1], None, name)
                else:
                    listed.append(name)
        return listed

    def _fill(self, pieces: Pieces, draw: Callable[[int], int]) -> str:
        """Choose a word for each gap, none that makes a protected word appear or vanish."""
        rest = [piece if isinstance(piece, str) else piece[0] or _HOLE for piece in pieces]
        protected = self._found("".join(rest))
        done = ""
        for index, piece in enumerate(pieces):
            if isinstance(piece, str):
                done += piece
                continue
            following = "".join(rest[index + 1 :])
            for word in _shuffled(piece[1], draw):
                new = _with_article(done, piece[0], word)
                if self._found(new + following) == protected:
                    break
            else:
                new = done + self._old(piece)
            done = new
        return done

    def _old(self, choice: Choice) -> str:
        if choice[0] is None:
            raise UserError(
                f"every word of a slot ({', '.join(choice[1])}) would put a word of "
                "`protect` into a template; change `slots`, `templates` or `protect`"
            )
        return choice[0]

    def _found(self, text: str) -> list[str]:
        return [_key(match[0]) for match in _matches(self._protected, text)]

    def _word_lists(self, slots: dict) -> dict[str, list[str]]:
        lists = {}
        for name, words in slots.items():
            if name in _MEANINGS:
                raise UserError(f"slots.{name}: {{{name}}} is {_MEANINGS[name]}")
            given = [_one_line(str(word)) for word in words or []]
            if not any(given):
                raise UserError(f"slots.{name} is empty; list at least one word")
            lists[name] = [word for word in given if word and not self._found(word)]
            if not lists[name]:
                raise UserError(f"slots.{name}: every word is one of `protect`")
        if self.replaces and not lists:
            raise UserError("`replace` needs word lists in `slots`")
        return lists

    def _parse(self, template: str, name: str, places: Sequence[str]) -> Template:
        """Split a template into text, choices, and places for what each image brings."""
        try:
            parts = list(string.Formatter().parse(_one_line(template)))
        except ValueError as error:
            raise UserError(f"{name}: {template!r}: {error}") from None
        pieces: Template = []
        for text, slot, _, _ in parts:
            pieces.append(text)
            if slot in places:
                pieces.append(_Place(slot))
            elif slot is not None and slot not in self._lists:
                known = ", ".join([*self._lists, *places])
                raise UserError(f"{name}: no slot {slot!r} in `slots`; there are {known}")
            elif slot is not None:
                pieces.append((None, self._lists[slot]))
        return pieces


def _require_captions(ids: Sequence[str], captions: Sequence[str]) -> None:
    without = [id_ for id_, text in zip(ids, captions, strict=True) if not text.strip()]
    if without:
        named = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        raise UserError(
            f"{len(without)} of {len(ids)} images have no caption ({named}). Write one "
            "into captions/<name of the image>.txt beside the images folder, or use prompts of "
            "kind fixed, or of kind vocabulary with templates"
        )


def _one_line(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _finisher(suffix: str) -> Callable[[str], str]:
    suffix = _one_line(suffix).lstrip(" ,")
    if not suffix:
        return lambda prompt: prompt
    return lambda prompt: f"{prompt.rstrip(' ,.;')}, {suffix}"


def _draws(seed: int, id_: str, variant: int) -> Callable[[int], int]:
    """Return a source of random integers that depends on seed, image and variant alone."""
    pool: list[int] = []
    block = 0

    def draw(n: int) -> int:
        nonlocal block
        if n == 1:
            return 0
        if not pool:
            digest = draws.digest("cia-prompt", seed, id_, variant, size=64, block=block)
            pool.extend(int.from_bytes(digest[i : i + 8], "big") for i in range(0, 64, 8))
            block += 1
        return pool.pop() % n

    return draw


def _shuffled(words: list[str], draw: Callable[[int], int]) -> Iterator[str]:
    """Yield words in random order; lazily, since the first is nearly always taken."""
    left = list(words)
    while left:
        yield left.pop(draw(len(left)))


def _matcher(words: Sequence[str]) -> re.Pattern | None:
    """Return a pattern for whole words, the longest first, any case; None for no words.

    A hyphen joins words into one: `red` does not stand in `red-haired`.
    """
    clean = sorted({_one_line(str(word)) for word in words} - {""}, key=len, reverse=True)
    if not clean:
        return None
    options = "|".join(r"\s+".join(map(re.escape, word.split())) for word in clean)
    return re.compile(rf"(?<!\w)(?<!\w-)(?:{options})(?!-?\w)", re.IGNORECASE)


def _matches(pattern: re.Pattern | None, text: str) -> Iterator[re.Match]:
    """Yield the matches that no combining mark (vowel signs of Indic scripts) continues."""
    for match in pattern.finditer(text) if pattern else ():
        following = text[match.end() : match.end() + 1]
        if not (following and unicodedata.category(following).startswith("M")):
            yield match


@lru_cache(maxsize=65536)
def _key(word: str) -> str:
    """Return the form under which a word is looked up."""
    return word.casefold()


def _like(model: str, word: str) -> str:
    """Return `word` in the case of `model`: all capitals, first capital, or as it is listed."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    if model[:1].isupper():
        return word[:1].upper() + word[1:]
    return word


def _with_article(text: str, old: str | None, new: str) -> str:
    """Append a word, and make an article `a` or `an` before it fit.

    Where a word is replaced, only if the article fitted the old one: else it is no English article.
    """
    article = _ARTICLE.search(text)
    if not article or not new[:1].isascii() or not new[:1].isalpha():
        return text + new
    letters = article[1]
    if old is not None and _takes_an(old) != (letters.lower() == "an"):
        return text + new
    fitting = letters[0] + ("N" if letters[-1:].isupper() and new.isupper() else "n")
    chosen = fitting if _takes_an(new) else letters[0]
    return text[: article.start()] + chosen + article[2] + new


def _takes_an(word: str) -> bool:
    if _SOUNDS_LIKE_VOWEL.match(word):
        return True
    return word[:1].lower() in set("aeiou") and not _SOUNDS_LIKE_CONSONANT.match(word)
