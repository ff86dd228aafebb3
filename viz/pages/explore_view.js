// What one view shows: the boxes in an open region, what feeds them, and what they feed. Alike things share a box, ×N.
const ALIKE = 5;  // this many alike become one box; up to four are easier to read side by side, on a phone two
const MOST = 40;  // boxes in one view

// The boxes of an open region; calls that are alone in it are opened in place, up to a limit, while there is room.
// `folded`: whether two alike things already share a box.
function regionView(focus, room, most, folded) {
  const open = new Set(), closed = new Set();
  let view = divided(focus, open, folded);
  for (;;) {
    const next = view.boxes.find(b => b.kind === "call" && b.members.length === 1 && b.alone && !closed.has(b.members[0])
      && CHILDREN[b.members[0]].length > 0);
    if (!next || view.boxes.length >= room || open.size >= most) return view;
    const region = next.members[0], least = new Set(CHILDREN[region].map(r => CALL.get(r)?.name ?? kindOf(r))).size;
    if (view.boxes.length - 1 + least > room) { closed.add(region); continue; }
    open.add(region);
    const larger = divided(focus, open, folded);
    const useful = larger.boxes.filter(b => b.frame === region && (b.kind === "call" || b.kind === "idiom" || b.kind === "value")).length > 1;
    if (larger.boxes.length > room || !useful) { open.delete(region); closed.add(region); }
    else view = larger;
  }
}
const VIEWS = new Map();  // the last ones, by what is open
function divided(focus, open, folded) {
  const key = `${focus} ${[...open]} ${innerWidth < 700} ${folded}`;
  let view = VIEWS.get(key);
  if (view) return view;
  if (VIEWS.size > 7) VIEWS.clear();
  for (const [least, coarse] of [[innerWidth < 700 ? 3 : ALIKE, 0], [2, 0], [2, 1], [2, 2]].slice(folded)) {
    view = partition(focus, open, least, coarse);
    if (view.boxes.length <= (coarse < 2 ? MOST : Infinity)) break;
  }
  VIEWS.set(key, view);
  return view;
}

