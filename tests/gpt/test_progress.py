"""Progress lines: the speed and the time left are those of steps, without the startup."""

import pytest

from tinygrad_edu.training import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""

    class Clock:
        now = 100.0

        def wait(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    return clock


def made(shown, clock, step, seconds):
    shown.next()
    clock.wait(seconds)
    shown.step(step, 2.0)


@pytest.mark.parametrize("first", [0, 500])
def test_the_first_step_compiles_and_does_not_count_for_the_speed(first, clock, capsys):
    shown = progress.Progress(first, first + 1001, work=50)
    made(shown, clock, first + 1, 60.0)
    assert "chars/s" not in capsys.readouterr().out
    for n in range(2, 12):
        made(shown, clock, first + n, 2.0)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"step {first + 9:>4}/{first + 1001}")  # more than fifteen seconds after the previous line
    assert last.endswith("loss 2.000  25 chars/s  33:04 left")


def test_validations_count_for_the_time_left_but_not_for_the_speed(clock, capsys):
    shown = progress.Progress(0, 111, work=50)
    made(shown, clock, 1, 60.0)
    for step in range(2, 12):
        made(shown, clock, step, 1.0)
    clock.wait(10.0)
    shown.validated(11, 1.5, "bigram")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "step  11/111  loss 2.000  val 1.500 (beats bigram)  50 chars/s  3:20 left"
