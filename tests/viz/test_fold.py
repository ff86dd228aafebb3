"""Every Value is in one box, boxes stay within the budget, and gradients between them match the engine."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import viz
from tests.viz.drawn_examples import GPT, Drawn, gpt_loss, recurrent_loss
from tinygrad_edu import Value, nn, ops, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.ops import CONSTANT
from viz.graph import regions
from viz.graph.build import build
from viz.graph.fold import Box, Cluster, Folder, Picture, details
from viz.graph.partition import Partition


def check(picture: Picture, budget: int) -> None:
    """Check what holds for every picture."""
    nodes = [node for box in picture.boxes for node in box.nodes]
    assert sorted(nodes) == list(range(len(picture.graph)))
    assert picture.total == len(picture.graph)
    assert len(picture.boxes) <= budget
    place = {box: i for i, box in enumerate(picture.boxes)}
    assert all(place[edge.source] < place[edge.target] for edge in picture.edges)
    box_of: dict[int, Box] = {node: box for box in picture.boxes for node in box.nodes}
    crossing: Counter[tuple[Box, Box]] = Counter()
    inside: set[int] = set()  # nodes used inside their own box
    for node, inputs in enumerate(picture.graph.inputs):
        for x in inputs:
            if box_of[x] is box_of[node] or (picture.graph.inputs[x] and handed_on(box_of[x], box_of[node], place)):
                inside.add(x)
            else:
                crossing[box_of[x], box_of[node]] += 1
    drawn: Counter[tuple[Box, Box]] = Counter()
    arrived: Counter[int] = Counter()
    for edge in picture.edges:
        drawn[edge.source, edge.target] += edge.count
        arrived.update(edge.sent)
    assert drawn == crossing
    for x, total in arrived.items():
        if x not in inside and x not in picture.graph.roots:
            assert total == pytest.approx(picture.graph.values[x].grad, rel=1e-9, abs=1e-12)


def handed_on(a: Box, b: Box, place: dict[Box, int]) -> bool:
    """Whether two boxes are in one frame of calls that feed each other, and the later one feeds the earlier one."""
    frames: list[list[Cluster]] = [[], []]
    for chain, box in zip(frames, (a, b), strict=True):
        cluster = box.cluster
        while cluster is not None:
            chain.append(cluster)
            cluster = cluster.parent
    return place[a] > place[b] and any(cluster.repeats for cluster in frames[0] if cluster in frames[1])


@st.composite
def programs(draw: st.DrawFn) -> list[Value]:
    """Make a random graph with one or two results, with sharing, constants, chains and softmaxes."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    values = [Value(rng.uniform(-1, 1), label=rng.choice(["", f"w[{i}]", f"x{i}"])) for i in range(rng.randint(1, 6))]
    for _ in range(draw(st.integers(0, 60))):
        recent = values[-8:] if rng.random() < 0.7 else values
        a, b = rng.choice(recent), rng.choice(recent)
        kind = rng.randrange(9)
        if kind == 6:
            values += F.softmax([a, b, rng.choice(values)])
        elif kind == 7:
            values.append(F.cross_entropy([a, b], 1))
        elif kind == 8:
            values.append(F.mean([a * b for a in values[-6:]]))
        else:
            values.append([a + b, a * b, a.tanh(), a - b, a * 0.5, (a * b + a) * b][kind])
    return values[-1 : -1 - draw(st.integers(1, 2)) : -1]


@settings(max_examples=150, deadline=None)
@given(programs(), st.integers(2, 40), st.one_of(st.none(), st.integers(0, 4)))
def test_counts_budget_and_gradients_of_random_graphs(results: list[Value], budget: int, depth: int | None) -> None:
    results[0].backward()
    picture = viz.draw(results[:1], budget=budget, depth=depth).picture
    assert picture is not None
    check(picture, budget)
    both = viz.draw(results, budget=budget, depth=depth).picture
    assert both is not None
    assert both.total == len(both.graph)
    assert len(both.boxes) <= budget


@pytest.mark.parametrize("budget", [2, 3, 5, 8, 13, 20, 30, 50, 100, 200, 400, 10_000])
def test_every_budget_of_a_gpt(gpt: Drawn, budget: int) -> None:
    picture = viz.draw(gpt.loss, calls=gpt.calls, budget=budget).picture
    assert picture is not None
    check(picture, budget)


