// One forward and backward pass, step by step: the words of tinygrad_edu/step_log.py, and the judge of predictions of
// viz/stepping/answers.py; tests hold them together. Needs words.js, and OPS: {mul: {f, d, symbol, formula, …}, …}.
class StepLog {
  // nodes: {name, op, inputs, leaf, constant}; data: a number per node; steps: forward {node, value}, seed {node},
  // chain {node, operand, input, upstream, local, contribution, before, after}, each with its kind.
  constructor(nodes, root, steps, data) { Object.assign(this, { nodes, root, steps, data }); }

  // All steps from the numbers of the leaves. A zero derivative stops the flow, except at + and *, as in the engine.
  static record(nodes, root, leaves) {
    const data = [...leaves], gradients = nodes.map(() => null), steps = [];
    nodes.forEach((n, i) => {
      if (n.inputs.length) steps.push({ kind: "forward", node: i, value: data[i] = OPS[n.op].f(...n.inputs.map(j => data[j])) });
    });
    steps.push({ kind: "seed", node: root });
    gradients[root] = 1;
    for (const i of computedInOrder(nodes, root).reverse()) {
      const n = nodes[i], upstream = gradients[i];
      if (!OPS[n.op].d) continue;
      OPS[n.op].d(...n.inputs.map(j => data[j]), data[i]).forEach((local, operand) => {
        const input = n.inputs[operand];
        if (nodes[input].constant) return;
        const contribution = local !== 0 || n.op === "add" || n.op === "mul" ? local * upstream : 0;
        const before = gradients[input], after = gradients[input] = (before ?? 0) + contribution;
        steps.push({ kind: "chain", node: i, operand, input, upstream, local, contribution, before, after });
      });
    }
    return new StepLog(nodes, root, steps, data);
  }
  // What is known after some steps; null for what is not.
  state(count) {
    const data = this.nodes.map((n, i) => n.inputs.length ? null : this.data[i]), gradients = this.nodes.map(() => null);
    for (const s of this.steps.slice(0, count)) {
      if (s.kind === "forward") data[s.node] = s.value;
      else if (s.kind === "seed") gradients[s.node] = 1;
      else gradients[s.input] = s.after;
    }
    return { data, gradients };
  }
  terms(s) { return this.steps.slice(0, this.steps.indexOf(s) + 1).filter(t => t.kind === "chain" && t.input === s.input); }

