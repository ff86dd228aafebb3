// The program of viz/pages/explorer_data.py: unpack it, compute it forward and backward, and query it.
const META = JSON.parse(document.getElementById("meta").textContent);
const N = META.nodes, ROOT = N - 1, OPS = META.ops, NODE_LEAF = 0, NODE_CONSTANT = 1, FIRST_OP = 2;
const TYPES = { i: Int32Array, d: Float64Array, B: Uint8Array };

async function unpack(id, type) {
  const text = atob(document.getElementById(id).textContent), packed = new Uint8Array(text.length);
  for (let i = 0; i < packed.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = TYPES[type].BYTES_PER_ELEMENT, count = planes.length / size, bytes = new Uint8Array(planes.length);
  for (let k = 0; k < size; k++) for (let i = 0, from = k * count; i < count; i++) bytes[i * size + k] = planes[from + i];
  return new TYPES[type](bytes.buffer);
}
function sumUp(steps) {
  for (let i = 1; i < steps.length; i++) steps[i] += steps[i - 1];
  return steps;
}

// Edge e, one of START[i] … START[i + 1] − 1, goes from node INPUT[e] into node i = OWNER[e].
let CODE, START, INPUT, OWNER, DATA, GRAD, KEPT, KEPT_AT, HOME, TABLE_NODES;
// The edges that leave node x are USER[USES[x]] … USER[USES[x + 1] − 1].
let USES, USER;
const REGION = {};

async function load() {
  const [codes, counts, inputs, leaves, kept, home, kinds, parents, sizes, extras, anchors, tables] = await Promise.all(
    Object.entries(META.types).map(([id, type]) => unpack(id, type)));
  CODE = codes; KEPT = kept; HOME = sumUp(home); TABLE_NODES = sumUp(tables);
  Object.assign(REGION, { kind: kinds, parent: sumUp(parents), size: sizes, extra: extras, anchor: sumUp(anchors) });
  connect(counts, inputs);
  compute(leaves);
  differentiate();
}
function connect(counts, steps) {
  START = new Int32Array(N + 1);
  for (let i = 0, many = 0; i < N; i++) {
    const op = OPS[CODE[i] - FIRST_OP];
    START[i + 1] = START[i] + (op ? op.arity ?? counts[many++] : 0);
  }
  const edges = START[N], last = new Int32Array(2 * 256);
  INPUT = steps;  // they become the inputs in place
  OWNER = new Int32Array(edges);
  USES = new Int32Array(N + 2);
  for (let i = 0; i < N; i++) for (let e = START[i], k = 0; e < START[i + 1]; e++, k++) {
    INPUT[e] += k < 2 ? last[2 * CODE[i] + k] : INPUT[e - 1];
    if (k < 2) last[2 * CODE[i] + k] = INPUT[e];
    OWNER[e] = i;
    USES[INPUT[e] + 2]++;
  }
  for (let i = 2; i < N + 2; i++) USES[i] += USES[i - 1];
  USER = new Int32Array(edges);
  for (let e = 0; e < edges; e++) USER[USES[INPUT[e] + 1]++] = e;
}
const codeOf = name => { const k = OPS.findIndex(op => op.name === name); return k < 0 ? -1 : k + FIRST_OP; };
const [ADD, SUB, MUL] = ["add", "sub", "mul"].map(codeOf);
const STOPS = OPS.map(op => op.derivatives === null), stops = code => STOPS[code - FIRST_OP];  // no gradient flows through the operation

function compute(leaves) {
  DATA = new Float64Array(N);
  KEPT_AT = new Int32Array(N).fill(-1);
  for (let i = 0, leaf = 0, kept = 0; i < N; i++) {
    const code = CODE[i], e = START[i];
    if (code < FIRST_OP) DATA[i] = leaves[leaf++];
    else if (code === MUL) DATA[i] = DATA[INPUT[e]] * DATA[INPUT[e + 1]];
    else if (code === ADD) DATA[i] = DATA[INPUT[e]] + DATA[INPUT[e + 1]];
    else if (code === SUB) DATA[i] = DATA[INPUT[e]] - DATA[INPUT[e + 1]];
    else {
      DATA[i] = KEPT[KEPT_AT[i] = kept];
      kept += 1 + (stops(code) ? 0 : START[i + 1] - e);
    }
  }
}
// ∂(owner)/∂(input) along an edge.
function local(e) {
  const i = OWNER[e], code = CODE[i], first = START[i];
  if (code === MUL) return DATA[INPUT[e === first ? e + 1 : first]];
  if (code === ADD) return 1;
  if (code === SUB) return e === first ? 1 : -1;
  return stops(code) ? 0 : KEPT[KEPT_AT[i] + 1 + e - first];
}
// What the chain rule sends along an edge. A zero derivative stops the flow, except at + and ×, as in the engine.
function sent(e) {
  const derivative = local(e), code = CODE[OWNER[e]];
  return derivative !== 0 || code === MUL || code === ADD ? derivative * GRAD[OWNER[e]] : 0;
}
// The engine's order, so that sums round as they do there: see _computed_in_order in tinygrad_edu/engine.py.
function differentiate() {
  GRAD = new Float64Array(N);
  const seen = new Uint8Array(N), order = new Int32Array(N), stack = [ROOT];
  let count = 0;
  while (stack.length) {
    const node = stack.pop();
    if (node < 0) order[count++] = ~node;
    else if (!seen[node] && START[node + 1] > START[node]) {
      seen[node] = 1;
      stack.push(~node);
      for (let e = START[node]; e < START[node + 1]; e++) stack.push(INPUT[e]);
    }
  }
  GRAD[ROOT] += 1;
  while (count) {
    const i = order[--count];
    for (let e = START[i]; e < START[i + 1]; e++) if (!stops(CODE[i]) && CODE[INPUT[e]] !== NODE_CONSTANT) GRAD[INPUT[e]] += sent(e);
  }
}

// --- queries ------------------------------------------------------------------------------------------------------------
const isLeaf = i => CODE[i] < FIRST_OP, isConstant = i => CODE[i] === NODE_CONSTANT;
const inputsOf = i => Array.from(INPUT.subarray(START[i], START[i + 1]));
const edgesInto = i => Array.from({ length: START[i + 1] - START[i] }, (_, k) => START[i] + k);
const edgesFrom = i => Array.from(USER.subarray(USES[i], USES[i + 1]));
// A leaf that is used only where no gradient flows has none, as in the engine.
const hasGradient = i => !isConstant(i) && (!isLeaf(i) || i === ROOT || edgesFrom(i).some(e => !stops(CODE[OWNER[e]])));

// The path to the loss along which most of the gradient flows: at each value the use that sends back the most.
function strongestPath(node) {
  const path = [node];
  while (node !== ROOT) {
    let best = -1, most = -1;
    for (let k = USES[node]; k < USES[node + 1]; k++) {
      const size = Math.abs(sent(USER[k])), x = size === size ? size : Infinity;
      if (x > most) { most = x; best = USER[k]; }
    }
    node = OWNER[best];
    path.push(node);
  }
  return path;
}
const edgeBetween = (x, user) => edgesInto(user).find(e => INPUT[e] === x);

// --- names -------------------------------------------------------------------------------------------------------------
const LABELS = new Map(META.labels), TABLES = [];
{
  let first = 0;
  for (const [name, shape] of META.tables) {
    const size = shape.reduce((a, b) => a * b, 1);
    TABLES.push({ name, shape, first, size });
    first += size;
  }
}
let TABLE_OF;  // per node the number of its table, −1 for none
function indexTables() {
  TABLE_OF = new Int16Array(N).fill(-1);
  TABLES.forEach((table, t) => {
    for (let k = table.first; k < table.first + table.size; k++) if (TABLE_NODES[k] >= 0) TABLE_OF[TABLE_NODES[k]] = t;
  });
}
function indicesOf(table, flat) {
  const indices = [];
  for (let d = table.shape.length - 1; d >= 0; d--) { indices.unshift(flat % table.shape[d]); flat = Math.floor(flat / table.shape[d]); }
  return indices;
}
const entryName = (table, flat) => `${table.name}[${indicesOf(table, flat).join("][")}]`;
function tableEntry(node) {
  const table = TABLES[TABLE_OF[node]];
  return table ? [table, TABLE_NODES.indexOf(node, table.first) - table.first] : null;
}
// The name that a node was given, or "".
function givenName(node) {
  if (LABELS.has(node)) return LABELS.get(node);
  const entry = tableEntry(node);
  return entry ? entryName(...entry) : "";
}
const nodeName = node => isConstant(node) ? short(DATA[node]) : visible(givenName(node)) || `v${node}`;

const GLYPHS = { "\n": "⏎", "\r": "␍", "\t": "⇥", "\0": "␀" };
// Like viz/style.py: make every character visible.
function visible(text) {
  text = Array.from(text, c => GLYPHS[c] ?? (c !== " " && /[\p{C}\p{Z}]/u.test(c) ? "·" : c)).join("");
  const inner = text.trim();
  if (!inner) return "␣".repeat(text.length);
  const start = text.indexOf(inner);
  return "␣".repeat(start) + inner + "␣".repeat(text.length - start - inner.length);
}

// --- regions -----------------------------------------------------------------------------------------------------------
const KIND_CALL = META.kinds.indexOf("call");
const CALL = new Map();  // of a region that is a call: its path, class, number among the calls of this module, sizes
const CHILDREN = [];
let CALL_OF, DEPTH, PLACE;
function indexRegions() {
  const count = REGION.kind.length, turns = new Map();
  CALL_OF = new Int32Array(count);
  DEPTH = new Int32Array(count);
  for (let r = 0; r < count; r++) CHILDREN.push([]);
  for (let r = 1; r < count; r++) {
    CHILDREN[REGION.parent[r]].push(r);
    DEPTH[r] = DEPTH[REGION.parent[r]] + 1;
    CALL_OF[r] = REGION.kind[r] === KIND_CALL ? r : CALL_OF[REGION.parent[r]];
  }
  for (const [region, path, kind, given, made] of META.calls) {
    const name = META.words[path] || META.words[kind], turn = turns.get(name) ?? 0;
    turns.set(name, turn + 1);
    CALL.set(region, { region, path: META.words[path], kind: META.words[kind], name, turn, given, made });
  }
  for (const call of CALL.values()) call.of = turns.get(call.name);
  placeLeaves();
}
function common(a, b) {
  while (a !== b) if (DEPTH[a] >= DEPTH[b]) a = REGION.parent[a]; else b = REGION.parent[b];
  return a;
}
// A leaf is in the innermost call that all its users are in, together with its whole table, but not in a call that it was given to.
function placeLeaves() {
  PLACE = new Int32Array(N).fill(-1);
  const table = new Int32Array(TABLES.length).fill(-1);
  for (let e = 0; e < INPUT.length; e++) {
    const x = INPUT[e];
    if (!isLeaf(x)) continue;
    const call = CALL_OF[HOME[OWNER[e]]];
    PLACE[x] = PLACE[x] < 0 ? call : PLACE[x] === call ? call : common(PLACE[x], call);
  }
  for (const [call, leaves] of META.given) for (const x of leaves) PLACE[x] = common(PLACE[x], REGION.parent[call]);
  for (let x = 0; x < N; x++) if (TABLE_OF[x] >= 0) table[TABLE_OF[x]] = table[TABLE_OF[x]] < 0 ? PLACE[x] : common(table[TABLE_OF[x]], PLACE[x]);
  for (let x = 0; x < N; x++) if (TABLE_OF[x] >= 0) PLACE[x] = table[TABLE_OF[x]];
  PLACE[ROOT] = Math.max(0, PLACE[ROOT]);
}
const regionOf = node => isLeaf(node) ? PLACE[node] : HOME[node];
function chainOf(region) {
  const chain = [];
  for (let r = region; r >= 0; r = REGION.parent[r]) chain.unshift(r);
  return chain;
}
const kindOf = r => META.kinds[REGION.kind[r]];
// Which of its siblings of the same kind a region is: [number from 0, how many].
function turnOf(r) {
  if (CALL.has(r)) {
    const alike = CHILDREN[REGION.parent[r]].filter(x => CALL.get(x)?.name === CALL.get(r).name);
    return [alike.indexOf(r), alike.length, alike];
  }
  const alike = r ? CHILDREN[REGION.parent[r]].filter(x => REGION.kind[x] === REGION.kind[r]) : [0];
  return [alike.indexOf(r), alike.length, alike];
}
