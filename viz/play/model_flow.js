// Flow matching in the plane, scalar by scalar: a network learns how fast a point moves on the straight line from noise to a
// picture, which here is a point of the plane too (Lipman et al. 2023). To paint, begin with noise and follow what it says.
const FLOW_TIMES = 6, FLOW_GRID = 13, FLOW_REACH = 2.4;  // arrows are known at these many times and places along each side
const FLOW_SHAPES = {
  moons(chance) {
    const angle = chance.uniform(0, Math.PI), side = chance.choice([1, -1]);
    return [side * (Math.cos(angle) - 0.5) + chance.gauss(0, 0.06), side * (Math.sin(angle) - 0.25) + chance.gauss(0, 0.06)];
  },
  spiral(chance) {
    const along = chance.random(), radius = 0.2 + 1.3 * along, angle = 3 * Math.PI * along;
    return [radius * Math.cos(angle) + chance.gauss(0, 0.04), radius * Math.sin(angle) + chance.gauss(0, 0.04)];
  },
  dots(chance) { const side = chance.choice([1, -1]); return [side + chance.gauss(0, 0.05), 0.5 * side + chance.gauss(0, 0.05)]; },
  dot() { return [1, 0.5]; },
};
const PICTURES = 200, PARTICLES = 150, CHECKS = 256;
const thousandth = x => Math.round(x * 1000) / 1000;
// Painted points in the address: two letters for each coordinate.
const paintedPictures = text => [...text.matchAll(/([0-9a-z]{2})([0-9a-z]{2})/g)].map(([, x, y]) => [x, y].map(t => (parseInt(t, 36) - 648) / 400));

