// The page replays a step log that Python recorded. When a leaf is changed, the same steps are recomputed here, by a
// table with the same rows as tinygrad_edu/ops.py; a test keeps the two tables equal.
const DATA = JSON.parse(document.getElementById("log").textContent);
const number = x => typeof x === "string" ? Number(x) : x;  // JSON has no NaN: it comes as a word

// --- the table of operations: value and local derivatives ------------------------------------------------------------
function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2) {  // a series of positive terms: nothing cancels
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) { term *= 2 * x * x / (2 * n + 1); sum += term; }
    return 1 - 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }
  let fraction = 0;  // the continued fraction, from the outside in
  for (let n = 200; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
const fail = words => { throw new Error(words); };
const whole = x => Number.isInteger(x);
function power(a, b) {
  if (a === 0 && b < 0) fail(`${short(a)} ** ${short(b)}: zero to a negative power is a division by zero`);
  if (a < 0 && !whole(b) && isFinite(a) && isFinite(b)) fail(`(${short(a)}) ** ${short(b)}: a negative base with a fractional exponent has no real answer`);
  if (a === 1 || b === 0) return 1;  // as in IEEE arithmetic, which JavaScript leaves here
  if (a === -1 && !isFinite(b) && b === b) return 1;
  return Math.pow(a, b);
}
function extreme(pick) {
  return { f: (...x) => x.some(v => v !== v) ? NaN : pick(...x),
           d: (...x) => { const out = x.pop(); if (out !== out) return x.map(() => NaN); const share = 1 / (x.filter(v => v === out).length || 1); return x.map(v => v === out ? share : 0); } };
}
const sigmoid = a => a >= 0 ? 1 / (1 + Math.exp(-a)) : Math.exp(a) / (1 + Math.exp(a));
const finite = name => a => isFinite(a) || a !== a ? Math[name](a) : fail(`${name} of infinity has no answer`);
// What is computed; the local derivatives are those of SLOPES, which the page gets from the library, but for overrides.
const OPS = {
  add: { f: (a, b) => a + b },
  sub: { f: (a, b) => a - b },
  mul: { f: (a, b) => a * b },
  div: { f: (a, b) => b === 0 ? fail(`${short(a)} / 0: division by zero has no answer`) : a / b },
  pow: { f: power, d: (a, b, out) => [b === 0 ? 0 : a === 0 && b < 1 ? Infinity : b * power(a, b - 1), out * (a > 0 ? Math.log(a) : a === 0 ? 0 : NaN)] },
  neg: { f: a => -a },
  exp: { f: Math.exp },
  log: { f: a => a <= 0 ? fail(`log(${short(a)}): the logarithm needs a positive number`) : Math.log(a) },
  sqrt: { f: a => a < 0 ? fail(`sqrt(${short(a)}): the square root of a negative number is not real`) : Math.sqrt(a) },
  tanh: { f: Math.tanh },
  sigmoid: { f: sigmoid },
  relu: { f: a => a > 0 || a !== a ? a : 0 },
  gelu: { f: a => a === -Infinity ? 0 : 0.5 * a * erfc(-a * Math.SQRT1_2),
          d: a => { const p = Math.exp(-0.5 * a * a) / Math.sqrt(2 * Math.PI); return [0.5 * erfc(-a * Math.SQRT1_2) + (p ? a * p : 0)]; } },
  sin: { f: finite("sin") },
  cos: { f: finite("cos") },
  abs: { f: Math.abs },
  maximum: extreme(Math.max),
  minimum: extreme(Math.min),
  detach: { f: a => a, d: null },
};
for (const name in OPS) if (OPS[name].d === undefined) OPS[name].d = SLOPES[name];

// --- the log ---------------------------------------------------------------------------------------------------------
const NODES = DATA.nodes.map(([name, data, op, inputs]) => ({ name, data: number(data), op, inputs, leaf: op === null, constant: op === "constant" }));
const ROOT = DATA.root;
const read = ([kind, ...x]) => kind === "forward" ? { kind, node: x[0], value: number(x[1]) }
  : kind === "seed" ? { kind, node: x[0] }
  : { kind, node: x[0], operand: x[1], input: x[2], upstream: number(x[3]), local: number(x[4]), contribution: number(x[5]),
      before: x[6] === null ? null : number(x[6]), after: number(x[7]) };
const ORIGINAL = { steps: DATA.steps.map(read), data: NODES.map(n => n.data) };
let steps = ORIGINAL.steps, data = ORIGINAL.data;
const FIRST_BACKWARD = steps.findIndex(s => s.kind !== "forward");

// The same steps from other leaves. A zero derivative stops the flow, except at + and *, as in the engine.
function recompute(leaves) {
  const values = NODES.map((n, i) => i in leaves ? leaves[i] : n.data), gradients = NODES.map(() => null);
  const again = ORIGINAL.steps.map(s => {
    if (s.kind === "forward") {
      const n = NODES[s.node];
      return { ...s, value: values[s.node] = OPS[n.op].f(...n.inputs.map(i => values[i])) };
    }
    if (s.kind === "seed") { gradients[s.node] = 1; return s; }
    const n = NODES[s.node], upstream = gradients[s.node] ?? 0;
    const local = OPS[n.op].d(...n.inputs.map(i => values[i]), values[s.node])[s.operand];
    const contribution = local !== 0 || n.op === "add" || n.op === "mul" ? local * upstream : 0;
    const before = gradients[s.input], after = (before ?? 0) + contribution;
    gradients[s.input] = after;
    return { ...s, upstream, local, contribution, before, after };
  });
  return { steps: again, data: values };
}
function state(count) {
  const known = NODES.map((n, i) => n.inputs.length ? null : data[i]), gradients = NODES.map(() => null);
  for (const s of steps.slice(0, count)) {
    if (s.kind === "forward") known[s.node] = s.value;
    else if (s.kind === "seed") gradients[s.node] = 1;
    else gradients[s.input] = s.after;
  }
  return { data: known, gradients };
}
const termsOf = s => steps.slice(0, steps.indexOf(s) + 1).filter(t => t.kind === "chain" && t.input === s.input);

// --- words: as tinygrad_edu/step_log.py writes them; see words.js -----------------------------------------------------------------------
const name = i => NODES[i].constant ? short(data[i]) : NODES[i].name;
const gradientName = i => `∂${name(ROOT)}/∂${name(i)}`;
const localName = s => `∂${name(s.node)}/∂${name(s.input)}`;
const written = (i, word, wrap) => writeOperation(NODES[i].op, DATA.ops[NODES[i].op], NODES[i].inputs.map(word), wrap);
const formula = i => written(i, name, false);
const substituted = i => written(i, j => short(data[j]), true);
function localFormula(s) {
  const n = NODES[s.node], power = n.op === "pow" && NODES[n.inputs[1]].constant;
  return writeDerivative(n.op, DATA.ops[n.op], s.operand, n.inputs.map(name), n.name, power ? data[n.inputs[1]] : undefined);
}
function why(s) {
  const n = NODES[s.node], text = localFormula(s), value = short(s.local);
  let words = `${n.name} = ${formula(s.node)}, so ${localName(s)} = ${text}${text === value ? "" : ` = ${value}`}`;
  const uses = n.inputs.filter(i => i === s.input).length;
  if (uses > 1) words += ` (use ${n.inputs.slice(0, s.operand + 1).filter(i => i === s.input).length} of ${uses})`;
  return words;
}
function sentence(s) {
  if (s.kind === "forward") {
    const numbers = substituted(s.node), result = short(s.value);
    return `${name(s.node)} = ${formula(s.node)} = ${numbers === result ? "" : `${numbers} = `}${result}`;
  }
  if (s.kind === "seed") return `${gradientName(s.node)} = 1`;
  return `${gradientName(s.input)} += ${gradientName(s.node)} · ${localName(s)} = ${short(s.upstream)} · ${short(s.local)} = ${short(s.contribution)}`;
}
const accumulation = s => s.kind !== "chain" || s.before === null ? "" : `${gradientName(s.input)} = ${sumOf(termsOf(s).map(t => t.contribution))} = ${short(s.after)}`;
function spoken(s) {
  const say = x => short(x).replace("−", "minus ").replace("∞", "infinity");
  if (s.kind === "forward") return `${name(s.node)} is ${say(s.value)}`;
  if (s.kind === "seed") return `the gradient of ${name(s.node)} with respect to itself is 1`;
  return `the gradient of ${name(ROOT)} with respect to ${name(s.input)} grows by ${say(s.upstream)} times ${say(s.local)}, `
    + `which is ${say(s.contribution)}${s.before === null ? "" : `; it is now ${say(s.after)}`}`;
}

// --- predict, then reveal: like viz/stepping/answers.py ------------------------------------------------------------------------
const expected = s => s.kind === "forward" ? s.value : s.kind === "seed" ? 1 : s.after;
function same(answer, x) {
  if (!isFinite(x)) return x !== x ? answer !== answer : answer === x;
  return Math.abs(answer - x) <= Math.max(5e-3 * Math.abs(x), 1e-6);
}
function question(s) {
  if (s.kind === "forward") return `${name(s.node)} = ${formula(s.node)} = ?`;
  if (s.kind === "seed") return `${gradientName(s.node)} = ?`;
  const sent = `${gradientName(s.node)} · ${localName(s)}`, grad = gradientName(s.input);
  return s.before === null ? `${grad} = ${sent} = ?` : `${grad} so far is ${short(s.before)}; now ${sent} is added: ${grad} = ?`;
}
// Numbers, names of nodes, + - * / ** ( ) and functions of one number.
function parse(text) {
  const tokens = text.replaceAll("−", "-").replaceAll("·", "*").replaceAll("×", "*").replaceAll("÷", "/")
    .match(/(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\*\*|[-+*/(),]|[\p{L}_][\p{L}\p{N}_]*|\S/gu) ?? [];
  let at = 0;
  const take = token => tokens[at] === token && ++at > 0;
  const need = token => take(token) || fail(`this cannot be read: ${token} is missing`);
  function sum() {
    let x = product();
    for (;;) { if (take("+")) x += product(); else if (take("-")) x -= product(); else return x; }
  }
  function product() {
    let x = signedPower();
    for (;;) { if (take("*")) x *= signedPower(); else if (take("/")) x = OPS.div.f(x, signedPower()); else return x; }
  }
  const signedPower = () => take("-") ? -signedPower() : take("+") ? signedPower() : powerOf();
  function powerOf() {
    const base = atom();
    return take("**") ? power(base, signedPower()) : base;
  }
  function atom() {
    const token = tokens[at++];
    if (token === undefined) fail("this cannot be read: it ends too early");
    if (token === "(") { const x = sum(); need(")"); return x; }
    if (/^[\d.]/.test(token) && token !== ".") return Number(token);
    if (token in OPS && tokens[at] === "(") { at++; const x = sum(); need(")"); return OPS[token].f(x); }
    const i = NODES.findIndex(n => n.name === token && !n.constant);
    if (i < 0) fail(/^[\p{L}_]/u.test(token) ? `${token} is not a name here; type a number, a fraction or an expression` : `this cannot be read: ${token}`);
    return data[i];
  }
  const x = sum();
  if (at < tokens.length) fail(`this cannot be read: ${tokens[at]}`);
  return x;
}
function* mistakes(s) {
  if (s.kind === "forward") {
    const n = NODES[s.node];
    if (["sub", "div", "pow"].includes(n.op)) {
      const [a, b] = n.inputs.map(i => data[i]);
      let swapped = null;
      try { swapped = OPS[n.op].f(b, a); } catch { /* no answer the other way round */ }
      if (swapped !== null) yield [swapped, `the order matters: ${formula(s.node)}, not the other way round`];
    }
    yield [-s.value, "the size is right, the sign is not"];
    return;
  }
  if (s.kind === "seed") return;
  const grad = gradientName(s.input), up = gradientName(s.node), local = localName(s), sent = short(s.contribution);
  if (s.before !== null) {
    yield [s.contribution, `the earlier term ${short(s.before)} is missing: gradients accumulate, ${grad} += ${sent}`];
    yield [s.before, `the new term ${up} · ${local} = ${sent} is missing`];
    for (const t of termsOf(s).slice(0, -1))
      yield [s.after - t.contribution, `the term ${gradientName(t.node)} · ${localName(t)} = ${short(t.contribution)} is missing`];
  }
  const before = s.before ?? 0;
  yield [before + s.upstream, `that is ${up} alone; it must be multiplied by the local derivative ${local}`];
  yield [before + s.local, `that is the local derivative ${local} alone; it must be multiplied by ${up}`];
  yield [before + s.upstream + s.local, `the chain rule multiplies ${up} and ${local}, it does not add them`];
  yield [-s.after, "the size is right, the sign is not"];
  yield [before - s.contribution, `the sign of the new term ${up} · ${local} is wrong`];
}
function judge(s, text) {
  let x;
  try { x = parse(text); } catch (error) { return { right: false, understood: false, message: error.message }; }
  if (same(x, expected(s))) return { right: true, understood: true, message: `right: ${short(expected(s))}` };
  for (const [candidate, hint] of mistakes(s)) if (same(x, candidate)) return { right: false, understood: true, message: hint };
  const advice = s.kind === "forward" ? `compute ${substituted(s.node)}`
    : s.kind === "seed" ? `how fast does ${name(s.node)} change when ${name(s.node)} itself changes?` : why(s);
  return { right: false, understood: true, message: `${short(x)} is not it; ${advice}` };
}

// --- the page ------------------------------------------------------------------------------------------------------------
const $ = id => document.getElementById(id);
let position = 0, quizzing = false, asking = false, attempted = false, right = 0, asked = 0, timer = null;

const nodeElements = NODES.map((_, i) => document.querySelector(`[data-node="${i}"]`));
const edgeElements = new Map([...document.querySelectorAll("[data-edge]")].map(e => [e.dataset.edge, e]));
const half = e => { const path = e.querySelector("path"); return path.getPointAtLength(path.getTotalLength() / 2); };
for (const e of edgeElements.values()) {  // the words of an edge are at its middle
  const middle = half(e), label = e.querySelector("text");
  const [node, operand] = e.dataset.edge.split("-").map(Number);  // the lower of two adjacent edges has them below
  const siblings = NODES[node].inputs.map((input, k) => input === NODES[node].inputs[operand] && k !== operand ? edgeElements.get(`${node}-${k}`) : null);
  const below = siblings.some(other => other && half(other).y < middle.y - 1);
  label.setAttribute("x", middle.x); label.setAttribute("y", middle.y + (below ? 19 : -6));
}
const sign = x => x > 0 ? "positive" : x < 0 ? "negative" : "zero";

function go(to, { keepHash = false } = {}) {
  position = Math.max(0, Math.min(steps.length, Math.trunc(to) || 0));
  asking = false;
  say("");
  if (!keepHash) history.replaceState(null, "", `#${new URLSearchParams({ ...hash(), step: position })}`);
  draw();
}
const hash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function draw() {
  const shown = state(position), step = asking ? steps[position] : steps[position - 1];
  NODES.forEach((n, i) => {
    const e = nodeElements[i];
    if (n.constant) return;
    const value = e.querySelector(".data"), gradient = e.querySelector(".grad");
    value.textContent = shown.data[i] === null ? "–" : short(shown.data[i]);
    value.dataset.exact = shown.data[i] ?? "";
    gradient.textContent = shown.gradients[i] === null ? "–" : short(shown.gradients[i]);
    gradient.dataset.exact = shown.gradients[i] ?? "";
    gradient.setAttribute("class", `number grad ${shown.gradients[i] === null ? "" : sign(shown.gradients[i])}`);
    const target = step && (step.kind === "chain" ? step.input : step.node) === i;
    const source = step && (step.kind === "chain" ? step.node === i : step.kind === "forward" && NODES[step.node].inputs.includes(i));
    e.setAttribute("class", `node${n.leaf ? " leaf" : ""}${target ? " lit" : source ? " source" : ""}`);
  });
  for (const e of edgeElements.values()) {
    e.setAttribute("class", "edge");
    e.querySelector("text").setAttribute("class", "flow");
    e.querySelector("text").textContent = "";
  }
  for (const s of steps.slice(0, position)) if (s.kind === "chain") {
    const e = edgeElements.get(`${s.node}-${s.operand}`), label = e.querySelector("text");
    e.classList.add(sign(s.contribution));
    label.textContent = edgeElements.size <= 40 ? signed(s.contribution) : "";
    label.setAttribute("class", `flow ${sign(s.contribution)}`);
  }
  if (step?.kind === "chain") {
    const e = edgeElements.get(`${step.node}-${step.operand}`);
    e.classList.add("lit");
    if (!asking) e.querySelector("text").textContent = `· ${short(step.local)}`;
    e.parentNode.append(e);  // on top of the others
  } else if (step?.kind === "forward") {
    NODES[step.node].inputs.forEach((_, k) => edgeElements.get(`${step.node}-${k}`)?.classList.add("reads"));
  }
  const phase = position === 0 ? "before the first step" : position === steps.length ? "done" : position <= FIRST_BACKWARD ? "forward" : "backward";
  $("where").textContent = `step ${position} of ${steps.length} · ${phase}`;
  $("score").textContent = quizzing || asked ? `${right} of ${asked} right` : "";
  $("sentence").textContent = asking ? "" : step ? sentence(step) : `${name(ROOT)} = ${NODES[ROOT].inputs.length ? formula(ROOT) : short(data[ROOT])}`;
  $("why").textContent = asking ? "" : !step ? "first forward: every value from its inputs; then backward, from the result to the leaves"
    : step.kind === "chain" ? why(step) : step.kind === "seed" ? "every number changes as fast as itself; from here, gradients flow back" : "";
  $("terms").textContent = asking || !step ? "" : accumulation(step);
  $("spoken").textContent = asking ? "" : `step ${position} of ${steps.length}${step ? `: ${spoken(step)}` : ""}`;
  $("ask").hidden = !asking;
  if (asking) { $("question").textContent = question(step); }
  $("scrubber").value = position;
}
function say(words, kind = "") { $("verdict").textContent = words; $("verdict").className = kind; }

function next() {
  if (asking) return reveal();
  if (!quizzing || position === steps.length) return go(position + 1);
  asking = true; attempted = false;
  say("");
  $("answer").value = "";
  draw();
  $("answer").focus();
}
function reveal() {
  if (!attempted) asked++;
  go(position + 1);
  $("answer").blur();
}
function check(text) {
  if (!text.trim()) return reveal();
  const verdict = judge(steps[position], text);
  if (verdict.understood && !attempted) { attempted = true; asked++; right += verdict.right; }
  if (verdict.right) { go(position + 1); $("answer").blur(); }
  else draw();
  say(`${verdict.right ? "✓" : "✗"} ${verdict.message}`, verdict.right ? "right" : "wrong");
}
function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => position < steps.length ? go(position + 1) : play(false), 1500) : null;
  $("play").textContent = on ? "❚❚" : "▶▶";
  $("play").setAttribute("aria-label", on ? "pause" : "play");
  if (on) go(position === steps.length ? 0 : position + 1);
}
function quiz(on) { quizzing = on; $("quiz").checked = on; asking = false; say(""); draw(); }
function look(theme) {
  const { dataset } = document.documentElement;
  if (theme || dataset.around) dataset.theme = theme || dataset.around; else delete dataset.theme;
  $("theme").value = theme;
}