@pytest.mark.parametrize("budget", [24, 40])
def test_what_is_in_blocks_that_feed_each_other_is_one_box_for_all_of_them(budget: int) -> None:
    drawn = gpt_loss(layers=4)
    picture = viz.draw(drawn.loss, calls=drawn.calls, budget=budget).picture
    assert picture is not None
    assert len(picture.boxes) > 14
    assert not [box.name for box in picture.boxes if re.search(r"h\.\d", box.name)]
    for box in boxes(picture, kind="table"):
        for note in viz.style.face(box, picture).notes:
            used = re.search(r": ([\d,]+) of ([\d,]+) used", note)
            assert used is None or int(used[1].replace(",", "")) < int(used[2].replace(",", "")), note


def test_every_level_of_detail_of_a_gpt_keeps_the_gradient() -> None:
    drawn = gpt_loss(layers=2)
    whole = build([drawn.loss], drawn.calls.names)
    parts = regions.find(whole, drawn.calls)
    sizes = []
    for detail in details(parts):
        partition = Partition(whole, parts, detail)
        sizes.append(len(partition.keys))
        check(viz.graph.fold._picture(partition, None, None), len(whole))
    assert sizes[0] == len(whole)
    assert sizes == sorted(sizes, reverse=True)  # each coarser than the one before
    assert sizes[-1] < 10


class Counted(list[tuple[int, ...]]):
    """Counts how often its entries are read."""

    reads = 0

    def __getitem__(self, i: Any) -> Any:
        self.reads += 1
        return super().__getitem__(i)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        self.reads += len(self)
        return super().__iter__()


def test_the_next_budget_does_not_walk_through_the_graph_again(gpt: Drawn) -> None:
    whole = build([gpt.loss], gpt.calls.names if gpt.calls else None)
    parts = regions.find(whole, gpt.calls)
    folder = Folder(whole, parts, 40)
    first = folder.fold(24)
    object.__setattr__(whole, "inputs", counted := Counted(whole.inputs))
    second = folder.fold(12)
    assert len(first.boxes) > len(second.boxes) > 3
    assert counted.reads < len(whole)
    check(second, 12)


def boxes(picture: Picture | None, **attributes: object) -> list[Box]:
    assert picture is not None
    return [box for box in picture.boxes if all(getattr(box, name) == want for name, want in attributes.items())]


def test_a_gpt_shows_its_modules_with_positions_side_by_side(gpt: Drawn) -> None:
    picture = viz.draw(gpt.loss, calls=gpt.calls, budget=24).picture
    assert picture is not None
    seen = {box.name: box for box in picture.boxes if box.kind == "call" and not box.number}
    assert list(seen) == [
        "h.0.ln_1", "h.0.attn.q", "h.0.attn.k", "h.0.attn.v", "h.0.attn.head", "h.0.attn.out", "h.0.ln_2", "h.0.fc",
        "h.0.act", "h.0.proj", "lm_head",
    ]  # fmt: skip
    assert seen.pop("h.0.attn.head").count == 2
    assert all(box.count == 6 for box in seen.values())  # one call per position
    assert seen["h.0.fc"].shape == (4, 8)
    assert seen["h.0.fc"].parameters == {"h.0.fc.weight": (8, 4), "h.0.fc.bias": (8,)}
    assert [(box.name, box.shape) for box in boxes(picture, kind="table")] == [
        ("wte.weight", (7, 4)),
        ("wpe.weight", (6, 4)),
    ]
    assert [(box.count, box.sizes) for box in boxes(picture, kind="cross-entropy")] == [(6, (7, 7))]
    assert [(box.name, box.sizes) for box in boxes(picture, kind="mean")] == [("loss", (6, 6))]
    residual = boxes(picture, kind="alike")[0]
    assert residual.count == 6 * 4


def head_one(picture: Picture | None) -> list[tuple[str, tuple[int, int], int]]:
    assert picture is not None
    return [
        (box.op.symbol if box.op else box.kind, box.sizes, box.count)
        for box in picture.boxes
        if box.cluster and box.cluster.path == "h.0.attn.head" and box.cluster.number == 1
    ]


