// The page: what stands in the boxes, words, the address, keys and the search.
const $ = id => document.getElementById(id);
function make(tag, more = {}, ...inside) {
  const { cls, ...attributes } = more, e = document.createElement(tag);
  if (cls) e.className = cls;
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...inside.filter(x => x !== null && x !== undefined));
  return e;
}
const count = n => n.toLocaleString("en-US");
const sign = x => x > 0 ? "positive" : x < 0 ? "negative" : "";
const LONGEST = 30;
function shortened(text) {
  if (text.length <= LONGEST) return text;
  const half = Math.floor((LONGEST - 1) / 2);
  return `${text.slice(0, LONGEST - 1 - half)}…${text.slice(-half)}`;
}

// --- addresses: every view has one --------------------------------------------------------------------------------------
const escaped = text => encodeURIComponent(text).replace(/%5B/g, "[").replace(/%5D/g, "]");
function regionAddress(r) {
  if (!r) return "";
  const call = CALL.get(r);
  if (call) return escaped(call.name) + (call.of > 1 ? `:${call.turn + 1}` : "");
  return `${regionAddress(REGION.parent[r])}/${kindOf(r)}:${turnOf(r)[0] + 1}`;
}
const nodeAddress = node => { const name = givenName(node); return name && BY_NAME.get(name) === node || tableEntry(node) ? `name=${escaped(name)}` : `value=${node}`; };
const BY_NAME = new Map();
for (const [node, name] of META.labels) if (!BY_NAME.has(name)) BY_NAME.set(name, node);
function address(member, path = state.path) {
  const where = isTable(member) ? `table=${escaped(tableOf(member).name)}` : member >= 0 ? member === 0 ? "" : `at=${regionAddress(member)}` : nodeAddress(~member);
  return `#${[where, path >= 0 ? `path=${path}` : ""].filter(Boolean).join("&")}`;
}
function findRegion(text) {
  const [first, ...rest] = text.split("/");
  const [, name, turn] = /^(.*?)(?::(\d+))?$/.exec(first);
  let r = 0;
  if (name) {
    const call = [...CALL.values()].find(call => call.name === decodeURIComponent(name) && call.turn === (turn ?? 1) - 1);
    if (!call) return -1;
    r = call.region;
  }
  for (const part of rest) {
    const [kind, k] = part.split(":");
    r = CHILDREN[r].filter(x => !CALL.has(x) && kindOf(x) === kind)[k - 1];
    if (r === undefined) return -1;
  }
  return r;
}
// The node of a name such as "w[3][5]", also written w[3,5]; −1 when there is none, −2 when the loss does not depend on it.
function findName(text) {
  if (BY_NAME.has(text)) return BY_NAME.get(text);
  const found = /^(.*?)((?:\[\d+\])+)$/.exec(text.replace(/\s*,\s*/g, "]["));
  const table = found && TABLES.find(t => t.name === found[1]);
  if (!table) return -1;
  const indices = found[2].slice(1, -1).split("][").map(Number);
  if (indices.length !== table.shape.length || indices.some((i, d) => i >= table.shape[d])) return -1;
  const node = TABLE_NODES[table.first + indices.reduce((flat, i, d) => flat * table.shape[d] + i, 0)];
  return node < 0 ? -2 : node;
}
const state = { member: 0, path: -1, view: null };  // a region r, a value as ~node, or a table
function read(hash) {
  const parts = {};
  for (const part of hash.replace(/^#/, "").split("&")) { const [key, ...rest] = part.split("="); parts[key] = rest.join("="); }
  let member = 0, wrong = "";
  const number = text => /^\d+$/.test(text ?? "") && Number(text) < N ? Number(text) : -1;
  try {
    if ("at" in parts) { member = findRegion(parts.at); if (member < 0) wrong = parts.at; }
    else if ("table" in parts) { const t = TABLES.findIndex(table => table.name === decodeURIComponent(parts.table)); if (t < 0) wrong = parts.table; else member = tableMember(t); }
    else if ("value" in parts) { const node = number(parts.value); if (node < 0) wrong = parts.value; else member = ~node; }
    else if ("name" in parts) { const node = findName(decodeURIComponent(parts.name)); if (node < 0) wrong = parts.name; else member = ~node; }
  } catch { wrong = hash; }
  return { member: wrong ? 0 : member, path: number(parts.path), wrong };
}
// The address changes where it can; in a notebook's frame it cannot.
const FRAMED = location.protocol === "about:";
let current = "";
function visit(hash) {
  if (FRAMED) { show(hash); return; }
  location.hash = hash === "#" ? "" : hash;
  show(location.hash);  // the event comes later, and finds it shown
}

// --- faces ---------------------------------------------------------------------------------------------------------------
const SYMBOLS = { "*": "×", "-": "−", "/": "÷", neg: "−a" };
const symbol = op => SYMBOLS[op.symbol] ?? op.symbol;
function operation(...nodes) {
  const [node] = nodes;
  if (isLeaf(node)) return "";
  const op = OPS[CODE[node] - FIRST_OP], constants = nodes.map(x => inputsOf(x).filter(isConstant).map(k => DATA[k]));
  const same = constants.every(of => of.length === 1 && of[0] === constants[0][0]);
  return symbol(op) + (same ? ` ${short(constants[0][0])}` : "");
}
function localPath(name, frame) {
  const around = CALL.get(CALL_OF[frame])?.path;
  return shortened(visible(around && name.startsWith(`${around}.`) ? name.slice(around.length + 1) : name));
}
const times = n => n > 1 ? `×${count(n)}` : "";
function callName(r, frame) {
  const call = CALL.get(r), [turn, of] = turnOf(r);
  return `${localPath(call.path, frame) || (frame === REGION.parent[r] ? "" : "")}${of > 1 ? ` ${turn + 1}` : ""}`.trim();
}
function callNotes(r) {
  const call = CALL.get(r), notes = [], own = call.path ? TABLES.filter(t => t.name.startsWith(`${call.path}.`)) : TABLES;
  notes.push(`${call.given ? `${count(call.given)} ` : ""}→ ${count(call.made)} number${call.made === 1 ? "" : "s"}`);
  if (own.length === 1) notes.push(`${own[0].name.split(".").at(-1)} ${own[0].shape.join("×")}`);
  else if (own.length) notes.push(`${count(own.reduce((sum, t) => sum + t.size, 0))} parameters`);
  return notes;
}
function idiomTab(regions) {
  const sizes = regions.map(r => r >= 0 ? REGION.size[r] : 1), low = Math.min(...sizes), high = Math.max(...sizes);
  const extra = Math.max(...regions.map(r => r >= 0 ? REGION.extra[r] : 0));
  return `${kindOf(regions.find(r => r >= 0))} ${low === high ? low : `${low}…${high}`}${extra ? ` + ${extra}` : ""}`;
}
// The contents of a box: {cls, tab, title, notes, tooltip}.
function face(box, focus) {
  const first = box.members[0], many = box.members.length, frame = box.frame >= 0 ? box.frame : 0;
  const outside = box.outside && box.direction ? " outside" : "";
  if (box.kind === "call") {
    return { cls: "call", tab: CALL.get(first).kind, title: many > 1 ? `${localPath(CALL.get(first).path, frame)} ${times(many)}` : callName(first, frame), notes: callNotes(first) };
  }
  if (box.kind === "idiom") return { cls: "idiom", tab: idiomTab(box.members), title: many > 1 ? times(many) : "", notes: [] };
  if (box.kind === "port") {
    const { near } = box, call = CALL.get(near.region);
    const tab = near.own ? symbol(near.op) : call ? call.kind : kindOf(near.region);
    const place = near.own ? regionName(near.region) : call ? (near.several ? localPath(call.path, REGION.parent[near.region]) : callName(near.region, REGION.parent[near.region])) : `${turnOf(near.region)[0] + 1}`;
    return { cls: `port outside${call && !near.own ? " call" : near.own ? "" : " idiom"}`, tab, title: place, notes: [`${box.direction} ${count(many)} value${many > 1 ? "s" : ""} there`] };
  }
  if (box.kind === "table") {
    const table = TABLES[TABLE_OF[~first]], all = table.size === many;
    return { cls: "leaf", tab: "", title: localPath(table.name, frame), notes: [all ? `${table.shape.join("×")} parameters` : `${table.shape.join("×")}: ${count(many)} of ${count(table.size)} used`] };
  }
  if (box.kind === "leaves" || box.kind === "several") {
    const names = new Set(box.members.map(m => givenName(~m).replace(/\d+/g, "*")));
    const leaf = isLeaf(~first);
    return { cls: leaf ? "leaf" : "", tab: leaf ? "" : operation(...box.members.map(m => ~m)), title: `${names.size === 1 ? shortened(visible([...names][0])) || "values" : "values"} ${times(many)}`, notes: [] };
  }
  const node = ~first;
  if (many > 1) return { cls: "", tab: operation(...box.members.map(m => ~m)), title: times(many), notes: [] };
  if (TABLE_OF[node] >= 0 && !LABELS.has(node)) {  // the end of a parameter's path, and below it where that is
    const name = visible(givenName(node)), end = name.lastIndexOf(".") + 1;
    return { cls: `leaf${outside}`, tab: "", title: shortened(name.slice(end)), notes: end ? [shortened(name.slice(0, end - 1))] : [] };
  }
  const notes = isConstant(node) ? ["a number in the formula"] : outside || (focus === "value" && !box.here) ? [whereabouts(node)] : [];
  return { cls: (isLeaf(node) ? "leaf" : "") + outside, tab: operation(node), title: isConstant(node) ? "" : shortened(nodeName(node)), notes: notes.filter(Boolean) };
}
// Where a value is, when it is seen from elsewhere: its call, and the token at its position.
function whereabouts(node) {
  const call = CALL.get(CALL_OF[Math.max(0, regionOf(node))]);
  if (!call || isLeaf(node)) return "";
  let token = "";  // that of the innermost call that is made once per position
  for (let r = call.region; r > 0 && !token; r = CALL_OF[REGION.parent[r]]) {
    const [turn, of] = turnOf(r);
    if (of > 1 && of === META.tokens.length) token = ` ${turn + 1} “${visible(META.tokens[turn])}”`;
  }
  const name = shortened(localStation(call.region)), [turn, of] = turnOf(call.region);
  return `in ${of === META.tokens.length ? name.replace(new RegExp(` ${turn + 1}$`), "") : name}${token}`;
}
function regionName(r) {
  if (!r) return visible(META.title);
  const call = CALL.get(r), [turn, of] = turnOf(r);
  if (!call) return `${kindOf(r)}${of > 1 ? ` ${turn + 1}` : ""}`;
  const up = CALL.get(CALL_OF[REGION.parent[r]])?.path ?? "";
  const path = up && call.path.startsWith(`${up}.`) ? call.path.slice(up.length + 1) : call.path;
  return `${visible(path) || call.kind}${of > 1 ? ` ${turn + 1}` : ""}`;
}
const memberName = member => isTable(member) ? visible(tableOf(member).name) : member >= 0 ? regionName(member) : nodeName(~member);
function rangeText(box) {
  return box.low === box.high ? short(box.low) : `${short(box.low, 3)} … ${short(box.high, 3)}`;
}
function boxElement(box, focus) {
  const look = face(box, focus), single = box.only !== undefined;
  const e = make("div", { cls: `box ${look.cls}${box.here ? " here" : ""}${box.onPath ? " on-path" : ""}` });
  const rows = [];
  if (box.out) rows.push(make("span", { cls: "row" }, make("span", { cls: "word" }, "data"), make("b", { cls: "data", title: single ? String(DATA[box.only]) : "smallest and largest" }, single ? short(DATA[box.only]) : rangeText(box))));
  if (box.out && !(single && isConstant(box.only))) {
    const g = single ? (hasGradient(box.only) ? GRAD[box.only] : null) : Math.sqrt(box.square);
    rows.push(make("span", { cls: "row grad" }, make("span", { cls: "word" }, single ? "grad" : "|grad|"),
      make("b", { cls: `grad ${single && g ? sign(g) : ""}`, title: g === null ? "none" : String(g) }, g === null ? "–" : short(g))));
  }
  const head = make("span", { cls: "head" }, look.tab ? make("span", { cls: "tab" }, look.tab) : null, make("span", { cls: "title" }, look.title));
  const whole = box.kind === "table" && box.members.length === TABLE_USED[TABLE_OF[~box.members[0]]];
  const via = state.path >= 0 && box.via !== undefined && box.members.length > 1 ? box.via : undefined;
  if (via !== undefined) look.notes.push(`the path: ${whichOf(box, via)}`);
  const link = make("a", { href: address(whole ? tableMember(TABLE_OF[~box.members[0]]) : via ?? box.members[0]) }, head, ...look.notes.map(note => make("span", { cls: "note", style: "display:block" }, note)), ...rows);
  if (box.here) { link.removeAttribute("href"); link.setAttribute("role", "group"); }
  link.className = "open";
  e.append(link);
  if (box.members.length > 1 && !whole) e.append(picker(box, link));
  box.element = e;
  return e;
}
// Which of the alike things in a box one of them is.
function whichOf(box, member) {
  const k = box.members.indexOf(member), named = box.members.length === META.tokens.length;
  return `no. ${k + 1}${named ? ` “${visible(META.tokens[k])}”` : ""}`;
}
// Which of several alike things opens: the first, until another one is chosen.
function picker(box, link) {
  const many = box.members.length, named = many === META.tokens.length;
  const choose = k => { link.href = address(box.members[k]); };
  if (named || (many <= 24 && box.members[0] < 0 && box.kind !== "value")) {
    const list = make("select", { "aria-label": "which one" }, ...box.members.map((m, k) =>
      make("option", { value: k }, named ? `${k + 1} “${visible(META.tokens[k])}”` : shortened(memberName(m)))));
    list.onchange = () => { choose(Number(list.value)); visit(link.getAttribute("href")); };
    return make("label", { cls: "pick" }, "open", list);
  }
  const input = make("input", { type: "number", min: 1, max: many, value: 1, "aria-label": `which of ${many}` });
  const go = () => { const k = Math.min(many, Math.max(1, Math.round(input.value) || 1)) - 1; input.value = k + 1; choose(k); };
  input.onchange = go;
  input.onkeydown = e => { if (e.key === "Enter") { go(); visit(link.getAttribute("href")); } };
  return make("label", { cls: "pick" }, "no.", input, `of ${count(many)}`);
}

// --- drawing ---------------------------------------------------------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
function shape(tag, attributes, text) {
  const e = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  if (text !== undefined) e.textContent = text;
  return e;
}
const LABELED = 40;  // edges: numbers on more of them are clutter
function drawPicture(view) {
  const drawing = make("div", { id: "drawing" }), isValue = "node" in view, focus = isValue ? "value" : "region";
  const stage = make("div", { id: "stage" }, drawing);
  const svg = shape("svg", { "aria-hidden": "true" });
  const frames = new Map();
  if (!isValue) for (const r of view.open) {
    const title = make("a", { href: address(r) }, [regionName(r), CALL.get(r).path ? `(${CALL.get(r).kind})` : ""].filter(Boolean).join(" "));
    const element = make("div", { cls: `frame deep-${DEPTH[r] % 3}` }, title);
    drawing.append(element);
    frames.set(r, { region: r, parent: REGION.parent[r], element, name: title });
  }
  drawing.append(svg, ...view.boxes.map(box => boxElement(box, focus)));
  $("picture").replaceChildren(stage);
  for (const box of view.boxes) { box.width = box.element.offsetWidth; box.height = box.element.offsetHeight; }
  for (const frame of frames.values()) frame.title = [frame.name.offsetWidth, frame.name.offsetHeight];
  const top = isValue ? -1 : view.focus, room = $("picture").clientWidth - 32, tall = Math.max(300, innerHeight - 150);
  const scale = ({ width, height }) => Math.min(room / width, tall / height);
  const look = getComputedStyle(document.documentElement), [least, most] = ["--least", "--most"].map(v => Number(look.getPropertyValue(v)));
  if (view.edges.length <= LABELED) for (const edge of view.edges) edge.text = edge.count === 1 && hasFlow(edge.only) ? signed(sent(edge.only)) : edge.sources > 1 ? times(edge.sources) : "";
  const place = across => { const placed = arrange(view.boxes, view.edges, frames, top, across, across ? 48 : isValue ? 88 : 56); return { ...placed, across, scale: scale(placed) }; };
  const wide = place(true), high = place(false), fits = Math.max(wide.scale, high.scale) >= least;
  // If nothing fits, the layout goes down the page, which scrolls. (Boxes know their places from the last call.)
  const best = fits && wide.scale * 1.02 > high.scale ? place(true) : high;
  const zoom = fits ? Math.min(most, best.scale) : Math.min(Math.max(1, least), Math.max(least, room / best.width));
  for (const thing of [...view.boxes, ...frames.values()]) {
    thing.element.style.left = `${thing.x}px`;
    thing.element.style.top = `${thing.y}px`;
    if (thing.title) { thing.element.style.width = `${thing.width}px`; thing.element.style.height = `${thing.height}px`; }
  }
  stage.style.width = `${best.width * zoom}px`;
  stage.style.height = `${best.height * zoom}px`;
  stage.style.margin = best.width * zoom > room ? "16px" : "16px auto";
  $("picture").scrollLeft = best.across ? 0 : (best.width * zoom - room) / 2;
  SHOWN = { stage, drawing, width: best.width, height: best.height, zoom, view };
  drawing.style.transform = `scale(${zoom})`;
  drawing.style.width = `${best.width}px`;
  drawing.style.height = `${best.height}px`;
  svg.setAttribute("width", best.width);
  svg.setAttribute("height", best.height);
  drawLines(svg, best, view);
  view.boxes.forEach((box, k) => {
    box.element.onpointerenter = () => light(svg, k);
    box.element.onpointerleave = () => light(svg, -1);
  });
  overview();
  return { fits, tooWide: room / best.width < least };
}
const light = (svg, k) => { for (const line of svg.querySelectorAll("[data-ends]")) line.classList.toggle("lit", line.dataset.ends.split(" ").includes(String(k))); };
let SHOWN = null;  // the picture on the page: {stage, drawing, width, height, zoom, view}
// Zoom so that the point of the picture at (x, y) of the window stays there.
function zoomTo(zoom, x = innerWidth / 2, y = innerHeight / 2) {
  if (!SHOWN) return;
  const before = SHOWN.stage.getBoundingClientRect(), at = [(x - before.left) / SHOWN.zoom, (y - before.top) / SHOWN.zoom];
  SHOWN.zoom = Math.min(4, Math.max(0.1, zoom));
  SHOWN.stage.style.width = `${SHOWN.width * SHOWN.zoom}px`;
  SHOWN.stage.style.height = `${SHOWN.height * SHOWN.zoom}px`;
  SHOWN.drawing.style.transform = `scale(${SHOWN.zoom})`;
  SHOWN.stage.style.margin = SHOWN.width * SHOWN.zoom > $("picture").clientWidth - 32 ? "16px" : "16px auto";
  const after = SHOWN.stage.getBoundingClientRect();
  $("picture").scrollLeft += after.left + at[0] * SHOWN.zoom - x;
  scrollBy(0, after.top + at[1] * SHOWN.zoom - y);
  overview();
}
// A small map with a frame around what can be seen; only when not all can.
function overview() {
  const map = $("map"), seen = $("picture").getBoundingClientRect();
  const stage = SHOWN?.view.boxes.length ? SHOWN.stage.getBoundingClientRect() : null;
  const whole = !stage || (stage.width <= seen.width + 1 && stage.bottom - stage.top <= innerHeight);
  map.toggleAttribute("hidden", whole);  // a drawing has no property of this name
  if (whole) return;
  const scale = Math.min(200 / SHOWN.width, 140 / SHOWN.height), z = SHOWN.zoom;
  const left = Math.max(0, seen.left - stage.left) / z, top = Math.max(0, -stage.top) / z;
  const wide = Math.min(SHOWN.width, seen.width / z), high = Math.min(SHOWN.height, innerHeight / z);
  const size = { width: SHOWN.width * scale, height: SHOWN.height * scale, viewBox: `0 0 ${SHOWN.width} ${SHOWN.height}` };
  for (const [name, value] of Object.entries(size)) map.setAttribute(name, value);
  map.replaceChildren(
    ...SHOWN.view.boxes.map(box => shape("rect", { x: box.x, y: box.y, width: box.width, height: box.height, class: "spot" })),
    shape("rect", { x: left, y: top, width: wide, height: high, class: "seen", "stroke-width": 2 / scale }));
}
function listenToPicture() {
  const picture = $("picture");
  picture.addEventListener("wheel", e => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    zoomTo((SHOWN?.zoom ?? 1) * Math.exp(-e.deltaY / 300), e.clientX, e.clientY);
  }, { passive: false });
  let drag = null, moved = false;
  picture.addEventListener("pointerdown", e => { moved = false; if (e.pointerType === "mouse" && e.button === 0 && !e.target.closest("input, select")) drag = [e.clientX, e.clientY]; });
  picture.addEventListener("dragstart", e => e.preventDefault());
  addEventListener("pointermove", e => {
    if (!drag || (!moved && Math.hypot(e.clientX - drag[0], e.clientY - drag[1]) < 4)) return;
    moved = true;
    picture.scrollLeft += drag[0] - e.clientX;
    scrollBy(0, drag[1] - e.clientY);
    drag = [e.clientX, e.clientY];
  });
  addEventListener("pointerup", () => { drag = null; });
  picture.addEventListener("click", e => { if (moved) { e.preventDefault(); e.stopPropagation(); } }, true);
  picture.addEventListener("scroll", overview);
  addEventListener("scroll", overview);
  $("map").onclick = e => {
    const r = $("map").getBoundingClientRect(), stage = SHOWN.stage.getBoundingClientRect();
    picture.scrollLeft += stage.left + (e.clientX - r.left) / r.width * stage.width - innerWidth / 2;
    scrollBy(0, stage.top + (e.clientY - r.top) / r.height * stage.height - innerHeight / 2);
  };
}
function drawLines(svg, { lines, across }, view) {
  const norm = line => Math.sqrt(line.edges.reduce((sum, e) => sum + e.square, 0));
  const largest = Math.max(...lines.map(norm).filter(isFinite), 0);
  const top = [];
  // A head that points at (x, y); `way` is 1 along the flow of the data, −1 against it.
  const head = (x, y, way, size, look) => shape("path", { class: look, d: across ? `M${x},${y}l${-way * size},${-size / 2}v${size}z` : `M${x},${y}l${-size / 2},${-way * size}h${size}z` });
  for (const line of lines) {
    const flow = norm(line), positive = line.edges.some(e => e.positive), negative = line.edges.some(e => e.negative);
    const look = positive && negative ? "mixed" : positive ? "positive" : negative ? "negative" : flow === 0 ? "zero" : "mixed";
    const width = !isFinite(flow) ? 7 : flow > 0 && largest > 0 ? Math.max(1, 5 + Math.log10(flow / largest)) : 1.2;
    const d = curve(line.points, across);
    if (line.edges.some(e => e.onPath)) top.push(shape("path", { d, class: "halo", "stroke-width": width + 8 }));
    const ends = [...new Set(line.edges.flatMap(e => [e.a, e.b]))].join(" ");
    top.push(shape("path", { d, class: `line ${look}`, "stroke-width": round(width), "data-ends": ends }));
    const [x, y] = line.points[0], s = 7 + width / 2;
    if (line.last) top.push(head(...line.points.at(-1), 1, 7, "tip data"));
    if (!line.first) continue;
    top.push(head(x, y, -1, s, `tip ${look}`));  // the gradient flows back
    if (look === "negative") top.push(shape("path", { class: "bar", "stroke-width": 3, d: across ? `M${x + s + 2},${y - s / 1.5}v${s * 1.33}` : `M${x - s / 1.5},${y + s + 2}h${s * 1.33}` }));
  }
  svg.replaceChildren(...top, ...wordsOnLines(lines, across, view));
}
// The words on each line, on its last piece, where they cover least of boxes, other words and other lines.
function wordsOnLines(lines, across, view) {
  const taken = view.boxes.map(box => [box.x, box.y, box.x + box.width, box.y + box.height]), made = [];
  const overlap = (p, q) => Math.max(0, Math.min(p[2], q[2]) - Math.max(p[0], q[0])) * Math.max(0, Math.min(p[3], q[3]) - Math.max(p[1], q[1]));
  const on = (line, t) => {
    const [[x1, y1], [x2, y2]] = line.points.slice(-2), bend = t * t * (3 - 2 * t), straight = 1.5 * t - 1.5 * t * t + t * t * t;
    return across ? [x1 + (x2 - x1) * straight, y1 + (y2 - y1) * bend] : [x1 + (x2 - x1) * bend, y1 + (y2 - y1) * straight];
  };
  const steps = Array.from({ length: 33 }, (_, k) => 0.1 + k / 40), ways = lines.map(line => steps.map(t => on(line, t)));
  lines.forEach((line, k) => {
    const edge = line.edges[0];
    if (!line.last || line.edges.length !== 1 || !edge.text) return;
    const single = edge.count === 1, rows = [edge.text, ...(single && "node" in view ? [`∂ ${short(local(edge.only))}`] : [])];
    const wide = 9.2 * Math.max(...rows.map(row => row.length)) + 6, high = 18 * rows.length;
    let best = { cost: Infinity };
    steps.forEach((t, i) => {
      const [x, y] = ways[k][i], area = [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2];
      const hidden = ways.reduce((n, way, m) => n + (m === k ? 0 : way.filter(([px, py]) => area[0] < px && px < area[2] && area[1] < py && py < area[3]).length), 0);
      const cost = Math.abs(t - 0.5) + 4 * hidden + taken.reduce((sum, other) => sum + overlap(area, other), 0);
      if (cost < best.cost) best = { cost, x, area };
    });
    taken.push(best.area);
    rows.forEach((row, i) => made.push(shape("text", { x: round(best.x), y: round(best.area[1] + 14 + 18 * i), class: single && !i ? sign(sent(edge.only)) : "" }, row)));
  });
  return made;
}

// --- words -----------------------------------------------------------------------------------------------------------------
const rowOf = node => OPS[CODE[node] - FIRST_OP];
// In formulas a parameter is named by the end of its path; the title has all of it.
const brief = node => { const name = nodeName(node); return TABLE_OF[node] >= 0 && !LABELS.has(node) ? name.split(".").at(-1) : name; };
const root = () => brief(ROOT);
const partial = node => `∂${root()}/∂${brief(node)}`;
const link = (member, words = memberName(member)) => make("a", { href: address(member) }, words);
function writtenFormula(node, word, wrap) { return writeOperation(rowOf(node).name, rowOf(node), inputsOf(node).map(word), wrap); }
function fewWords(node, wrap, word) {
  const inputs = inputsOf(node);
  if (inputs.length <= 6) return writtenFormula(node, word, wrap);
  return `${rowOf(node).symbol}(${inputs.slice(0, 4).map(word).join(", ")}, … ${word(inputs.at(-1))}) of ${inputs.length}`;
}
function derivativeText(e) {
  const node = OWNER[e], row = rowOf(node), inputs = inputsOf(node), k = e - START[node];
  const power = row.name === "pow" && isConstant(inputs[1]) ? DATA[inputs[1]] : undefined;
  return writeDerivative(row.name, row, k, inputs.map(brief), brief(node), power);
}
function describeValue(node) {
  const parts = [], leaf = isLeaf(node), value = short(DATA[node]);
  parts.push(make("p", { cls: "sentence" }, leaf ? `${brief(node)} = ${value}` : `${brief(node)} = ${fewWords(node, false, brief)} = ${fewWords(node, true, x => short(DATA[x]))} = ${value}`));
  parts.push(make("dl", { cls: "numbers" }, make("dt", {}, "data"), make("dd", { id: "data" }, String(DATA[node])),
    make("dt", {}, `grad ${partial(node)}`), make("dd", { id: "grad" }, hasGradient(node) ? String(GRAD[node]) : "–")));
  const uses = edgesFrom(node).filter(hasFlow);
  if (node === ROOT) parts.push(make("p", {}, `${partial(node)} = 1: every number changes as fast as itself; from here, gradients flow back`));
  if (uses.length) {
    parts.push(make("h2", {}, "Where its gradient comes from"));
    if (uses.length > 1) parts.push(make("p", {}, `${partial(node)} = ${sumOf(uses.map(sent))} = ${short(GRAD[node])}`));
    const shown = uses.length > 12 ? [...uses].sort((a, b) => Math.abs(sent(b)) - Math.abs(sent(a)) || a - b).slice(0, 8) : uses;
    parts.push(make("ul", {}, ...shown.map(e => chainRule(e, OWNER[e]))));
    if (shown.length < uses.length) parts.push(make("p", {}, `and ${count(uses.length - shown.length)} smaller terms`));
  }
  if (!leaf) {
    parts.push(make("h2", {}, "What it sends to its inputs"));
    if (stops(CODE[node])) parts.push(make("p", {}, "nothing: the value passes, the gradient does not"));
    else {
      const edges = edgesInto(node).filter(hasFlow), shown = edges.length > 12 ? [...edges].sort((a, b) => Math.abs(sent(b)) - Math.abs(sent(a)) || a - b).slice(0, 8) : edges;
      parts.push(make("ul", {}, ...shown.map(e => chainRule(e, INPUT[e]))));
      if (shown.length < edges.length) parts.push(make("p", {}, `and ${count(edges.length - shown.length)} more inputs`));
    }
  }
  if (node !== ROOT) {
    const path = strongestPath(node), product = path.slice(1).reduce((p, user, k) => p * local(edgeBetween(path[k], user)), 1);
    const on = state.path === node;
    parts.push(make("h2", {}, "Path to the loss"));
    parts.push(make("p", {}, `Along the path that contributes most, ${count(path.length - 1)} operations long, the product of the local derivatives is ${short(product)}; all paths together give ${short(GRAD[node])}. `,
      make("a", { href: address(~node, on ? -1 : node), id: "toggle-path" }, on ? "hide the path" : "show the path everywhere")));
    parts.push(pathStations(path));
  }
  return parts;
}
function chainRule(e, other) {
  const user = OWNER[e], x = INPUT[e], text = derivativeText(e), value = short(local(e));
  return make("li", {}, `${partial(x)} += ${partial(user)} · ∂${user === ROOT ? `(${fewWords(user, false, brief)})` : brief(user)}/∂${brief(x)} = ${short(GRAD[user])} · ${value} = ${short(sent(e))}`,
    `  (${text === value ? "" : `∂${brief(user)}/∂${brief(x)} = ${text}; `}`, link(~other, `open ${brief(other)}`), ")");
}
// The calls that a path leads through, in order.
function pathStations(path) {
  const stations = [];
  for (const node of path.slice(1)) {
    const call = CALL_OF[HOME[node]];
    if (stations.at(-1) !== call) stations.push(call);
  }
  const shown = stations.length > 40 ? [...stations.slice(0, 38), null, stations.at(-1)] : stations;
  return make("p", {}, ...shown.flatMap((r, k) => [k ? " → " : "", r === null ? "…" : r ? make("a", { href: address(r, state.path >= 0 ? state.path : path[0]) }, localStation(r)) : make("span", {}, root())]));
}
const localStation = r => { const call = CALL.get(r), [turn, of] = turnOf(r); return `${visible(call.path) || call.kind}${of > 1 ? ` ${turn + 1}` : ""}`; };

let SIZES;  // values in each region
function valuesIn(r) {
  if (!SIZES) {
    SIZES = new Int32Array(REGION.kind.length);
    for (let i = 0; i < N; i++) { const home = regionOf(i); if (home >= 0) SIZES[home]++; }
    for (let k = SIZES.length - 1; k > 0; k--) SIZES[REGION.parent[k]] += SIZES[k];
  }
  return SIZES[r];
}
function describeRegion(r, view) {
  const call = CALL.get(r), kind = kindOf(r), parts = [];
  if (!r) parts.push(make("p", {}, `${root()} = ${short(DATA[ROOT])} is the last of ${count(N)} values. Open a box to see what is in it, down to one multiplication.`));
  else if (call) parts.push(make("p", {}, `${call.kind}${call.path ? ` ${visible(call.path)}` : ""}: ${callNotes(r).join(", ")}; ${count(valuesIn(r))} values inside.`));
  else {
    const many = REGION.size[r], noun = { dot: "products", product: "factors", sum: "terms", mean: "terms" }[kind] ?? "classes";
    parts.push(make("p", {}, `${kind} of ${count(many)} ${noun}${REGION.extra[r] ? ` and ${REGION.extra[r]} more` : ""}; ${count(valuesIn(r))} values inside.`));
    if (isChain(r)) {
      parts.push(make("p", {}, "A number opens its value. Each gradient is that of the whole value, with what all its uses send back."));
      if (!isLadder(r)) parts.push(termTable(r));
    }
  }
  if (view.boxes.some(box => box.members.length > 1 && ["call", "idiom", "value"].includes(box.kind))) parts.push(make("p", {}, "×N stands for N alike things; the number in the box selects which one opens."));
  return parts;
}

// --- one view ---------------------------------------------------------------------------------------------------------------
const parentOf = member => isTable(member) ? Math.max(0, PLACE[nodesOf(tableOf(member)).find(x => x >= 0)]) : member >= 0 ? (member ? REGION.parent[member] : 0) : Math.max(0, regionOf(~member));
function show(hash) {
  current = hash;
  const { member, path, wrong } = read(hash);
  state.member = member;
  state.path = path;
  const table = isTable(member) ? tableOf(member) : null, way = path >= 0 ? strongestPath(path) : null;
  const room = Math.min(24, Math.floor(innerWidth * innerHeight / 75000));
  for (let most = Infinity, folded = 0; ;) {
    if (table || isLadder(member)) { state.view = { boxes: [], edges: [] }; SHOWN = null; overview(); if (table) drawTable(table); else drawTerms(member); break; }
    const view = state.view = member >= 0 ? regionView(member, room, most, folded) : valueView(~member);
    for (const thing of [...view.boxes, ...view.edges]) { thing.onPath = false; thing.via = undefined; }
    if (way) markPath(view, way);
    const { fits, tooWide } = drawPicture(view);
    if (fits || !view.open) break;
    if (view.open.size) most = view.open.size - 1;  // open less in place, so that the rest can be read
    else if (tooWide && !folded) [most, folded] = [Infinity, 1];  // or fold what is alike
    else break;
  }
  const view = state.view;
  const region = member >= 0 && !table ? member : parentOf(member);
  const chain = chainOf(region), crumbs = chain.map(r => [r, regionName(r)]);
  if (member < 0 && TABLE_OF[~member] >= 0 && !LABELS.has(~member)) crumbs.push([tableMember(TABLE_OF[~member]), localPath(TABLES[TABLE_OF[~member]].name, region)]);
  if (table) crumbs.push([member, localPath(table.name, region)]);
  if (member < 0) crumbs.push([member, shortened(brief(~member))]);
  $("crumbs").replaceChildren(...crumbs.map(([m, words], k) => make("li", {}, k === crumbs.length - 1 ? make("span", { "aria-current": "page" }, words) : make("a", { href: address(m) }, words))));
  const title = table ? `parameters: ${visible(table.name)}` : member < 0 ? `${operation(~member) || (isConstant(~member) ? "number" : "leaf")}: ${nodeName(~member)}` : member ? (CALL.has(member) ? `${CALL.get(member).kind}: ` : "") + fullName(member) : visible(META.title);
  $("title").textContent = title;
  document.title = member ? `${title} · ${visible(META.title)}` : visible(META.title);
  const [turn, of] = member > 0 && !table ? turnOf(member) : [0, 1];
  $("siblings").hidden = of < 2;
  $("turn").textContent = `${count(turn + 1)} of ${count(of)}`;
  $("path").hidden = path < 0;
  if (path >= 0) $("path").replaceChildren(`Path of the gradient from ${root()} back to `, link(~path), " · ", make("a", { href: address(member, -1) }, "hide it"));
  $("words").replaceChildren(...(table ? describeTable(table) : member < 0 ? describeValue(~member) : describeRegion(member, view)));
  $("spoken").textContent = wrong ? `there is no ${wrong} here` : !SHOWN ? `${title}, a table` : `${title}, ${view.boxes.length} boxes`;
  $("legend").hidden = !SHOWN;
  scrollTo(0, 0);
}
const fullName = r => { const call = CALL.get(r); return call ? localStation(r) : `${regionName(r)} in ${REGION.parent[r] ? fullName(REGION.parent[r]) : root()}`; };
const holds = (member, x) => {
  if (member < 0) return ~member === x;
  let r = isLeaf(x) ? PLACE[x] : HOME[x];
  while (r > member) r = REGION.parent[r];
  return r === member;
};
function markPath(view, path) {
  for (const box of view.boxes) box.via = undefined;
  const through = (box, x) => { box.onPath = true; box.via ??= box.members.find(m => holds(m, x)); };
  if ("node" in view) {
    const on = new Set(path);
    view.boxes.forEach(box => { box.onPath = box.members.some(m => on.has(~m)); });
    for (const edge of view.edges) edge.onPath = path.some((x, k) => k && edge.only !== undefined && INPUT[edge.only] === path[k - 1] && OWNER[edge.only] === x);
    return;
  }
  const source = x => view.boxOf[x] >= 0 ? view.boxOf[x] : view.sourceBox[x];
  const pairs = new Set();
  path.forEach((x, k) => {
    const a = source(x), inside = view.boxOf[x] >= 0;
    if (inside || (k + 1 < path.length && view.boxOf[path[k + 1]] >= 0 && a >= 0)) through(view.boxes[a], x);
    if (k + 1 === path.length) return;
    const y = path[k + 1], b = view.boxOf[y] >= 0 ? view.boxOf[y] : inside ? view.userBox[y] : -1;
    if (a >= 0 && b >= 0 && a !== b) { pairs.add(`${a} ${b}`); through(view.boxes[b], y); }
  });
  for (const edge of view.edges) edge.onPath = pairs.has(`${edge.a} ${edge.b}`);
}
function sibling(step) {
  if (state.member <= 0 || isTable(state.member)) return;
  const [turn, of, alike] = turnOf(state.member);
  if (of > 1) visit(address(alike[(turn + step + of) % of]));
}

// --- search -----------------------------------------------------------------------------------------------------------------
// Things whose name contains the words, best first: [name, what it is, member, or null if the loss does not depend on it].
function search(text) {
  const words = text.trim().replace(/\s*,\s*/g, "]["), found = [];
  if (!words) return [];
  const node = findName(words), lower = words.toLowerCase();
  if (node >= 0) found.push([givenName(node), "", ~node]);
  else if (node === -2) found.push([words, "this loss does not depend on it", null]);
  const value = /^v(\d+)$/.exec(words);
  if (value && Number(value[1]) < N) found.push([words, "value", ~Number(value[1])]);
  const [, base, brackets] = /^(.*?)((?:\[\d+\])*)(?:\[\d*)?$/.exec(lower);
  const add = (name, what, member) => { if (found.length < 12 && !found.some(f => f[2] === member)) found.push([name, what, member]); };
  for (const table of TABLES) {
    if (!table.name.toLowerCase().includes(base)) continue;
    const exact = findName(table.name + brackets);
    if (exact >= 0) add(givenName(exact), "", ~exact);
    else if (!brackets) {
      add(table.name, `${table.shape.join("×")} parameters`, tableMember(TABLES.indexOf(table)));
    }
  }
  for (const call of CALL.values()) if (`${call.path} ${call.kind}`.toLowerCase().includes(lower)) { if (call.turn === 0) add(call.path || call.kind, call.of > 1 ? `${call.kind} ×${call.of}` : call.kind, call.region); }
  // A module by its number, as it is named in the boxes: "head 2", "mlp 3".
  const numbered = /^(.*\S)\s+(\d+)$/.exec(lower);
  if (numbered) for (const call of CALL.values()) {
    const name = `${call.path} ${call.kind}`.toLowerCase();
    if (name.includes(numbered[1]) && turnOf(call.region)[0] + 1 === Number(numbered[2])) add(localStation(call.region), call.kind, call.region);
  }
  // Patterns and operations by their role: the first one, and how many there are.
  META.kinds.forEach((kind, k) => {
    if (k < 2 || !kind.includes(lower)) return;
    const all = [...REGION.kind.keys()].filter(r => REGION.kind[r] === k);
    if (all.length) add(kind, `${count(all.length)} of them; first in ${regionName(CALL_OF[REGION.parent[all[0]]])}`, all[0]);
  });
  OPS.forEach((op, k) => {
    if (op.name !== lower && op.symbol.toLowerCase() !== lower && symbol(op).toLowerCase() !== lower && !(lower.length > 2 && op.name.includes(lower))) return;
    let first = -1, many = 0;
    for (let i = 0; i < N; i++) if (CODE[i] === FIRST_OP + k) { many++; if (first < 0) first = i; }
    if (many) add(symbol(op), `operation, ${count(many)} of them`, ~first);
  });
  for (const [n, name] of META.labels) if (visible(name).toLowerCase().includes(lower) || name.includes(text)) add(visible(name), isLeaf(n) ? "leaf" : "value", ~n);
  return found;
}
let hits = [], chosen = 0;
function suggest() {
  hits = search($("query").value);
  chosen = 0;
  $("found").replaceChildren(...hits.map(([name, what], k) => {
    const item = make("li", { role: "option", id: `hit-${k}`, "aria-selected": String(k === 0) }, name, what ? " " : "", what ? make("small", {}, what) : null);
    item.onpointerdown = e => { e.preventDefault(); open(k); };
    return item;
  }));
  if (!hits.length && $("query").value.trim()) $("found").append(make("li", { role: "option", "aria-selected": "false", "aria-disabled": "true" }, "no name, operation or module is called this"));
  const shown = $("found").children.length > 0;
  $("found").hidden = !shown;
  $("query").setAttribute("aria-expanded", String(shown));
  mark();
}
function mark() {
  [...$("found").children].forEach((item, k) => item.setAttribute("aria-selected", String(k === chosen && hits.length > 0)));
  if (hits.length && !$("found").hidden) { $("query").setAttribute("aria-activedescendant", `hit-${chosen}`); $(`hit-${chosen}`).scrollIntoView({ block: "nearest" }); }
  else $("query").removeAttribute("aria-activedescendant");
}
function closeSearch() { $("found").hidden = true; $("query").setAttribute("aria-expanded", "false"); $("query").removeAttribute("aria-activedescendant"); }
function open(k) {
  const hit = hits[k];
  if (!hit || hit[2] === null) return;
  closeSearch();
  $("query").value = hit[0];
  $("query").blur();
  visit(address(hit[2]));
}

// --- keys and the rest --------------------------------------------------------------------------------------------------------
function nearest(key) {
  const links = [...document.querySelectorAll("#drawing a.open[href], .frame > a")], from = document.activeElement;
  if (!links.includes(from)) { links.at(-1)?.focus(); return; }
  const at = e => { const r = e.getBoundingClientRect(); return [(r.left + r.right) / 2, (r.top + r.bottom) / 2]; };
  const [x, y] = at(from), [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = null, least = Infinity;
  for (const e of links) {
    if (e === from) continue;
    const [ex, ey] = at(e), along = (ex - x) * dx + (ey - y) * dy, off = Math.abs((ex - x) * dy) + Math.abs((ey - y) * dx);
    if (along > 4 && along + 2 * off < least) { least = along + 2 * off; best = e; }
  }
  best?.focus();
}
const back = () => visit(address(parentOf(state.member)));
function togglePath() {
  if (state.path >= 0) visit(address(state.member, -1));
  else if (state.member < 0) visit(address(state.member, ~state.member));
}
function listen() {
  listenToPicture();
  addEventListener("hashchange", () => { if (location.hash !== current) show(location.hash); });
  document.addEventListener("click", e => {
    const a = e.target.closest?.("a[href^='#']");
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    visit(a.getAttribute("href"));
  });
  let wait;
  addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(() => show(current), 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (isTable(state.member)) show(current); });
  $("theme").value = LOOK.kept;
  $("theme").onchange = e => { LOOK.choose(e.target.value); show(current); };
  $("before").onclick = () => sibling(-1);
  $("after").onclick = () => sibling(1);
  $("query").oninput = suggest;
  $("query").onfocus = () => $("query").select();
  $("query").onblur = closeSearch;
  $("search").onsubmit = e => { e.preventDefault(); open(chosen); };
  $("query").onkeydown = e => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); if (hits.length) { chosen = (chosen + (e.key === "ArrowDown" ? 1 : hits.length - 1)) % hits.length; mark(); } }
    if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); closeSearch(); $("query").blur(); }
  };
  addEventListener("keydown", e => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target.matches?.("input, select")) return;
    const inside = e.target.matches?.("#drawing a");  // up and down scroll the page until a box is selected
    const act = { Escape: back, "/": () => $("query").focus(), PageUp: $("siblings").hidden ? null : () => sibling(-1), PageDown: $("siblings").hidden ? null : () => sibling(1), p: togglePath,
      "+": () => zoomTo(SHOWN.zoom * 1.25), "-": () => zoomTo(SHOWN.zoom / 1.25), 0: () => show(current),
      ArrowLeft: () => nearest(e.key), ArrowRight: () => nearest(e.key), ArrowUp: inside && (() => nearest(e.key)), ArrowDown: inside && (() => nearest(e.key)) }[e.key];
    if (act) { e.preventDefault(); act(); }
  });
}
async function begin() {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old: it cannot unpack the page (DecompressionStream); any browser from 2023 can");
  await load();
  indexTables();
  indexRegions();
  countTables();
  $("facts").textContent = [`${count(N)} values`, TABLES.length ? `${count(TABLES.reduce((sum, t) => sum + t.size, 0))} parameters` : "", "every number and gradient as the engine computes it"].filter(Boolean).join(", ");
  listen();
  show(location.hash);
  document.documentElement.dataset.ready = "yes";
}
begin().catch(error => { $("picture").replaceChildren(make("p", { role: "alert" }, String(error.message ?? error))); throw error; });