// What if: the numbers typed for the leaves.
const changed = {};
function whatIf(i, text) {
  const x = text.trim() === "" ? NaN : Number(text.replace("−", "-"));
  if (!isFinite(x)) { $("trouble").textContent = `${name(i)}: expected a number, got “${text.slice(0, 30)}”`; return false; }
  try {
    const again = recompute({ ...changed, [i]: x });
    changed[i] = x;
    steps = again.steps; data = again.data;
    $("trouble").textContent = "";
    draw();
    return true;
  } catch (error) {
    $("trouble").textContent = `${error.message}; ${name(i)} stays ${short(data[i])}`;
    return false;
  }
}
function reset() {
  for (const i in changed) delete changed[i];
  ({ steps, data } = ORIGINAL);
  for (const box of $("leaves").querySelectorAll("input")) box.value = data[box.dataset.leaf];
  $("trouble").textContent = "";
  draw();
}
NODES.forEach((n, i) => {
  if (!n.leaf) return;
  const label = document.createElement("label"), box = document.createElement("input");
  box.value = n.data; box.dataset.leaf = i; box.inputMode = "decimal";
  box.addEventListener("change", () => { if (!whatIf(i, box.value)) box.value = data[i]; });
  label.append(`${n.name} = `, box);
  $("leaves").append(label);
});
const back = document.createElement("button");
back.textContent = "as it was"; back.type = "button"; back.id = "reset";
back.addEventListener("click", reset);
$("leaves").append(back);

