"""Whatever is said is found by each of its words, and whatever is asked is answered or refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_helpers import Searched

from holdfast.errors import Refused
from holdfast.search import words
from homes import NOON_MS, MadeHome

NASTY = st.sampled_from(
    ['"', "*", "(", ")", ":", "^", "-", "+", "{", "}", "'", "\\", "%", "_", "\0", "\ue000", "\ue0001", "AND", "OR",
     "NOT", "NEAR(", "漢", "漢字", "é", "e\u0301", "İ", "ß", "ﬃ", "½", "™", "が", "か\u3099", "한", "🦊", "\u200d", " ",
     "\n"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(NASTY, st.text(max_size=12), st.text("abcé漢字 ", max_size=8)), max_size=8).map("".join)


def utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=st.lists(TEXTS, min_size=1, max_size=6), asked=st.lists(TEXTS, min_size=1, max_size=6))
def test_each_text_is_found_by_each_of_its_words_and_no_question_breaks(said, asked):
    with tempfile.TemporaryDirectory() as folder:
        home = MadeHome(Path(folder) / "home")
        said = [utf8(text) for text in said]
        made = {home.thread(f"start{n}", _then(text), created_ms=NOON_MS + n): text for n, text in enumerate(said)}
        found = Searched(Path(folder) / "state", home)
        try:
            found.follow()
            for id, text in made.items():
                for word in text.split():
                    if words.tokens(word):
                        for form in (
                            word.replace('"', " "),
                            f'"{word.replace(chr(34), " ")}"',
                            word.replace('"', " ") + "*",
                        ):
                            assert id in found.ids(form, limit=100), (form, text)
                for word, *_ in words.segments(text):
                    assert id in found.ids(word, limit=100), (word, text)
            for question in [*asked, *said]:
                try:
                    hits = found.find(question)
                except Refused:
                    continue
                for hit in hits:
                    assert all(0 <= begin < end <= len(hit.snippet) for begin, end in hit.matches)
                    assert hit.snippet.isprintable()
        finally:
            found.close()


def _then(text: str) -> str:
    return text if text.strip() else "blank"
