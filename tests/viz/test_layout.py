"""Where boxes and lines go: nothing overlaps, no line goes through a box, siblings keep their order."""

import random
import re
from collections import Counter
from itertools import combinations

import pytest

import viz
from tests.viz.test_readable import gates
from tinygrad_edu import Value, nn, record_calls
from viz.rendering.layout import Layout, Thing, arrange


def picture(seed: int) -> tuple[list[Thing], list[Thing], list[tuple[int, int]]]:
    """Boxes in nested frames, each computed from earlier ones."""
    rng = random.Random(seed)
    frames = [Thing(60.0, 20.0, is_frame=True) for _ in range(4)]
    frames[1].frame, frames[2].frame = frames[0], frames[1]
    boxes = []
    for i in range(24):
        frame = frames[rng.randrange(4)] if 4 <= i < 20 else None
        boxes.append(Thing(rng.uniform(30, 150), rng.uniform(20, 110), frame))
    edges = [(a, b) for b in range(1, 24) for a in sorted(rng.sample(range(b), min(b, rng.randrange(1, 4))))]
    return boxes, frames, edges


def inside(frame: Thing | None, thing: Thing) -> bool:
    while thing is not None:
        if thing is frame:
            return True
        thing = thing.frame
    return False


def bounds(thing: Thing) -> tuple[float, float, float, float]:
    return thing.x, thing.y, thing.x + thing.width, thing.y + thing.height


def apart(a: Thing, b: Thing) -> bool:
    p, q = bounds(a), bounds(b)
    return p[2] <= q[0] + 0.01 or q[2] <= p[0] + 0.01 or p[3] <= q[1] + 0.01 or q[3] <= p[1] + 0.01


def along(layout: Layout, across: bool):
    """Points on every line, close together."""
    for line in layout.lines:
        for (x1, y1), (x2, y2) in zip(line.points, line.points[1:], strict=False):
            for k in range(41):
                t = k / 40
                m, c = 1.5 * t * (1 - t) + t**3, 3 * t * t - 2 * t**3
                x, y = (x1 + (x2 - x1) * m, y1 + (y2 - y1) * c) if across else (x1 + (x2 - x1) * c, y1 + (y2 - y1) * m)
                yield line, x, y


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_overlaps_and_no_line_goes_through_a_box(seed: int, across: bool) -> None:
    boxes, frames, edges = picture(seed)
    layout = arrange(boxes, edges, [20.0] * len(edges), across=across)
    used = [frame for frame in frames if any(inside(frame, box) for box in boxes)]
    for a, b in combinations([*boxes, *used], 2):
        if inside(a, b) or inside(b, a):
            outer, inner = (a, b) if inside(a, b) else (b, a)
            left, top, right, bottom = bounds(outer)
            x1, y1, x2, y2 = bounds(inner)
            assert left <= x1 <= x2 <= right
            assert top <= y1 <= y2 <= bottom
        else:
            assert apart(a, b)
    for _, x, y in along(layout, across):
        for box in boxes:
            x1, y1, x2, y2 = bounds(box)
            assert not (x1 + 0.5 < x < x2 - 0.5 and y1 + 0.5 < y < y2 - 0.5)


@pytest.mark.parametrize("seed", range(12))
def test_the_pieces_of_a_line_lead_from_its_source_to_its_target(seed: int) -> None:
    boxes, _, edges = picture(seed)
    layout = arrange(boxes, edges)
    for number, (a, b) in enumerate(edges):
        pieces = [line for line in layout.lines if number in line.edges]
        assert [line.first for line in pieces].count(True) == [line.last for line in pieces].count(True) == 1
        (start,) = [line.points[0] for line in pieces if line.first]
        (end,) = [line.points[-1] for line in pieces if line.last]
        assert start[0] == pytest.approx(boxes[a].x + boxes[a].width)
        assert end[0] == pytest.approx(boxes[b].x)
        assert boxes[a].y < start[1] < boxes[a].y + boxes[a].height
        assert boxes[b].y < end[1] < boxes[b].y + boxes[b].height
        # Each piece but the first begins where another one ends, and each but the last ends where another one begins.
        starts, stops = ([line.points[i] for line in pieces] for i in (0, -1))
        assert sum(not any(point == pytest.approx(stop) for stop in stops) for point in starts) <= 1
        assert sum(not any(point == pytest.approx(start) for start in starts) for point in stops) <= 1


