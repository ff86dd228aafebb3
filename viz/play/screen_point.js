const FORMULAS = {
  "(a·b + c)·f": ["L = (a*b + c) * f", "a=2 b=-3 c=10 f=-2"],
  "a neuron": ["n = x1*w1 + x2*w2 + b\no = tanh(n)", "x1=2 w1=-3 x2=0 w2=1 b=6.7"],
  "a used twice": ["b = a + a\nL = a * b", "a=3"],
  "a yes-or-no loss": ["p = sigmoid(w*2 + b)\nL = -log(p)", "w=-1 b=0.5"],
  "two bends": ["L = x**3 - 3*x", "x=-0.5"],
  "two valleys": ["L = 5*x**4 - 10*x**2 + x", "x=-0.5"],
};
const FIRST_FORMULA = FORMULAS["(a·b + c)·f"];

// Rows of a name, a slider, a number field and a gradient; used for the leaves of a formula and for w and b of a line.
// change(name, value, begins): `begins` is true once per drag, so that one undo takes it back.
function leafRows(place, { change, choose, trouble }) {
  let rows = new Map(), moving = "";
  place.classList.add("leaves");
  function row(name) {
    const give = (value, more) => { change(name, value, !more || moving !== name); moving = more ? name : ""; };
    const slider = element("input", { type: "range", "aria-label": name, oninput: () => give(Number(slider.value), true), onchange: () => { moving = ""; } });
    const field = element("input", { type: "text", inputmode: "decimal", spellcheck: "false", autocomplete: "off", "aria-label": `${name}, as a number`, onchange: () => {
      const text = field.value.trim().replace("−", "-"), value = text === "" ? NaN : Number(text);
      if (Number.isFinite(value) && Math.abs(value) <= 1e9) return give(value, false);
      field.value = written(Number(slider.dataset.value));
      trouble(`${name}: expected a number up to a thousand million, got “${text.slice(0, 30)}”`);
    } });
    const slope = element("span", { class: "slope" });
    const button = choose ? element("button", { type: "button", class: "choose", title: `show the curve over ${name}`, onclick: () => choose(name) }, name) : element("strong", { class: "choose" }, name);
    const made = element("div", { class: "leaf-row", "data-leaf": name }, button, slider, field, slope);
    return { made, slider, field, slope, button };
  }
  // leaves: {name, value, grad, range or low and high}; names of gradients are ∂result/∂name.
  return function draw(leaves, result, chosen, about = "") {
    if ([...rows.keys()].join(" ") !== leaves.map(leaf => leaf.name).join(" ")) {
      rows = new Map(leaves.map(leaf => [leaf.name, row(leaf.name)]));
      place.replaceChildren(...[...rows.values()].map(one => one.made));
    }
    for (const { name, value, grad, range, low = -range, high = range } of leaves) {
      const { slider, field, slope, button } = rows.get(name), step = String((high - low) / 200);
      if (slider.min !== String(low) || slider.max !== String(high) || slider.step !== step) Object.assign(slider, { min: low, max: high, step });
      slider.value = value;
      slider.dataset.value = value;
      slider.setAttribute("aria-valuetext", short(value));
      if (document.activeElement !== field) field.value = written(Number(value.toPrecision(5))).replace("-", "−");
      slope.textContent = `∂${result} ${grad === null ? "–" : signed(grad + 0)}`;
      slope.title = `∂${result}/∂${name}${grad === null ? "" : ` = ${grad}`}: how fast ${result} changes when ${name} grows${about}`;
      slope.className = `slope ${signWord(grad)}`;
      if (choose) button.setAttribute("aria-pressed", name === chosen);
    }
  };
}

