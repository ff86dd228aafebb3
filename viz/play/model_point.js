// One number: a formula on a tape, its step log, the curve of the result over one leaf, and steps downhill.
MODELS.point = class {
  static MOST = 100;  // Values in one picture
  static CURVE = 181;  // points of the curve

  constructor(settings) {
    this.values = {};
    this.settings = { ...settings, formula: undefined, numbers: undefined };
    this.use(new Formula("L = (a*b + c) * f"), { a: 2, b: -3, c: 10, f: -2 });
    this.change(settings);
  }
  // Takes a formula and numbers; throws a FormulaError and changes nothing if there is no result.
  use(formula, values) {
    const graph = this.built(formula, values);
    if (formula !== this.formula) this.ranges = {};
    Object.assign(this, { formula, graph, values: { ...values }, start: { ...values }, since: 0, moved: null, problem: null });
    this.trial = this.built(formula, values);
    this.computed();
  }
  built(formula, values) {
    const tape = new Tape(256), { root, inputs, labels } = formula.build(tape, values);
    const { nodes, order } = loggedNodes(tape, root, labels), { MOST } = MODELS.point;
    if (order.length > MOST) throw new FormulaError(`this formula makes ${order.length.toLocaleString("en-US")} Values; a picture shows at most ${MOST}: make it shorter`);
    return { tape, root, inputs, nodes, order };
  }
  // What follows from the numbers on the tape.
  computed() {
    const { tape, root, nodes, order } = this.graph;
    tape.backward(root);
    this.loss = tape.data[root];
    this.log = StepLog.record(nodes, order.indexOf(root), order.map(node => tape.data[node]));
    for (const name of this.formula.inputs) {
      const size = Math.abs(this.values[name]), wanted = Math.max(2, 1.4 * size);
      if (!(this.ranges[name] >= size)) this.ranges[name] = [2, 5, 10, 20, 50].find(x => x >= wanted) ?? 10 ** Math.ceil(Math.log10(wanted));
    }
  }
  get leaf() { return this.formula.inputs.includes(this.settings.leaf) ? this.settings.leaf : this.formula.inputs[0]; }

  change(settings) {
    const before = this.settings, fresh = settings.numbers !== before.numbers;
    this.settings = { ...settings };
    this.undone = false;
    try {
      if (settings.formula !== before.formula) {
        const formula = new Formula(settings.formula);
        if (fresh || formula.text !== this.formula.text) this.tryNumbers(formula, { ...readNumbers(settings.numbers), ...(fresh ? {} : this.values) });
        this.problem = null;
      } else if (fresh && settings.numbers !== writtenNumbers(this.start)) {
        this.use(this.formula, { ...this.values, ...readNumbers(settings.numbers) });
      } else if (settings.seed !== before.seed) this.tryNumbers(this.formula, {});
    } catch (error) {
      if (!(error instanceof FormulaError)) throw error;
      this.problem = { message: error.message };
    }
  }
  // Known numbers, and drawn ones for new names; if the formula has no answer there, others.
  tryNumbers(formula, known) {
    for (let k = 0, first; ; k++) {
      const drawn = this.drawn(formula, Number(this.settings.seed) + 7919 * Math.max(0, k - 1)), numbers = k ? drawn : { ...drawn, ...known };
      try {
        return this.use(formula, Object.fromEntries(formula.inputs.map(name => [name, numbers[name]])));
      } catch (error) {
        if (!(error instanceof FormulaError) || k > 30) throw first ?? error;
        first ??= error;
      }
    }
  }
  drawn(formula, seed) {
    const chance = new Chance(Number(seed));
    return Object.fromEntries(formula.inputs.map(name => [name, Math.round(chance.uniform(-2, 2) * 10) / 10]));
  }

  step() {
    const { tape, inputs } = this.graph, before = this.loss, next = {};
    this.formula.inputs.forEach((name, i) => { next[name] = this.values[name] - this.settings.rate * tape.grad[inputs[i]]; });
    const lost = this.formula.inputs.find(name => !Number.isFinite(next[name]));
    if (lost) throw new Trouble(`${lost} would become ${short(next[lost])}; go back and choose a smaller rate`);
    try {
      this.graph = this.built(this.formula, next);
    } catch (error) {
      throw error instanceof Trouble ? new Trouble(`this step leads to numbers without an answer, ${error.reason.split(";")[0]}; choose a smaller rate`) : error;
    }
    this.values = next;
    this.since++;
    this.computed();
    this.moved = { before, after: this.loss };
    if (!(Math.abs(this.loss) < 1e12)) throw new Trouble(`${this.log.name(this.log.root)} became ${short(this.loss)}. Either the rate is too large, or this formula has no lowest point. Go back, or choose other numbers`);
  }
  keep() { return { formula: this.formula, values: this.values, start: this.start, since: this.since, moved: this.moved }; }
  back({ formula, values, start, since, moved }) {
    this.undone = true;
    this.ranges = {};  // those of numbers that are gone
    this.use(formula, values);
    Object.assign(this, { start, since, moved });
  }
  edit() {}  // what is to be undone comes next, as a change of the settings

  ask(question) { return this[question.what](question); }
  judge({ position, text }) { return this.log.judge(this.log.steps[position], text); }
  // The result after a small move of one leaf, beside what the gradient says.
  nudge({ leaf = this.leaf, by }) {
    const { formula, values } = this, after = this.lossAt(leaf, this.values[leaf] + by), grad = this.graph.tape.grad[this.graph.inputs[this.formula.inputs.indexOf(leaf)]];
    return { about: [formula.text, leaf, formula.inputs.map(name => values[name])], leaf, by, from: this.values[leaf], to: this.values[leaf] + by, before: this.loss, after, slope: (after - this.loss) / by, grad, result: this.log.name(this.log.root) };
  }
  lossAt(leaf, x) {
    const { tape, root, inputs } = this.trial;
    this.formula.inputs.forEach((name, i) => { tape.data[inputs[i]] = name === leaf ? x : this.values[name]; });
    try { tape.forward(); } catch { return NaN; }
    return tape.data[root];
  }
  curve() {
    const { leaf } = this, { CURVE } = MODELS.point, xs = new Float64Array(CURVE), ys = new Float64Array(CURVE);
    if (!leaf) return null;
    const range = this.ranges[leaf], node = this.graph.inputs[this.formula.inputs.indexOf(leaf)];
    for (let i = 0; i < CURVE; i++) { xs[i] = range * (2 * i / (CURVE - 1) - 1); ys[i] = this.lossAt(leaf, xs[i]); }
    return { leaf, xs, ys, x: this.values[leaf], y: this.loss, slope: this.graph.tape.grad[node], range };
  }
  explain({ ref }) {
    const { log } = this, n = log.nodes[ref], { data, gradients } = log.state(log.steps.length), chain = log.steps.filter(s => s.kind === "chain" && s.input === ref);
    const kind = n.leaf ? "a leaf: you choose its number" : "a number in the formula";
    return {
      ref, title: log.name(ref), value: data[ref], grad: gradients[ref], formula: n.inputs.length ? `${n.name} = ${log.formula(ref)}` : kind,
      numbers: n.inputs.length ? `${log.substituted(ref)} = ${short(data[ref])}` : "",
      rows: n.inputs.map(i => ({ text: log.name(i), value: data[i], grad: gradients[i] ?? undefined, ref: i })),
      uses: ref === log.root ? [{ text: `${log.gradientName(ref)}: it changes as fast as itself`, value: 1 }]
        : chain.map(s => ({ text: `through ${log.name(s.node)}: ${short(s.upstream)} · ${short(s.local)}`, value: s.contribution, ref: s.node })),
    };
  }

  frame() {
    const { log, formula, graph } = this, total = log.steps.length, at = this.settings.at === "" ? null : Math.max(0, Math.min(total, Math.trunc(Number(this.settings.at)) || 0));
    const count = at ?? total, shown = log.state(count), step = at ? log.steps[at - 1] : null;
    const used = name => { const i = graph.order.indexOf(graph.inputs[formula.inputs.indexOf(name)]); return i < 0 ? null : i; };
    const edges = log.nodes.flatMap((n, node) => n.inputs.map((input, operand) => ({ node, operand, input, sent: null, lit: false, reads: step?.kind === "forward" && step.node === node })));
    for (const s of log.steps.slice(0, count)) if (s.kind === "chain") {
      const edge = edges.find(e => e.node === s.node && e.operand === s.operand);
      Object.assign(edge, { sent: s.contribution, local: s.local, lit: s === step });
    }
    return {
      text: formula.text, problem: this.problem, echo: { formula: this.settings.formula, numbers: this.settings.numbers }, undone: this.undone,
      start: writtenNumbers(this.start), since: this.since, python: formula.python(), root: log.root, value: this.loss, result: log.nodes[log.root].constant ? "the result" : log.name(log.root), moved: this.moved, leaf: this.leaf,
      inputs: formula.inputs.map((name, i) => ({ name, value: this.values[name], grad: graph.tape.grad[graph.inputs[i]], range: this.ranges[name], node: used(name) })),
      nodes: log.nodes.map((n, i) => ({
        name: log.name(i), op: n.op, symbol: n.inputs.length ? OPS[n.op].symbol : "", leaf: n.leaf, constant: n.constant, value: shown.data[i], grad: shown.gradients[i],
        formula: n.inputs.length ? log.formula(i) : "", lit: Boolean(step) && (step.kind === "chain" ? step.input : step.node) === i,
        source: Boolean(step) && (step.kind === "chain" ? step.node === i : step.kind === "forward" && log.nodes[step.node].inputs.includes(i)),
      })),
      edges, curve: this.curve(), steps: { at, total, forward: log.steps.findIndex(s => s.kind !== "forward"), ...this.words(at) },
    };
  }
  words(at) {
    const { log } = this, step = at ? log.steps[at - 1] : null, next = at === null ? null : log.steps[at];
    return {
      sentence: step ? log.sentence(step) : "", terms: step ? log.accumulation(step) : "", spoken: step ? log.spoken(step) : "", question: next ? log.question(next) : "",
      why: step?.kind === "chain" ? log.why(step) : step?.kind === "seed" ? "every number changes as fast as itself; from here, gradients flow back" : "",
    };
  }
};
const readNumbers = text => Object.fromEntries(text.split(/[\s,;]+/).map(part => part.split("=")).filter(([name, x]) => name && x?.trim() && Number.isFinite(Number(x))).map(([name, x]) => [name, Number(x)]));
const writtenNumbers = numbers => Object.entries(numbers).map(([name, x]) => `${name}=${x}`).join(" ");
// The nodes of a graph in the order and with the names of step_log.record: labels, or v1, v2, …; a result without a name is L.
function loggedNodes(tape, root, labels) {
  const order = [], seen = new Set(), stack = [root], index = new Map();
  while (stack.length) {
    const node = stack.pop();
    if (node === null) order.push(stack.pop());
    else if (!seen.has(node)) {
      seen.add(node);
      const inputs = tape.inputs(node);
      if (inputs.length) stack.push(node, null, ...inputs.reverse()); else order.push(node);
    }
  }
  order.forEach((node, i) => index.set(node, i));
  const taken = new Set(order.map(node => labels.get(node)).filter(Boolean)), used = new Set();
  let count = 0;
  const nodes = order.map((node, i) => {
    const op = tape.op(node), constant = op === "number", inputs = tape.inputs(node).map(j => index.get(j));
    let name = labels.get(node);
    if (constant) return { name: short(tape.data[node]), op: "constant", inputs, leaf: false, constant };
    if (!name && i === order.length - 1) name = ["L", "out"].find(word => !taken.has(word));
    for (let k = 2; used.has(name); k++) if (!used.has(`${labels.get(node)}_${k}`) && !taken.has(`${labels.get(node)}_${k}`)) name = `${labels.get(node)}_${k}`;
    while (!name || (labels.get(node) === undefined && taken.has(name))) name = `v${++count}`;
    used.add(name);
    return { name, op: inputs.length ? op : null, inputs, leaf: !inputs.length, constant };
  });
  return { nodes, order };
}