def test_an_open_attention_head_shows_causal_dots_and_a_softmax(gpt: Drawn) -> None:
    # position t looks at t + 1 keys: 1 + 2 + … + 6 = 21 scores, 6 softmaxes, 6 · 2 mixtures of 1 to 6 values
    assert head_one(viz.draw(gpt.loss, calls=gpt.calls, budget=45).picture) == [
        ("dot", (2, 2), 21),
        ("*", (0, 0), 21),
        ("softmax", (1, 6), 6),
        ("dot", (1, 6), 12),
    ]
    assert head_one(viz.draw(gpt.loss, calls=gpt.calls, budget=70).picture) == [
        ("dot", (2, 2), 21),
        ("*", (0, 0), 21),
        ("max", (0, 0), 6),
        ("detach", (0, 0), 6),
        ("-", (0, 0), 21),
        ("exp", (0, 0), 21),
        ("sum", (1, 6), 5),  # a single power needs no sum
        ("/", (0, 0), 21),
        ("dot", (1, 6), 12),
    ]


def test_chains_are_folded_and_named() -> None:
    w, x = [Value(1.0, label=f"w[{i}]") for i in range(16)], [Value(2.0, label=f"x[{i}]") for i in range(16)]
    out = (F.dot(w, x) + Value(1.0, label="b")).tanh()
    picture = viz.draw(out, budget=10).picture
    assert picture is not None
    assert [(box.kind, box.sizes, box.extra, box.shape) for box in picture.boxes] == [
        ("table", (0, 0), 0, (16,)),
        ("table", (0, 0), 0, (16,)),
        ("node", (0, 0), 0, ()),
        ("dot", (16, 16), 1, ()),
        ("node", (0, 0), 0, ()),
    ]
    assert [edge.count for edge in picture.edges] == [16, 16, 1, 1]


def test_a_mean_is_a_mean_only_when_divided_by_its_count() -> None:
    values = [Value(float(i)) for i in range(7)]
    kinds = {}
    for divisor in (7, 8):
        out = sum(v.tanh() for v in values) / divisor
        kinds[divisor] = [box.kind for box in viz.draw(out, budget=8).picture.boxes]
    assert "mean" in kinds[7]
    assert "mean" not in kinds[8]
    assert "sum" in kinds[8]


def test_a_zero_before_a_loop_is_no_term() -> None:
    terms = [Value(float(i), f"x{i}") ** 2 for i in range(5)]
    total = 0.0
    for term in terms:
        total = total + term
    for result, kind, size in (
        (total / 5, "mean", 5),
        (total, "sum", 5),
        (total + 1.0, "sum", 6),
        (sum(terms), "sum", 5),
    ):
        (region,) = [r for r in regions.find(build([result])).tree if r.kind in regions.CHAINS]
        assert (region.kind, region.size) == (kind, size)
    dot = 0.0
    for i in range(3):
        dot = dot + Value(2.0, "w") * Value(float(i), "x")
    (region,) = [r for r in regions.find(build([dot])).tree if r.kind in regions.CHAINS]
    assert (region.kind, region.size, region.extra) == ("dot", 3, 0)


def test_plain_loops_without_modules_fold_into_layers() -> None:
    rng = random.Random(0)
    weights = [[[Value(rng.uniform(-1, 1)) for _ in range(3)] for _ in range(3)] for _ in range(2)]
    examples = [[Value(rng.uniform(-1, 1)) for _ in range(3)] for _ in range(10)]
    losses = []
    for x in examples:
        for matrix in weights:
            x = [F.dot(row, x).tanh() for row in matrix]
        losses.append(F.mean(x))
    loss = F.mean(losses)
    picture = viz.draw(loss, budget=12).picture
    assert picture is not None
    check(picture, 12)
    assert [(box.kind, box.count) for box in picture.boxes] == [
        ("leaves", 48), ("dot", 30), ("alike", 30), ("dot", 30), ("alike", 30), ("mean", 10), ("mean", 1),
    ]  # fmt: skip


def test_graphs_that_do_not_fold_are_cut_by_distance() -> None:
    x = Value(0.1, label="x")
    for _ in range(20_000):
        x = x.tanh()
    picture = viz.draw(x, budget=12).picture
    assert picture is not None
    check(picture, 12)
    assert [box.kind for box in picture.boxes] == ["rest"] + 11 * ["node"]
    assert len(picture.boxes[0].nodes) == 20_001 - 11
    assert picture.nearest == 10


def test_depth_opens_levels_of_modules(gpt: Drawn) -> None:
    def modules(depth: int) -> list[str]:
        return [box.name for box in boxes(viz.draw(gpt.loss, calls=gpt.calls, depth=depth).picture, kind="call")]

    assert modules(0) == ["h.0", "lm_head"]
    block = ["h.0.ln_1", "h.0.attn", "h.0.ln_2", "h.0.fc", "h.0.act", "h.0.proj"]
    assert modules(1) == [*block, "lm_head"]
    attention = [f"h.0.attn.{name}" for name in ("q", "k", "v", "head", "out")]
    assert modules(2) == [block[0], *attention, *block[2:], "lm_head"]
    picture = viz.draw(gpt.loss, calls=gpt.calls, depth=1).picture
    assert picture is not None
    check(picture, 40)


