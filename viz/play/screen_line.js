// Points, the line and the squares of its errors; points can be dragged, added and moved by keys.
function pointPlot(place, { change, select }) {
  let frame = null, shown = {}, chosen = -1, moving = null, view = null;
  const svg = drawn("svg", { class: "keys", role: "group", "aria-label": "points and the line" });
  const [grid, errors, lines, dots] = ["grid", "errors", "lines", "dots"].map(name => drawn("g", { class: `layer-${name}` }));
  svg.append(grid, errors, lines, dots);
  place.append(svg);
  new ResizeObserver(() => { view = null; if (frame) draw(frame, shown); }).observe(svg);
  // What the plot shows; it does not change while a point is dragged.
  function fit() {
    const xs = frame.points.map(p => p[0]), ys = frame.points.map(p => p[1]), width = svg.clientWidth, height = svg.clientHeight;
    const span = (list, margin) => { const low = Math.min(0, ...list), high = Math.max(low + 1, ...list), more = margin * (high - low); return [low - more, high + more]; };
    const [x1, x2] = span(xs, 0.12), [y1, y2] = span(ys, 0.18);
    view = { x1, x2, y1, y2, width, height, X: x => (x - x1) / (x2 - x1) * width, Y: y => height - (y - y1) / (y2 - y1) * height,
      x: X => x1 + X / width * (x2 - x1), y: Y => y1 + (height - Y) / height * (y2 - y1) };
    const text = (x, y, words, anchor) => drawn("text", { x, y, "text-anchor": anchor }, words), lineAt = (x1, y1, x2, y2, kind) => drawn("line", { x1, y1, x2, y2, class: kind });
    const { X, Y } = view;
    grid.replaceChildren(
      ...ticks(x1, x2, width / 90).flatMap(x => [lineAt(X(x), 0, X(x), height, x ? "grid" : "axis"), text(X(x) + 4, height - 5, number(Number(x.toPrecision(6))), "start")]),
      ...ticks(y1, y2, height / 60).flatMap(y => [lineAt(0, Y(y), width, Y(y), y ? "grid" : "axis"), ...(Y(y) > 18 ? [text(4, Y(y) - 4, number(Number(y.toPrecision(6))), "start")] : [])]));
  }
  const rounded = (x, range) => { const unit = 10 ** Math.floor(Math.log10(range / 100)); return Number((Math.round(x / unit) * unit).toPrecision(8)); };
  const at = event => { const box = svg.getBoundingClientRect(); return [rounded(view.x(event.clientX - box.x), view.x2 - view.x1), rounded(view.y(event.clientY - box.y), view.y2 - view.y1)]; };
  function put(i, point, begins) {
    const points = frame.points.map(p => [...p]);
    points[i] = point;
    frame.points = points;
    change(points, begins);
  }
  function choose(i) { chosen = i; select(i); }
  let justMoved = false;  // the click at the end of a drag adds no point
  const indexOf = event => [...dots.children].indexOf(event.target.closest?.(".dot"));
  svg.addEventListener("pointerdown", event => {
    if (!frame || event.button) return;
    const i = indexOf(event);
    if (i < 0) return;
    moving = { i, begins: true };
    svg.setPointerCapture(event.pointerId);
    choose(i);
    draw(frame, shown);
  });
  // touch-action of a part of an SVG is not heeded everywhere: without this, the page takes the finger away after 10 pixels.
  svg.addEventListener("touchstart", event => { if (indexOf(event) >= 0) event.preventDefault(); }, { passive: false });
  svg.addEventListener("click", event => {
    if (!frame || indexOf(event) >= 0 || justMoved || frame.points.length >= 60) return;
    const where = at(event);
    choose(frame.points.length);
    put(frame.points.length, where, true);
    draw(frame, shown);
  });
  svg.addEventListener("pointermove", event => {
    if (!moving || (event.buttons === 0 && event.pointerType === "mouse")) return;
    put(moving.i, at(event), moving.begins);
    moving.begins = false;
    justMoved = true;
    draw(frame, shown);
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { if (moving) { moving = null; view = null; draw(frame, shown); setTimeout(() => { justMoved = false; }); } });
  svg.addEventListener("keydown", event => {
    const i = indexOf(event), way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (i < 0) return;
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); remove(i); }
    if (!way) return;
    event.preventDefault();
    const unit = range => 10 ** Math.floor(Math.log10(range / 20)), [x, y] = frame.points[i];
    put(i, [Number((x + way[0] * unit(view.x2 - view.x1)).toPrecision(8)), Number((y + way[1] * unit(view.y2 - view.y1)).toPrecision(8))], true);
    draw(frame, shown);
  });
  function remove(i) {
    if (frame.points.length < 2 || !frame.points[i]) return;
    frame.points = frame.points.filter((_, k) => k !== i);
    choose(-1);
    view = null;
    change(frame.points, true);
    draw(frame, shown);
    (dots.children[Math.min(i, frame.points.length - 1)] ?? svg).focus?.();
  }
  function draw(given, options) {
    const points = moving && frame ? frame.points : given.points;
    frame = { ...given, points };
    shown = options;
    if (!svg.clientWidth) return;
    if (!view || (!moving && (Math.max(...points.map(p => p[1])) > view.y2 || Math.min(...points.map(p => p[1])) < view.y1 || view.key !== given.text))) { fit(); view.key = given.text; }
    const { X, Y, x1, x2, width } = view, { w, b } = frame, far = y => Math.max(-3000, Math.min(4000, y));
    errors.replaceChildren(...(options.squares ? points.map(([x, y]) => {
      const top = far(Math.min(Y(y), Y(w * x + b))), bottom = far(Math.max(Y(y), Y(w * x + b))), side = bottom - top;
      const wide = frame.error === "squared" ? side : 3, right = X(x) + wide < width || X(x) < width / 2;
      return drawn("rect", { class: "error", x: right ? X(x) : X(x) - wide, y: top, width: wide, height: side });
    }) : []));
    const through = (w, b, kind) => drawn("line", { class: kind, x1: X(x1), y1: far(Y(w * x1 + b)), x2: X(x2), y2: far(Y(w * x2 + b)) });
    lines.replaceChildren(...(options.least ? [through(frame.best.w, frame.best.b, "least")] : []), through(w, b, "model"));
    while (dots.children.length > points.length) dots.lastChild.remove();
    while (dots.children.length < points.length) dots.append(drawn("g", { tabindex: 0, role: "button" }, drawn("circle", { r: 20, class: "near" }), drawn("circle", { r: 9, class: "mark" })));
    points.forEach(([x, y], i) => {
      give(dots.children[i], { transform: `translate(${X(x)} ${Y(y)})`, class: `dot${i === chosen ? " chosen" : ""}`,
        "aria-label": `point ${i + 1} at x ${short(x)}, y ${short(y)}; the line is ${short(w * x + b - y)} off. Arrow keys move it, Delete removes it` });
      dots.children[i].onfocus = () => { if (!moving) choose(i); };
    });
  }
  return { draw, remove: () => remove(chosen), svg, forget: () => choose(-1) };
}