$("first").onclick = () => go(0);
$("previous").onclick = () => go(position - 1);
$("next").onclick = next;
$("last").onclick = () => go(steps.length);
$("play").onclick = () => play(timer === null);
$("scrubber").max = steps.length;
$("scrubber").oninput = e => go(Number(e.target.value));
$("quiz").onchange = e => quiz(e.target.checked);
$("theme").onchange = e => look(e.target.value);
$("show").onclick = reveal;
$("ask").onsubmit = e => { e.preventDefault(); check($("answer").value); };
addEventListener("hashchange", () => go(Number(hash().step), { keepHash: true }));
// The keys of a presenter's clicker are Page Down, Page Up, F5, Escape and "." for a black screen.
const KEYS = {
  ArrowRight: next, PageDown: next, " ": next, n: next, ArrowLeft: () => go(position - 1), PageUp: () => go(position - 1), p: () => go(position - 1),
  Home: () => go(0), End: () => go(steps.length), F5: () => play(timer === null),
  Escape: () => { if (document.body.classList.contains("blank")) document.body.classList.remove("blank"); else { play(false); if (asking) go(position); } },
  ".": () => document.body.classList.toggle("blank"), b: () => document.body.classList.toggle("blank"), t: () => quiz(!quizzing),
};
addEventListener("keydown", e => {
  if (e.ctrlKey || e.altKey || e.metaKey) return;
  const typing = e.target.matches?.("input:not([type=range]):not([type=checkbox]), select");
  if (typing && !["PageDown", "PageUp", "F5", "Escape"].includes(e.key)) return;
  if (e.target.matches?.("button, summary, input[type=checkbox]") && e.key === " ") return;  // presses the button itself
  const act = KEYS[e.key];
  if (act) { e.preventDefault(); act(); }
});
look(["light", "dark", "beamer"].includes(hash().theme) ? hash().theme : "");
go(Number(hash().step), { keepHash: true });
if (DATA.quiz) quiz(true);
