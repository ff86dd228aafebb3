// What all screens draw with: colors, numbers, canvases, a chart of losses, heat maps, bars.
const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  give(made, attributes);
  made.append(...children.flat().filter(child => child !== null && child !== undefined));
  return made;
}
// The same in SVG.
function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  give(made, attributes);
  made.append(...children.flat());
  return made;
}
function give(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
}

// A number to be read: short() of words.js; whole ones and unknown ones too.
function number(x) {
  if (x === undefined || x === null) return "–";
  return Number.isInteger(x) && Math.abs(x) < 1e9 ? (x + 0).toLocaleString("en-US").replace("-", "−") : short(x);
}
const plural = (count, word) => `${count.toLocaleString("en-US")} ${word}${count === 1 ? "" : "s"}`;

// A color of viz/style.py by its name, in the look that the page has now.
const COLORS = new Map();
function color(name) {
  if (!COLORS.has(name)) COLORS.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return COLORS.get(name);
}
const LOOKED = new Set();  // what to draw again when the look changes
function lookChanged() {
  COLORS.clear();
  TINTS.clear();
  for (const redraw of LOOKED) redraw();
}
function rgb(name) {
  const hex = color(name).replace("#", ""), full = hex.length === 3 ? [...hex].map(c => c + c).join("") : hex;
  return [0, 2, 4].map(i => parseInt(full.slice(i, i + 2), 16));
}
// Blue for 1, vermillion for −1, the paper for 0: one of 201 colors.
const TINTS = new Map();
function tint(t) {
  const percent = Math.round(100 * Math.max(-1, Math.min(1, t || 0)));
  if (!TINTS.has(percent)) {
    const [ink, paper] = [rgb(percent < 0 ? "negative" : "positive"), rgb("paper")];
    TINTS.set(percent, `rgb(${paper.map((p, i) => Math.round(p + ((ink[i] - p) * Math.abs(percent)) / 100)).join(" ")})`);
  }
  return TINTS.get(percent);
}
const signWord = x => (x > 0 ? "positive" : x < 0 ? "negative" : "");

// A canvas as sharp as the screen; draw(context, width, height) is called in CSS pixels when the size or the look changes.
function canvas(place, draw, { height, label = "" } = {}) {
  const made = element("canvas", { role: "img", "aria-label": label });
  if (height) made.style.height = `${height}px`;
  place.append(made);
  const own = { element: made, redraw, label(text) { made.setAttribute("aria-label", text); } };
  function redraw() {
    const { clientWidth: width, clientHeight: tall } = made;
    if (!width || !tall) return;
    const ratio = window.devicePixelRatio || 1, [w, h] = [Math.round(width * ratio), Math.round(tall * ratio)];
    if (made.width !== w || made.height !== h) { made.width = w; made.height = h; }
    const context = made.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, tall);
    context.font = `${fontSize()}px Arial, Helvetica, sans-serif`;
    draw(context, width, tall);
  }
  new ResizeObserver(redraw).observe(made);
  LOOKED.add(redraw);
  return own;
}
const fontSize = () => 15 * Number(color("size"));

// Numbers row by row as colored cells, `largest` in full color.
function heat(context, x, y, width, height, numbers, rows, columns, largest) {
  const [w, h] = [width / columns, height / rows];
  const most = largest ?? Math.max(1e-12, ...Array.from(numbers, Math.abs));
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      context.fillStyle = tint(numbers[r * columns + c] / most);
      context.fillRect(x + c * w, y + r * h, w + 0.5, h + 0.5);
    }
  }
}

// Round numbers that divide a range.
function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough) ?? 10 * power;
  const list = [];
  for (let t = Math.ceil(low / step); t * step <= high + 1e-9 * step; t++) list.push(t * step);
  return list;
}