// The loss over (w, b): shades and lines of equal loss, the path, the point; dragging moves it. Without `map`, only what was tried.
function lossMap(place, move) {
  let map = null, frame = null, tried = [], cached = { key: "" }, from = null;
  const picture = canvas(place, paint, { label: "loss over w and b" }), made = picture.element, left = 34, below = 22;
  const at = event => {
    const { w, b } = frame.ranges, x = (event.offsetX - left) / (made.clientWidth - left), y = 1 - event.offsetY / (made.clientHeight - below), inside = (t, range) => Number((range * Math.max(-1, Math.min(1, 2 * t - 1))).toFixed(2));
    return { w: inside(x, w), b: inside(y, b) };
  };
  made.addEventListener("pointerdown", event => { if (frame) { made.setPointerCapture(event.pointerId); move(at(event), true); from = true; } });
  made.addEventListener("pointermove", event => { if (from) move(at(event), false); });
  for (const end of ["pointerup", "pointercancel"]) made.addEventListener(end, () => { from = null; });
  function contours(width, height) {
    const path = new Path2D(), { size, contours: ends } = map, X = c => left + c / (size - 1) * width, Y = r => (1 - r / (size - 1)) * height;
    for (let i = 0; i < ends.length; i += 4) { path.moveTo(X(ends[i]), Y(ends[i + 1])); path.lineTo(X(ends[i + 2]), Y(ends[i + 3])); }
    return path;
  }
  function shades() {
    const { size, losses } = map, small = element("canvas", { width: size, height: size }), context = small.getContext("2d"), image = context.createImageData(size, size);
    const low = frame.best.loss, high = Math.max(...losses), [deep, paper] = [rgb("positive"), rgb("paper")], power = frame.error === "squared" ? 0.5 : 1;
    for (let i = 0; i < losses.length; i++) {
      const t = 0.06 + 0.5 * ((losses[i] - low) / (high - low || 1)) ** power, place = 4 * ((size - 1 - Math.floor(i / size)) * size + i % size);
      for (let k = 0; k < 3; k++) image.data[place + k] = paper[k] + (deep[k] - paper[k]) * Math.max(0, Math.min(1, t));
      image.data[place + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return small;
  }
  function paint(context, whole, tall) {
    if (!frame) return;
    const width = whole - left, height = tall - below, { w, b } = frame.ranges, X = x => left + (x / w + 1) / 2 * width, Y = y => (1 - y / b) / 2 * height;
    context.save();
    context.beginPath();
    context.rect(left, 0, width, height);
    context.clip();
    if (map) {
      const key = `${map.key} ${width} ${height} ${color("paper")}`;
      if (cached.key !== key) cached = { key, lines: contours(width, height), shade: shades() };
      context.imageSmoothingEnabled = true;
      context.drawImage(cached.shade, left, 0, width, height);
      context.strokeStyle = color("outline");
      context.lineWidth = 1;
      context.stroke(cached.lines);
      cross(context, X(frame.best.w), Y(frame.best.b));
    }
    for (const one of tried) { context.fillStyle = color("faint"); context.beginPath(); context.arc(X(one.w), Y(one.b), 3, 0, 7); context.fill(); }
    const far = z => Math.max(-5000, Math.min(5000, z));
    context.strokeStyle = color("negative");
    context.lineWidth = 2;
    context.beginPath();
    frame.path.forEach(([w, b], i) => (i ? context.lineTo(far(X(w)), far(Y(b))) : context.moveTo(far(X(w)), far(Y(b)))));
    context.lineTo(far(X(frame.w)), far(Y(frame.b)));
    context.stroke();
    if (frame.path.length < 150) for (const [w, b] of frame.path) { context.fillStyle = color("negative"); context.beginPath(); context.arc(far(X(w)), far(Y(b)), 2.5, 0, 7); context.fill(); }
    context.beginPath();  // a ring: the end of the path is seen in it
    context.arc(Math.max(left + 3, Math.min(whole - 3, X(frame.w))), Math.max(3, Math.min(height - 3, Y(frame.b))), 9, 0, 7);
    [context.strokeStyle, context.lineWidth] = [color("ink"), 3];
    context.stroke();
    context.restore();
    context.fillStyle = color("faint");
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (const x of ticks(-w, w, 5)) if (Math.abs(x) < w) context.fillText(number(Number(x.toPrecision(6))), X(x), tall - 5);
    context.fillText("w", whole - 8, tall - 5);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const y of ticks(-b, b, 5)) if (Math.abs(y) < b && Y(y) > 1.6 * fontSize()) context.fillText(number(Number(y.toPrecision(6))), left - 5, Y(y));
    context.fillText("b", left - 5, 9);
    context.strokeStyle = color("frame-line");
    context.strokeRect(left + 0.5, 0.5, width - 1, height - 1);
  }
  function cross(context, x, y) {
    context.strokeStyle = color("ink");
    context.lineWidth = 2;
    line(context, x - 6, y - 6, x + 6, y + 6);
    line(context, x - 6, y + 6, x + 6, y - 6);
  }
  return (given, grid, tries) => {
    [frame, map, tried] = [given, grid, tries];
    picture.label(`the loss over w and b: now w ${short(frame.w)}, b ${short(frame.b)}, loss ${short(frame.loss)}${map ? `; lowest at w ${short(frame.best.w)}, b ${short(frame.best.b)}` : ""}`);
    picture.redraw();
  };
}

screen("line", {
  title: "A line",
  lead: "Find the line through the points. First by hand: move w and b until the squares are small.",
  settings: {
    points: hidden("1,2.1 2,3.9 3,6.1 4,7.8 5,10", { live: true, calms: true }),
    w: hidden("0", { live: true, calms: true }),
    b: hidden("0", { live: true, calms: true }),
    rate: slider("learning rate", 0.01, { min: 0.0001, max: 1, log: true, live: true }),
    error: choice("error", "squared", { squared: "squared", absolute: "absolute" }, { live: true, calms: true }),
    squares: tick("errors", true, { live: true }),
    least: tick("best line", false, { live: true, help: "the line with the smallest error of the kind that is chosen" }),
    tried: hidden("", { live: true }),
    mine: { ...hidden("", { live: true }), read: text => (Number(text) > 0 ? text : undefined) },  // the best loss by hand
    seed: hidden("1", { live: true }),
    speed: hidden("10", { live: true }),
  },
  tasks: [
    "Beat the machine: get the loss below 0.05 by hand. Then press “Let it train”: it begins at w = 0, b = 0. How many steps does it need?",
    "Let it train. Watch the path on the map: why does it turn?",
    "Find the largest learning rate that does not explode, to two digits.",
    "Drag one point far away. How far does the line follow?",
    "Press “Mistype a point”, then choose the absolute error. Which line is better, and why?",
  ],
  build(place, play) {
    const TRIES = 3, SECONDS = 5;
    let now = null, hand = null, map = null, asking = false, tries = [], began = 0, record = { key: "", loss: Number(play.settings.mine) || Infinity }, found = "", chosen = -1, { seed } = play.settings;
    let mine = `${Number(play.settings.w)} ${Number(play.settings.b)}`;  // where the learner has put the line, not the machine
    const problem = element("p", { class: "problem", role: "alert" }), score = element("p", { class: "score" }), told = element("p", { class: "told", role: "status" });
    const free = () => Boolean(play.settings.tried) || play.step > 0;
    function unlock() { if (!play.settings.tried) play.set({ tried: "1" }); play.locked = ""; }
    function byHand(changes, begins) {
      if (begins) play.edit("mark");
      problem.textContent = "";
      Object.assign(hand, changes);
      mine = `${hand.w} ${hand.b}`;
      play.set({ w: String(hand.w), b: String(hand.b) });
      if (!free()) {
        began ||= performance.now();
        tries.push({ w: Number(hand.w), b: Number(hand.b) });
        if (tries.length >= TRIES && performance.now() - began > 1000 * SECONDS) unlock();
      }
    }
    const placed = () => play.settings.points.split(" ").map(point => point.split(",").map(Number));  // newer than the frame
    const point = (points, begins) => {
      if (begins) play.edit("mark");
      play.set({ points: points.map(p => p.join(",")).join(" ") });
    };
    const plotCard = element("section", { class: "card plot", "aria-label": "points" }), plot = pointPlot(plotCard, { change: point, select: i => { chosen = i; remove.disabled = i < 0 || !now || now.points.length < 2; } });
    const remove = element("button", { type: "button", id: "line-remove", disabled: true, onclick: () => plot.remove() }, "Remove point");
    const add = element("button", { type: "button", id: "line-add", onclick: () => {
      const points = placed();
      if (points.length >= 60) return;
      const xs = points.map(p => p[0]), x = Number(((Math.min(...xs) + Math.max(...xs)) / 2 + 0.1 * points.length).toFixed(1));
      point([...points, [x, Number((now.w * x + now.b + 1).toFixed(1))]], true);
    } }, "Add point");
    const mistype = element("button", { type: "button", id: "line-mistype", title: "the largest y becomes twice as large", onclick: () => {
      const points = placed(), i = points.reduce((most, p, k) => (Math.abs(p[1]) > Math.abs(points[most][1]) ? k : most), 0);
      points[i][1] = Number(((points[i][1] || 1) * 2).toPrecision(6));
      point(points, true);
    } }, "Mistype a point");
    const rows = element("div"), drawRows = leafRows(rows, { change: (name, value, begins) => byHand({ [name]: value }, begins), trouble: text => { problem.textContent = text; } });
    const letGo = element("button", { type: "button", id: "line-train", title: "from w = 0, b = 0", onclick: () => { unlock(); mine = ""; play.edit("begin"); play.set({ w: "0", b: "0" }); play.start(); } }, "Let it train");
    const mapTitle = element("h2", {}, "Loss over w and b"), mapCard = element("section", { class: "card map" }, mapTitle);
    const drawMap = lossMap(mapCard, byHand);
    const chartCard = element("section", { class: "card" }), chart = lossChart(chartCard, { label: "loss by step", log: true });
    place.append(
      element("div", { class: "column" }, plotCard, element("div", { class: "buttons" }, add, remove, mistype, play.control("squares"), play.control("least")), rows, problem, element("div", { class: "contest" }, letGo, score)),
      element("div", { class: "column" }, mapCard, element("div", { class: "buttons" }, play.control("rate"), play.control("error")), told, chartCard));
    play.locked = "Try w and b by hand, or let it train.";
    if (play.settings.tried) play.locked = "";

    async function askMap() {  // one at a time
      if (asking || map?.key === now.key) return;
      asking = true;
      map = await play.ask({ what: "map" });
      asking = false;
      drawMap(now, map, tries);
      askMap();
    }
    function words(frame) {
      const { since, start, loss, best, limit, exploding } = frame, key = `${frame.text} ${frame.error}`;
      if (record.key && record.key !== key) record.loss = Infinity;
      record.key = key;
      if (!since && mine === `${start.w} ${start.b}`) record.loss = Math.min(record.loss, loss);
      if (!free() && record.loss < 4 * best.loss) unlock();  // good enough
      if (free()) play.set({ mine: Number.isFinite(record.loss) ? String(record.loss) : "" });
      const yours = Number.isFinite(record.loss) ? `, your best ${short(record.loss)}` : "";
      const ahead = since && Number.isFinite(record.loss) ? (record.loss < loss ? " You are ahead." : " The machine is ahead.") : "";
      score.textContent = `${since ? `machine ${short(loss)} after ${plural(since, "step")}` : `yours ${short(loss)}`}${yours}, best possible ${short(best.loss)}.${ahead}`;
      const { rate } = play.settings;  // the answer is told when it was found to two digits
      if (since >= 20 && !exploding && rate >= 0.98 * limit.rate && rate <= limit.rate) found = key;
      told.textContent = exploding ? "It explodes: each step lands higher on the other side of the valley."
        : found === key && frame.error === "squared" ? `The largest stable rate is 2 ÷ ${short(limit.curvature)} = ${short(limit.rate, 3)}: 2 ÷ the curvature of the steepest direction, which says how fast the slope changes there.`
          : !free() ? "Move w and b for five seconds, or come near the best: then the map of the loss appears."
            : frame.error === "absolute" && since ? "Absolute error: the gradient counts the signs of the errors, not their sizes. So steps stay long near the best line, and it zigzags." : "";
    }
    return {
      *draw(frame) {
        const { settings } = play, { echo, start } = frame;
        if (seed !== settings.seed) { seed = settings.seed; plot.forget(); }  // other points
        // What was moved meanwhile is shown where it is now, not where it was.
        if (echo.points !== settings.points) frame.points = placed();
        if (echo.w !== settings.w || echo.b !== settings.b) [frame.w, frame.b] = [Number(settings.w), Number(settings.b)];
        now = frame;
        if (Object.entries(echo).every(([name, value]) => settings[name] === value)) {
          hand = { w: frame.w, b: frame.b };
          const wanted = { points: frame.text, w: String(start.w), b: String(start.b), error: frame.error };
          if (Object.entries(wanted).some(([name, value]) => settings[name] !== value)) play.set(wanted);
        }
        if (free() && play.locked) play.locked = "";
        if (!free()) tries = tries.slice(-200); else tries = [];
        remove.disabled = chosen < 0 || chosen >= frame.points.length || frame.points.length < 2;
        plot.draw(frame, { squares: settings.squares, least: settings.least });
        drawRows([{ name: "w", value: frame.w, grad: frame.dw, low: -frame.ranges.w, high: frame.ranges.w }, { name: "b", value: frame.b, grad: frame.db, low: -frame.ranges.b, high: frame.ranges.b }], "loss", "", ", over all points");
        words(frame);
        yield;
        if (free()) askMap();
        drawMap(now, free() ? map : null, tries);
        yield;
        chart.draw({ series: [{ name: "loss", color: "ink", xs: frame.curve.steps, ys: frame.curve.losses }], lines: [{ name: "best possible", y: frame.best.loss }] });
      },
      status: () => (now ? `step ${now.since.toLocaleString("en-US")}  ·  loss ${short(now.loss)}` : ""),
      run: () => now?.since ?? 0,
      python: (settings, frame) => pythonOfLine(settings, frame),
    };
  },
});
function pythonOfLine({ rate }, { points, start, since, error }) {
  return `from tinygrad_edu import Value

points = [${points.map(([x, y]) => `(${x}, ${y})`).join(", ")}]
w = Value(${start.w}, label="w")
b = Value(${start.b}, label="b")


def mean_error():
    total = 0.0
    for x, y in points:
        error = w * x + b - y
        total = total + ${error === "squared" ? "error**2" : "abs(error)"}
    return total / len(points)


rate = ${rate}
for step in range(${since}):
    loss = mean_error()
    w.zero_grad()
    b.zero_grad()
    loss.backward()
    w.data -= rate * w.grad
    b.data -= rate * b.grad

print(mean_error().data)
`;
}
