// A dot product, sum, mean or product as a table: a row per term, with what it is made of and the sum so far.
const LADDER = 6;  // a region with more terms is shown as its table instead of boxes
const ROWS = 1000;
const CHAINS = new Set(["dot", "sum", "mean", "product", "squares"]);
const isChain = r => r > 0 && CHAINS.has(kindOf(r));
const isLadder = member => member > 0 && !isTable(member) && isChain(member) && REGION.size[member] + REGION.extra[member] > LADDER;

// The terms in the order in which they are added (factors: multiplied): {term, operands, so far}, and the nodes after the last one.
function termsOf(r) {
  const kind = kindOf(r), op = kind === "product" ? MUL : ADD, nodes = [];
  for (let i = 0; i < N; i++) if (!isLeaf(i) && HOME[i] === r) nodes.push(i);
  const inner = new Set(nodes.filter(i => CODE[i] === op)), used = new Set([...inner].flatMap(inputsOf));
  const rows = [], stack = [...inner].filter(i => !used.has(i)).map(i => [i, -1]), last = stack[0]?.[0];
  while (stack.length) {
    const [i, sum] = stack.pop();
    if (inner.has(i)) { const [a, b] = inputsOf(i); stack.push([b, i], [a, inner.has(a) ? -1 : i]); continue; }
    const product = op === ADD && CODE[i] === MUL && HOME[i] === r;
    rows.push({ term: i, operands: product ? inputsOf(i) : [], sum });
  }
  // The first two terms enter one addition: it is the sum after the second one.
  rows.forEach((row, k) => { if (rows[k + 1]?.sum === row.sum) row.sum = -1; });
  return { rows, after: nodes.filter(i => !inner.has(i) && i > last) };
}
// A number that opens its Value, with every digit on hovering, and its gradient.
const numberCell = x => x < 0 ? make("td") : make("td", {}, make("a", { href: address(~x), title: String(DATA[x]) }, short(DATA[x])));
function gradientCell(x) {
  if (x < 0 || !hasGradient(x)) return make("td", { cls: "grad" }, x < 0 || isConstant(x) ? "" : "–");
  return make("td", { cls: `grad ${sign(GRAD[x])}`, title: String(GRAD[x]) }, short(GRAD[x]));
}
const nameCell = x => make("td", { cls: "name" }, x < 0 || isConstant(x) ? "" : link(~x, shortened(brief(x))));
function termTable(r) {
  const kind = kindOf(r), { rows, after } = termsOf(r), way = new Set(state.path >= 0 ? strongestPath(state.path) : []);
  const products = rows.some(row => row.operands.length), squares = rows.every(row => row.operands[0] === row.operands[1]);
  // In a layer one factor of every product is a parameter, and it comes first here.
  const isWeight = x => TABLE_OF[x] >= 0, operandsOf = row => isWeight(row.operands[1]) && !isWeight(row.operands[0]) ? [...row.operands].reverse() : row.operands;
  const weights = rows.every(row => !row.operands.length || isWeight(operandsOf(row)[0]));
  const factors = !products ? [] : squares ? ["number"] : weights ? ["weight", "input"] : ["left", "right"];
  const [term, soFar] = products ? [squares ? "square" : "product", "sum so far"] : kind === "product" ? ["factor", "product so far"] : ["term", "sum so far"];
  const group = (words, ...inside) => [make("th", { scope: "col", cls: "name" }, words), ...inside];
  const heads = [make("th", { scope: "col" }, "no."), ...factors.flatMap(words => group(words, make("th", { scope: "col" }, "data"), make("th", { scope: "col", cls: "grad" }, "grad"))),
    ...(products ? [make("th", { scope: "col" }, term)] : group(term, make("th", { scope: "col" }, "data"))), make("th", { scope: "col", cls: "grad" }, "grad"),
    make("th", { scope: "col" }, soFar), make("th", { scope: "col", cls: "grad" }, "grad")];
  const body = rows.slice(0, ROWS).map((row, k) => {
    const operands = operandsOf(row), cells = [make("td", {}, String(k + 1))];
    const alone = products && !operands.length;  // such as a bias
    factors.forEach((_, f) => {
      const x = alone && f === 0 ? row.term : operands[f] ?? -1;
      cells.push(nameCell(x), numberCell(alone ? -1 : x), gradientCell(alone ? -1 : x));
    });
    if (!products) cells.push(nameCell(row.term));
    cells.push(numberCell(row.term), gradientCell(row.term), numberCell(row.sum), gradientCell(row.sum));
    return make("tr", { cls: [row.term, ...operands, row.sum].some(x => way.has(x)) ? "on-path" : "" }, ...cells);
  });
  for (const node of after) {  // a mean divides its sum
    const empty = heads.length - 3;
    body.push(make("tr", { cls: way.has(node) ? "on-path" : "" }, make("td", { colspan: empty, cls: "name" }, `the sum ${operation(node)}`), make("td"), numberCell(node), gradientCell(node)));
  }
  const left = rows.length - ROWS, parts = [make("table", { cls: "terms" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body))];
  if (left > 0) parts.push(make("p", {}, `and ${count(left)} more`));
  return make("div", { cls: "scroll", tabindex: "0", role: "region", "aria-label": "terms" }, ...parts);
}
function drawTerms(r) { $("picture").replaceChildren(make("div", { id: "ladder" }, termTable(r))); }
