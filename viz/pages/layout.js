// A layered layout for a few boxes in nested frames: inputs first, long edges around the boxes between, few crossings.

// items: {main, cross} sizes along and across the flow, and {rank}, which of two items in a cycle comes first.
// edges: {a, b, words}, with the width of the words on them. Gives items {m, c}, their middle, and edges {points}: [[m, c], …]; returns the size [main, cross].
function layered(items, edges, gap, space, across) {
  const n = items.length, order = sorted(items, edges), turn = new Array(n);
  order.forEach((item, i) => { turn[item] = i; });
  const forward = edges.map(({ a, b }) => turn[a] <= turn[b] ? [a, b] : [b, a]);
  const layer = new Array(n).fill(0), into = items.map(() => []), from = items.map(() => []);
  forward.forEach(([a, b]) => { into[b].push(a); from[a].push(b); });
  for (const b of order) for (const a of into[b]) layer[b] = Math.max(layer[b], layer[a] + 1);
  for (const a of [...order].reverse()) {  // an item without inputs goes next to what it feeds
    if (!into[a].length && from[a].length && !items[a].entry) layer[a] = Math.min(...from[a].map(b => layer[b])) - 1;
  }
  const last = Math.max(0, ...layer);
  items.forEach((item, i) => { if (item.exit) layer[i] = last; });

  // A long edge passes through a narrow cell in every layer between.
  const cells = items.map((item, i) => ({ item, size: item.cross, rank: item.rank, layer: layer[i], before: [], after: [] }));
  const routes = forward.map(([a, b]) => {
    const route = [cells[a]];
    for (let l = layer[a] + 1; l < layer[b]; l++) { const cell = { size: 6, rank: items[a].rank, layer: l, before: [], after: [], pass: true }; cells.push(cell); route.push(cell); }
    route.push(cells[b]);
    for (let k = 1; k < route.length; k++) { route[k - 1].after.push(route[k]); route[k].before.push(route[k - 1]); }
    return route;
  });
  const layers = Array.from({ length: last + 1 }, () => []);
  for (const cell of cells) layers[cell.layer].push(cell);
  for (const cells of layers) { cells.sort((a, b) => a.rank - b.rank); number(cells); }
  for (let sweep = 0; sweep < 12; sweep++) {
    const down = sweep % 2 === 0;
    for (const cells of down ? layers : [...layers].reverse()) {
      for (const cell of cells) {
        const near = down ? cell.before : cell.after;
        cell.wish = near.length ? near.reduce((sum, x) => sum + x.place, 0) / near.length : cell.place;
      }
      cells.sort((a, b) => a.wish - b.wish || a.place - b.place);
      number(cells);
    }
  }
  function number(cells) { cells.forEach((cell, i) => { cell.place = cells.length > 1 ? i / (cells.length - 1) : 0.5; }); }

  for (const cells of layers) { let c = 0; for (const cell of cells) { cell.c = c + cell.size / 2; c += cell.size + space; } }
  for (let sweep = 0; sweep < 16; sweep++) {
    const down = sweep % 2 === 0;
    for (const cells of down ? layers : [...layers].reverse()) {
      align(cells, cells.map(cell => {
        const near = sweep < 8 ? (down ? cell.before : cell.after) : [...cell.before, ...cell.after];
        return near.length ? near.reduce((sum, x) => sum + x.c, 0) / near.length : cell.c;
      }), space);
    }
  }
  const low = Math.min(...cells.map(cell => cell.c - cell.size / 2)), high = Math.max(...cells.map(cell => cell.c + cell.size / 2));
  const starts = [], ends = [], gaps = layers.map(() => gap);
  if (across) edges.forEach((edge, i) => { const l = Math.max(layer[edge.a], layer[edge.b]) - 1; gaps[l] = Math.max(gaps[l] ?? 0, edge.words + 34); });
  let main = 0;
  layers.forEach((cells, l) => {
    starts.push(main);
    main += Math.max(0, ...cells.map(cell => cell.item?.main ?? 0));
    ends.push(main);
    if (l < last) main += gaps[l];
  });
  for (const cell of cells) {
    cell.c -= low;
    if (cell.item) { cell.item.c = cell.c; cell.item.m = cell.item.exit ? main : cell.item.entry ? 0 : (starts[cell.layer] + ends[cell.layer]) / 2; }
  }
  const ports = new Map();  // edges at one side of a box are spread along it, in the order of where they go
  edges.forEach((edge, i) => {
    const route = routes[i];
    for (const [cell, next, side] of [[route[0], route[1], "out"], [route.at(-1), route.at(-2), "in"]]) {
      const key = `${cells.indexOf(cell)} ${side}`;
      if (!ports.has(key)) ports.set(key, []);
      ports.get(key).push({ i, c: next.c });
    }
  });
  const at = (i, cell, side) => {
    if (cell.item?.doors) return cell.c + cell.item.doors[side];  // a frame: where its lines reach the border inside
    const list = ports.get(`${cells.indexOf(cell)} ${side}`).sort((a, b) => a.c - b.c || a.i - b.i), k = list.findIndex(x => x.i === i);
    return cell.c + (cell.size * 0.6 * (k + 1)) / (list.length + 1) - cell.size * 0.3;
  };
  edges.forEach((edge, i) => {
    const route = routes[i], a = route[0], b = route.at(-1);
    const points = [[a.item.m + a.item.main / 2, at(i, a, "out")]];
    for (const cell of route.slice(1, -1)) points.push([starts[cell.layer], cell.c], [ends[cell.layer], cell.c]);
    points.push([b.item.m - b.item.main / 2, at(i, b, "in")]);
    edge.points = forward[i][0] === edge.a ? points : points.reverse();
  });
  return [main, high - low];
}
// Inputs first; in a cycle, by rank.
function sorted(items, edges) {
  const missing = items.map(() => 0), order = [], left = new Set(items.keys());
  for (const { a, b } of edges) if (a !== b) missing[b]++;
  while (left.size) {
    const ready = [...left].filter(i => missing[i] <= 0), from = ready.length ? ready : [...left];
    const next = from.reduce((x, y) => items[y].rank < items[x].rank ? y : x);
    left.delete(next);
    order.push(next);
    for (const { a, b } of edges) if (a === next && b !== a) missing[b]--;
  }
  return order;
}
// Middles as close as possible to their ideal positions, in this order and without overlap: neighbors that would overlap
// move as one, to the mean of their ideal positions (isotonic regression).
function align(cells, wishes, space) {
  const blocks = [];
  let offset = 0;
  cells.forEach((cell, i) => {
    if (i) offset += cells[i - 1].size / 2 + space + cell.size / 2;
    cell.offset = offset;
    const weight = cell.pass ? 3 : 1;  // long edges should be straight
    blocks.push({ sum: (wishes[i] - offset) * weight, weight, cells: [cell] });
    while (blocks.length > 1 && blocks.at(-2).sum / blocks.at(-2).weight >= blocks.at(-1).sum / blocks.at(-1).weight) {
      const b = blocks.pop(), a = blocks.at(-1);
      a.sum += b.sum; a.weight += b.weight; a.cells.push(...b.cells);
    }
  });
  for (const block of blocks) for (const cell of block.cells) cell.c = block.sum / block.weight + cell.offset;
}

