// The page replays a step log that Python recorded. When a leaf is changed, the same steps are recomputed here, by the
// table OPS, which the page gets from the library.
const DATA = JSON.parse(document.getElementById("log").textContent);
const fail = words => { throw new Trouble(words); };
const number = x => typeof x === "string" ? Number(x) : x;  // JSON has no NaN: it comes as a word

// --- the log ---------------------------------------------------------------------------------------------------------
const NODES = DATA.nodes.map(([name, data, op, inputs]) => ({ name, data: number(data), op, inputs, leaf: op === null, constant: op === "constant" }));
const ROOT = DATA.root;
const read = ([kind, ...x]) => kind === "forward" ? { kind, node: x[0], value: number(x[1]) }
  : kind === "seed" ? { kind, node: x[0] }
  : { kind, node: x[0], operand: x[1], input: x[2], upstream: number(x[3]), local: number(x[4]), contribution: number(x[5]),
      before: x[6] === null ? null : number(x[6]), after: number(x[7]) };
const ORIGINAL = new StepLog(NODES, ROOT, DATA.steps.map(read), NODES.map(n => n.data));
let log = ORIGINAL;
const FIRST_BACKWARD = log.steps.findIndex(s => s.kind !== "forward");

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
const PICTURE = $("picture"), VIEW = PICTURE.querySelector("svg").viewBox.baseVal;
PICTURE.firstElementChild.style.cssText = `--wide:${VIEW.width};--high:${VIEW.height}`;
// On a small screen only a part of the picture is seen: the one where something happens.
function follow(step) {
  const at = nodeElements[step.kind === "chain" ? step.input : step.node].getBoundingClientRect(), frame = PICTURE.getBoundingClientRect();
  PICTURE.scrollBy(at.x + at.width / 2 - frame.x - frame.width / 2, at.y + at.height / 2 - frame.y - frame.height / 2);
}
const sign = x => x > 0 ? "positive" : x < 0 ? "negative" : "zero";

function go(to, { keepHash = false } = {}) {
  position = Math.max(0, Math.min(log.steps.length, Math.trunc(to) || 0));
  asking = false;
  say("");
  if (!keepHash) history.replaceState(null, "", `${location.href.split("#")[0]}#${new URLSearchParams({ ...hash(), step: position })}`);
  draw();
}
const hash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function draw() {
  const shown = log.state(position), step = asking ? log.steps[position] : log.steps[position - 1];
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
  for (const s of log.steps.slice(0, position)) if (s.kind === "chain") {
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
  const phase = position === 0 ? "before the first step" : position === log.steps.length ? "done" : position <= FIRST_BACKWARD ? "forward" : "backward";
  $("where").textContent = `step ${position} of ${log.steps.length} · ${phase}`;
  $("score").textContent = quizzing || asked ? `${right} of ${asked} right` : "";
  $("sentence").textContent = asking ? "" : step ? log.sentence(step) : `${log.name(ROOT)} = ${log.formula(ROOT)}`;
  $("why").textContent = asking ? "" : !step ? "first forward: every value from its inputs, along the grey arrows; then backward, from the result to the leaves: colored arrows point to where the gradient flows"
    : step.kind === "chain" ? log.why(step) : step.kind === "seed" ? "every number changes as fast as itself; from here, gradients flow back" : "";
  $("terms").textContent = asking || !step ? "" : log.accumulation(step);
  $("spoken").textContent = asking ? "" : `step ${position} of ${log.steps.length}${step ? `: ${log.spoken(step)}` : ""}`;
  $("ask").hidden = !asking;
  if (asking) { $("question").textContent = log.question(step); }
  $("scrubber").value = position;
  if (step) follow(step);
}
function say(words, kind = "") { $("verdict").textContent = words; $("verdict").className = kind; }

function next() {
  if (asking) return reveal();
  if (!quizzing || position === log.steps.length) return go(position + 1);
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
  const verdict = log.judge(log.steps[position], text);
  if (verdict.understood && !attempted) { attempted = true; asked++; right += verdict.right; }
  if (verdict.right) { go(position + 1); $("answer").blur(); }
  else draw();
  say(`${verdict.right ? "✓" : "✗"} ${verdict.message}`, verdict.right ? "right" : "wrong");
}
function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => position < log.steps.length ? go(position + 1) : play(false), 1500) : null;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "pause" : "play");
  if (on) go(position === log.steps.length ? 0 : position + 1);
}
function quiz(on) { quizzing = on; $("quiz").checked = on; asking = false; say(""); draw(); }

// What if: the numbers typed for the leaves.
function whatIf(i, text) {
  const x = text.trim() === "" ? NaN : Number(text.replace("−", "-"));
  if (!isFinite(x)) { $("trouble").textContent = `${log.name(i)}: expected a number, got “${text.slice(0, 30)}”`; return false; }
  try {
    log = StepLog.record(NODES, ROOT, NODES.map((n, j) => j === i ? x : log.data[j]));
    $("trouble").textContent = "";
    draw();
    return true;
  } catch (error) {
    $("trouble").textContent = `${error.message}; ${log.name(i)} stays ${short(log.data[i])}`;
    return false;
  }
}
function reset() {
  log = ORIGINAL;
  for (const box of $("leaves").querySelectorAll("input")) box.value = log.data[box.dataset.leaf];
  $("trouble").textContent = "";
  draw();
}
NODES.forEach((n, i) => {
  if (!n.leaf) return;
  const label = document.createElement("label"), box = document.createElement("input");
  box.value = n.data; box.dataset.leaf = i; box.inputMode = "decimal";
  box.addEventListener("change", () => { if (!whatIf(i, box.value)) box.value = log.data[i]; });
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
$("last").onclick = () => go(log.steps.length);
$("play").onclick = () => play(timer === null);
$("scrubber").max = log.steps.length;
$("scrubber").oninput = e => go(Number(e.target.value));
$("quiz").onchange = e => quiz(e.target.checked);
$("theme").onchange = e => LOOK.choose(e.target.value);
$("show").onclick = reveal;
$("ask").onsubmit = e => { e.preventDefault(); check($("answer").value); };
addEventListener("hashchange", () => go(Number(hash().step), { keepHash: true }));
// The keys of a presenter's clicker are Page Down, Page Up, F5, Escape and "." for a black screen.
const KEYS = {
  ArrowRight: next, PageDown: next, " ": next, n: next, ArrowLeft: () => go(position - 1), PageUp: () => go(position - 1), p: () => go(position - 1),
  Home: () => go(0), End: () => go(log.steps.length), F5: () => play(timer === null),
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
$("theme").value = LOOK.all.find(name => name === hash().theme) ?? LOOK.kept;
LOOK.show($("theme").value);
go(Number(hash().step), { keepHash: true });
if (DATA.quiz) quiz(true);