def test_a_recurrent_network_folds_without_circles() -> None:
    drawn = recurrent_loss(8)
    for budget in (4, 12, 60, 400):
        picture = viz.draw(drawn.loss, calls=drawn.calls, budget=budget).picture
        assert picture is not None
        check(picture, budget)
    (steps,) = boxes(viz.draw(drawn.loss, calls=drawn.calls, budget=5).picture, kind="call", name="")
    assert steps.count == 8
    assert steps.repeats


def test_one_open_step_stands_for_all_of_them() -> None:
    drawn = recurrent_loss(8)
    picture = viz.draw(drawn.loss, calls=drawn.calls, budget=24).picture
    (add,) = boxes(picture, kind="alike", op=ops.ADD)
    (tanh,) = boxes(picture, kind="alike", op=ops.TANH)
    assert add.count == tanh.count == 2 * 8
    assert add.cluster is tanh.cluster
    assert add.cluster is not None
    assert (add.cluster.kind, add.cluster.count, add.cluster.repeats) == ("Cell", 8, True)
    # What one step hands to the next is no line of the picture, but what the first one is given is.
    assert not [edge for edge in picture.edges if edge.source is tanh and edge.target.cluster is add.cluster]


def test_many_blocks_of_one_size_are_one_box() -> None:
    drawn = gpt_loss(layers=6)
    picture = viz.draw(drawn.loss, calls=drawn.calls, budget=7).picture
    (block,) = boxes(picture, kind="call", module="Block")
    assert (block.name, block.count, block.repeats) == ("h.*", 6, True)
    opened = viz.draw(drawn.loss, calls=drawn.calls, budget=16).picture
    assert opened is not None
    check(opened, 16)
    (attention,) = boxes(opened, kind="call", module="Attention")
    assert (attention.name, attention.count) == ("h.*.attn", 6)
    assert attention.cluster is not None
    assert (attention.cluster.path, attention.cluster.count, attention.cluster.repeats) == ("h.*", 6, True)
    few = gpt_loss(layers=2)
    picture = viz.draw(few.loss, calls=few.calls, budget=9).picture
    assert [box.name for box in boxes(picture, kind="call", module="Block")] == ["h.0", "h.1"]


def test_norms_with_different_tasks_are_not_merged(gpt: Drawn) -> None:
    picture = viz.draw(gpt.loss, calls=gpt.calls, budget=24).picture
    assert [box.name for box in boxes(picture, kind="call", module="RMSNorm")] == ["h.0.ln_1", "h.0.ln_2"]


def test_a_penalty_on_all_parameters_leaves_them_in_their_modules() -> None:
    model = nn.MLP(2, [8, 1], rng=1)
    with record_calls() as calls:
        losses = [model([x / 10, 1.0]) for x in range(20)]
        loss = F.mean(losses) + 1e-4 * sum(p * p for p in model.parameters())
    loss.backward()
    picture = viz.draw(loss, calls=calls, budget=12).picture
    assert [box.sizes for box in boxes(picture, kind="squares")] == [(33, 33)]  # 2 · 8 + 8 + 8 + 1
    assert not boxes(picture, kind="table")
    bare = viz.draw(loss, budget=12).picture
    assert [box.count for box in boxes(bare, kind="squares")] == [1]  # not one of the layer's dot products


def test_collapse_and_hide(gpt: Drawn) -> None:
    picture = viz.draw(gpt.loss, calls=gpt.calls, budget=24, collapse="h.0.attn").picture
    assert [box.name for box in boxes(picture, kind="call", module="Attention")] == ["h.0.attn"]
    assert not boxes(picture, kind="call", module="AttentionHead")
    picture = viz.draw(gpt.loss, calls=gpt.calls, budget=24, hide="w?e.weight").picture
    assert picture is not None
    assert not boxes(picture, kind="table")
    assert picture.hidden == 24 + 24
    x = Value(2.0, label="x")
    drawing = viz.draw(x * 3.0 + 1.0, hide="numbers")
    assert drawing.picture is not None
    assert [box.name for box in drawing.picture.boxes] == ["x", "", ""]


