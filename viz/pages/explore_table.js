// A table of parameters as two maps, its numbers and their gradients: blue above zero, vermillion below.

// How many values of each table the loss depends on.
const TABLE_USED = [];
const REGIONS = () => REGION.kind.length;
const isTable = member => member >= REGIONS();
const tableOf = member => TABLES[member - REGIONS()];
const tableMember = t => REGIONS() + t;
const nodesOf = table => TABLE_NODES.subarray(table.first, table.first + table.size);
function countTables() { for (const table of TABLES) TABLE_USED.push(nodesOf(table).reduce((sum, x) => sum + (x >= 0), 0)); }

function drawTable(table) {
  const columns = table.shape.at(-1), rows = table.size / columns, nodes = nodesOf(table);
  const room = $("picture").clientWidth - 48, half = room > 760 ? (room - 24) / 2 : room;
  const cell = Math.max(1, Math.min(30, Math.floor(Math.min(half / columns, Math.max(320, innerHeight * 0.6) / rows))));
  const pointed = make("p", { id: "pointed" }, "point at a cell to read it, click to open it");
  const maps = [["data", DATA], ["grad", GRAD]].map(([words, numbers]) => {
    const largest = nodes.reduce((most, x) => x < 0 ? most : Math.max(most, Math.abs(numbers[x])), 0);
    const canvas = make("canvas", { width: columns * cell, height: rows * cell, role: "img", "aria-label": `${words} of ${visible(table.name)}, from minus ${short(largest)} to ${short(largest)}` });
    paint(canvas, nodes, numbers, largest, columns, cell);
    const at = e => {
      const r = canvas.getBoundingClientRect(), i = Math.floor((e.clientY - r.top) / r.height * rows), j = Math.floor((e.clientX - r.left) / r.width * columns);
      return Math.min(rows - 1, Math.max(0, i)) * columns + Math.min(columns - 1, Math.max(0, j));
    };
    canvas.onpointermove = e => {
      const flat = at(e), node = nodes[flat];
      pointed.textContent = `${visible(entryName(table, flat))}: ${node < 0 ? "this loss does not depend on it" : `data ${short(DATA[node])}, grad ${hasGradient(node) ? short(GRAD[node]) : "–"}`}`;
    };
    canvas.onclick = e => { const node = nodes[at(e)]; if (node >= 0) visit(address(~node)); };
    return make("figure", {}, make("figcaption", {}, `${words}: −${short(largest)} `, make("span", { cls: "scale" }), ` ${short(largest)}`), canvas);
  });
  const fields = table.shape.map((size, d) => make("input", { type: "number", min: 0, max: size - 1, value: 0, "aria-label": `index ${d + 1}, 0 to ${size - 1}` }));
  const form = make("form", { cls: "indices" }, `${visible(table.name.split(".").at(-1))}[`, ...fields.flatMap((f, d) => d ? ["][", f] : [f]), "] ", make("button", { type: "submit" }, "open"));
  form.onsubmit = e => {
    e.preventDefault();
    const node = findName(`${table.name}[${fields.map(f => Math.round(f.value)).join("][")}]`);
    if (node >= 0) visit(address(~node)); else pointed.textContent = "this loss does not depend on it";
  };
  $("picture").replaceChildren(make("div", { id: "maps" }, ...maps), pointed, form);
}
function paint(canvas, nodes, numbers, largest, columns, cell) {
  const look = getComputedStyle(document.documentElement), pen = canvas.getContext("2d");
  const color = name => { pen.fillStyle = look.getPropertyValue(name); return [1, 3, 5].map(k => parseInt(pen.fillStyle.slice(k, k + 2), 16)); };
  const [paper, positive, negative, none] = ["--paper", "--positive", "--negative", "--frame-line"].map(color);
  const picture = pen.createImageData(canvas.width, canvas.height);
  for (let flat = 0; flat < nodes.length; flat++) {
    const node = nodes[flat], x = node < 0 ? 0 : numbers[node], share = largest ? Math.min(1, Math.abs(x) / largest) ** 0.6 : 0;
    const end = x < 0 ? negative : positive, top = Math.floor(flat / columns) * cell, left = (flat % columns) * cell;
    for (let i = 0; i < cell; i++) for (let j = 0; j < cell; j++) {
      const at = 4 * ((top + i) * canvas.width + left + j), hatched = node < 0 && (i + j) % 4 === 0;
      for (let k = 0; k < 3; k++) picture.data[at + k] = hatched ? none[k] : x !== x ? 128 : Math.round(paper[k] + (end[k] - paper[k]) * share);
      picture.data[at + 3] = 255;
    }
  }
  pen.putImageData(picture, 0, 0);
}
function describeTable(table) {
  const t = TABLES.indexOf(table), used = [...nodesOf(table)].filter(x => x >= 0).sort((a, b) => Math.abs(GRAD[b]) - Math.abs(GRAD[a]) || a - b);
  const zeros = used.filter(x => GRAD[x] === 0).length, norm = Math.sqrt(used.reduce((sum, x) => sum + GRAD[x] * GRAD[x], 0));
  return [
    make("p", {}, `${table.shape.join("×")} parameters${TABLE_USED[t] < table.size ? `; this loss depends on ${count(used.length)} of them, the others are hatched` : ""}; |grad| ${short(norm)}${zeros ? `, ${count(zeros)} gradients are 0` : ""}.`),
    make("h2", {}, "The largest gradients"),
    make("ul", {}, ...used.slice(0, 5).map(x => make("li", {}, link(~x, brief(x)), `: data ${short(DATA[x])}, grad ${short(GRAD[x])}`))),
  ];
}
