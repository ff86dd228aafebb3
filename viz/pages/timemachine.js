"use strict";
// Everything shown was computed in Python; here it is only laid out for the window and the chosen snapshot.
const DATA = JSON.parse(document.getElementById("data").textContent);
const { sentence: SENTENCE, alphabet: ALPHABET, frames: FRAMES, heads: HEADS } = DATA;
const T = SENTENCE.length - 1;
const $ = id => document.getElementById(id);
let position = 0, at = T - 1, head = 0, timer = null;

const number = (x, digits = 4) => x === null || x === undefined ? "–" : String(Number(x.toPrecision(digits))).replace("-", "−");
function make(parent, name, attributes = {}, words = null) {
  const element = name === "button" || name === "span" || name === "li" || name === "canvas" || name === "b"
    ? document.createElement(name) : document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (words !== null) element.textContent = words;
  parent.append(element);
  return element;
}
// An empty picture of the size of its place, with letters of the page's size.
function canvas(place, height) {
  place.replaceChildren();
  const width = Math.max(60, place.clientWidth), letter = parseFloat(getComputedStyle(place).fontSize) * .85;
  const svg = make(place, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  return { svg, width, height, letter };
}
const say = (svg, words) => svg.setAttribute("aria-label", words);

// --- loss --------------------------------------------------------------------------------------------------------------
const LAST = Math.max(1, FRAMES.at(-1).step, ...Object.values(DATA.curves).flat().map(p => p[0]));
const ALL = [...Object.values(DATA.curves).flat().map(p => p[1]), ...Object.values(DATA.baselines)].filter(x => x !== null);
// A loss that explodes may leave the picture at the top: what came before it stays readable.
const START = Math.max(...Object.values(DATA.baselines), ...Object.values(DATA.curves).map(c => c[0]?.[1] ?? 0));
const HIGH = Math.min(Math.max(...ALL), 1.5 * START), LOW = Math.min(...ALL);
let axis = null;
function ticks(low, high, most) {
  const rough = (high - low) / most, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(f => f * unit >= rough) * unit;
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => (Math.ceil(low / step) + i) * step);
}
function drawLoss() {
  const { svg, width, height, letter } = canvas($("loss"), Math.max(120, $("loss").clientHeight));
  const left = 3 * letter, right = width - 5.2 * letter, top = .8 * letter, bottom = height - 1.6 * letter;
  const margin = .04 * (HIGH - LOW) || .1;
  const x = step => left + (right - left) * step / LAST;
  const y = loss => bottom - (bottom - top) * (loss - LOW + margin) / (HIGH - LOW + 2 * margin);
  axis = { x, left, right, top, bottom };
  for (const tick of ticks(0, LAST, Math.max(2, width / 140))) {
    make(svg, "text", { class: "axis", x: x(tick), y: height - .3 * letter, "font-size": letter, "text-anchor": "middle" }, number(tick));
    make(svg, "line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: bottom });
  }
  for (const tick of ticks(LOW, HIGH, Math.max(2, height / 60)))
    make(svg, "text", { class: "axis", x: left - 6, y: y(tick) + letter / 3, "font-size": letter, "text-anchor": "end" }, number(tick));
  let free = -Infinity;
  for (const [name, loss] of Object.entries(DATA.baselines).sort((a, b) => b[1] - a[1])) {
    make(svg, "line", { class: "baseline-line", x1: left, x2: right, y1: y(loss), y2: y(loss) });
    const place = Math.max(y(loss) + letter / 3, free + letter);
    free = place;
    make(svg, "text", { class: "baseline", x: right + 8, y: place, "font-size": letter }, name);
  }
  const clip = make(make(svg, "clipPath", { id: "inside" }), "rect", { x: 0, y: 0, width: right + 6, height: bottom });
  clip.setAttribute("width", right + 6);
  for (const [name, points] of Object.entries(DATA.curves)) {
    const path = points.filter(p => p[1] !== null).map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join("");
    make(svg, "path", { class: name === "training" ? "training" : "validation", d: path, "clip-path": "url(#inside)" });
  }
  for (const frame of FRAMES) {
    const loss = frame.losses.validation ?? Object.values(frame.losses)[0];
    if (loss !== null && loss !== undefined) make(svg, "circle", { class: "moment", cx: x(frame.step), cy: y(Math.min(loss, HIGH)), r: 4 });
  }
  make(svg, "line", { class: "cursor", id: "cursor", y1: top, y2: bottom });
  make(svg, "circle", { class: "moment", id: "now", r: 8 });
  axis.y = y;
  svg.style.cursor = "pointer";
  svg.onpointerdown = event => {
    const pick = e => goNear((e.clientX - svg.getBoundingClientRect().left - left) / (right - left) * LAST);
    pick(event);
    svg.setPointerCapture(event.pointerId);
    svg.onpointermove = pick;
    svg.onpointerup = () => { svg.onpointermove = null; };
  };
}
function showLoss(frame) {
  const svg = $("loss").firstChild, x = axis.x(frame.step);
  $("cursor").setAttribute("x1", x);
  $("cursor").setAttribute("x2", x);
  const loss = frame.losses.validation ?? Object.values(frame.losses)[0] ?? null;
  $("now").setAttribute("cx", x);
  $("now").setAttribute("cy", loss === null ? axis.top : axis.y(Math.min(loss, HIGH)));
  say(svg, `losses over the training: ${Object.keys(DATA.curves).join(", ")}; the cursor is at step ${frame.step}`);
}

// --- attention ---------------------------------------------------------------------------------------------------------
const weight = (frame, h, row, column) => frame.attention[h][row * (row + 1) / 2 + column] / 1000;
let cells = [], rowFrame = null, thumbnails = [];
function drawMap() {
  const place = $("map");
  place.replaceChildren();
  if (!HEADS.length) return;
  const wide = matchMedia("(min-width: 1150px)").matches;
  const side = Math.max(120, wide ? Math.min(place.clientWidth, place.clientHeight) : Math.min(place.clientWidth, 560));
  const { svg } = canvas(place, side);
  svg.setAttribute("width", side);
  svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
  svg.style.margin = "auto";
  const cell = side / (T + 1.4), start = 1.4 * cell, letter = .85 * cell;
  make(svg, "path", { class: "lower", d: `M${start},${start}` + Array.from({ length: T }, (_, i) => `h${cell}v${cell}`).join("") + `H${start}z` });
  cells = [];
  for (let i = 0; i < T; i++) {
    make(svg, "text", { x: start - .25 * cell, y: start + (i + .8) * cell, "font-size": letter, "text-anchor": "end" }, SENTENCE[i]);
    make(svg, "text", { x: start + (i + .5) * cell, y: start - .35 * cell, "font-size": letter, "text-anchor": "middle" }, SENTENCE[i]);
    for (let j = 0; j <= i; j++) {
      const rect = make(svg, "rect", { class: "cell", x: start + j * cell + .5, y: start + i * cell + .5, width: cell - 1, height: cell - 1 });
      make(rect, "title");
      rect.onclick = () => look(i);
      cells.push(rect);
    }
  }
  rowFrame = make(svg, "rect", { class: "frame", x: start, height: cell });
  rowFrame.dataset.start = start;
  rowFrame.dataset.cell = cell;
}
function drawHeads() {
  HEADS.forEach((name, h) => {
    const button = make($("heads"), "button", { type: "button", title: name, "aria-label": name });
    const small = make(button, "canvas");
    small.width = small.height = T;
    button.onclick = () => { head = h; remember(); show(); };
    thumbnails.push({ button, small });
  });
}
function showAttention(frame) {
  if (!HEADS.length) { $("attentionpart").hidden = true; return; }
  const color = getComputedStyle(document.documentElement).getPropertyValue("--positive").trim();
  thumbnails.forEach(({ button, small }, h) => {
    button.setAttribute("aria-pressed", h === head);
    const context = small.getContext("2d");
    context.clearRect(0, 0, T, T);
    context.fillStyle = color;
    for (let i = 0; i < T; i++) for (let j = 0; j <= i; j++) {
      context.globalAlpha = weight(frame, h, i, j);
      context.fillRect(j, i, 1, 1);
    }
  });
  let k = 0;
  for (let i = 0; i < T; i++) for (let j = 0; j <= i; j++, k++) {
    const w = weight(frame, head, i, j);
    cells[k].setAttribute("fill-opacity", w);
    cells[k].dataset.weight = w;
    cells[k].firstChild.textContent = `${SENTENCE[i]} (${i + 1}) attends to ${SENTENCE[j]} (${j + 1}): ${w.toFixed(3)}`;
  }
  const cell = Number(rowFrame.dataset.cell), start = Number(rowFrame.dataset.start);
  rowFrame.setAttribute("y", start + at * cell);
  rowFrame.setAttribute("width", (at + 1) * cell);
  const most = Array.from({ length: at + 1 }, (_, j) => [weight(frame, head, at, j), j]).sort((a, b) => b[0] - a[0]).slice(0, 4);
  $("looks").textContent = `${HEADS[head]}${DATA.allHeads > HEADS.length ? ` (${HEADS.length} of ${DATA.allHeads} heads are here)` : ""}: “${SENTENCE[at]}” attends to `
    + most.map(([w, j]) => `“${SENTENCE[j]}” ${(100 * w).toFixed(0)} %`).join(", ");
  say($("map").firstChild, `attention of ${HEADS[head]} at step ${frame.step}: ${T} rows, each over the characters up to its own. ${$("looks").textContent}`);
}

// --- the next character ------------------------------------------------------------------------------------------------
function drawSentence() {
  SENTENCE.forEach((glyph, i) => {
    const span = make($("sentence"), "span", {}, glyph);
    span.onclick = () => look(Math.max(0, Math.min(T - 1, i)));
  });
  $("at").max = T - 1;
}
function showNext(frame) {
  [...$("sentence").children].forEach((span, i) => { span.className = i < at ? "read" : i === at ? "read at" : i === at + 1 ? "next" : ""; });
  $("after").textContent = SENTENCE[at];
  $("at").value = at;
  $("at").setAttribute("aria-valuetext", `${SENTENCE.slice(0, at + 1).join("")}`);
  const following = DATA.following[at];
  $("bars").replaceChildren();
  for (const [token, p] of frame.next[at]) {
    const li = make($("bars"), "li", { "data-token": token, "data-probability": p });
    make(li, "span", {}, token === following ? "▸" : "");
    make(li, "span", { class: "glyph" }, ALPHABET[token]);
    const track = make(li, "span");
    make(track, "span", { class: "bar", style: `display:block;width:${(100 * p).toFixed(1)}%` });
    make(li, "span", { class: "percent" }, `${(100 * p).toFixed(1)} %`);
  }
}

// --- gradient flow -----------------------------------------------------------------------------------------------------
const KINDS = ["modules", "parameters"];
const SIZES = FRAMES.flatMap(f => KINDS.flatMap(kind => f[kind].flatMap(line => [line[0], line[1]]))).filter(x => x > 0);
const FROM = SIZES.length ? Math.floor(Math.log10(SIZES.reduce((a, b) => Math.min(a, b)))) : -1;
const TO = Math.max(SIZES.length ? Math.ceil(Math.log10(SIZES.reduce((a, b) => Math.max(a, b)))) : 0, FROM + 1);
let lines = [];
function drawFlow() {
  $("flowpart").hidden = !DATA.modules.length && !DATA.parameters.length;
  const kind = $("kind").value, names = DATA[kind], place = $("flow");
  place.replaceChildren();
  const letter = parseFloat(getComputedStyle(place).fontSize) * .85, row = 1.5 * letter;
  const { svg, width } = canvas(place, row * (names.length + 1.3));
  const shown = names.map(name => name.replace(/^transformer\.?/, "") || "transformer");
  const left = Math.min(.48 * width, .56 * letter * Math.max(0, ...shown.map(n => n.length)) + 8), right = width - letter;
  const x = size => left + (right - left) * (Math.log10(size) - FROM) / (TO - FROM);
  const every = Math.max(1, Math.ceil((TO - FROM) * 3.4 * letter / (right - left)));
  for (let power = FROM; power <= TO; power += every) {
    make(svg, "line", { class: "grid", x1: x(10 ** power), x2: x(10 ** power), y1: 1.2 * row, y2: row * (names.length + 1.2) });
    make(svg, "text", { class: "axis", x: x(10 ** power), y: .8 * row, "font-size": letter, "text-anchor": "middle" }, `1e${power}`.replace("-", "−"));
  }
  const room = Math.floor(left / (.56 * letter));
  lines = names.map((name, i) => {
    const y = row * (i + 1.7), words = shown[i].length > room ? `…${shown[i].slice(shown[i].length - room + 1)}` : shown[i];
    const group = make(svg, "g", { "data-name": name });
    make(group, "title");
    make(group, "text", { x: left - 8, y: y + letter / 3, "font-size": letter, "text-anchor": "end" }, words);
    for (const frame of FRAMES) if (frame[kind][i][0] > 0) make(group, "circle", { class: "trail", cx: x(frame[kind][i][0]), cy: y, r: 2 });
    const span = make(group, "line", { class: "span", y1: y, y2: y }), end = make(group, "line", { class: "span", y1: y - letter / 2, y2: y + letter / 2 });
    const mean = make(group, "circle", { class: "mean", cy: y, r: letter / 2.6 }), bad = make(group, "text", { class: "bad", x: left + 4, y: y + letter / 3, "font-size": letter });
    return { group, x, span, end, mean, bad };
  });
}
function showFlow(frame) {
  const kind = $("kind").value;
  frame[kind].forEach(([mean, largest, zeros, notFinite], i) => {
    const { group, x, span, end, mean: dot, bad } = lines[i], here = mean > 0 && !notFinite;
    for (const mark of [span, end, dot]) mark.setAttribute("visibility", here ? "visible" : "hidden");
    bad.textContent = notFinite ? `${notFinite} not finite` : here ? "" : "all zero";
    if (here) {
      span.setAttribute("x1", x(mean)); span.setAttribute("x2", x(largest));
      end.setAttribute("x1", x(largest)); end.setAttribute("x2", x(largest));
      dot.setAttribute("cx", x(mean));
    }
    group.dataset.mean = mean ?? ""; group.dataset.largest = largest ?? "";
    group.firstChild.textContent = `${DATA[kind][i]}: mean |gradient| ${number(mean)}, largest ${number(largest)}, ${(100 * zeros).toFixed(0)} % exactly 0`;
  });
  const found = frame[kind].map(([mean], i) => [mean ?? 0, i]).sort((a, b) => b[0] - a[0]);
  if (found.length) say($("flow").firstChild, `gradients at step ${frame.step}, measured on ${DATA.flowCharacters} characters; `
    + `largest mean: ${DATA[kind][found[0][1]]} ${number(found[0][0], 3)}, smallest: ${DATA[kind][found.at(-1)[1]]} ${number(found.at(-1)[0], 3)}`);
}

// --- going through time ------------------------------------------------------------------------------------------------
const hash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const remember = () => history.replaceState(null, "", `${location.href.split("#")[0]}#${new URLSearchParams({ ...hash(), step: FRAMES[position].step, head, at })}`);
function nearest(step) {
  return FRAMES.reduce((best, frame, i) => Math.abs(frame.step - step) < Math.abs(FRAMES[best].step - step) ? i : best, 0);
}
function go(to) {
  position = Math.max(0, Math.min(FRAMES.length - 1, to));
  remember();
  show();
}
const goNear = step => go(nearest(step));
function look(to) { at = to; remember(); show(); }
function show() {
  const frame = FRAMES[position];
  $("where").textContent = `step ${frame.step.toLocaleString("en")}`;
  $("numbers").replaceChildren();
  for (const [name, loss] of Object.entries(frame.losses)) {
    const span = make($("numbers"), "span", {}, `${name} `);
    make(span, "b", { "data-loss": name }, loss === null ? "–" : loss.toFixed(3));
    make($("numbers"), "span", {}, " \u2002");
  }
  $("sample").textContent = frame.sample;
  $("scrubber").value = position;
  $("scrubber").setAttribute("aria-valuetext", `step ${frame.step}`);
  showLoss(frame);
  showNext(frame);
  showAttention(frame);
  showFlow(frame);
  $("spoken").textContent = `step ${frame.step}: ${Object.entries(frame.losses).map(([name, loss]) => `${name} loss ${number(loss)}`).join(", ")}; it writes: ${frame.sample.trim().slice(0, 60)}`;
}
function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => position < FRAMES.length - 1 ? go(position + 1) : play(false), 700) : null;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "pause" : "play");
  if (on) go(position === FRAMES.length - 1 ? 0 : position + 1);
}
function layout() { drawLoss(); drawMap(); drawFlow(); show(); }
function fromAddress() {
  const wanted = hash();
  if (wanted.step !== undefined && isFinite(Number(wanted.step))) position = nearest(Number(wanted.step));
  if (Number(wanted.head) >= 0 && Number(wanted.head) < HEADS.length) head = Math.trunc(Number(wanted.head));
  if (Number(wanted.at) >= 0 && Number(wanted.at) < T) at = Math.trunc(Number(wanted.at));
}