MODELS.flow = class {
  static undone = ["rate"];
  static comesBack = 20;
  constructor(settings) {
    this.settings = settings;
    this.events = [];  // other rates on the way, for the Python
    const { data, own, hidden, batch, rate, seed } = settings, number = BigInt(seed), chance = new Chance(number + 2n);
    this.pictures = data === "own" ? paintedPictures(own) : Array.from({ length: data === "dot" ? 1 : PICTURES }, () => FLOW_SHAPES[data](chance).map(thousandth));
    const tape = this.tape = new Tape(), first = new Chance(number);
    this.layers = [[3, hidden], [hidden, hidden], [hidden, 2]].map(([n, m], l) => {
      const bound = n ** -0.5, word = `layer ${l + 1}`, draw = () => first.uniform(-bound, bound);
      const weight = Array.from({ length: m }, (_, i) => Array.from({ length: n }, (_, j) => tape.leaf(draw(), `w${i + 1},${j + 1} of ${word}`)));
      return { weight, bias: Array.from({ length: m }, (_, i) => tape.leaf(draw(), `b${i + 1} of ${word}`)) };
    });
    const parameters = this.parameters = Int32Array.from({ length: tape.length }, (_, i) => i);
    this.optimizer = new Adam(tape, [...parameters], rate);
    this.chance = new Chance(number + 1n);
    this.example = this.exampleOnTape();
    this.copies = tape.repeat(this.example.start, batch, (name, k) => name.replace("[0]", `[${k}]`));
    this.root = tape.named(tape.mean(Array.from({ length: batch }, (_, k) => this.example.loss + k * this.copies.stride)), "L");
    this.here = this.probeOnTape();  // your particle, to be explained
    this.probe = this.probeOnTape();
    this.probes = tape.repeat(this.probe.start, 64);
    this.noises = Array.from({ length: PARTICLES }, () => [chance.gauss(), chance.gauss()]);
    this.checks = Array.from({ length: CHECKS }, () => this.drawn(chance));
    this.guess = this.checks.reduce((sum, { noise, picture }) => sum + ((picture[0] - noise[0]) ** 2 + (picture[1] - noise[1]) ** 2) / 2, 0) / this.checks.length;
    this.measure();
  }
  // One example: a point of noise, a picture and a time, in the order in which Python draws them.
  drawn(chance) {
    const noise = [chance.gauss(), chance.gauss()];
    return { noise, picture: chance.choice(this.pictures), time: chance.random() };
  }
  velocityOnTape(x, y, t, mark) {
    const { tape, layers } = this, hidden = (z, l) => z.map((v, i) => tape.named(tape.relu(v), `h${i + 1} of layer ${l + 1}${mark}`));
    const out = layers.reduce((h, { weight, bias }, l) => { const z = tape.linear(h, weight, bias); return l < layers.length - 1 ? hidden(z, l) : z; }, [x, y, t]);
    return out.map((v, i) => tape.named(v, `v ${i ? "up" : "across"}${mark}`));
  }
  exampleOnTape() {
    const { tape } = this, start = tape.length, given = ["noise x", "noise y", "picture x", "picture y", "t"].map(name => tape.named(tape.number(0), `${name}[0]`));
    const [ax, ay, bx, by, t] = given, rest = tape.sub(tape.number(1), t);
    const at = [[ax, bx, "x"], [ay, by, "y"]].map(([a, b, name]) => tape.named(tape.add(tape.mul(rest, a), tape.mul(t, b)), `${name}[0]`));
    const target = [tape.named(tape.sub(bx, ax), "v wanted, across[0]"), tape.named(tape.sub(by, ay), "v wanted, up[0]")];
    return { start, loss: tape.mse(this.velocityOnTape(...at, t, "[0]"), target) };
  }
  probeOnTape() {
    const { tape } = this, start = tape.length, at = ["x", "y", "t"].map(name => tape.named(tape.number(0), name));
    return { start, told: this.velocityOnTape(...at, "") };
  }
  step() {
    const { tape, copies, example, optimizer, settings } = this, { data } = tape;
    for (let k = 0; k < settings.batch; k++) {
      const { noise, picture, time } = this.drawn(this.chance), to = example.start + k * copies.stride;
      [data[to], data[to + 1], data[to + 2], data[to + 3], data[to + 4]] = [...noise, ...picture, time];
    }
    tape.forwardCopies(copies);
    tape.forward(copies.end, this.root + 1);
    tape.backward(this.root, copies);
    this.loss = data[this.root];
    if (!Number.isFinite(this.loss)) {
      const bad = data.findIndex((x, i) => i <= this.root && !Number.isFinite(x));
      throw new Trouble(`${tape.name(bad)} became ${short(data[bad])}, and so did the loss: the steps are too large; a lower learning rate helps`, { value: bad });
    }
    optimizer.step();
    if (optimizer.steps < 20 || optimizer.steps % 20 === 0) this.measure();
  }
  measure() {  // the loss over examples that no step learns from, the same ones every time
    const { checks, tape: { data }, probe: { told } } = this;
    let sum = 0;
    this.everywhere(checks.length, (k, at) => { const { noise, picture, time } = checks[k]; at[0] = (1 - time) * noise[0] + time * picture[0]; at[1] = (1 - time) * noise[1] + time * picture[1]; at[2] = time; },
      (k, vx, vy) => { const { noise, picture } = checks[k]; sum += ((vx - picture[0] + noise[0]) ** 2 + (vy - picture[1] + noise[1]) ** 2) / 2; });
    this.val = sum / checks.length;
  }
  // What the network says at any number of places and times.
  everywhere(count, put, found) {
    const { tape, probe, probes: { start, stride, count: most } } = this, at = [0, 0, 0];
    for (let from = 0; from < count; from += most) {
      const some = Math.min(most, count - from);
      for (let k = 0; k < some; k++) { put(from + k, at); for (let i = 0; i < 3; i++) tape.data[start + i + k * stride] = at[i]; }
      tape.computeCopies(start, stride, some);
      for (let k = 0; k < some; k++) found(from + k, tape.data[probe.told[0] + k * stride], tape.data[probe.told[1] + k * stride]);
    }
  }
  field() {
    const cells = FLOW_GRID * FLOW_GRID, found = new Float32Array(FLOW_TIMES * cells * 2), along = n => FLOW_REACH * (2 * n / (FLOW_GRID - 1) - 1);
    this.everywhere(FLOW_TIMES * cells, (i, at) => { at[0] = along(i % FLOW_GRID); at[1] = -along(Math.floor(i % cells / FLOW_GRID)); at[2] = Math.floor(i / cells) / (FLOW_TIMES - 1); },
      (i, vx, vy) => { found[2 * i] = vx; found[2 * i + 1] = vy; });
    return found;
  }
  // Where points come to in some Euler steps: all of them after step 0, then after step 1, …
  ways(points, steps) {
    const n = points.length, found = new Float64Array((steps + 1) * n * 2);
    points.forEach(([x, y], i) => { found[2 * i] = x; found[2 * i + 1] = y; });
    for (let s = 0; s < steps; s++) {
      const now = 2 * n * s, next = now + 2 * n;
      this.everywhere(n, (i, at) => { at[0] = found[now + 2 * i]; at[1] = found[now + 2 * i + 1]; at[2] = s / steps; },
        (i, vx, vy) => { found[next + 2 * i] = found[now + 2 * i] + vx / steps; found[next + 2 * i + 1] = found[now + 2 * i + 1] + vy / steps; });
    }
    return found;
  }
  // How far the points that were painted are from the nearest picture, and every picture from the nearest of them; on the mean.
  distances(ends) {
    const near = (from, to) => from.reduce((sum, [x, y]) => sum + Math.sqrt(to.reduce((least, [a, b]) => Math.min(least, (x - a) ** 2 + (y - b) ** 2), Infinity)), 0) / from.length;
    return { off: near(ends, this.pictures), missed: near(this.pictures, ends) };
  }
  keep() { return { weights: this.tape.data.slice(0, this.parameters.length), optimizer: this.optimizer.state(), chance: this.chance.state(), events: this.events, rate: this.settings.rate }; }
  back({ weights, optimizer, chance, events, rate }) {
    this.tape.data.set(weights);
    this.optimizer.load(optimizer);
    this.chance.load(chance);
    this.events = events;
    if (rate !== this.settings.rate) this.note(rate);
    this.pictured = null;
    this.measure();
  }
  change(settings) {
    const { rate } = this.settings;
    this.optimizer.lr = settings.rate;
    if (["euler", "start"].some(name => settings[name] !== this.settings[name])) this.pictured = null;
    this.settings = settings;
    if (rate !== settings.rate) this.note(rate);
  }
  note(before) {  // the last of several between two steps is the one that counts
    const { optimizer: { steps: step }, events } = this, last = events.at(-1)?.step === step ? events.at(-1) : null;
    this.events = [...(last ? events.slice(0, -1) : events), { step, rate: this.settings.rate, before: last?.before ?? before }];
  }
  frame(running = false) {
    const { settings, tape, here, parameters, optimizer: { steps } } = this, { euler } = settings, begun = performance.now();
    if (!this.pictured || (!running && this.pictured.steps !== steps) || (running && begun > this.pictured.until)) {  // at most a quarter of the time is for pictures
      const ways = this.ways(this.noises, euler), last = ways.subarray(2 * PARTICLES * euler), ends = this.noises.map((_, i) => [last[2 * i], last[2 * i + 1]]);
      const mine = this.ways([settings.start.split(",").map(Number)], euler);
      const found = { steps, euler, start: settings.start, ways, field: this.field(), mine, ...this.distances(ends) }, now = performance.now();
      this.pictured = { ...found, until: now + 3 * (now - begun) };
    }
    const { mine } = this.pictured, at = Math.min(euler - 1, Math.floor(settings.t * euler + 1e-9));  // the step that your particle makes next
    tape.data.set([mine[2 * at], mine[2 * at + 1], at / euler], here.start);
    tape.forward(here.start, here.told[1] + 1);
    return { ...this.pictured, at, v: here.told.map(node => tape.data[node]), refs: here.told, pictures: this.pictures, guess: this.guess, events: this.events, made: steps, parameters: parameters.length, grid: FLOW_GRID, times: FLOW_TIMES, reach: FLOW_REACH };
  }
  ask({ ref }) {
    const { here, root } = this, told = this.tape.explain(ref);
    if (ref <= root) return { ...told, more: [told.more, "[0], [1], … are the examples of the newest batch; L is their mean loss, and every gradient is that of L."].filter(Boolean).join(" ") };
    const plain = row => (row.ref >= here.start ? { ...row, grad: undefined } : row);  // no loss hangs on what is only asked
    return { ...told, grad: undefined, rows: told.rows.map(plain), more: "Asked for your particle, where it is now. The gradients of weights are those of L, from the newest batch." };
  }
};