// The graph as boxes with data and gradient, placed by layout.js.
function graphPicture(place, { explain, choose }) {
  let key = "", drawnAs = null, latest = null;
  const symbols = { "*": "×", "-": "−", "/": "÷", neg: "−a", "**": "^" };
  // Titles are formulas as long as there is room for them.
  function build(frame, full = true) {
    const across = place.clientWidth > 560, title = n => (full && n.formula && n.formula.length <= 14 ? `${n.name} = ${n.formula}` : n.name);
    const boxes = frame.nodes.map((n, first) => ({ frame: "top", first, height: n.constant ? 34 : 82,
      width: n.constant ? Math.max(38, 12 * n.name.length + 14) : Math.max(across ? 142 : 126, 10.6 * title(n).length + 24 + (n.symbol ? 12 * (symbols[n.symbol] ?? n.symbol).length + 22 : 0)) }));
    const edges = frame.edges.map(edge => ({ a: edge.input, b: edge.node, apart: edge.operand, text: across && !frame.nodes[edge.input].constant ? "+0.00" : "" }));
    const { width, height, lines } = arrange(boxes, edges, new Map(), "top", across, across ? 40 : 46);
    if (full && across && place.clientWidth / width < 0.78) return build(frame, false);
    const svg = drawn("svg", { viewBox: `-6 -6 ${width + 12} ${height + 12}`, class: "boxes", role: "group", "aria-label": `computation graph of ${frame.result}` });
    const marker = (id, size) => drawn("marker", { id, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: size, markerHeight: size, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, drawn("path", { class: "tip", d: "M1,1L9,5L1,9" }));
    svg.append(drawn("defs", {}, marker("tip", 13), marker("back", 22)));
    const lineOf = edges.map(edge => {
      const path = drawn("path", { d: curve(lines.find(line => line.edges.includes(edge)).points, across), "marker-end": "url(#tip)" }), text = drawn("text", { class: "flow" });
      const made = drawn("g", { class: "edge" }, path, text);
      svg.append(made);
      return { made, path, text };
    });
    const boxOf = frame.nodes.map((n, i) => {
      const { x, y, width, height } = boxes[i];
      const rect = drawn("rect", { class: "box", x, y, width, height, rx: 6 });
      const made = drawn("g", { class: "node" }, rect);
      svg.append(made);
      if (n.constant) {
        made.append(drawn("text", { x: x + width / 2, y: y + 24 }, n.name));
        return { made };
      }
      const open = () => { if (n.leaf) choose(n.name); explain(i); };
      give(made, { role: "button", tabindex: 0, onclick: open, onkeydown: event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } } });
      const symbol = symbols[n.symbol] ?? n.symbol, wide = n.symbol ? 12 * symbol.length + 18 : 0;
      if (wide) made.append(drawn("path", { class: "tab", d: `M${x + 1},${y + 29}V${y + 7}q0,-6 6,-6h${wide - 7}v28z` }), drawn("text", { class: "op", x: x + wide / 2 + 1, y: y + 22 }, symbol));
      const data = drawn("text", { class: "number data", x: x + width - 10, y: y + 49 }), grad = drawn("text", { class: "number grad", x: x + width - 10, y: y + 75 });
      made.append(drawn("text", { class: "name", x: x + wide + 9, y: y + 22 }, title(n)), drawn("line", { class: "rule", x1: x, x2: x + width, y1: y + 29.5, y2: y + 29.5 }),
        drawn("text", { class: "word", x: x + 10, y: y + 49 }, "data"), data, drawn("line", { class: "rule", x1: x, x2: x + width, y1: y + 55.5, y2: y + 55.5 }),
        drawn("text", { class: "word", x: x + 10, y: y + 75 }, "grad"), grad);
      return { made, data, grad };
    });
    const focused = [...place.querySelectorAll(".node")].indexOf(document.activeElement);
    place.replaceChildren(svg);
    lineOf.forEach(({ path, text }, i) => {
      const middle = path.getPointAtLength(path.getTotalLength() / 2), twin = edges.findIndex(edge => edge.a === edges[i].a && edge.b === edges[i].b);
      give(text, { x: middle.x, y: middle.y + (twin < i ? 19 : -6) });  // the second of two edges between the same boxes has it below
    });
    if (focused >= 0) svg.querySelectorAll(".node")[focused]?.focus();
    drawnAs = { svg, width: width + 12, height: height + 12, across, lineOf, boxOf };
  }
  function fit() {
    if (!drawnAs || !place.clientWidth) return;
    const { svg, width, height, across } = drawnAs, [w, h] = [(place.clientWidth - 4) / width, (place.clientHeight - 4) / height];
    const scale = across ? Math.max(0.7, Math.min(w, h, 1.3)) : Math.max(0.72, Math.min(w, 1.1));
    if (svg.getAttribute("width") !== String(width * scale)) give(svg, { width: width * scale, height: height * scale });
  }
  new ResizeObserver(() => { if (latest) draw(latest); }).observe(place);
  const brief = x => (x === null ? "–" : /e/.test(short(x)) ? short(x, 2) : short(x + 0));  // + 0: no −0
  const word = (x, more = "") => `number ${more} ${x > 0 ? "positive" : x < 0 ? "negative" : ""}`;
  function draw(frame) {
    latest = frame;
    if (!place.clientWidth) return;
    const now = JSON.stringify([place.clientWidth > 560, frame.nodes.map(n => [n.name, n.op, n.formula]), frame.edges.map(e => [e.input, e.node])]);
    if (now !== key) { key = now; build(frame); }
    fit();
    const { lineOf, boxOf } = drawnAs, named = lineOf.length <= 40;
    frame.nodes.forEach((n, i) => {
      const { made, data, grad } = boxOf[i];
      made.setAttribute("class", `node${n.leaf ? " leaf" : ""}${n.constant ? " constant" : ""}${n.lit ? " lit" : n.source ? " source" : ""}${n.leaf && n.name === frame.leaf ? " chosen" : ""}`);
      if (n.constant) return;
      data.textContent = brief(n.value);
      grad.textContent = brief(n.grad);
      data.dataset.exact = n.value ?? "";
      grad.dataset.exact = n.grad ?? "";
      grad.setAttribute("class", word(n.grad, "grad"));
      made.setAttribute("aria-label", `${n.name}, data ${n.value === null ? "not computed yet" : short(n.value)}, gradient ${n.grad === null ? "not computed yet" : short(n.grad)}`);
    });
    frame.edges.forEach((edge, i) => {
      const { made, text } = lineOf[i], sign = edge.sent > 0 ? "positive" : edge.sent < 0 ? "negative" : edge.sent === null ? "" : "zero";
      made.setAttribute("class", `edge ${sign}${edge.lit ? " lit" : ""}${edge.reads ? " reads" : ""}`);
      text.setAttribute("class", `flow ${sign}`);
      text.textContent = edge.sent === null || !named ? "" : edge.lit ? `· ${short(edge.local, 3)}` : signed(Number(edge.sent.toPrecision(3)));
    });
  }
  return draw;
}