$("first").onclick = () => go(0);
$("previous").onclick = () => go(position - 1);
$("next").onclick = () => go(position + 1);
$("last").onclick = () => go(FRAMES.length - 1);
$("play").onclick = () => play(timer === null);
$("scrubber").max = FRAMES.length - 1;
$("scrubber").oninput = event => go(Number(event.target.value));
$("at").oninput = event => look(Number(event.target.value));
$("kind").onchange = () => { drawFlow(); show(); };
$("theme").onchange = event => { LOOK.choose(event.target.value); layout(); };
matchMedia("(prefers-color-scheme: dark)").onchange = show;
addEventListener("hashchange", () => { fromAddress(); show(); });
addEventListener("resize", layout);
// The keys of a presenter's clicker are Page Down, Page Up, F5, Escape and "." for a black screen.
const KEYS = {
  ArrowRight: () => go(position + 1), PageDown: () => go(position + 1), " ": () => go(position + 1), ArrowLeft: () => go(position - 1), PageUp: () => go(position - 1),
  Home: () => go(0), End: () => go(FRAMES.length - 1), F5: () => play(timer === null),
  Escape: () => document.body.classList.contains("blank") ? document.body.classList.remove("blank") : play(false),
  ".": () => document.body.classList.toggle("blank"), b: () => document.body.classList.toggle("blank"),
};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const own = event.target.matches?.("#at, select");  // these use the arrows themselves
  if (own && !["PageDown", "PageUp", "F5", "Escape"].includes(event.key)) return;
  if (event.target.matches?.("button") && event.key === " ") return;  // presses the button itself
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});
$("theme").value = LOOK.all.find(name => name === hash().theme) ?? LOOK.kept;
LOOK.show($("theme").value);
position = FRAMES.length - 1;
fromAddress();
drawSentence();
drawHeads();
layout();