// Members of a box are regions r ≥ 0, or single values, written ~node.
function partition(focus, open, least, coarse) {
  const around = new Set(chainOf(focus)), regions = REGION.kind.length;
  const [code, home, inputs, owner, tableOf] = [CODE, HOME, INPUT, OWNER, TABLE_OF];  // local names are faster
  // Per region: −2 outside, −1 open, otherwise the closed region that it is in or is.
  const shown = new Int32Array(regions).fill(-2);
  for (let r = 0; r < regions; r++) {
    const up = r ? shown[REGION.parent[r]] : -2;
    shown[r] = r === focus ? -1 : up === -1 ? (open.has(r) ? -1 : r) : up;
  }
  // Items: closed regions and single values.
  const items = [], itemOf = new Int32Array(N).fill(-1), ofRegion = new Int32Array(regions).fill(-1);
  for (let i = 0; i < N; i++) {
    if (code[i] < FIRST_OP) continue;
    const r = shown[home[i]];
    if (r === -2) continue;
    if (r === -1) { itemOf[i] = items.length; items.push({ region: -1, node: i, anchor: i, frame: home[i], sources: [] }); continue; }
    if (ofRegion[r] < 0) {
      ofRegion[r] = items.length;
      items.push({ region: r, node: -1, anchor: CALL.has(r) ? i : REGION.anchor[r], frame: REGION.parent[r], sources: [] });
    }
    itemOf[i] = ofRegion[r];
  }
  const used = new Uint8Array(N), isCall = Uint8Array.from(items, item => CALL.has(item.region) ? 1 : 0);
  if (isLeaf(ROOT)) used[ROOT] = 1;
  for (let e = 0; e < inputs.length; e++) {
    const item = itemOf[owner[e]];
    if (item < 0) continue;
    used[inputs[e]] = 1;
    if (!isCall[item] && itemOf[inputs[e]] !== item) items[item].sources.push(inputs[e]);
  }
  const order = items.map((_, k) => k).sort((a, b) => items[a].anchor - items[b].anchor);
  const groups = new Map(), groupOf = new Int32Array(items.length).fill(-1);
  const sourceKey = x => isConstant(x) ? "c" : itemOf[x] >= 0 ? `g${groupOf[itemOf[x]]}` : !isLeaf(x) ? "o" : TABLE_OF[x] >= 0 ? `t${TABLE_OF[x]}` : "l";
  for (const k of order) {
    const item = items[k], key = itemKey(item, coarse, sourceKey);
    if (!groups.has(key)) groups.set(key, []);
    const members = groups.get(key);
    groupOf[k] = members.length ? groupOf[members[0]] : groups.size;
    members.push(k);
  }

  const boxes = [], boxOf = new Int32Array(N).fill(-1), itemBox = new Int32Array(items.length);
  const addBox = box => boxes.push({ out: 0, low: Infinity, high: -Infinity, square: 0, ...box }) - 1;
  for (const members of groups.values()) {
    const together = members.length >= least ? [members] : members.map(k => [k]);
    for (const part of together) {
      const region = items[part.find(k => items[k].region >= 0) ?? part[0]].region;
      const kind = region < 0 ? "value" : CALL.has(region) ? "call" : "idiom";
      const number = addBox({ kind, frame: items[part[0]].frame, first: items[part[0]].anchor, alone: members.length === 1,
        members: part.map(k => items[k].region >= 0 ? items[k].region : ~items[k].node) });
      for (const k of part) itemBox[k] = number;
    }
  }
  for (let i = 0; i < N; i++) if (itemOf[i] >= 0) boxOf[i] = itemBox[itemOf[i]];

  // Leaves, and values from outside.
  const feeding = new Map(), fed = new Map(), ofTable = [];
  const side = (map, key, node, more) => {
    if (!map.has(key)) map.set(key, { nodes: [], ...more });
    const nodes = map.get(key).nodes;
    if (nodes.at(-1) !== node) nodes.push(node);
    return nodes;
  };
  for (let x = 0; x < N; x++) {
    if (code[x] < FIRST_OP) {
      if (code[x] === NODE_CONSTANT || !used[x]) continue;
      const place = shown[PLACE[x]];
      if (place >= 0 && ofRegion[place] >= 0) { boxOf[x] = itemBox[ofRegion[place]]; continue; }
      const t = coarse > 1 ? -1 : tableOf[x];
      if (t >= 0 && ofTable[t]) { ofTable[t].push(x); continue; }  // all of a table are in one place
      const frame = place === -1 ? PLACE[x] : focus, outside = place === -2;
      const key = coarse > 1 ? "leaves" : t >= 0 ? `t${t}` : `l${LABELS.get(x)?.replace(/\d+/g, "*") ?? ""}`;
      const nodes = side(feeding, `${frame} ${key}`, x, { frame, outside, leaves: true });
      if (t >= 0) ofTable[t] = nodes;
    } else if (boxOf[x] < 0) {
      if (!used[x]) continue;
      const [key, near] = neighbor(x, around);
      side(feeding, `o${key}`, x, { frame: focus, outside: true, near });
    }
  }
  if (focus) for (let e = 0; e < inputs.length; e++) {
    if (itemOf[owner[e]] >= 0 || itemOf[inputs[e]] < 0) continue;
    const [key, near] = neighbor(owner[e], around);
    side(fed, `u${key}`, owner[e], { frame: focus, outside: true, near });
  }
  const sourceBox = new Int32Array(N).fill(-1), userBox = new Int32Array(N).fill(-1);
  place(feeding, sourceBox, "from");
  place(fed, userBox, "to");
  function place(map, found, direction) {
    for (const { nodes, frame, outside, leaves, near } of fewer(map)) {
      const parts = leaves && nodes.length < least ? nodes.map(x => [x]) : [nodes];
      for (const part of parts) {
        const kind = part.length === 1 ? "value" : leaves ? (TABLE_OF[part[0]] >= 0 && coarse < 2 ? "table" : "leaves") : "port";
        const number = addBox({ kind, frame, outside, direction: outside && !leaves ? direction : "", near, members: part.map(x => ~x), first: direction === "to" ? Infinity : part[0] });
        for (const x of part) found[x] = number;
      }
    }
  }
  return { focus, open: new Set(open), boxes, boxOf, edges: edgesBetween(boxes, boxOf, sourceBox, userBox), sourceBox, userBox };
}
// Ports to many neighbors of one module become one.
function fewer(map) {
  const ports = [...map.values()].filter(port => port.near !== undefined), byName = new Map();
  if (ports.length <= 4) return map.values();
  const merged = [...map.values()].filter(port => port.near === undefined);
  for (const port of ports) {
    const name = port.near.name;
    if (byName.has(name)) byName.get(name).nodes.push(...port.nodes);
    else { byName.set(name, { ...port, nodes: [...port.nodes], near: { ...port.near, several: true } }); merged.push(byName.get(name)); }
  }
  for (const port of merged) port.nodes.sort((a, b) => a - b);
  return merged;
}
// Where a value outside of the open region is, as seen from there: a module or pattern next to it or next to one around it.
function neighbor(node, around) {
  let r = HOME[node];
  if (around.has(r)) { const op = OPS[CODE[node] - FIRST_OP]; return [`${r}${op.name}`, { region: r, own: true, name: `${r} ${op.symbol}`, op }]; }
  while (!around.has(REGION.parent[r])) r = REGION.parent[r];
  return [`r${r}`, { region: r, own: false, name: `${REGION.parent[r]} ${CALL.get(r)?.name ?? kindOf(r)}` }];
}
function itemKey(item, coarse, sourceKey) {
  const call = CALL.get(item.region);
  if (coarse > 1) return `${item.frame} ${call ? "call" : "rest"}${item.node === ROOT ? "root" : ""}`;
  if (call) return `${item.frame} call ${coarse ? call.name.replace(/\d+/g, "*") : call.name} ${call.kind}`;
  if (item.node === ROOT) return "root";
  const keys = [...new Set(item.sources.map(sourceKey))].sort();
  let what = item.region >= 0 ? kindOf(item.region) : OPS[CODE[item.node] - FIRST_OP].name;
  // One product is the shortest dot product, and one addition the shortest sum.
  if (item.node >= 0 && !keys.includes("c")) what = { mul: "dot", add: "sum" }[what] ?? what;
  return `${item.frame} ${what} ${coarse ? "" : keys.join()}`;
}