// L over one leaf, its tangent, and the point; dragging moves the leaf.
function curvePicture(place, move) {
  let data = null, from = null;
  const picture = canvas(place, paint, { label: "curve" });
  const made = picture.element;
  const x = event => Math.max(-data.range, Math.min(data.range, Number(((event.offsetX - 40) / (made.clientWidth - 48) * 2 * data.range - data.range).toPrecision(3))));
  made.addEventListener("pointerdown", event => { if (data) { from = "new"; made.setPointerCapture(event.pointerId); drag(event); } });
  made.addEventListener("pointermove", event => { if (from) drag(event); });
  for (const end of ["pointerup", "pointercancel"]) made.addEventListener(end, () => { from = null; });
  function drag(event) { move(x(event), from === "new"); from = "more"; }
  function paint(context, width, height) {
    if (!data) return;
    const size = fontSize(), { xs, ys, range, slope } = data, left = 40, floor = height - size * 1.5;
    const sorted = Array.from(ys).filter(Number.isFinite).sort((a, b) => a - b), at = share => sorted[Math.round(share * (sorted.length - 1))];
    let low = at(0.02) ?? 0, high = at(0.98) ?? 1;
    const middle = at(0.5) ?? 0, [down, up] = [middle - low, high - middle];  // of what grows fast, the beginning
    [low, high] = [Math.min(data.y, up > 0 ? Math.max(low, middle - 3 * up) : low), Math.max(data.y, down > 0 ? Math.min(high, middle + 3 * down) : high)];
    if (!(high - low > 1e-12 * Math.abs(high))) { low -= 1; high += 1; }
    const margin = (high - low) * 0.12;
    [low, high] = [low - margin, high + margin];
    const X = x => left + (x + range) / (2 * range) * (width - left - 8), Y = y => Math.max(-1e4, Math.min(1e4, floor - (y - low) / (high - low) * (floor - 4)));
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const y of ticks(low, high, 4)) {
      context.strokeStyle = color(Math.abs(y) < 1e-9 ? "faint" : "frame-1");
      line(context, left, Y(y), width, Y(y));
      context.fillStyle = color("faint");
      context.fillText(short(y + 0, 3), left - 4, Y(y));
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    for (const x of ticks(-range, range, 5)) { const text = number(Number(x.toPrecision(6))); context.fillText(text, Math.min(X(x), width - context.measureText(text).width / 2), height - 3); }
    context.save();
    context.beginPath();
    context.rect(left, 0, width - left, floor + 1);
    context.clip();
    context.lineWidth = 2.5;
    context.strokeStyle = color("ink");
    context.beginPath();
    let open = false;
    ys.forEach((y, i) => { if (!Number.isFinite(y)) { open = false; return; } open ? context.lineTo(X(xs[i]), Y(y)) : context.moveTo(X(xs[i]), Y(y)); open = true; });
    context.stroke();
    if (Number.isFinite(slope)) {
      context.strokeStyle = color(slope < 0 ? "negative" : slope > 0 ? "positive" : "mixed");
      context.lineWidth = 3;
      const dx = X(1) - X(0), dy = Y(low) - Y(low + Math.max(1e-300, high - low)), rise = slope * dy / (high - low), reach = 0.26 * width / Math.hypot(dx, rise) || 0;
      context.beginPath();
      context.moveTo(X(data.x) - reach * dx, Y(data.y) + reach * rise);
      context.lineTo(X(data.x) + reach * dx, Y(data.y) - reach * rise);
      context.stroke();
    }
    context.fillStyle = color("leaf-tab");
    context.strokeStyle = color("ink");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(X(data.x), Y(data.y), 7, 0, 7);
    context.fill();
    context.stroke();
    context.restore();
  }
  return (given, result) => {
    data = given;
    made.hidden = !data;
    if (data) picture.label(`curve of ${result} over ${data.leaf} from ${short(-data.range)} to ${short(data.range)}; at ${data.leaf} = ${short(data.x)} it is ${short(data.y)} and its slope is ${Number.isFinite(data.slope) ? short(data.slope) : "not known yet"}`);
    picture.redraw();
  };
}