// Boxes and open frames, from the innermost frame outwards. `boxes`: {frame, width, height, first}; `edges`: {a, b, …};
// `frames`: of each open region {parent, title: [width, height]}; `top`: the frame that is the page itself;
// `across`: from left to right, otherwise down; `gap`: the smallest gap between layers.
// Gives boxes and frames {x, y, width, height} and a list of lines {edges, points, first, last}, which begin and end at a box; returns the size.
function arrange(boxes, edges, frames, top, across, gap) {
  const inside = new Map([...frames.keys(), top].map(f => [f, { items: [], edges: new Map(), entry: null, exit: null }]));
  const rank = new Map();
  const itemOf = (f, thing) => inside.get(f).items.find(item => item.thing === thing);
  boxes.forEach((box, i) => {
    inside.get(box.frame).items.push({ thing: box, rank: box.direction === "from" ? -1e9 + i : box.first });
    for (let f = box.frame; f !== top; f = frames.get(f).parent) rank.set(f, Math.min(rank.get(f) ?? Infinity, box.first));
  });
  for (const [f, frame] of frames) inside.get(frame.parent).items.push({ thing: frame, rank: rank.get(f) ?? 0 });
  const upwards = f => { const chain = [f]; while (f !== top) chain.push(f = frames.get(f).parent); return chain; };
  const door = (f, kind) => {
    const here = inside.get(f);
    if (!here[kind]) here.items.push(here[kind] = { thing: {}, [kind]: true, main: 0, cross: 2, rank: kind === "entry" ? -2e9 : Infinity });
    return here[kind];
  };
  const join = (f, a, b, edge, first, last) => {
    const here = inside.get(f), key = `${here.items.indexOf(a)} ${here.items.indexOf(b)} ${edge.apart ?? ""}`;
    if (!here.edges.has(key)) here.edges.set(key, { a: here.items.indexOf(a), b: here.items.indexOf(b), edges: [], first, last });
    here.edges.get(key).edges.push(edge);
  };
  for (const edge of edges) {
    const a = boxes[edge.a], b = boxes[edge.b], ups = upwards(a.frame), downs = upwards(b.frame);
    const shared = ups.find(f => downs.includes(f));
    let from = a, to = b;
    for (const f of ups) { if (f === shared) break; join(f, itemOf(f, from), door(f, "exit"), edge, from === a, false); from = frames.get(f); }
    const below = downs.slice(0, downs.indexOf(shared));
    for (const f of below) { join(f, door(f, "entry"), itemOf(f, to), edge, false, to === b); to = frames.get(f); }
    join(shared, itemOf(shared, from), itemOf(shared, to), edge, from === a, to === b);
  }
  const lines = [], PAD = 16;
  function measure(f) {
    const here = inside.get(f);
    for (const item of here.items) {
      if (item.entry || item.exit) continue;
      if (item.thing.title) [item.thing.width, item.thing.height] = measure(item.thing.region);
      [item.main, item.cross] = across ? [item.thing.width, item.thing.height] : [item.thing.height, item.thing.width];
      if (!item.thing.title) continue;
      const { entry, exit, shift } = inside.get(item.thing.region), middle = item.cross / 2 - shift[across ? 1 : 0];
      item.doors = { in: entry ? entry.c - middle : 0, out: exit ? exit.c - middle : 0 };
    }
    here.list = [...here.edges.values()];
    for (const line of here.list) line.words = line.last && line.edges.length === 1 ? 9 * (line.edges[0].text?.length ?? 0) : 0;
    const size = layered(here.items, here.list, gap, 20, across);
    const [w, h] = across ? size : [size[1], size[0]], title = frames.get(f)?.title;
    if (!title) return [w, h];
    const width = Math.max(w, title[0]) + 2 * PAD;
    here.shift = [(width - w) / 2, title[1] + PAD / 2];
    return [width, h + title[1] + 1.5 * PAD];
  }
  function settle(f, x, y) {
    const here = inside.get(f), [dx, dy] = here.shift ?? [0, 0], frame = frames.get(f);
    for (const item of here.items) {
      if (item.entry || item.exit) continue;
      const [mx, my] = across ? [item.m, item.c] : [item.c, item.m];
      item.thing.x = x + dx + mx - item.thing.width / 2;
      item.thing.y = y + dy + my - item.thing.height / 2;
      if (item.thing.title) settle(item.thing.region, item.thing.x, item.thing.y);
    }
    for (const line of here.list) {
      const points = line.points.map(([m, c]) => across ? [x + dx + m, y + dy + c] : [x + dx + c, y + dy + m]);
      if (frame) {  // from and to the border
        const [start, end] = across ? [x, x + frame.width] : [y, y + frame.height], k = across ? 0 : 1;
        if (here.items[line.a].entry) points.unshift(points[0].with(k, start));
        if (here.items[line.b].exit) points.push(points.at(-1).with(k, end));
      }
      lines.push({ edges: line.edges, points, first: line.first, last: line.last });
    }
  }
  const [width, height] = measure(top);
  settle(top, 0, 0);
  return { width, height, lines };
}
// A smooth path through points, leaving and arriving along the flow.
function curve(points, across) {
  let d = `M${points[0].map(round)}`;
  for (let k = 1; k < points.length; k++) {
    const [x1, y1] = points[k - 1], [x2, y2] = points[k], half = across ? (x2 - x1) / 2 : (y2 - y1) / 2;
    d += across ? `C${[x1 + half, y1, x2 - half, y2, x2, y2].map(round)}` : `C${[x1, y1 + half, x2, y2 - half, x2, y2].map(round)}`;
  }
  return d;
}
const round = x => Math.round(x * 10) / 10;