def test_siblings_stay_in_order_and_a_chain_is_straight() -> None:
    boxes = [Thing(50.0, 40.0) for _ in range(9)]
    arrange(boxes, [(0, i) for i in range(1, 8)] + [(i, 8) for i in range(1, 8)])
    assert [box.y for box in boxes[1:8]] == sorted(box.y for box in boxes[1:8])
    chain = [Thing(50.0, 30.0) for _ in range(40)]
    leaves = [Thing(20.0, 90.0) for _ in range(20)]
    edges = [(i, i + 1) for i in range(39)] + [(40 + i, 2 * i + 1) for i in range(20)]
    arrange([*chain, *leaves], edges)
    middles = {round(box.y + box.height / 2, 1) for box in chain}
    assert max(middles) - min(middles) < 60  # not down a diagonal, for which dot needs 60 per leaf


def test_chains_that_are_alike_stand_in_the_order_of_the_program() -> None:
    boxes = [Thing(50.0, 40.0) for _ in range(6)]
    arrange(boxes, [(0, 3), (0, 1), (3, 4), (1, 2), (2, 5), (4, 5)])
    assert boxes[1].y < boxes[3].y
    assert boxes[2].y < boxes[4].y


@pytest.mark.parametrize("seed", range(12))
def test_a_line_that_passes_several_layers_bends_only_where_it_must(seed: int) -> None:
    rng = random.Random(seed)
    chain = [Thing(50.0, rng.uniform(20, 90)) for _ in range(6)]
    edges = [(i, i + 1) for i in range(5)] + [(0, 5)]
    layout = arrange(chain, edges)
    (line,) = [line for line in layout.lines if line.edges == [5]]
    assert len({round(y, 1) for _, y in line.points[2:-2]}) == 1


def test_a_cycle_is_drawn() -> None:
    boxes = [Thing(50.0, 30.0) for _ in range(3)]
    layout = arrange(boxes, [(0, 1), (1, 2), (2, 1)])
    assert len([line for line in layout.lines if line.last]) == 3
    assert boxes[0].x < boxes[1].x < boxes[2].x


@pytest.mark.parametrize("direction", ["LR", "TB", "RL", "BT"])
def test_every_line_has_a_whole_arrowhead_at_each_end(direction: str) -> None:
    a, b, c = Value(2.0), Value(-3.0), Value(10.0)
    loss = (a * b + c) * Value(-2.0) * a + b
    loss.backward()
    text = viz.draw(loss, direction=direction, budget=100).pipe("svg").decode()
    lines = re.findall(r'<g class="edge".*?</g>', text, re.DOTALL)
    assert len(lines) == 10
    for line in lines:
        heads = re.findall(r'<polygon points="([^"]+)"', line)
        assert len(heads) == 2  # the gradient's and the data's
        for head in heads:
            (x1, y1), (x2, y2), (x3, y3) = (map(float, corner.split(",")) for corner in head.split())
            assert abs((x2 - x1) * (y3 - y1) - (x3 - x1) * (y2 - y1)) / 2 > 10  # its area


def recurrent(steps: int) -> Value:
    """A recurrent network of one number, with the same three parameters in every step."""
    wx, wh, b, h = Value(0.5, "wx"), Value(0.9, "wh"), Value(0.1, "b"), Value(0.3, "h0")
    for t in range(steps):
        h = (wx * Value(0.2 * t + 0.1, f"x{t}") + wh * h + b).tanh()
        h.label = f"h{t + 1}"
    h.backward()
    return h


def placed(svg: str) -> dict[str, tuple[float, float]]:
    """Where boxes with a name are, by that name."""
    found = re.findall(r'class="node"[^>]*?data-name="([^"]*)"[^>]*?translate\(([\d.]+) ([\d.]+)\)', svg)
    return {name: (float(x), float(y)) for name, x, y in found}


def test_steps_of_a_recurrent_network_are_equal_columns() -> None:
    svg = viz.draw(recurrent(4), direction="LR", budget=100).svg()
    places = placed(svg)
    apart = [places[f"h{t + 1}"][0] - places[f"h{t}"][0] for t in (2, 3)]
    assert apart[0] == pytest.approx(apart[1], rel=0.1)  # numbers are not equally wide
    across = [places[f"h{t}"][0] - places[f"x{t}"][0] for t in (1, 2, 3)]  # an input stands at its step
    assert max(map(abs, across)) < 200
    again = Counter(re.findall(r"<title>(\w+) again</title>", svg))
    assert again == {"wx": 3, "wh": 3, "b": 3}
    assert svg.count("the same parameter or input again") == 1


def test_names_that_stand_again_keep_what_flows_to_the_parameter() -> None:
    h = recurrent(3)
    svg = viz.draw(h, direction="LR", budget=100).svg()
    (own,) = re.findall(r'id="(\w+)" class="node"[^>]*data-name="wh"', svg)
    lines = re.findall(rf'<g class="edge"[^>]*data-from="{own}"[^>]*data-to="([^"]*)"', svg)
    assert len(lines) == len(set(lines)) == 3  # one per step, each from the box of the parameter