// One edge per pair of boxes. What flows back along it is summed per value, as the chain rule does.
function edgesBetween(boxes, boxOf, sourceBox, userBox) {
  const edges = [], table = boxes.map(() => []), touched = [];
  const [inputs, uses, users, owner] = [INPUT, USES, USER, OWNER], crosses = new Uint8Array(N);
  crosses[ROOT] = 1;
  // Reading memory in order is fast, so first put aside what stays within its box.
  for (let e = 0; e < inputs.length; e++) if (boxOf[owner[e]] !== boxOf[inputs[e]]) crosses[inputs[e]] = 1;
  for (let x = 0; x < N; x++) {
    if (!crosses[x]) continue;
    const inside = boxOf[x] >= 0, a = inside ? boxOf[x] : sourceBox[x];
    if (a < 0) continue;
    touched.length = 0;
    for (let k = uses[x], end = uses[x + 1]; k < end; k++) {
      const user = owner[users[k]], b = boxOf[user] >= 0 ? boxOf[user] : inside ? userBox[user] : -1;
      if (b < 0 || a === b) continue;
      const e = users[k];
      let edge = table[a][b];
      if (!edge) edges.push(edge = table[a][b] = { a, b, count: 0, sources: 0, square: 0, flow: 0, last: -1, positive: false, negative: false, only: e });
      if (edge.last !== x) { edge.last = x; edge.flow = 0; touched.push(edge); }
      edge.count++;
      if (hasFlow(e)) edge.flow += sent(e);
    }
    for (const edge of touched) {
      edge.sources++;
      edge.square += edge.flow * edge.flow;
      if (edge.flow > 0) edge.positive = true;
      if (edge.flow < 0) edge.negative = true;
    }
    if (touched.length || x === ROOT) addOutput(boxes[a], x);
  }
  // Values used only outside this view: what they feed says enough about them.
  for (const box of boxes) if (box.direction === "to") for (const member of box.members) addOutput(box, ~member);
  return edges;
}
function addOutput(box, x) {
  box.out++;
  box.only = box.out === 1 ? x : undefined;
  box.low = Math.min(box.low, DATA[x]);
  box.high = Math.max(box.high, DATA[x]);
  box.square += GRAD[x] * GRAD[x];
}
const hasFlow = e => !stops(CODE[OWNER[e]]) && !isConstant(INPUT[e]);

// One value with its inputs on one side and its users on the other.
function valueView(node) {
  const boxes = [], edges = [];
  const add = (members, more = {}) => boxes.push({ kind: members.length === 1 ? "value" : "leaves", frame: -1, first: members[0], members: members.map(x => ~x), out: members.length,
    only: members.length === 1 ? members[0] : undefined, low: Math.min(...members.map(x => DATA[x])), high: Math.max(...members.map(x => DATA[x])),
    square: members.reduce((sum, x) => sum + GRAD[x] * GRAD[x], 0), ...more }) - 1;
  const link = (a, b, found) => {
    const flows = found.map(e => hasFlow(e) ? sent(e) : 0);
    edges.push({ a, b, count: found.length, sources: new Set(found.map(e => INPUT[e])).size, only: found[0], square: flows.reduce((sum, f) => sum + f * f, 0), positive: flows.some(f => f > 0), negative: flows.some(f => f < 0) });
  };
  const here = add([node], { here: true });
  const into = edgesInto(node), inputs = [...new Set(into.map(e => INPUT[e]))];
  if (inputs.length <= 8) for (const x of inputs) { const box = add([x], { direction: "from" }); for (const e of into.filter(e => INPUT[e] === x)) link(box, here, [e]); }
  else link(add(inputs, { direction: "from", kind: "several" }), here, into);
  const out = edgesFrom(node).sort((a, b) => Math.abs(sent(b)) - Math.abs(sent(a)) || a - b);
  const users = [...new Set(out.map(e => OWNER[e]))], single = users.length <= 8 ? users : users.slice(0, 5);
  for (const user of single) { const box = add([user], { direction: "to", first: Infinity }); for (const e of out.filter(e => OWNER[e] === user)) link(here, box, [e]); }
  const rest = users.slice(single.length);
  if (rest.length) link(here, add(rest, { direction: "to", kind: "several", first: Infinity }), out.filter(e => rest.includes(OWNER[e])));
  return { node, boxes, edges };
}
