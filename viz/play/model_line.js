// A line through points: w and b on a tape, trained by gradients; closed formulas only say how good it could be.
MODELS.line = class {
  static GRID = 61;  // of the map of the loss, in each direction
  static KEPT = 2000;  // points of the path

  constructor(settings) {
    this.settings = { ...settings };
    this.asked = settings;  // what the page said last; undo changes this.settings
    this.put(readPoints(settings.points) ?? readPoints("1,2.1 2,3.9 3,6.1 4,7.8 5,10"), lineNumber(settings.w) ?? 0, lineNumber(settings.b) ?? 0);
  }
  // Other points or another kind of error; w and b stay where they are.
  put(points, w = this.w, b = this.b) {
    this.points = points;
    this.graph = this.built();
    this.trial = this.built();
    this.best = this.bestLine();
    this.place(w, b);
  }
  built() {
    const tape = new Tape(512), w = tape.leaf(0, "w"), b = tape.leaf(0, "b"), squared = this.settings.error === "squared";
    const terms = this.points.map(([x, y]) => {
      const error = tape.sub(tape.add(tape.mul(w, tape.number(x)), b), tape.number(y));
      return squared ? tape.pow(error, tape.number(2)) : tape.abs(error);
    });
    const mark = tape.length, root = tape.mean(terms);
    tape.named(root, "loss");
    return { tape, w, b, mark, root };
  }
  // A new beginning of the training at (w, b).
  place(w, b) {
    this.start = { w, b };
    this.since = 0;
    this.rising = 0;
    this.move(w, b);
    this.run = { first: this.loss, curve: { steps: [0], losses: [this.loss] }, path: [[w, b, 0]] };
  }
  move(w, b) {
    const { tape, root } = this.graph;
    [this.w, this.b] = [w, b];
    [tape.data[this.graph.w], tape.data[this.graph.b]] = [w, b];
    tape.forward();
    tape.backward(root);
    this.loss = tape.data[root];
  }
  get grads() { const { tape, w, b } = this.graph; return [tape.grad[w], tape.grad[b]]; }
  lossAt(w, b) {
    const { tape, root } = this.trial;
    [tape.data[this.trial.w], tape.data[this.trial.b]] = [w, b];
    tape.forward();
    return tape.data[root];
  }

  change(settings) {
    const before = this.settings;
    this.settings = { ...settings };
    this.asked = settings;
    const points = settings.points !== before.points && settings.points !== writtenPoints(this.points) ? readPoints(settings.points) : null;
    if (points) this.put(points);
    else if (settings.seed !== before.seed) this.put(this.drawn(settings.seed), 0, 0);
    else if (settings.error !== before.error) this.put(this.points);
    const w = lineNumber(settings.w) ?? this.w, b = lineNumber(settings.b) ?? this.b;
    if ((settings.w !== before.w || settings.b !== before.b) && (w !== this.start.w || b !== this.start.b)) this.place(w, b);
  }
  // Points near some line, with noise.
  drawn(seed) {
    const chance = new Chance(Number(seed)), slope = chance.uniform(-2, 2), height = chance.uniform(-2, 4), round = x => Math.round(10 * x) / 10;
    return Array.from({ length: 9 }, () => { const x = round(chance.uniform(0, 6)); return [x, round(slope * x + height + chance.gauss(0, 0.7))]; });
  }

  step() {
    const [dw, db] = this.grads, { rate } = this.settings, before = this.loss;
    this.move(this.w - rate * dw, this.b - rate * db);
    this.since++;
    this.rising = this.loss > before * (1 + 1e-9) ? this.rising + 1 : 0;  // not by rounding
    const { run } = this, last = run.path.at(-1), { w, b } = this.ranges();
    note(run.curve, { steps: this.since, losses: this.loss });
    if (Math.hypot((this.w - last[0]) / w, (this.b - last[1]) / b) > 1e-3) run.path.push([this.w, this.b, this.since]);
    const { KEPT } = MODELS.line;
    if (run.path.length > KEPT) run.path = run.path.filter((_, i) => i % 2 === 0);
    if (!(this.loss < 1e9)) {
      throw new Trouble(`the loss would grow to ${short(this.loss, 2)} (w = ${short(this.w, 2)}): every step leaps over the valley and lands higher on the other side. `
        + `The learning rate ${short(rate)} is too large; choose a smaller one`);
    }
  }
  // Whether training runs away from the best line.
  get exploding() { return this.settings.error === "squared" && (this.rising >= 8 || this.loss > 1000 * Math.max(this.run.first, this.best.loss + 1e-9)); }
  keep() {
    const { w, b, start, since, rising, run, points, settings } = this;
    return { w, b, start, since, rising, run, points, error: settings.error };
  }
  back({ w, b, start, since, rising, run, points, error }) {
    if (points !== this.points || error !== this.settings.error) { this.settings = { ...this.settings, error }; this.put(points); }
    const { curve, path } = run;
    while (path.length > 1 && path.at(-1)[2] > since) path.pop();
    Object.assign(this, { start, since, rising, run });
    this.move(w, b);
    while (curve.steps.at(-1) >= since) for (const list of Object.values(curve)) list.pop();
    note(curve, { steps: since, losses: this.loss });
  }
  edit(what) { if (what === "begin") this.place(0, 0); }  // anything else comes next, as a change of the settings

  // --- what is known without training ---------------------------------------------------------------------------------
  bestLine() {
    const { points } = this, least = this.leastSquares();
    let best = { ...least, loss: this.lossAt(least.w, least.b) };
    if (this.settings.error !== "absolute") return best;
    for (const [x1, y1] of points) for (const [x2, y2] of points) {  // the best line meets two of the points
      const w = x1 === x2 ? 0 : (y2 - y1) / (x2 - x1), b = y1 - w * x1, loss = x1 < x2 || points.length === 1 ? this.lossAt(w, b) : Infinity;
      if (loss < best.loss) best = { w, b, loss };
    }
    return best;
  }
  leastSquares() {
    const { points } = this, mean = f => points.reduce((sum, point) => sum + f(point), 0) / points.length, mx = mean(p => p[0]), my = mean(p => p[1]);
    const spread = mean(p => (p[0] - mx) ** 2), w = spread > 1e-12 ? mean(p => (p[0] - mx) * (p[1] - my)) / spread : 0;
    return { w, b: my - w * mx };
  }
  // The largest rate at which steps of the squared error shrink: 2 over the largest eigenvalue of its second derivatives.
  limit() {
    const { points } = this, n = points.length, h = points.reduce((sum, [x]) => [sum[0] + 2 * x * x / n, sum[1] + 2 * x / n], [0, 0]);
    const curvature = (h[0] + 2) / 2 + Math.hypot((h[0] - 2) / 2, h[1]);
    return { rate: 2 / curvature, curvature };
  }
  ranges() {
    const nice = x => [5, 10, 20, 50, 100, 200, 500].find(r => r >= x) ?? 1000;
    return { w: nice(1.4 * Math.max(Math.abs(this.best.w), Math.abs(this.start.w) / 1.4)), b: nice(1.4 * Math.max(Math.abs(this.best.b), Math.abs(this.start.b) / 1.4)) };
  }
  ask({ what }) { return this[what](); }
  map() {
    const { GRID } = MODELS.line, { w, b } = this.ranges(), losses = new Float64Array(GRID * GRID), at = (range, i) => range * (2 * i / (GRID - 1) - 1);
    for (let r = 0; r < GRID; r++) for (let c = 0; c < GRID; c++) losses[r * GRID + c] = this.lossAt(at(w, c), at(b, r));
    return { size: GRID, w, b, losses, contours: this.contours(losses), key: this.key() };
  }
  // Lines on which the loss has one value, as [column, row] of both ends: through each cell of the grid at most two of each.
  contours(losses) {
    const { GRID } = MODELS.line, low = this.best.loss, high = losses.reduce((most, x) => Math.max(most, x)), power = this.settings.error === "squared" ? 2 : 1, ends = [];
    for (let k = 0; k < 11; k++) {
      const level = low + (high - low) * ((k + 0.6) / 14) ** power;
      for (let r = 0; r < GRID - 1; r++) for (let c = 0; c < GRID - 1; c++) {
        const corners = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]], values = corners.map(([c, r]) => losses[r * GRID + c] - level), crossed = [];
        for (let k = 0; k < 4; k++) {
          const [p, q] = [values[k], values[(k + 1) % 4]];
          if (p < 0 === q < 0) continue;
          const t = p / (p - q), [[c1, r1], [c2, r2]] = [corners[k], corners[(k + 1) % 4]];
          crossed.push(c1 + t * (c2 - c1), r1 + t * (r2 - r1));
        }
        ends.push(...crossed);  // two ends or four
      }
    }
    return Float32Array.from(ends);
  }
  key() { const { w, b } = this.ranges(); return `${writtenPoints(this.points)} ${this.settings.error} ${w} ${b}`; }

  frame() {
    const { points, w, b, loss, start, since, run, best, settings, exploding } = this, [dw, db] = this.grads;
    return {
      points: points.map(point => [...point]), text: writtenPoints(points), w, b, dw, db, loss, start, since, best, limit: this.limit(), exploding, key: this.key(), ranges: this.ranges(),
      path: run.path.map(point => [...point]), curve: { steps: [...run.curve.steps], losses: [...run.curve.losses] }, error: settings.error, echo: { points: this.asked.points, w: this.asked.w, b: this.asked.b, error: this.asked.error },
    };
  }
};
function readPoints(text) {
  const points = text.trim().split(/\s+/).map(part => part.split(",").map(Number));
  return points.length && points.length <= 60 && points.every(point => point.length === 2 && point.every(x => Math.abs(x) <= 1e4)) ? points : null;
}
const lineNumber = text => (Math.abs(Number(text)) <= 1e6 ? Number(text) : undefined);  // of w and b
const writtenPoints = points => points.map(point => point.join(",")).join(" ");