// Curves over steps, with named lines of what simple models reach. draw({series: [{name, color, xs, ys, dash}],
// lines: [{name, y}], log, from, to, legend}); the pointer reads the curves. `legend(step or null, [a number of each series])` is
// called when the screen names the curves itself, outside of the chart.
function lossChart(place, { height, label = "loss by step", log = false } = {}) {
  let data = { series: [], lines: [] }, pointer = null;
  const own = canvas(place, paint, { height, label });
  own.element.classList.add("chart");
  own.element.addEventListener("pointermove", event => { pointer = event.offsetX; own.redraw(); });
  own.element.addEventListener("pointerleave", () => { pointer = null; own.redraw(); });
  own.draw = given => {
    data = { lines: [], ...given };
    const last = data.series.map(one => `${one.name} ${number(one.ys.at(-1))}`).join(", ");
    own.label(`${label}${last ? `: ${last}` : ""}`);
    own.redraw();
  };
  function paint(context, width, height) {
    const curves = data.series.filter(one => one.ys.length), size = fontSize(), scale = data.log ?? log;
    const right = Math.max(0, ...curves.map(one => one.xs.at(-1) ?? 0), 1);
    const shown = curves.flatMap(one => Array.from(one.ys)).filter(y => Number.isFinite(y) && (!scale || y > 0));
    const all = [...shown, ...data.lines.map(line => line.y)];
    let low = data.from ?? (scale ? Math.min(...all) : Math.min(0, ...all)), high = data.to ?? Math.max(...all);
    if (!all.length) [low, high] = [scale ? 0.1 : 0, 1];
    if (high <= low) high = low + (Math.abs(low) || 1);
    const f = scale ? Math.log10 : y => y, [bottom, top] = [f(low), f(high)], margin = (top - bottom || 1) * 0.06;
    const floor = height - size * 1.7;
    // The names of the lines have a margin of their own, and those of the curves a line above: no word covers a curve.
    const tight = width < 500, words = one => `${tight ? one.name.replace(/ \(.*|, .*/, "") : one.name} ${number(one.y)}`;
    const named = data.lines.filter(one => one.name).sort((a, b) => b.y - a.y), ends = one => Math.max(0, ...one.map(line => context.measureText(words(line)).width));
    const edge = width - (named.length ? ends(named) + 18 : 8), above = !data.legend && curves.length > 1 ? size * 1.5 : 6;
    const Y = y => floor - ((f(y) - bottom + (scale ? margin : 0)) / (top - bottom + 2 * margin || 1)) * (floor - above);
    context.textBaseline = "middle";
    context.lineWidth = 1;
    const powers = scale ? ticks(bottom, top, Math.min(4, Math.ceil(top - bottom) || 1)).filter(Number.isInteger).map(t => 10 ** t) : [];
    let marks = powers.length > 1 ? powers : ticks(low, high, scale ? 3 : Math.max(2, Math.floor(height / 50)));
    if (marks.length < 2) marks = ticks(low, high, 4);
    const mark = scale ? y => short(y, 3) : number, left = Math.max(size * 3.2, ...marks.map(y => context.measureText(mark(y)).width + 8)), X = x => left + (x / right) * (edge - left);
    for (const y of marks) {
      context.strokeStyle = color("frame-1");
      line(context, left, Y(y), edge, Y(y));
      context.fillStyle = color("faint");
      context.textAlign = "right";
      context.fillText(mark(y), left - 6, Y(y));
    }
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (const x of ticks(0, right, Math.max(2, Math.floor(width / 110)))) {
      if (Number.isInteger(x)) context.fillText(number(x), Math.min(X(x), width - context.measureText(number(x)).width / 2), height - 4);
    }
    for (const { name, y } of data.lines) {
      context.strokeStyle = color("outline");
      context.setLineDash([3, 4]);
      line(context, left, Y(y), edge, Y(y));
      context.setLineDash([]);
    }
    for (const one of curves) {
      context.lineWidth = one.thin ? 1.2 : 2.5;
      context.strokeStyle = color(one.color ?? "ink");
      context.setLineDash(one.dash ?? []);
      context.beginPath();
      let open = false;
      one.ys.forEach((y, i) => {
        if (!Number.isFinite(y) || (scale && y <= 0)) { open = false; return; }
        open ? context.lineTo(X(one.xs[i]), Y(y)) : context.moveTo(X(one.xs[i]), Y(y));
        open = true;
      });
      context.stroke();
    }
    context.setLineDash([]);
    context.textAlign = "left";
    context.lineWidth = 1;
    // One name below the other; where lines lie close together, a stroke leads from each to its name.
    const places = [];
    for (const { y } of named) places.push(Math.max((places.at(-1) ?? above - 4) + size, Y(y) + size / 3));
    for (let i = places.length - 1, lowest = floor - 3; i >= 0; i--) lowest = (places[i] = Math.min(places[i], lowest)) - size;
    for (const [i, one] of named.entries()) {
      context.strokeStyle = color("outline");
      line(context, edge, Y(one.y), edge + 10, places[i] - size / 3);
      context.fillStyle = color("faint");
      context.fillText(words(one), edge + 14, places[i]);
    }
    if (data.legend || curves.length > 1 || pointer !== null) names(context, curves, left, size, pointer, X, width);
  }
  function names(context, curves, left, size, pointer, X, width) {
    context.textAlign = "left";
    let head = "";
    const at = one => {
      let best = one.ys.length - 1;
      if (pointer !== null) one.xs.forEach((step, i) => { if (Math.abs(X(step) - pointer) < Math.abs(X(one.xs[best]) - pointer)) best = i; });
      return best;
    };
    if (pointer !== null && curves.length) {
      const step = curves[0].xs[at(curves[0])];
      context.strokeStyle = color("faint");
      context.lineWidth = 1;
      line(context, X(step), 0, X(step), 1e4);
      context.fillStyle = color("faint");
      head = `${data.unit ?? "step"} ${number(step)}   `;
    }
    const texts = (data.legend ? [] : curves).map(one => `${one.name} ${number(one.ys[at(one)])}   `), room = width - context.measureText((head + texts.join("")).trimEnd()).width - 4;
    let x = Math.max(4, Math.min(left + 8, room));
    context.fillStyle = color("faint");
    context.fillText(head, x, size);
    x += context.measureText(head).width;
    if (data.legend) return data.legend(pointer === null || !curves.length ? null : curves[0].xs[at(curves[0])], data.series.map(one => one.ys[at(one)]));
    for (const [i, one] of curves.entries()) {
      const text = texts[i];
      context.fillStyle = color(one.color === "negative" ? "text-negative" : one.color ?? "ink");
      context.fillText(text, x, size);
      x += context.measureText(text).width;
    }
  }
  return own;
}
function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

// Rows of a name, a bar and a number; a row with onclick is a button.
function bars(place, rows, largest = Math.max(1e-12, ...rows.map(row => row.value))) {
  place.classList.add("bars");
  while (place.children.length > rows.length) place.lastChild.remove();
  rows.forEach((row, i) => {
    const tag = row.onclick ? "BUTTON" : "DIV";
    let made = place.children[i];
    if (made?.tagName !== tag) {
      const fresh = element(tag.toLowerCase(), tag === "BUTTON" ? { type: "button", class: "bar" } : { class: "bar" },
        element("span", { class: "label" }), element("span", { class: "track" }, element("span", { class: "fill" })), element("span", { class: "value" }));
      made ? made.replaceWith(fresh) : place.append(fresh);
      made = fresh;
    }
    made.onclick = row.onclick ?? null;
    made.children[0].textContent = row.label;
    made.children[1].firstChild.style.width = `${Math.max(0, Math.min(100, (100 * row.value) / largest))}%`;
    made.children[1].firstChild.style.background = row.color ? `var(--${row.color})` : "";
    made.children[2].textContent = row.text ?? number(row.value);
    made.title = row.title ?? "";
  });
}
