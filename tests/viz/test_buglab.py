"""The bug lab: every bug is visible, flagged where it is known to be, and gone in the fixed code."""

import pytest

from tests.commands import refusal
from viz.cli import main
from viz.stepping.buglab import CASES, first_difference

KNOWN = {
    "missing-plus": ("a", 3.0, 6.0),
    "no-order": ("a", 8.0, 4.0),
    "no-zero-grad": ("w.grad, step 2", -10.8, -4.8),
    "wrong-axis": ("sum of row 0", 0.850262, 1.0),
    "dead-clip": ("z.grad", 0.0, -3.0),
    "top-p": ("token 0", 0.625, 10 / 19),
    "shadowed": ("w", 2.0, 1.7),
    "learning-rate": ("loss, step 1", 12.96, 9.0),
}


def test_every_case_has_a_known_place():
    assert list(CASES) == list(KNOWN)


@pytest.mark.parametrize("name", CASES)
def test_the_mistake_is_flagged_where_it_is(name):
    case = CASES[name]
    wrong, buggy, true = KNOWN[name]
    assert case.first_wrong() == wrong
    assert case.buggy()[wrong] == pytest.approx(buggy, abs=1e-6)
    assert case.truth()[wrong] == pytest.approx(true, abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_fixed_code_is_right(name):
    case = CASES[name]
    fixed = case.fixed()
    if name == "learning-rate":  # its expected value is a bound: no loss above an earlier one
        losses = list(fixed.values())
        assert losses == sorted(losses, reverse=True)
        return
    truth = case.truth()
    shared = {key: number for key, number in fixed.items() if key in truth}
    assert len(shared) >= 2
    assert first_difference(shared, truth) is None


@pytest.mark.parametrize("name", CASES)
def test_the_report_has_the_code_and_the_place(name, capsys):
    assert main(["bug", name]) == 0
    text = capsys.readouterr().out
    assert f"first wrong: {KNOWN[name][0]} is " in text
    assert text.count("prints\n") == 2
    assert "return " in text
    assert max(map(len, text.split("\n"))) <= 120


def test_the_list_and_an_unknown_name(capsys):
    assert main(["bug"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.split("\n")[:8]] == list(CASES)
    assert "unknown bug: 'heisen' (must be one of missing-plus, no-order" in refusal(main, "bug", "heisen")
