// The graph of scalars: every operation is a node, as a Value is in Python, in typed arrays instead of objects.
const LEAF = 0, NUMBER = 1, NAMES_OF_OPS = ["leaf", "number", ...Object.keys(OPS)];
const RANKS = { add: 1, sub: 1, mul: 2, div: 2, neg: 3, pow: 4 };  // what binds tighter needs no brackets

// Operations has a method per operation, `compute` and `differentiate`; it is generated from the table of the library.
class Tape extends Operations {
  constructor(size = 4096) {
    super();
    this.length = 0;
    this.used = 0;  // of the pool, which holds the inputs of operations with any number of them
    this.wide = [];  // nodes with inputs in the pool
    this.evens = 0;  // numbers in `even`: dot products as rows of six, see viz/play/engine.py
    this.labels = [];
    Object.assign(this, {
      codes: new Uint8Array(size), first: new Int32Array(size), second: new Int32Array(size), pool: new Int32Array(size), even: new Int32Array(size).fill(-1),
      data: new Float64Array(size), grad: new Float64Array(size), reached: new Uint8Array(size),
    });
  }
  room(count) {  // for some more nodes
    while (this.length + count > this.codes.length) for (const name of ["codes", "first", "second", "data", "grad", "reached"]) this.grow(name);
  }
  grow(name) { const old = this[name]; this[name] = new old.constructor(2 * old.length); this[name].set(old); }
  place(code, a, b = 0) {
    const i = this.length;
    this.room(1);
    this.codes[i] = code;
    this.first[i] = a;
    this.second[i] = b;
    this.length = i + 1;
    return i;
  }
  places(code, nodes) {  // the inputs are in the pool
    if (!nodes.length) throw new Trouble(`${NAMES_OF_OPS[code]}() needs at least one number`);
    const start = this.used;
    for (const node of nodes) { if (this.used === this.pool.length) this.grow("pool"); this.pool[this.used++] = node; }
    const i = this.place(code, start, nodes.length);
    this.wide.push(i);
    return i;
  }
  isEven(...row) {
    while (this.evens + row.length >= this.even.length) this.grow("even");
    for (const x of [...row, -1]) this.even[this.evens++] = x;
    this.evens--;  // −1 is after the last row
  }
  evenFrom(node) {  // the first row that begins there or later
    let [low, high] = [0, this.evens / 6];
    while (low < high) { const middle = (low + high) >> 1; this.even[6 * middle] < node ? low = middle + 1 : high = middle; }
    return 6 * low;
  }
  leaf(x, name = "") { const i = this.place(LEAF, 0); this.data[i] = x; if (name) this.labels[i] = name; return i; }
  number(x) { const i = this.place(NUMBER, 0); this.data[i] = x; return i; }
  named(node, name) { this.labels[node] = name; return node; }

  // What stays: parameters. What comes after a mark is dropped and built again for the next example.
  mark() { return this.length; }
  clear(mark) {
    if (this.labels.length > mark) this.labels.length = mark;
    while (this.wide.length && this.wide.at(-1) >= mark) this.used = this.first[this.wide.pop()];
    this.evens = this.evenFrom(mark);
    this.even[this.evens] = -1;
    this.length = mark;
  }
  forward(from = 0, end = this.length) { this.compute(from, end); }
  forwardCopies({ start, stride, count }) { this.computeCopies(start, stride, count); }
  // The same for a part of the tape that has several ends, each with a gradient of its own; what leaves before it get is added.
  backwardFrom(ends, gradient, start) {
    const last = ends.at(-1);
    this.grad.fill(0, start, last + 1);
    this.reached.fill(0, start, last + 1);
    for (const node of ends) { this.grad[node] = gradient; this.reached[node] = 1; }
    this.differentiate(last, start);
  }
  // From the root to the leaves; a block of copies on the way is done at once.
  backward(root, copies = null) {  // the engine's rules; what several nodes send is added from the last node to the first
    this.root = root;
    this.copies = copies;
    this.grad.fill(0, 0, root + 1);
    this.reached.fill(0, 0, root + 1);
    this.grad[root] = 1;
    this.reached[root] = 1;
    this.differentiate(root, copies ? copies.end : 0);
    if (!copies) return;
    this.differentiateCopies(copies.start, copies.stride, copies.count);
    this.differentiate(copies.start - 1, 0);
  }
  op(node) { return NAMES_OF_OPS[this.codes[node]]; }
  inputs(node) {
    const row = OPS[this.op(node)];
    if (!row) return [];
    if (row.arity === null) return [...this.pool.subarray(this.first[node], this.first[node] + this.second[node])];
    return row.arity === 1 ? [this.first[node]] : [this.first[node], this.second[node]];
  }
  numbers(node) { return this.inputs(node).map(i => this.data[i]); }
  share(node, g, start, count) {  // what a maximum or minimum sends back
    const { pool, data, grad, codes, reached } = this, out = data[node];
    let equal = 0;
    for (let i = start; i < start + count; i++) if (data[pool[i]] === out) equal++;
    for (let i = start; i < start + count; i++) {
      const x = pool[i];
      if (codes[x] === NUMBER) continue;
      if (out !== out) grad[x] += out * g;
      else if (data[x] === out) grad[x] += g / equal;
      reached[x] = 1;
    }
  }
  // More copies of all nodes since `start`, each for an example of its own: node i of copy k is i + k · stride.
  repeat(start, count, rename = (name, k) => name) {
    const stride = this.length - start, moved = (x, k) => x < start ? x : x + k * stride;
    for (let k = 1; k < count; k++) {
      for (let i = start; i < start + stride; i++) {
        const code = this.codes[i], wide = OPS[NAMES_OF_OPS[code]]?.arity === null;
        const copy = wide ? this.places(code, this.inputs(i).map(x => moved(x, k))) : this.place(code, moved(this.first[i], k), moved(this.second[i], k));
        this.data[copy] = this.data[i];
        if (this.labels[i] !== undefined) this.labels[copy] = rename(this.labels[i], k);
      }
    }
    return { start, stride, count, end: this.length };
  }
  blame(error, node) {
    if (error instanceof Trouble && error.value === null) {
      error.value = node;
      error.message += ` (at ${this.name(node)})`;
    }
    return error;
  }

