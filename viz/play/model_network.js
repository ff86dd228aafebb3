// A network that tells two or three kinds of points apart, scalar by scalar: two by one output from −1 to 1 and its squared
// error, three by a score for each and cross-entropy. Between two steps the pass through the newest batch is
// done already: every number and gradient that is shown belongs to the weights that are shown.
const GRID = 40;  // points along each side of a plane
const REACH = 1.3;  // a plane goes from −REACH to REACH
const CELLS = Float64Array.from({ length: 3 * GRID * GRID }, (_, i) => {  // their places, row by row from above, as points
  const cell = Math.floor(i / 3), along = n => REACH * (2 * (n + 0.5) / GRID - 1);
  return [along(cell % GRID), -along(Math.floor(cell / GRID)), 1][i % 3];
});
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉", unitName = (layer, unit) => `${"abcdefghij"[layer]}${SUBSCRIPTS[unit + 1]}`;

// Points as [x, y, label, is it for the test?], with three decimals, so that a program can hold them as they are.
const SHAPES = {
  xor(chance) {
    const [x, y] = [chance.uniform(-1, 1), chance.uniform(-1, 1)].map(x => x + (x > 0 ? 0.12 : -0.12));
    return [x, y, x * y > 0 ? 1 : -1];
  },
  circles(chance, i) {
    const radius = i % 2 ? chance.uniform(0.7, 1) : chance.uniform(0, 0.5), angle = chance.uniform(0, 2 * Math.PI);
    return [radius * Math.cos(angle), radius * Math.sin(angle), i % 2 ? -1 : 1];
  },
  moons(chance, i) {
    const angle = Math.PI * chance.random(), [x, y] = [Math.cos(angle), Math.sin(angle)];
    return i % 2 ? [(0.5 - x) / 1.5, (0.25 - y) / 1.5, 1] : [(x - 0.5) / 1.5, (y - 0.25) / 1.5, -1];
  },
  spiral(chance, i, count) {
    const along = 0.05 + 0.95 * Math.floor(i / 2) / (count / 2), angle = 3.5 * Math.PI * along + (i % 2) * Math.PI;
    return [along * Math.sin(angle), along * Math.cos(angle), i % 2 ? 1 : -1];
  },
  arms(chance, i, count) {
    const along = 0.05 + 0.95 * Math.floor(i / 3) / (count / 3), angle = 4.5 * along + (i % 3) * 2 * Math.PI / 3;
    return [along * Math.sin(angle), along * Math.cos(angle), i % 3];
  },
};
const KINDS = ["blue", "orange", "green"];  // of labels 0, 1, 2; where there are two, labels are 1 and −1
const hasThree = ({ data, own }) => data === "arms" || (data === "own" && own.includes("*"));
function pointsOf({ data, own, count, noise, wrong, test, seed }) {
  const chance = new Chance(BigInt(seed)), size = Number(count), three = hasThree({ data, own }), thousandths = x => Math.round(x * 1000) / 1000;
  let points = data === "own" ? painted(own, three) : Array.from({ length: size }, (_, i) => SHAPES[data](chance, i, size));
  if (data !== "own") points = points.map(([x, y, label]) => [x + noise * chance.gauss(), y + noise * chance.gauss(), label]);
  points = chance.shuffle(points.map(([x, y, label]) => [thousandths(x), thousandths(y), label]));
  const tests = Math.min(Math.round(points.length * test), Math.max(0, points.length - 2));
  const split = [points.slice(tests), points.slice(0, tests)];
  const turned = data === "own" ? [] : chance.sample([...split[0].keys()], Math.min(wrong, split[0].length));
  for (const i of turned) split[0][i][2] = three ? (split[0][i][2] + 1) % 3 : -split[0][i][2];
  return [...split, turned];
}
// Painted points in the address: two letters for each coordinate, then + for blue, − for orange, * for green.
const painted = (text, three) => [...text.matchAll(/([0-9a-z]{2})([0-9a-z]{2})([+*-])/g)].map(([, x, y, kind]) => [...[x, y].map(t => (parseInt(t, 36) - 648) / 500), three ? "+-*".indexOf(kind) : kind === "+" ? 1 : -1]);

