"""The garbage collector scans a graph's objects while they are young, then rarely; cycles are still collected."""

import gc
from collections import Counter, deque

import pytest

from tests.engine.domains import python
from tinygrad_edu import Value, collector, collector_paused

SCHEDULES = [(700, 10, 10), (2000, 10, 10)]


@pytest.fixture(params=SCHEDULES, ids=["up to 3.12", "from 3.13 on"])
def collections(request, monkeypatch):
    """Count collections by generation, on the schedule right after the import."""
    before, counts = gc.get_threshold(), Counter()

    def count(phase, info):
        counts[info["generation"]] += phase == "stop"

    gc.collect()
    gc.freeze()  # Python waits for a share of all old objects, and other tests left some
    gc.collect()
    gc.set_threshold(request.param[0], collector._OFTEN, request.param[2])
    monkeypatch.setattr(collector, "_ours", gc.get_threshold())
    mine = [count] + [collector.collect_old_objects_rarely] * (collector.collect_old_objects_rarely not in gc.callbacks)
    gc.callbacks.extend(mine)
    yield counts
    for callback in mine:
        gc.callbacks.remove(callback)
    gc.set_threshold(*before)
    gc.unfreeze()


class Cycle:
    alive = 0

    def __init__(self):
        self.me = self
        Cycle.alive += 1

    def __del__(self):
        Cycle.alive -= 1


def step(x):
    """Run a training step on a graph of 40,000 Values: that many objects the collector tracks."""
    y = x
    for _ in range(40_000):
        y = y + x
    y.backward()


def test_old_objects_are_scanned_a_few_times_in_ten_steps(collections):
    x = Value(1.0)
    for _ in range(10):
        step(x)
    young = gc.get_threshold()[0]
    assert collections[0] > 400_000 / young * 0.7, "young objects are looked at as always"
    assert collections[1] + collections[2] <= 3
    gc.set_threshold(young, 10, 10)  # the program may set this; from then on Python's schedule applies
    collections.clear()
    for _ in range(10):
        step(x)
    assert gc.get_threshold() == (young, 10, 10)
    assert collections[1] + collections[2] > 400_000 / young / 11 * 0.7


def test_young_cycles_are_collected_as_usual(collections):
    step(Value(1.0))
    gc.collect()
    most = 0
    for _ in range(20_000):
        Cycle()
        most = max(most, Cycle.alive)
    assert most <= 1.05 * gc.get_threshold()[0], "since 3.12 a collection waits for the next safe point"
    assert collections[0]


def test_old_cycles_are_collected_and_make_collections_frequent_again(collections, monkeypatch):
    limit = 200_000
    monkeypatch.setattr(collector, "_AT_MOST", limit)
    x = Value(1.0)
    for _ in range(3):
        step(x)
    gc.collect()  # start the schedule here
    young, middle, _ = gc.get_threshold()
    assert middle == limit // young
    waiting = deque(maxlen=3 * young)  # they are old before they become garbage
    most = 0
    for _ in range(2 * limit):
        waiting.append(Cycle())
        most = max(most, Cycle.alive)
    assert limit / 4 < most <= 1.1 * limit
    assert gc.get_threshold()[1] == collector._OFTEN
    most = 0
    for _ in range(limit // 2):
        waiting.append(Cycle())
        most = max(most, Cycle.alive)
    assert most < 4 * young * collector._OFTEN, "nearly as often as Python"
    waiting.clear()
    gc.collect()
    assert Cycle.alive == 0


@pytest.mark.parametrize("collected", [0, 839, 841])
def test_the_garbage_found_by_one_collection_schedules_the_next(collections, collected):
    young, middle, old = gc.get_threshold()
    collector.collect_old_objects_rarely("start", {"generation": 1})
    collector.collect_old_objects_rarely("stop", {"generation": 0, "collected": 0})
    assert gc.get_threshold() == (young, middle, old)
    collector.collect_old_objects_rarely("stop", {"generation": 1, "collected": collected * young // 700})
    assert gc.get_threshold() == (young, 12 if collected > 840 else 120, old)


STEP = "\ny = x = tinygrad_edu.Value(1.0)\nfor _ in range(40_000): y = y + x\ny.backward(); print(gc.get_threshold())"


@pytest.mark.parametrize("own", SCHEDULES, ids=["up to 3.12", "from 3.13 on"])
def test_the_import_changes_one_number_of_pythons_schedule(own):
    begin = f"import gc; gc.set_threshold{own}; import tinygrad_edu; print(gc.get_threshold(), gc.isenabled())"
    assert python(begin) == f"{(own[0], 12, 10)} True\n"


@pytest.mark.parametrize("own", ["0", "700, 10, 11", "50_000, 10, 10", "2000, 10, 0"])
def test_settings_made_before_the_import_are_kept(own):
    code = f"import gc; gc.set_threshold({own}); print(gc.get_threshold())"
    before, callbacks, after = python(code + "; import tinygrad_edu; print(len(gc.callbacks))" + STEP).splitlines()
    assert before == after
    assert callbacks == "0"


@pytest.mark.parametrize("own", ["0", "700, 10, 10", "2000, 10, 10", "123, 4, 5"])
def test_settings_made_after_the_import_are_kept(own):
    code = f"import gc, tinygrad_edu; gc.set_threshold({own}); print(gc.get_threshold())"
    before, after = python(code + STEP).splitlines()
    assert before == after


def test_a_disabled_collector_stays_disabled():
    assert python("import gc; gc.disable(); import tinygrad_edu" + STEP + "; print(gc.isenabled())").endswith("False\n")


def test_collector_paused_restores_the_previous_state():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled(), "the inner one must not switch it on"
    assert gc.isenabled()
    with pytest.raises(ValueError, match="inside"), collector_paused():
        raise ValueError("inside")
    assert gc.isenabled()