  // --- functions on lists of nodes: the operations of tinygrad_edu/functional.py in the same order ------------------
  sum(nodes) { let total = nodes[0]; for (let i = 1; i < nodes.length; i++) total = this.add(total, nodes[i]); return total; }
  mean(nodes) { return this.div(this.sum(nodes), this.number(nodes.length)); }
  linear(x, weight, bias) { return weight.map((row, i) => bias ? this.add(this.dot(row, x), bias[i]) : this.dot(row, x)); }
  sums(a, b) { return a.map((x, i) => this.add(x, b[i])); }  // a residual connection
  shifted(logits) { const largest = this.detach(this.maximum(...logits)); return logits.map(x => this.sub(x, largest)); }
  softmax(logits) {
    const powers = this.shifted(logits).map(x => this.exp(x)), total = this.sum(powers);
    return powers.map(power => this.div(power, total));
  }
  logSoftmax(logits) {
    const shifted = this.shifted(logits), total = this.log(this.sum(shifted.map(x => this.exp(x))));
    return shifted.map(x => this.sub(x, total));
  }
  crossEntropy(logits, target) {
    const shifted = this.shifted(logits);
    return this.sub(this.log(this.sum(shifted.map(x => this.exp(x)))), shifted[target]);
  }
  mse(predictions, targets) { return this.mean(predictions.map((p, i) => this.pow(this.sub(p, targets[i]), this.number(2)))); }
  scaled(x, weight, bias) {
    if (weight) x = x.map((v, i) => this.mul(weight[i], v));
    return bias ? this.sums(x, bias) : x;
  }
  rmsNorm(x, weight, eps = 1e-5) {
    const square = this.div(this.dot(x, x), this.number(x.length));
    const scale = this.pow(this.add(square, this.number(eps)), this.number(-0.5));
    return this.scaled(x.map(v => this.mul(v, scale)), weight);
  }
  layerNorm(x, weight, bias, eps = 1e-5) {
    const center = this.mean(x), centered = x.map(v => this.sub(v, center));
    const square = this.div(this.dot(centered, centered), this.number(x.length));
    const scale = this.pow(this.add(square, this.number(eps)), this.number(-0.5));
    return this.scaled(centered.map(v => this.mul(v, scale)), weight, bias);
  }
  attentionWeights(query, keys) {
    const scale = query.length ** -0.5;
    return this.softmax(keys.map(key => this.mul(this.dot(query, key), this.number(scale))));
  }
  attend(query, keys, values) { return this.weightedSum(this.attentionWeights(query, keys), values); }
  weightedSum(weights, rows) { return rows[0].map((_, i) => this.dot(weights, rows.map(row => row[i]))); }
  activation(name, x) {
    if (name === "linear") return x;
    if (name === "relu2") { const positive = this.relu(x); return this.mul(positive, positive); }
    if (name === "gelu_tanh") return this.mul(x, this.sigmoid(this.mul(this.add(x, this.mul(this.number(0.044715), this.mul(x, this.mul(x, x)))), this.number(2 * Math.sqrt(2 / Math.PI)))));
    if (name === "silu") return this.mul(x, this.sigmoid(x));
    if (name === "clip") return this.minimum(this.maximum(x, this.number(0)), this.number(1));
    return this[name](x);
  }