screen("point", {
  title: "One number",
  lead: "Type a formula, move its numbers, and see which way each of them pulls the result. Begin with the slider of a.",
  lossName: "result",
  settings: {
    formula: words("formula", FIRST_FORMULA[0], { live: true, calms: true, rows: 2, longest: 2000 }),
    numbers: hidden(FIRST_FORMULA[1], { live: true, calms: true }),
    leaf: hidden("", { live: true }),
    at: hidden("", { live: true }),
    predict: tick("predict first", false, { live: true }),
    rate: slider("rate", 0.01, { min: 0.001, max: 1, log: true, live: true }),
    seed: hidden("1", { live: true }),
    speed: hidden("2", { live: true }),
  },
  tasks: [
    "Find a, b, c and f with L = 0. Is there more than one way?",
    "Make the gradient of one leaf 0 while no leaf is 0. Why is it 0?",
    "Say what L will be before you press “Nudge”. Then press it.",
    "Choose the example “a used twice”. Why do three gradients arrive at a?",
    "Set the rate to 0.1. Find a point where one step downhill makes L larger. (Try “two valleys”.)",
  ],
  build(place, play) {
    let values = {}, leaf = "", result = "L", now = null, asking = false, tried = false, right = 0, asked = 0;
    const say = element("p", { class: "problem", role: "alert" });
    const examples = element("select", { id: "point-example", onchange: () => {
      const [formula, numbers] = FORMULAS[examples.value] ?? [];
      if (formula) play.set({ formula, numbers, leaf: "", at: "" });
    } }, element("option", { value: "" }, "choose an example"), Object.keys(FORMULAS).map(name => element("option", { value: name }, name)));
    function move(name, value, begins) {
      if (begins) play.edit("mark");
      values[name] = value;
      play.set({ numbers: Object.entries(values).map(([name, x]) => `${name}=${x}`).join(" "), leaf: name });
    }
    const choose = name => play.set({ leaf: name });
    const rows = element("div"), rates = element("div", { class: "downhill" }), moved = element("p", { class: "said", role: "status" });
    const drawRows = leafRows(rows, { change: move, choose, trouble: text => { say.textContent = text; } });
    rates.append(play.control("rate"), element("button", { type: "button", id: "downhill", onclick: () => play.once() }, "One step downhill"), element("span", { class: "note" }, "every leaf (a number you choose) moves by −rate · its gradient"));
    const graph = element("div", { class: "graph card" });
    const drawGraph = graphPicture(graph, { explain: ref => play.explain(ref), choose });

    const told = element("p", { class: "said", id: "nudged", role: "status" }), TRUTH = "The gradient is the slope you see.";
    let toldFor = "";
    const nudge = element("button", { type: "button", id: "nudge", onclick: async () => {
      const by = 0.001, { about, leaf: name, to, before, after, slope, grad, result } = await play.ask({ what: "nudge", by });
      const grew = after - before;
      toldFor = JSON.stringify(about);  // a frame that is still to be drawn leaves it
      told.textContent = `${name} = ${short(to, 6)}: ${result} changes by ${short(grew, 3)}, to ${short(after + 0, 6)}. `
        + `${short(grew, 3)} ÷ 0.001 = ${short(slope, 3)}; the gradient says ${short(grad, 3)}.`;
    } }, "Nudge");
    const curveTitle = element("span"), curveCard = element("section", { class: "card" }, element("h2", {}, curveTitle, nudge));
    const drawCurve = curvePicture(curveCard, (x, begins) => move(leaf, x, begins));
    curveCard.append(told);

    const walk = element("section", { class: "card walk keys", "aria-label": "step by step" });
    const [where, sentence, why, terms, spoken, verdict] = [element("span", { id: "walk-where" }), element("p", { class: "sentence", "aria-hidden": "true" }), element("p", { class: "why" }), element("p", { class: "terms" }),
      element("p", { class: "unseen", role: "status", "aria-live": "polite" }), element("p", { class: "verdict", role: "status" })];
    const go = at => { asking = false; verdict.textContent = ""; play.set({ at: at === null ? "" : String(Math.max(0, Math.min(now.steps.total, at))) }); };
    const next = () => {
      const { at, total } = now.steps;
      if (asking) return reveal();
      if (at === null || at === total) return go(0);
      if (!play.settings.predict) return go(at + 1);
      asking = true;
      tried = false;
      verdict.textContent = "";
      answer.value = "";
      drawWalk();
      answer.focus();
    };
    function reveal() { if (!tried) asked++; go(now.steps.at + 1); forward.focus(); }
    const button = (name, text, act) => element("button", { type: "button", id: `walk-${text}`, "aria-label": text, title: text, onclick: act }, name);
    const forward = button("next ▶", "next", next);
    const buttons = element("span", { class: "buttons" }, button("|◀", "first", () => go(0)), button("◀", "previous", () => go((now.steps.at ?? now.steps.total) - 1)), forward, button("all", "everything", () => go(null)), play.control("predict"));
    const answer = element("input", { id: "walk-answer", inputmode: "text", spellcheck: "false", autocomplete: "off" });
    const question = element("label", { for: "walk-answer" });
    const form = element("form", { autocomplete: "off", hidden: true, onsubmit: async event => {
      event.preventDefault();
      if (!answer.value.trim()) return;
      const position = now.steps.at, found = await play.ask({ what: "judge", position, text: answer.value });
      if (found.understood && !tried) { tried = true; asked++; right += found.right; }
      if (found.right) { go(position + 1); forward.focus(); }
      verdict.textContent = `${found.right ? "✓" : "✗"} ${found.message}`;
      verdict.className = `verdict ${found.right ? "right" : "wrong"}`;
    } }, question, answer, element("button", {}, "check"), element("button", { type: "button", id: "walk-show", onclick: reveal }, "show"));
    walk.append(element("h2", {}, "Step by step", where), buttons, sentence, why, terms, form, verdict, spoken);
    buttons.addEventListener("change", event => { if (event.target.checked && now.steps.at === null) go(0); });
    walk.addEventListener("keydown", event => {
      const act = { ArrowRight: next, ArrowLeft: () => go((now.steps.at ?? now.steps.total) - 1) }[event.key];
      if (act && !event.target.matches("input:not([type=checkbox])")) { event.preventDefault(); act(); }
    });
    function drawWalk() {
      const { at, total, forward: first, ...said } = now.steps, hide = asking;
      where.textContent = at === null ? "" : `${at} of ${total} · ${at === 0 ? "before the first step" : at <= first ? "forward" : at === total ? "done" : "backward"}${asked ? ` · ${right} of ${asked} right` : ""}`;
      sentence.textContent = hide ? "" : at === null ? "Press “next” to see how these numbers arise." : at === 0 ? "Only the leaves have numbers. Press “next”." : said.sentence;
      why.textContent = hide ? "" : at === null || at === 0 ? `First forward: every Value from its inputs. Then backward: gradients from ${result} to the leaves, where the colored arrows point.` : said.why;
      terms.textContent = hide ? "" : said.terms;
      spoken.textContent = hide || at === null ? "" : said.spoken;
      form.hidden = !asking;
      question.textContent = asking ? said.question : "";
    }
    place.append(
      element("section", { class: "given", "aria-label": "formula and numbers" }, play.control("formula"), say, element("div", { class: "examples" }, element("label", { for: "point-example" }, "or"), examples), rows, rates, moved),
      element("div", { class: "right" }, graph, element("div", { class: "below" }, curveCard, walk)),
    );
    return {
      draw(frame) {
        asking &&= frame.text === now.text;  // another formula has other questions
        now = frame;
        ({ leaf, result } = frame);
        const { settings } = play, settled = frame.echo.formula === settings.formula && frame.echo.numbers === settings.numbers;
        if (settled) {
          values = Object.fromEntries(frame.inputs.map(one => [one.name, one.value]));
          if (frame.undone && frame.text !== settings.formula) play.set({ formula: frame.text, numbers: frame.start });
          else if (frame.start !== settings.numbers) play.set({ numbers: frame.start });
        }
        examples.value = Object.keys(FORMULAS).find(name => FORMULAS[name][0] === settings.formula) ?? "";
        showProblem(say, frame.problem, settings.formula);
        $("set-formula").setAttribute("aria-invalid", Boolean(frame.problem));
        // To be predicted, a gradient is not yet to be seen: neither as a number nor as a slope.
        const secret = settings.predict && frame.steps.at !== null, inputs = secret ? frame.inputs.map(one => ({ ...one, grad: frame.nodes[one.node]?.grad ?? null })) : frame.inputs;
        const known = inputs.find(one => one.name === leaf)?.grad !== null, curve = frame.curve && { ...frame.curve, slope: known ? frame.curve.slope : NaN };
        drawRows(inputs, result, leaf);
        drawGraph(frame);
        drawCurve(curve, result);
        nudge.disabled = !leaf || !known;
        nudge.textContent = leaf ? `Nudge ${leaf} by 0.001` : "Nudge";
        curveTitle.textContent = leaf ? `${result} over ${leaf}, slope ${known ? short(frame.curve.slope) : "?"}` : "No name, no curve";
        const about = JSON.stringify([frame.text, leaf, frame.inputs.map(one => one.value)]);
        if (settled && about !== toldFor) { toldFor = about; verdict.textContent = ""; told.textContent = leaf ? TRUTH : "Use a name in the formula; then it can be moved."; }
        if (frame.moved) {
          const { before, after } = frame.moved;
          moved.textContent = `${result}: ${short(before + 0)} → ${short(after + 0)}. ${after < before ? "Downhill." : after > before ? "Uphill! The step was too long." : "Flat: it did not move."}`;
        } else moved.textContent = "";
        drawWalk();
      },
      status: () => (now ? `${plural(now.since, "step")} downhill  ·  ${result} = ${short(now.value + 0)}` : ""),
      run: () => now?.since ?? 0,  // steps since the numbers in the address
      python: (settings, frame) => pythonOfPoint(settings, frame),
    };
  },
});
function showProblem(place, problem, text) {
  if (!problem) return place.replaceChildren();
  if (place.dataset.shown === problem.message && place.firstChild) return;
  place.dataset.shown = problem.message;
  const lines = text.split("\n"), found = /^(?:line (\d+), )?column (\d+): /.exec(problem.message);
  place.replaceChildren(problem.message);
  if (found) place.append(element("pre", { "aria-hidden": "true" }, `${lines[(found[1] ?? 1) - 1] ?? ""}\n${" ".repeat(found[2] - 1)}^`));
}
function pythonOfPoint({ rate }, frame) {
  const names = frame.inputs.map(one => one.name), start = Object.fromEntries(frame.start.split(" ").map(part => part.split("=")));
  const used = ["maximum", "minimum"].filter(name => frame.python.includes(`${name}(`));
  const leaves = names.map(name => `Value(${start[name]}, label="${name}")`).join(", ");
  return `from tinygrad_edu import ${["Value", ...used].join(", ")}


${frame.python}


leaves = [${leaves}]
rate = ${rate}
for step in range(${names.length ? frame.since : 0}):
    result = formula(*leaves)
    for leaf in leaves:
        leaf.zero_grad()
    result.backward()
    for leaf in leaves:
        leaf.data -= rate * leaf.grad  # one step downhill

result = formula(*leaves)
print(result.data)
`;
}