def test_a_parameter_that_is_used_again_once_has_a_line() -> None:
    a, b = Value(2.0, "a"), Value(3.0, "b")
    loss = ((a * b).tanh() * b).tanh() * b
    assert "<title>b again</title>" in viz.draw(loss, direction="LR").svg()
    loss = ((a * b).tanh() + 1.0) * b
    assert " again</title>" not in viz.draw(loss, direction="LR").svg()


def crossings(layout: Layout) -> int:
    """How often lines of different edges cross, on straight pieces between corners."""
    pieces = [
        (k, *pair) for k, line in enumerate(layout.lines) for pair in zip(line.points, line.points[1:], strict=False)
    ]

    def side(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return sum(
        k != m and side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0
        for (k, p, q), (m, r, s) in combinations(pieces, 2)
    )


def test_lines_part_early_where_fewer_cross_then() -> None:
    # Box 2 is computed from 0 and 1 in a row, 3 from nothing; both feed 4 … 7. With 3 in the layer of 2, 6 pairs cross;
    # one layer before, its lines part around 2: one crosses the line to 2, and two those from it.
    boxes = [Thing(60.0, 40.0) for _ in range(8)]
    edges = [(0, 1), (1, 2)] + [(a, b) for a in (2, 3) for b in (4, 5, 6, 7)]
    layout = arrange(boxes, edges)
    assert boxes[3].x < boxes[2].x
    assert layout.crossings == crossings(layout) == 3


def test_lines_between_two_layers_curve_at_the_same_places() -> None:
    """Otherwise two that do not change their order would cross where one begins to climb earlier."""
    boxes = [Thing(20.0 + 17.0 * (5 * i % 7), 30.0) for i in range(7)] + [Thing(40.0, 30.0)]
    layout = arrange(boxes, [(i, 7) for i in range(7)])
    assert layout.crossings == 0
    (begin,) = {line.points[-3][0] for line in layout.lines}
    (end,) = {line.points[-2][0] for line in layout.lines}
    widest = max(box.x + box.width for box in boxes[:7])
    assert widest + 5 < begin < end < boxes[7].x - 5  # room for arrowheads on straight pieces


def test_what_has_no_inputs_stands_next_to_what_it_feeds() -> None:
    boxes = [Thing(30.0, 30.0), Thing(90.0, 30.0), Thing(40.0, 30.0)]
    arrange(boxes, [(0, 2), (1, 2)])
    assert boxes[0].x + boxes[0].width == pytest.approx(boxes[1].x + boxes[1].width)


def test_the_inputs_of_gates_stand_at_each_gate() -> None:
    loss = gates()
    loss.backward()
    svg = viz.draw(loss).svg()
    again = Counter(re.findall(r"<title>(\w+) again</title>", svg))
    assert again == {"x": 3, "h": 3}
    own = re.findall(r'id="(\w+)" class="node"[^>]*data-name="x"', svg)
    assert len(re.findall(rf'<g class="edge"[^>]*data-from="{own[0]}"', svg)) == 4
    a, b = Value(2.0, "a"), Value(3.0, "b")  # used often, but their lines do not cross much
    loss = (a * b + b**2) * (a - b) + (a + b).relu()
    assert " again</title>" not in viz.draw(loss).svg()


class Line(nn.Module):
    def __init__(self) -> None:
        self.w, self.b = Value(0.5), Value(0.1)

    def forward(self, x: float) -> Value:
        return self.w * x + self.b


def test_of_two_inputs_of_five_places_one_keeps_its_lines_and_the_places_their_order() -> None:
    line = Line()
    with record_calls() as calls:
        loss = sum((line(float(x)) - 2.0 * x) ** 2 for x in range(1, 6))
    loss.backward()
    svg = viz.draw(loss, calls=calls, budget=40).svg()
    assert re.findall(r"<title>(\w+) again</title>", svg) == ["b"] * 4
    frames = re.findall(r'<g class="cluster">.*?y="([\d.]+)".*?> ?(\d) \(Line\)</text>', svg)
    assert [title for _, title in sorted(frames, key=lambda frame: float(frame[0]))] == list("12345")


def test_two_inputs_of_four_gates_cross_no_more_than_they_must() -> None:
    # Boxes 0 and 1 are the inputs, 2 … 9 weights, 10 … 17 products, 18 … 21 sums of two products.
    boxes = [Thing(60.0, 40.0) for _ in range(22)]
    edges = [(k % 2, 10 + k) for k in range(8)] + [(2 + k, 10 + k) for k in range(8)]
    edges += [(10 + k, 18 + k // 2) for k in range(8)]
    assert crossings(arrange(boxes, edges)) == 10  # 2 and 2 where the inputs spread, 6 where the products meet