  // --- words ---------------------------------------------------------------------------------------------------------
  name(i) { return this.nodes[i].constant ? short(this.data[i]) : this.nodes[i].name; }
  gradientName(i) { return `∂${this.name(this.root)}/∂${this.name(i)}`; }
  // The derivative of one operation by one input: the root as its formula, for ∂L/∂d is what is being computed.
  localName(s) {
    const formula = this.formulaOfUses(s.node), whole = s.node !== this.root ? this.name(s.node) : formula.endsWith(")") ? formula : `(${formula})`;
    return `∂${whole}/∂${this.uses(s.node)[s.operand]}`;
  }
  // The names of the inputs of a node; those of an input that it uses twice are numbered.
  uses(i) {
    const { inputs } = this.nodes[i], count = some => some.filter(j => j === some.at(-1)).length;
    return inputs.map((j, k) => {
      const isNumbered = !this.nodes[j].constant && inputs.filter(other => other === j).length > 1;
      return this.name(j) + (isNumbered ? [...String(count(inputs.slice(0, k + 1)))].map(digit => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("") : "");
    });
  }
  formulaOfUses(i) { return writeOperation(this.nodes[i].op, OPS[this.nodes[i].op], this.uses(i), false); }
  written(i, word, wrap) {
    const { op, inputs } = this.nodes[i];
    return inputs.length ? writeOperation(op, OPS[op], inputs.map(word), wrap) : word(i);
  }
  formula(i) { return this.written(i, j => this.name(j), false); }
  substituted(i) { return this.written(i, j => short(this.data[j]), true); }
  localFormula(s) {
    const n = this.nodes[s.node], power = n.op === "pow" && this.nodes[n.inputs[1]].constant;
    return writeDerivative(n.op, OPS[n.op], s.operand, this.uses(s.node), n.name, power ? this.data[n.inputs[1]] : undefined);
  }
  why(s) {
    const n = this.nodes[s.node], text = this.localFormula(s), value = short(s.local);
    let words = `${n.name} = ${this.formulaOfUses(s.node)}, so ${this.localName(s)} = ${text}${text === value ? "" : ` = ${value}`}`;
    const uses = n.inputs.filter(i => i === s.input).length;
    if (uses > 1) words += ` (${this.uses(s.node)[s.operand]} is ${this.name(s.input)}, use ${n.inputs.slice(0, s.operand + 1).filter(i => i === s.input).length} of ${uses})`;
    return words;
  }
  sentence(s) {
    if (s.kind === "forward") {
      const numbers = this.substituted(s.node), result = short(s.value);
      return `${this.name(s.node)} = ${this.formula(s.node)} = ${numbers === result ? "" : `${numbers} = `}${result}`;
    }
    if (s.kind === "seed") return `${this.gradientName(s.node)} = 1`;
    return `${this.gradientName(s.input)} += ${this.gradientName(s.node)} · ${this.localName(s)} = ${short(s.upstream)} · ${short(s.local)} = ${short(s.contribution)}`;
  }
  accumulation(s) {
    return s.kind !== "chain" || s.before === null ? "" : `${this.gradientName(s.input)} = ${sumOf(this.terms(s).map(t => t.contribution))} = ${short(s.after)}`;
  }
  spoken(s) {
    const say = x => short(x).replace("−", "minus ").replace("∞", "infinity");
    if (s.kind === "forward") return `${this.name(s.node)} is ${say(s.value)}`;
    if (s.kind === "seed") return `the gradient of ${this.name(s.node)} with respect to itself is 1`;
    return `the gradient of ${this.name(this.root)} with respect to ${this.name(s.input)} grows by ${say(s.upstream)} times ${say(s.local)}, `
      + `which is ${say(s.contribution)}${s.before === null ? "" : `; it is now ${say(s.after)}`}`;
  }

  // --- predict, then reveal ------------------------------------------------------------------------------------------
  question(s) {
    if (s.kind === "forward") return `${this.name(s.node)} = ${this.formula(s.node)} = ?`;
    if (s.kind === "seed") return `${this.gradientName(s.node)} = ?`;
    const sent = `${this.gradientName(s.node)} · ${this.localName(s)}`, grad = this.gradientName(s.input);
    return s.before === null ? `${grad} = ${sent} = ?` : `${grad} so far is ${short(s.before)}; now ${sent} is added: ${grad} = ?`;
  }
  // Numbers, names of nodes, + - * / ** ( ) and functions of one number.
  read(text) {
    const tokens = text.replaceAll("−", "-").replaceAll("·", "*").replaceAll("×", "*").replaceAll("÷", "/")
      .match(/(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\*\*|[-+*/(),]|[\p{L}_][\p{L}\p{N}_]*|\S/gu) ?? [];
    let at = 0;
    const fail = words => { throw new Error(words); };
    const take = token => tokens[at] === token && ++at > 0;
    const need = token => take(token) || fail(`this cannot be read: ${token} is missing`);
    const sum = () => {
      let x = product();
      for (;;) { if (take("+")) x += product(); else if (take("-")) x -= product(); else return x; }
    };
    const product = () => {
      let x = signedPower();
      for (;;) { if (take("*")) x *= signedPower(); else if (take("/")) x = OPS.div.f(x, signedPower()); else return x; }
    };
    const signedPower = () => take("-") ? -signedPower() : take("+") ? signedPower() : powerOf();
    const powerOf = () => {
      const base = atom();
      return take("**") ? OPS.pow.f(base, signedPower()) : base;
    };
    const atom = () => {
      const token = tokens[at++];
      if (token === undefined) fail("this cannot be read: it ends too early");
      if (token === "(") { const x = sum(); need(")"); return x; }
      if (/^[\d.]/.test(token) && token !== ".") return Number(token);
      if (Object.hasOwn(OPS, token) && tokens[at] === "(") { at++; const x = sum(); need(")"); return OPS[token].f(x); }
      const i = this.nodes.findIndex(n => n.name === token && !n.constant);
      if (i < 0) fail(/^[\p{L}_]/u.test(token) ? `${token} is not a name here; type a number, a fraction or an expression` : `this cannot be read: ${token}`);
      return this.data[i];
    };
    const x = sum();
    if (at < tokens.length) fail(`this cannot be read: ${tokens[at]}`);
    return x;
  }
  *mistakes(s) {
    if (s.kind === "forward") {
      const n = this.nodes[s.node];
      if (["sub", "div", "pow"].includes(n.op)) {
        const [a, b] = n.inputs.map(i => this.data[i]);
        let swapped = null;
        try { swapped = OPS[n.op].f(b, a); } catch { /* no answer the other way round */ }
        if (swapped !== null) yield [swapped, `the order matters: ${this.formula(s.node)}, not the other way round`];
      }
      yield [-s.value, "the size is right, the sign is not"];
      return;
    }
    if (s.kind === "seed") return;
    const grad = this.gradientName(s.input), up = this.gradientName(s.node), local = this.localName(s), sent = short(s.contribution);
    if (s.before !== null) {
      yield [s.contribution, `the earlier term ${short(s.before)} is missing: gradients accumulate, ${grad} += ${sent}`];
      yield [s.before, `the new term ${up} · ${local} = ${sent} is missing`];
      for (const t of this.terms(s).slice(0, -1))
        yield [s.after - t.contribution, `the term ${this.gradientName(t.node)} · ${this.localName(t)} = ${short(t.contribution)} is missing`];
    }
    const before = s.before ?? 0;
    yield [before + s.upstream, `that is ${up} alone; it must be multiplied by the local derivative ${local}`];
    yield [before + s.local, `that is the local derivative ${local} alone; it must be multiplied by ${up}`];
    yield [before + s.upstream + s.local, `the chain rule multiplies ${up} and ${local}, it does not add them`];
    yield [-s.after, "the size is right, the sign is not"];
    yield [before - s.contribution, `the sign of the new term ${up} · ${local} is wrong`];
  }
  judge(s, text) {
    const expected = s.kind === "forward" ? s.value : s.kind === "seed" ? 1 : s.after;
    let x;
    try { x = this.read(text); } catch (error) { return { right: false, understood: false, message: error.message }; }
    if (sameNumber(x, expected)) return { right: true, understood: true, message: `right: ${short(expected)}` };
    for (const [candidate, hint] of this.mistakes(s)) if (sameNumber(x, candidate)) return { right: false, understood: true, message: hint };
    const advice = s.kind === "forward" ? `compute ${this.substituted(s.node)}`
      : s.kind === "seed" ? `how fast does ${this.name(s.node)} change when ${this.name(s.node)} itself changes?` : this.why(s);
    return { right: false, understood: true, message: `${short(x)} is not it; ${advice}` };
  }
}
function sameNumber(answer, x) {
  if (!isFinite(x)) return x !== x ? answer !== answer : answer === x;
  return Math.abs(answer - x) <= Math.max(5e-3 * Math.abs(x), 1e-6);
}
// The computed nodes that a gradient reaches, in the order of the engine, on which the last digit of a sum depends.
function computedInOrder(nodes, root) {
  const seen = new Set(), order = [], stack = nodes[root].inputs.length ? [root] : [];
  while (stack.length) {
    const i = stack.pop();
    if (i === null) order.push(stack.pop());
    else if (!seen.has(i)) {
      seen.add(i);
      stack.push(i, null);
      if (OPS[nodes[i].op].d) stack.push(...nodes[i].inputs.filter(j => nodes[j].inputs.length));
    }
  }
  return order;
}