  // --- words --------------------------------------------------------------------------------------------------------
  name(node, most = 40) {  // the name that was given, or the formula in names, cut so that it is short
    for (let depth = 6; ; depth--) { const text = this.words(node, depth); if (text.length <= most || depth === 0) return text === "…" ? this.written(node, () => "…") : text; }
  }
  words(node, depth) {
    if (this.labels[node] !== undefined) return this.labels[node];
    if (this.codes[node] === NUMBER) return short(this.data[node]);
    const terms = this.op(node) === "add" ? this.terms(node) : null;
    if (terms) return `a sum of ${terms.length} terms`;
    return this.codes[node] === LEAF ? `#${node}` : depth === 0 ? "…" : this.written(node, x => this.words(x, depth - 1));
  }
  formula(node, most = 80) {
    for (let depth = 6; ; depth--) { const text = this.written(node, x => this.words(x, depth)); if (text.length <= most || depth === 0) return text; }
  }
  written(node, word) {
    const op = this.op(node), rank = RANKS[op], inputs = this.inputs(node);
    const words = inputs.map((x, k) => {
      const inner = this.labels[x] === undefined && this.codes[x] > NUMBER ? RANKS[this.op(x)] ?? 9 : 9, text = word(x);
      return / /.test(text) && (inner < rank || inner === rank && k === 1 && op !== "add" && op !== "mul") ? `(${text})` : text;
    });
    if (OPS[op].arity === null && words.length > 4) return `${OPS[op].symbol}(${words[0]}, … ${words.length} numbers)`;
    return writeOperation(op, OPS[op], words, true);
  }
  // The terms of a sum of four or more: what is added by additions without names of their own.
  terms(node) {
    const found = [];
    let at = node;
    while (this.op(at) === "add" && (at === node || this.labels[at] === undefined)) { found.unshift(this.second[at]); at = this.first[at]; }
    return found.length > 2 ? [at, ...found] : null;
  }
  // The sum that an addition without a name is part of.
  whole(node) {
    for (;;) {
      if (this.op(node) !== "add" || this.labels[node] !== undefined) return node;
      let user = node + 1;
      while (user < this.length && !(this.op(user) === "add" && this.first[user] === node)) user++;
      if (user === this.length) return node;
      node = user;
    }
  }
  isReached(node) {  // by a gradient; of copies only the first is marked
    const { start, stride, end } = this.copies ?? { start: 0, end: 0 };
    return Boolean(this.reached[node >= start && node < end ? start + (node - start) % stride : node]);
  }
  // What the explanation panel shows: the formula in names and in numbers, each input, and each use that sends gradient.
  explain(node, most = 12) {
    const { root = this.length - 1 } = this, loss = this.labels[root] ?? "L";
    const terms = this.terms(node), inputs = terms ?? this.inputs(node), computed = inputs.length > 0;
    const uses = [];
    let more = 0;
    for (let user = node + 1; user <= root; user++) {
      const slots = this.codes[user] > NUMBER && this.isReached(user) ? this.inputs(user) : [];
      for (let k = 0; k < slots.length; k++) {
        if (slots[k] !== node) continue;
        if (uses.length === most) { more++; continue; }
        const slopes = OPS[this.op(user)].d?.(...this.numbers(user), this.data[user]);
        const slope = slopes ? slopes[k] : 0, value = slope === 0 && !/^(add|mul)$/.test(this.op(user)) ? 0 : slope * this.grad[user];
        const whole = this.terms(this.whole(user)) ? this.whole(user) : user;  // through a sum a gradient goes unchanged
        uses.push({ text: `${short(this.grad[user])} · ${short(slope)}  from ${this.name(whole, 60)}`, value, ref: whole });
      }
    }
    return {
      ref: node, title: this.name(node, 80), value: this.data[node], grad: this.codes[node] === NUMBER ? null : this.grad[node],
      formula: terms ? `a sum of ${terms.length} terms` : computed ? this.formula(node) : this.codes[node] === NUMBER ? "a number in the formula" : "a leaf: nothing computes it",
      numbers: terms ? `${sumOf(terms.map(x => this.data[x]))} = ${short(this.data[node])}` : computed ? `${this.written(node, x => short(this.data[x]))} = ${short(this.data[node])}` : short(this.data[node]),
      rows: inputs.map(x => ({ text: this.name(x, 80), value: this.data[x], grad: this.codes[x] === NUMBER ? null : this.grad[x], ref: x })),
      uses, more: more ? `… and ${more} more terms; all of them add up to ∂${loss}/∂${this.name(node)} = ${short(this.grad[node])}` : "",
    };
  }
}