def test_neurons_side_by_side_are_merged() -> None:
    layer = nn.Layer(2, 12)
    with record_calls() as calls:
        loss = F.mean(layer([Value(1.0, label="x1"), Value(2.0, label="x2")]))
    picture = viz.draw(loss, calls=calls, budget=8).picture
    (neurons,) = boxes(picture, kind="call", module="Neuron")
    assert (neurons.name, neurons.count) == ("neurons.*", 12)
    (given,) = boxes(picture, kind="leaves", cluster=None)  # x1 and x2 stay outside
    assert len(given.nodes) == 2


def test_only_numbers_in_formulas_are_folded_into_operations() -> None:
    x = Value(2.0, label="x")
    picture = viz.draw(x**3 + 1.0, budget=4).picture
    assert picture is not None
    assert [box.constant for box in picture.boxes] == [None, 3.0, 1.0]
    finest = viz.draw(x**3 + 1.0).picture
    assert finest is not None
    assert sum(picture.graph.values[box.nodes[0]].op is CONSTANT for box in finest.boxes) == 2


def test_expand_opens_one_module_and_leaves_the_rest_folded(gpt: Drawn) -> None:
    closed = viz.draw(gpt.loss, calls=gpt.calls, budget=20).picture
    opened = viz.draw(gpt.loss, calls=gpt.calls, budget=28, expand="AttentionHead").picture
    assert closed is not None
    assert opened is not None
    check(opened, 28)
    assert not boxes(opened, name="h.0.attn.head")
    assert {box.name for box in boxes(closed, kind="call")} - {"h.0.attn.head"} == {
        box.name for box in boxes(opened, kind="call")
    }
    assert len([box for box in opened.boxes if box.cluster and box.cluster.path == "h.0.attn.head"]) == 4


def test_focus_spends_the_budget_on_one_module(gpt: Drawn) -> None:
    picture = viz.draw(gpt.loss, calls=gpt.calls, budget=160, focus="h.0.ln_2").picture
    assert picture is not None
    check(picture, 160)
    inside = [box for box in picture.boxes if box.cluster and box.cluster.path == "h.0.ln_2"]
    # per position: 7 for x·x, 2 each for ÷ n, + eps and ** −0.5 with their numbers, 4 for · scale, 4 for · weight
    assert len(inside) == 6 * (7 + 2 + 2 + 2 + 4 + 4)
    assert all(len(box.nodes) == 1 for box in inside)
    assert boxes(picture, name="h.0.ln_2.weight", kind="table")  # shared by all positions, so it is outside them
    assert {box.module for box in boxes(picture, kind="call")} == {"Attention", "Linear", "RMSNorm", "Activation"}
    assert len(picture.boxes) - len(inside) < 20


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["h.*.attn", "*.q", "Linear", "AttentionHead", "Block", "GPT"]), st.integers(4, 200))
def test_counts_add_up_for_every_focus(gpt: Drawn, name: str, budget: int) -> None:
    for options in ({"focus": name}, {"expand": name}):
        picture = viz.draw(gpt.loss, calls=gpt.calls, budget=budget, **options).picture
        assert picture is not None
        check(picture, budget)


def test_the_error_of_an_unknown_module_lists_its_neighbors(gpt: Drawn) -> None:
    with pytest.raises(ValueError, match=r"no module call is named 'h\.0\.atn'; did you mean h\.0\.attn"):
        viz.draw(gpt.loss, calls=gpt.calls, focus="h.0.atn")
    with pytest.raises(ValueError, match="pass what record_calls"):
        viz.draw(gpt.loss, expand="h.0.attn")


def test_examples_of_a_batch_are_stacked_and_heads_are_one_box() -> None:
    model = GPT(vocabulary=7, width=4, heads=2, context=6, layers=1)
    with record_calls() as calls:
        rows = [model([(t + start) % 7 for t in range(6)]) for start in range(3)]
        loss = F.mean([F.mean([F.cross_entropy(row, 3) for row in logits]) for logits in rows])
    loss.backward()
    picture = viz.draw(loss, calls=calls, budget=24).picture
    assert picture is not None
    check(picture, 24)
    assert [box.count for box in boxes(picture, name="h.0.ln_1")] == [3 * 6]
    assert [(box.number, box.count) for box in boxes(picture, name="h.0.attn.head")] == [(0, 6)]
    assert [box.count for box in boxes(picture, kind="cross-entropy")] == [18]
