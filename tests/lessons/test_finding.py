"""The glossary, the map of topics, and the search: every word of the field leads to its lesson."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lessons import finding, markdown, site
from lessons.cells import load_all
from lessons.cli import main
from lessons.finding import Term, course_entries, glossary, search, topics
from lessons.site import Entry, searchable

LESSONS = {lesson.name: lesson for lesson in load_all()}
#: Sixty words that a reader may look for, and a lesson that is about them.
WORDS = {
    "regression": "s10", "BPE": "s3", "LSTM": "s16", "RNN": "s16", "CNN": "s15", "RLHF": "s21", "GELU": "s19",
    "regularization": "s13", "regularisation": "s13", "skip connection": "9", "pre-training": "s21",
    "self-attention": "8", "multi-head": "8", "positional encoding": "s4", "quantization": "s7", "quantisation": "s7",
    "policy": "s12", "tools": "s23", "HNSW": "s23",
    "encoder": "s18", "decoder": "s18", "greedy": "s22", "momentum": "s11", "agent": "s23", "feature scaling": "s1",
    "standardization": "s1", "tokenizer": "s3", "epoch": "3", "SGD": "7", "MSE": "2", "learning rate": "2",
    "backpropagation": "1", "autograd": "1", "micrograd": "1b", "chain rule": "1", "overfitting": "4",
    "underfitting": "s13", "early stopping": "s13", "data augmentation": "s13", "dropout": "4", "weight decay": "s5",
    "AdamW": "s5", "LoRA": "s6", "SFT": "s8", "DPO": "s8", "PPO": "s21", "reward model": "s21", "RAG": "s23",
    "few-shot": "s22", "chain of thought": "s22", "in-context learning": "s22", "mixture of experts": "s19",
    "SwiGLU": "s19", "RoPE": "s4", "KV cache": "10b", "temperature": "5", "top-p": "10b", "nucleus": "10b",
    "perplexity": "s24", "F1": "s24", "recall": "s24", "k-means": "s12", "ridge": "s14", "He initialization": "s14",
    "contrastive": "s20", "analogy": "s20", "speculative decoding": "s25", "softmax": "5", "logits": "5",
    "cross-entropy": "5", "XOR": "4", "embedding": "6", "n-gram": "7", "vanishing gradient": "3", "layer norm": "9",
    "local minimum": "s11", "LLM": "10", "PyTorch": "s26", "tensor": "s26",
    "flow matching": "p1", "velocity": "p1", "Euler": "p1", "adaLN": "p2", "patches": "p2",
    "diffusion": "p1", "guidance": "p3", "classifier-free": "p3", "negative prompt": "p3",
    "text-to-image": "p4", "cross-attention": "p4", "CLIP": "p4", "U-Net": "p4",
    "VAE": "p5", "latent": "p5", "KL": "p5",
}  # fmt: skip


@pytest.fixture(scope="module")
def everything() -> tuple[Entry, ...]:
    return course_entries()


def test_there_are_sixty_words() -> None:
    assert len(WORDS) >= 60


@pytest.mark.parametrize("word", WORDS)
def test_a_word_leads_to_the_right_page(everything: tuple[Entry, ...], word: str) -> None:
    page = site.page_name(LESSONS[WORDS[word]])
    first = [entry["at"].partition("#")[0] for entry in search(word, everything)[:6]]
    assert page in first, first


@pytest.mark.parametrize("term", glossary(), ids=lambda term: term.name)
def test_a_term_occurs_in_the_lesson_that_introduces_it(term: Term, everything: tuple[Entry, ...]) -> None:
    lesson = LESSONS[term.lesson]
    inside = [entry for entry in everything if entry["at"].startswith(f"{site.page_name(lesson)}#")]
    assert any(term.occurs_in(entry["text"]) for entry in inside[1:])
    assert term.sentence.endswith((".", "!"))
    assert len(term.sentence) < 160


def test_terms_and_their_links_are_unique() -> None:
    anchors = [term.anchor for term in glossary()]
    assert len(set(anchors)) == len(anchors) > 90


def test_topics_are_in_lessons_that_exist_and_every_lesson_has_a_topic() -> None:
    named = {name for _, rows in topics() for _, names in rows for name in names}
    assert named <= set(LESSONS)
    assert {name for name in LESSONS if not name.startswith("s")} <= named
    assert [len(rows) for _, rows in topics()][:2] == [7, 25]


def test_no_result_shows_the_marks_of_emphasis() -> None:
    for lesson in LESSONS.values():
        for cell in lesson.cells:
            if not cell.is_code:
                prose = re.sub(r"```.*?```|`[^`]*`|^    .*$", "x", cell.source, flags=re.MULTILINE | re.DOTALL)
                assert not re.search(r"\*|^#|\]\(", markdown.plain(prose)), f"{lesson.name}, line {cell.line}"
    assert markdown.plain("- *differences*, **Not** a `a*b`\n\n| a | b |\n|---|---|\n| 1 | *2* |") == (
        "differences, Not a a*b a b 1 2"
    )


def test_entries_without_running_are_those_of_the_pages(tmp_path: Path) -> None:
    lesson = LESSONS["2"]
    written = site.write_lesson(lesson, [None] * len(lesson.cells), [lesson], tmp_path)
    assert searchable(lesson) == written.entries


def test_the_pages_link_into_the_lessons(tmp_path: Path) -> None:
    some = [LESSONS["3"], LESSONS["s3"]]
    entries = [entry for lesson in some for entry in searchable(lesson)]
    found = finding.write_glossary(some, entries, tmp_path)
    finding.write_topics(some, tmp_path)
    page = (tmp_path / "glossary.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="(\d\w+\.html#[^"]+|s\d\w+\.html#[^"]+)"', page))
    assert links == {entry["at"] for entry in found}
    assert links <= {entry["at"] for entry in entries}
    assert 'id="term-byte-pair-encoding"' in page
    assert page.count("<dt ") == len(glossary())  # those of other lessons are there, without a link
    assert 'href="s03_bpe.html">s3: Tokens that are longer than a character</a>' in (
        tmp_path / "topics.html"
    ).read_text(encoding="utf-8")


def test_the_terminal_finds_things(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "skip", "connection"]) == 0
    out = capsys.readouterr().out
    assert "residual connection: Lesson 9: The block   (" in out
    assert "the gradient always has a way down" in out
    assert main(["find", "the"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"and [\d]+ more; give another word", out)
    assert main(["find", "Lagrangian"]) == 0
    assert "nothing is about 'Lagrangian'" in capsys.readouterr().out