MODELS.network = class {
  static comesBack = 20;  // other points or another shape make another network; undo brings the ones before back
  constructor(settings) {
    this.settings = settings;
    this.events = [];  // what the user changed on the way, for the Python
    const { layers, activation, optimizer, dropout, seed } = settings, number = BigInt(seed);
    const sizes = layers === "0" ? [] : layers.split("-").map(Number);
    [this.train, this.test, this.wrong] = pointsOf(settings);
    this.points = [...this.train, ...this.test];
    this.three = hasThree(settings);
    this.flat = Float64Array.from(this.points.flat());
    this.batch = Math.min(settings.batch, this.train.length);
    const tape = this.tape = new Tape();
    this.mlp = new MLP(tape, 2, [...sizes, this.three ? 3 : 1], { activation, last: this.three ? "linear" : "tanh", chance: new Chance(number) });
    this.nameParameters(sizes);
    const parameters = this.parameters = Int32Array.from(this.mlp.parameters());
    this.optimizer = optimizer === "adam" ? new AdamW(tape, [...parameters], settings.rate, { weightDecay: settings.decay })
      : new SGD(tape, [...parameters], settings.rate, { momentum: optimizer === "momentum" ? 0.9 : 0 });
    this.dropout = new Dropout(tape, dropout, new Chance(number + 2n));
    this.all = Int32Array.from(this.train.keys());
    this.order = this.all.subarray(0, 0);
    this.taken = 0;
    this.shuffler = new Chance(number + 1n);
    this.example = this.pointOnTape("[0]", this.dropout);
    this.copies = tape.repeat(this.example.start, this.batch, (name, k) => name.replace("[0]", `[${k}]`));
    const each = node => Array.from({ length: this.batch }, (_, k) => node + k * this.copies.stride);
    this.dropout.factors = each(0).flatMap(moved => this.dropout.factors.map(factor => factor + moved));
    this.root = tape.named(tape.mean(each(this.example.loss)), "L");
    this.probe = this.pointOnTape("", new Dropout(tape, 0));  // points more, to ask what the network says anywhere
    tape.named(this.probe.loss, "L here");
    this.probes = tape.repeat(this.probe.start, GRID);
    this.dropout.chance = new Chance(number + 2n);  // the draws while the graph was made do not count
    this.dropout.draw();
    this.before = tape.data.slice(0, parameters.length);
    this.take();
    this.pass();
    this.measure();
  }
  nameParameters(sizes) {
    this.names = sizes.map((n, l) => Array.from({ length: n }, (_, u) => unitName(l, u))).concat([this.three ? KINDS : ["out"]]);
    const sources = [["x₁", "x₂"], ...this.names];
    this.mlp.layers.forEach((layer, l) => layer.neurons.forEach((neuron, u) => {
      neuron.w.forEach((w, i) => this.tape.named(w, `w(${sources[l][i]}→${this.names[l][u]})`));
      this.tape.named(neuron.b, `b(${this.names[l][u]})`);
    }));
  }
  // The graph of one point: its coordinates, its target and every unit.
  pointOnTape(mark, dropout) {
    const { tape, mlp } = this, start = tape.length, x = ["x₁", "x₂"].map(name => tape.named(tape.number(0), name + mark));
    const targets = (this.three ? KINDS.map(kind => `is ${kind}`) : ["target"]).map(name => tape.named(tape.number(1), name + mark)), units = [], totals = [];
    const note = layer => layer.neurons.forEach((neuron, u) => {
      units.push(tape.named(neuron.out, `${this.names[mlp.layers.indexOf(layer)][u]}${mark}`));
      totals.push(neuron.total);
    });
    let l = 0;
    const outs = mlp.forward(x, outs => { note(mlp.layers[l++]); return dropout.forward(outs); });
    note(mlp.layers[l]);
    const loss = this.three ? this.surprise(outs, targets) : tape.pow(tape.sub(outs[0], targets[0]), tape.number(2));
    return { start, units, totals, loss };
  }
  surprise(scores, targets) {  // cross-entropy; a target is 1 for the right kind and 0 for the others, so that one graph is for all
    const { tape } = this, shifted = tape.shifted(scores);
    return tape.sub(tape.log(tape.sum(shifted.map(x => tape.exp(x)))), tape.dot(shifted, targets));
  }
  put({ start }, moved, point, from = this.flat) {  // the first numbers of a point on the tape: where it is, and its label
    const { data } = this.tape, to = start + moved, label = from[3 * point + 2];
    data[to] = from[3 * point];
    data[to + 1] = from[3 * point + 1];
    if (!this.three) data[to + 2] = label;
    else for (let kind = 0; kind < 3; kind++) data[to + 2 + kind] = kind === label ? 1 : 0;
  }
  // The next batch, in Python's order: all points in an order of their own, then again in another.
  take() {
    if (this.batch === this.train.length) this.order = this.all;
    else if (this.taken + this.batch > this.order.length) {
      this.order = this.shuffler.shuffle(this.all.slice()).reverse();  // Python takes them from the end
      this.shuffled = this.shuffler.state();
    } else { this.taken += this.batch; return; }
    this.taken = this.batch;
  }
  pass() {
    const { tape, example, copies, order, batch } = this, first = this.taken - batch;
    for (let k = 0; k < batch; k++) this.put(example, k * copies.stride, order[first + k]);
    tape.forwardCopies(copies);
    tape.forward(copies.end, this.root + 1);
    tape.backward(this.root, copies);
    if (!Number.isFinite(tape.data[this.root])) this.complain();
  }
  complain() {
    const { tape } = this, bad = tape.data.findIndex((x, i) => i <= this.root && !Number.isFinite(x));
    throw new Trouble(`${tape.name(bad)} became ${short(tape.data[bad])}, and so did the loss: the steps are too large; a lower learning rate helps`, { value: bad });
  }
  // The losses over all points, without dropout.
  measure() {
    const { tape: { data }, probe: { loss }, points, train, flat } = this;
    let sum = 0, rest = 0;
    this.everywhere(points.length, flat, (n, moved) => { n < train.length ? (sum += data[loss + moved]) : (rest += data[loss + moved]); });
    this.loss = sum / train.length;
    this.val = this.test.length ? rest / this.test.length : undefined;
  }
  // What each unit says at each point.
  judge() {
    const { tape: { data }, probe: { units }, points, flat } = this, outs = new Float64Array(points.length * units.length);
    this.everywhere(points.length, flat, (n, moved) => { for (let u = 0; u < units.length; u++) outs[n * units.length + u] = data[units[u] + moved]; });
    return outs;
  }
  // What the network says at any number of points, a row of a plane at a time.
  everywhere(count, spots, found) {
    const { tape, probe, probes: { start, stride } } = this;
    for (let from = 0; from < count; from += GRID) {
      const some = Math.min(GRID, count - from);
      for (let k = 0; k < some; k++) this.put(probe, k * stride, from + k, spots);
      tape.computeCopies(start, stride, some);
      for (let k = 0; k < some; k++) found(from + k, k * stride);
    }
  }
  step() {
    const { settings, tape, parameters, optimizer } = this;
    if (settings.slow) this.made = { grads: tape.grad.slice(0, parameters.length), layers: this.sizesOfGradients(), chosen: this.chosen(), rate: optimizer.lr };
    for (let i = 0; i < parameters.length; i++) this.before[i] = tape.data[i];
    if (settings.optimizer !== "adam" && settings.decay) decay(tape, parameters, optimizer.lr * settings.decay);
    optimizer.step();
    this.take();
    if (this.dropout.p) this.dropout.draw();
    this.pass();
    this.loss = this.val = undefined;  // the next frame measures; so does every tenth step, for the curve
    if (optimizer.steps < 200 || optimizer.steps % 10 === 0) this.measure();
  }
  keep() {
    const { tape, parameters, optimizer, dropout, order, taken, shuffled } = this, { data } = tape;
    return {
      weights: data.slice(0, parameters.length), optimizer: optimizer.state(), order, taken, shuffled, events: this.events, rate: this.settings.rate, decay: this.settings.decay,
      drops: dropout.p ? dropout.chance.state() : null, factors: dropout.p ? dropout.factors.map(f => data[f]) : null,
    };
  }
  back({ weights, optimizer, order, taken, shuffled, events, rate, decay, drops, factors }) {
    const { data } = this.tape;
    data.set(weights);
    this.before.set(weights);
    this.optimizer.load(optimizer);
    Object.assign(this, { order, taken, shuffled, events });
    this.note({ rate, decay });  // the controls stay where they are
    this.made = null;
    if (shuffled) this.shuffler.load(shuffled);
    if (drops) this.dropout.chance.load(drops);
    if (factors) this.dropout.factors.forEach((f, i) => { data[f] = factors[i]; });
    this.pass();
    this.measure();
  }
  change(settings) {
    const { optimizer } = this;
    optimizer.lr = settings.rate;
    optimizer.weightDecay = settings.decay;
    const before = this.settings;
    if (!settings.slow) this.made = null;  // what the newest step was made of: in slow motion it is shown after the step
    this.settings = settings;
    this.note(before);
  }
  note(before) {  // what is another rate or decay than before
    for (const name of ["rate", "decay"]) if (this.settings[name] !== before[name]) this.event(name, { [name]: this.settings[name], [`${name}Before`]: before[name] });
  }
  event(kind, what) {  // the last of several between two steps is the one that counts
    const { optimizer: { steps: step }, events } = this, old = events.findIndex(one => one.step === step && one.kind === kind);
    const first = old < 0 ? what : { ...what, [`${kind}Before`]: events[old][`${kind}Before`] };
    this.events = [...events.filter((_, i) => i !== old), { step, kind, ...first }];
  }
  edit({ parameter, value }) {
    if (!Number.isFinite(value)) throw new Trouble("a weight must be a number");
    const { tape, parameters } = this;
    this.before.set(tape.data.subarray(0, parameters.length));
    this.made = null;
    tape.data[parameters[parameter]] = value;
    this.event(`weight ${parameter}`, { parameter, value });
    this.pass();
    this.measure();
  }
  // A neuron is explained at the ringed point, as if the loss were this point's alone; weights and L with the batch.
  ask({ ref }) {
    const { tape, probe, batch, train } = this;
    const here = ref >= probe.start && ref <= probe.loss;
    if (here) this.ring();
    const told = here ? this.alone(() => tape.explain(ref)) : tape.explain(ref);
    const about = here ? "All numbers are about the ringed point; gradients are those of L here, its own loss."
      : `[0], [1], … are the points of the newest batch, ${batch} in all; L is their mean loss, and every gradient is that of L. The loss below the page is the mean over all ${train.length} points to learn from.`;
    told.more = [told.more, about].filter(Boolean).join(" ");
    return told;
  }
  ring() {  // what the network says at the ringed point
    const at = Math.min(Number(this.settings.point) || 0, this.points.length - 1);
    this.everywhere(1, this.flat.subarray(3 * at), () => {});
    return at;
  }
  alone(found) {
    this.tape.backward(this.probe.loss);
    try { return found(); } finally { this.pass(); }
  }

  // --- what the page draws ------------------------------------------------------------------------------------------------
  planes() {  // of every unit, from −127 to 127; `scales` is the number that 127 stands for
    const { tape, probe } = this, { data } = tape, { units } = probe, cells = GRID * GRID;
    const found = new Float32Array(units.length * cells), scales = new Float64Array(units.length).fill(1), outs = units.slice(-3);
    const likeliest = this.three ? new Uint8Array(cells) : null;  // 64 · kind + its probability, from 1/3 to 1, as 0 … 63
    this.everywhere(cells, CELLS, (cell, moved) => {
      for (let u = 0; u < units.length; u++) {
        const out = found[u * cells + cell] = data[units[u] + moved];
        if (Math.abs(out) > scales[u]) scales[u] = Math.abs(out);
      }
      if (!likeliest) return;
      const scores = outs.map(u => data[u + moved]), most = Math.max(...scores), probability = 1 / scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
      likeliest[cell] = 64 * scores.indexOf(most) + Math.round(63 * (1.5 * probability - 0.5));
    });
    return { planes: Int8Array.from(found, (x, i) => 127 * x / scales[Math.floor(i / cells)]), scales, likeliest };
  }
  frame(running = false) {
    if (this.loss === undefined) this.measure();
    const { tape, parameters, probe, points, train, settings } = this, { data, grad } = tape, begun = performance.now();
    if (!running || !this.pictures || begun > this.pictures.until) {  // training goes on meanwhile: at most a quarter of the time is for planes
      const outs = this.judge(), planes = this.planes(), ill = this.ill(outs), now = performance.now();
      this.pictures = { ...planes, outs, ill, until: now + 3 * (now - begun) };
    }
    const at = this.ring(), grads = grad.slice(0, parameters.length), layers = this.sizesOfGradients();
    const unitGrads = settings.slow && Number.isFinite(data[this.root]) ? this.alone(() => Float64Array.from(probe.units, u => grad[u])) : null;
    return {
      ...this.pictures, three: this.three, names: this.names, grid: GRID, reach: REACH, points, trained: train.length, chosen: this.chosen(), at, made: this.made,
      weights: data.slice(0, parameters.length), grads, wrong: this.wrong, before: this.before.slice(),
      values: Float64Array.from(probe.units, u => data[u]), totals: Float64Array.from(probe.totals, u => data[u]),
      refs: parameters, units: Int32Array.from(probe.units), root: this.root, batchLoss: data[this.root], unitGrads, layers, events: this.events, steps: this.optimizer.steps,
    };
  }
  chosen() { return this.order.slice(this.taken - this.batch, this.taken); }
  sizesOfGradients() {
    const { grad } = this.tape;
    return this.mlp.layers.map(layer => { const ps = layer.parameters(); return ps.reduce((sum, p) => sum + Math.abs(grad[p]), 0) / ps.length; });
  }
  // Units that cannot learn, or whose numbers run away, judged over all points.
  ill(outs) {
    const { activation } = this.settings, { names, points } = this, flat = names.flat(), found = [];
    const ends = { relu: x => x === 0, clip: x => x === 0 || x === 1, tanh: x => Math.abs(x) > 0.999, sigmoid: x => x < 0.001 || x > 0.999 }[activation];
    flat.slice(0, -names.at(-1).length).forEach((name, u) => {
      const own = points.map((_, k) => outs[k * flat.length + u]), most = Math.max(...own.map(Math.abs));
      if (ends && own.every(ends)) found.push({ unit: u, name, kind: activation === "relu" || activation === "clip" ? "dead" : "saturated" });
      else if (most > 100) found.push({ unit: u, name, kind: "exploding" });
    });
    return found;
  }
};
