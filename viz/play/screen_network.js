// The half of "A network" in the page: the network with a plane in every neuron, the points, the curves, the numbers.
const NET_ACTIVATIONS = { tanh: "tanh", relu: "ReLU", sigmoid: "sigmoid", clip: "clip to 0…1", linear: "linear (none)" };
const NET_WRITTEN = { tanh: "tanh", relu: "ReLU", sigmoid: "σ", clip: "clip", linear: "" };
const NET_OWN = "ksui+o9r1+sfoy+qctt+uisf+mvnk+7lm6-b2gm-f8d5-9oad-je8a-5if8-", NET_TWO = "oyoy+b2b2-";  // painted points to begin with, and after "clear"

// Points that were painted, as letters; painted() in model_network.js reads them.
const paintedText = points => points.map(([x, y, kind]) => [x, y].map(t => Math.round(t * 500 + 648).toString(36).padStart(2, "0")).join("") + "+-*"[kind]).join("");
// Kinds of points: a color, a shape and a name; the labels of two kinds are 1 and −1.
const NET_KINDS = [["positive", "blue", "●"], ["negative", "orange", "▲"], ["third", "green", "■"]];
const kindOf = ({ three }, label) => (three ? label : label > 0 ? 0 : 1);

// Colors of −127 … 127, as pixels; and of the likeliest kind, paler where it is less likely.
const netPalette = { look: "", pixels: new Uint32Array(255), kinds: new Uint32Array(192) };
function pixels() {
  const look = `${color("paper")}${color("positive")}${color("negative")}`;
  if (netPalette.look !== look) {
    netPalette.look = look;
    const paper = rgb("paper"), inks = NET_KINDS.map(([name]) => rgb(name));
    const mixed = (kind, share) => { const [r, g, b] = paper.map((p, k) => Math.round(p + (inks[kind][k] - p) * 0.85 * share)); return (255 << 24) | (b << 16) | (g << 8) | r; };
    for (let i = -127; i <= 127; i++) netPalette.pixels[i + 127] = mixed(i > 0 ? 0 : 1, Math.abs(i) / 127);
    for (let i = 0; i < 192; i++) netPalette.kinds[i] = mixed(i >> 6, (i & 63) / 63);
  }
  return netPalette.pixels;
}
// All planes, one below the other, colored once for each frame and each look.
const planeSheet = { canvas: document.createElement("canvas"), of: null, look: "" };
function colorPlanes({ grid: n, planes, likeliest }) {
  const colors = pixels(), { canvas } = planeSheet, units = (planes.length + (likeliest?.length ?? 0)) / (n * n);
  if (planeSheet.of === planes && planeSheet.look === netPalette.look) return canvas;
  Object.assign(planeSheet, { of: planes, look: netPalette.look });
  Object.assign(canvas, { width: n, height: n * units });
  const context = canvas.getContext("2d"), image = context.createImageData(n, n * units), words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < planes.length; i++) words[i] = colors[planes[i] + 127];
  likeliest?.forEach((of, i) => { words[planes.length + i] = netPalette.kinds[of]; });
  context.putImageData(image, 0, 0);
  return canvas;
}
function drawPlane(context, frame, unit, x, y, size) {
  context.imageSmoothingEnabled = true;
  context.drawImage(colorPlanes(frame), 0, unit * frame.grid, frame.grid, frame.grid, x, y, size, size);
}
// A point: a disc, a triangle or a square; filled if the network learns from it, an outline if it only tests; a cross on a wrong label.
function drawPoint(context, x, y, kind, { hollow = false, size = 5, ring = 0, wrong = false } = {}) {
  context.beginPath();
  if (kind === 0) context.arc(x, y, size, 0, 2 * Math.PI);
  else if (kind === 2) context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
  else { context.moveTo(x, y - size * 1.2); context.lineTo(x + size * 1.1, y + size * 0.8); context.lineTo(x - size * 1.1, y + size * 0.8); context.closePath(); }
  context.fillStyle = color(NET_KINDS[kind][0]);
  context.strokeStyle = color("ink");
  context.lineWidth = hollow ? 1.6 : 1;
  if (!hollow) context.fill();
  context.stroke();
  if (wrong) {
    context.lineWidth = 2;
    line(context, x - size - 3, y - size - 3, x + size + 3, y + size + 3);
    line(context, x - size - 3, y + size + 3, x + size + 3, y - size - 3);
  }
  if (!ring) return;
  context.beginPath();
  context.arc(x, y, size + 2 + 2 * ring, 0, 2 * Math.PI);
  context.strokeStyle = color("ink");
  context.lineWidth = 1.5 * ring;
  context.stroke();
}

// Where the units of a network are: columns of {x, y}, the inputs first; `params` are the numbers of a unit's parameters.
function netPlaces(frame, width, height, finger) {
  const sizes = [2, ...frame.names.map(names => names.length)], stacked = finger || width / sizes.length < 76;  // + under −
  const top = finger ? 92 : stacked ? 72 : 46, most = Math.max(...sizes);
  const pitch = Math.min(76, (height - top - 6) / most), size = Math.max(18, Math.min(58, pitch - 6, width / sizes.length - 22));
  const left = size / 2 + 4, step = (width - 2 * left) / (sizes.length - 1);
  let parameter = 0, unit = 0;
  const columns = sizes.map((n, c) => Array.from({ length: n }, (_, i) => {
    const place = { x: left + c * step, y: top + (height - top) / 2 + (i - (n - 1) / 2) * pitch, layer: c - 1, index: i, name: c ? frame.names[c - 1][i] : ["x₁", "x₂"][i] };
    if (c) { place.unit = unit++; place.parameter = parameter; place.inputs = sizes[c - 1]; parameter += sizes[c - 1] + 1; }
    return place;
  }));
  return { columns, size, stacked };
}
const unitAt = (frame, layer, index) => { let parameter = 0, unit = 0, inputs = 2; for (let l = 0; l <= layer; l++) { const n = frame.names[l].length; if (l === layer) return { parameter: parameter + index * (inputs + 1), inputs, unit: unit + index }; parameter += n * (inputs + 1); unit += n; inputs = n; } return null; };
const sourcesOf = (frame, layer) => (layer ? frame.names[layer - 1] : ["x₁", "x₂"]);
function sumText(numbers, names) {
  return numbers.map((w, i) => { const t = short(w, 3), name = names[i] ? `·${names[i]}` : ""; return i === 0 ? t + name : t.startsWith("−") ? ` − ${t.slice(1)}${name}` : ` + ${t}${name}`; }).join("");
}
function unitFormula(frame, settings, layer, index) {
  const { parameter, inputs, unit } = unitAt(frame, layer, index), last = layer === frame.names.length - 1;
  const word = last ? (frame.three ? "" : "tanh") : NET_WRITTEN[settings.activation], name = frame.names[layer][index];
  const weights = Array.from(frame.weights.subarray(parameter, parameter + inputs + 1));
  const numbers = word ? ` = ${word}(${short(frame.totals[unit], 3)})` : "";
  return { left: `${name} = ${word}(${sumText(weights, sourcesOf(frame, layer))})`, right: `${numbers} = ${short(frame.values[unit], 3)}` };
}
const weightName = (frame, layer, index, input) => (input < sourcesOf(frame, layer).length ? `w(${sourcesOf(frame, layer)[input]}→${frame.names[layer][index]})` : `b(${frame.names[layer][index]})`);
const ILLS = {
  dead: "dead: flat at every point, so no weight that leads there gets a gradient.",
  saturated: "saturated: nearly flat at every point, so the weights that lead there hardly get a gradient.",
  exploding: "exploding: more than 100 at some point.",
};
function illText(ill) {
  return Object.keys(ILLS).flatMap(kind => {
    const names = ill.filter(one => one.kind === kind).map(one => one.name);
    return names.length ? [`${names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)} are` : `${names[0]} is`} ${ILLS[kind]}`] : [];
  }).join(" ");
}

const PART = 2000;  // milliseconds for each part of a step in slow motion
const layerSizes = ({ layers }) => (layers === "0" ? [] : layers.split("-").map(Number));

screen("network", {
  title: "A network", valName: "test",
  lead: "Which color belongs where? Press ▶ and watch the neurons bend the plane. Point at a line or a neuron for its numbers; click it to change them.",
  settings: {
    data: choice("data", "xor", { xor: "xor", circles: "circles", moons: "moons", spiral: "spiral", arms: "three arms", own: "paint your own" }),
    count: choice("points", "100", { 20: "20", 50: "50", 100: "100", 200: "200" }),
    noise: slider("noise", 0.03, { min: 0, max: 0.3, step: 0.01 }),
    wrong: whole("wrong labels", 0, { min: 0, max: 9, help: "points to learn from that get the other color on purpose; a cross marks them" }),
    test: slider("for testing", 0.4, { min: 0, max: 0.8, step: 0.1, text: x => `${Math.round(100 * x)}%`, help: "points that no step learns from: only the test loss looks at them" }),
    batch: whole("batch", 10, { min: 1, max: 60, help: "how many points one step looks at" }),
    layers: pattern("4-2", /^(0|[1-8](-[1-8]){0,9})$/),  // neurons of each; 0 for none
    activation: choice("activation", "tanh", NET_ACTIVATIONS, { help: "what a hidden neuron does with its weighted sum" }),
    optimizer: choice("optimizer", "sgd", { sgd: "SGD", momentum: "momentum 0.9", adam: "Adam" }, { help: "how a step uses the gradients. SGD: minus learning rate times gradient. Momentum: part of the last step comes along. Adam: a step size of its own for each weight, from the gradients so far." }),
    rate: slider("learning rate", 0.1, { min: 0.001, max: 3, log: true, live: true, help: "how far a step goes along the gradient" }),
    decay: slider("decay", 0, { min: 0, max: 0.2, step: 0.005, live: true, help: "weight decay: each step also shrinks every weight, by learning rate times this; large weights cost" }),
    dropout: slider("dropout", 0, { min: 0, max: 0.8, step: 0.05, help: "the share of hidden neurons that each step leaves out, at random, for each point" }),
    lines: choice("lines show", "weight", { weight: "weights", grad: "gradients" }, { live: true }),
    view: choice("view", "plane", { plane: "the plane", hidden: "what layer 1 makes of it" }, { live: true }),
    tests: tick("test points", true, { live: true }),
    slow: tick("slow motion", false, { live: true }),
    point: pattern("0", /^\d{1,3}$/, { live: true }),
    pair: pattern("0-1", /^\d-\d$/, { live: true }),
    own: pattern(NET_OWN, /^([0-9a-z]{4}[+*-]){2,300}$/),
    seed: pattern("1", /^\d{1,15}$/),
    speed: hidden("60", { live: true }),  // faster, the good moment is over before one sees it
  },
  tasks: [
    "xor with as few hidden neurons as you can: training loss below 0.05. What does the test loss say? (With few, only some seeds get there: try “New seed”.)",
    "Kill a neuron: ReLU or clip, learning rate 3. Which number proves that it is dead?",
    "Overfit: moons, 50 points, 60% for testing, 3 wrong labels, two layers of 8, Adam, learning rate 0.03, “New seed” once, 600 steps. Then try four cures, one at a time: decay 0.2, dropout 0.2, 200 points, pausing at the lowest test loss. Which helps most?",
    "Six layers of 8 sigmoid neurons on circles: see the bars under “Size of the gradients” fade from the output to layer 1. And with ReLU? Some of its neurons are dead from the start; the others pass the gradient on.",
    "Paint two clouds and divide them by hand: no hidden layer, and the three numbers of “out”.",
  ],
  build(place, play) {
    let frame = null, selected = { layer: 0, index: 0 }, hovered = null, places = null, phase = 0, pen = 0, stroke = null, plot = null, said = 0, spot = [0, 0];
    const shape = () => layerSizes(play.settings);
    const reshape = sizes => { if (sizes.length <= 10) play.set({ layers: sizes.join("-") || "0" }); };

    // --- the network ---------------------------------------------------------------------------------------------------
    const units = element("div", {}), steppers = element("div", {}), over = element("div", { class: "over" }, units, steppers), tip = element("div", { class: "tip", role: "tooltip" });
    const netBox = element("div", {}), scroll = element("div", { class: "net" }, netBox);  // a deep network is wider than a telephone
    const net = canvas(netBox, (context, width, height) => drawNet(context, width, height), { label: "the network" });
    netBox.append(over, tip);
    tip.hidden = true;
    const layersLabel = element("span", {});
    const fewer = element("button", { type: "button", "aria-label": "one layer less", onclick: () => reshape(shape().slice(0, -1)) }, "−");
    const more = element("button", { type: "button", "aria-label": "one layer more", onclick: () => reshape([...shape(), shape().at(-1) ?? 2]) }, "+");
    const head = element("div", { class: "controls" }, element("span", { class: "stepper" }, fewer, more), layersLabel, play.control("lines"), play.control("slow"));

    let built = "", placedAs = "";
    const unitButton = id => {
      const [layer, index] = id.split("-").map(Number), place = () => places.columns[layer + 1][index];
      return element("button", { type: "button", class: "unit", "data-unit": id, onclick: () => select(layer, index), onfocus: event => { if (event.target.matches(":focus-visible")) hover(place()); }, onblur: () => hover(null) });
    };
    // From the settings, which may be a click ahead of the picture.
    const layerButton = (l, amount) => element("button", { type: "button", "aria-label": `layer ${l + 1}: one neuron ${amount < 0 ? "less" : "more"}`, onclick: () => {
      const sizes = shape(), n = sizes[l] + amount;
      if (n >= 1 && n <= 8) reshape(sizes.map((m, k) => (k === l ? n : m)));
    } }, amount < 0 ? "−" : "+");
    function allow() {
      const sizes = shape();
      fewer.disabled = !sizes.length;
      more.disabled = sizes.length >= 10;
      [...steppers.children].forEach((span, l) => [...span.children].forEach((button, i) => { button.disabled = sizes[l] === (i ? 8 : 1); }));
    }
    function buildOver() {  // a button for each neuron, and + and − for each layer
      const key = frame.names.map(names => names.length).join("-"), { clientWidth: width, clientHeight: height } = net.element;
      const placed = `${key}/${width}/${height}/${selected.layer}-${selected.index}`;
      if (placed === placedAs) return;
      placedAs = placed;
      const finger = matchMedia("(max-width: 700px)").matches;
      places = netPlaces(frame, width, height, finger);
      over.classList.toggle("stacked", places.stacked);
      netBox.style.setProperty("--least", `${46 * places.columns.length}px`);
      hovered = null;
      tip.hidden = true;
      if (built !== key) {
        built = key;
        const sizes = frame.names.slice(0, -1).map(names => names.length), flat = places.columns.flat().filter(at => at.layer >= 0);
        // Buttons stay while they are of use: a click that begins before and ends after a change counts.
        const ids = flat.map(at => `${at.layer}-${at.index}`);
        for (const button of [...units.children]) if (!ids.includes(button.dataset.unit)) button.remove();
        ids.forEach((id, i) => {
          if (units.children[i]?.dataset.unit !== id) units.insertBefore(unitButton(id), units.children[i] ?? null);
          units.children[i].setAttribute("aria-label", `neuron ${flat[i].name}`);
        });
        while (steppers.children.length > sizes.length) steppers.lastChild.remove();
        for (let l = steppers.children.length; l < sizes.length; l++) steppers.append(element("span", { class: "layer stepper", "data-layer": l }, layerButton(l, -1), layerButton(l, 1)));
        layersLabel.textContent = plural(sizes.length, "hidden layer");
        if (selected.layer >= frame.names.length || selected.index >= frame.names[selected.layer].length) selected = { layer: 0, index: 0 };
      }
      allow();
      for (const at of places.columns.flat()) {
        const button = over.querySelector(`[data-unit="${at.layer}-${at.index}"]`);
        if (!button) continue;
        const wide = `${finger ? Math.max(40, places.size) : places.size}px`;  // for a finger
        Object.assign(button.style, { left: `${at.x}px`, top: `${at.y}px`, width: wide, height: wide });
        button.setAttribute("aria-pressed", at.layer === selected.layer && at.index === selected.index);
      }
      [...steppers.children].forEach((span, l) => { span.style.left = `${places.columns[l + 1][0].x}px`; });
    }
    function drawNet(context, width, height) {
      if (!frame) return;
      buildOver();
      const { columns, size } = places, flat = columns.flat(), by = play.settings.lines === "grad" ? pass()?.grads ?? new Float64Array(frame.weights.length) : frame.weights;
      let largest = 1e-12;
      for (const at of flat) if (at.layer >= 0) for (let i = 0; i < at.inputs; i++) largest = Math.max(largest, Math.abs(by[at.parameter + i]));
      const scale = play.settings.lines === "grad" ? largest : Math.max(1, largest);
      for (const at of flat) {
        for (let i = 0; i < (at.inputs ?? 0); i++) {
          const from = columns[at.layer][i], w = by[at.parameter + i], chosen = hovered && hovered.at === at && hovered.input === i;
          const own = at.layer === selected.layer && at.index === selected.index, changed = phase === 3 && frame.before[at.parameter + i] !== frame.weights[at.parameter + i];
          context.strokeStyle = chosen ? color("ink") : color(w < 0 ? "negative" : "positive");
          context.globalAlpha = chosen || own || changed ? 1 : 0.6;
          context.lineWidth = 0.6 + 6 * Math.min(1, Math.abs(w) / scale) + (chosen ? 1.5 : 0);
          curve(context, from, at, size);
        }
      }
      context.globalAlpha = 1;
      const ills = new Map(frame.ill.map(one => [one.unit, one.kind]));
      for (const at of flat) drawUnit(context, at, size, ills.get(at.unit));
    }
    const ends = (from, at, size) => [from.x + size / 2, from.y, at.x - size / 2, at.y];
    function curve(context, from, at, size) {
      const [x1, y1, x2, y2] = ends(from, at, size), half = (x2 - x1) / 2;
      context.beginPath();
      context.moveTo(x1, y1);
      context.bezierCurveTo(x1 + half, y1, x2 - half, y2, x2, y2);
      context.stroke();
    }
    function drawUnit(context, at, size, ill) {
      const [x, y] = [at.x - size / 2, at.y - size / 2];
      if (at.layer >= 0) drawPlane(context, frame, at.unit, x, y, size);
      else {  // an input is its own coordinate
        for (let i = 0; i < 12; i++) { context.fillStyle = tint(0.85 * ((at.index ? 11 - i : i) / 5.5 - 1)); at.index ? context.fillRect(x, y + i * size / 12, size, size / 12 + 0.5) : context.fillRect(x + i * size / 12, y, size / 12 + 0.5, size); }
      }
      const own = at.layer === selected.layer && at.index === selected.index;
      context.strokeStyle = color(ill ? "text-negative" : own ? "ink" : "outline");
      context.lineWidth = ill || own ? 3 : 1;
      context.strokeRect(x, y, size, size);
      const value = at.layer < 0 ? frame.points[frame.at][at.index] : phase === 2 ? frame.unitGrads?.[at.unit] ?? 0 : frame.values[at.unit];
      const text = phase === 1 || phase === 2 ? `${phase === 2 && at.layer >= 0 ? "∂" : ""}${short(value, 2)}` : ill ? `${at.name} ${ill}` : at.name;
      if (phase === 2 && at.layer < 0) return;
      context.textAlign = "center";
      context.textBaseline = "alphabetic";
      const wide = context.measureText(text).width + 4, low = at.y + size / 2 + 3;
      const middle = Math.min(net.element.clientWidth - wide / 2, Math.max(wide / 2, at.x));
      context.globalAlpha = 0.82;
      context.fillStyle = color("paper");
      context.fillRect(middle - wide / 2, low - 14, wide, 16);
      context.globalAlpha = 1;
      context.fillStyle = color(ill ? "text-negative" : "ink");
      context.fillText(text, middle, low);
    }
    // The unit or the line under the pointer.
    function find(x, y) {
      if (!places) return null;
      const { columns, size } = places, flat = columns.flat();
      const inside = flat.find(at => Math.abs(at.x - x) <= size / 2 && Math.abs(at.y - y) <= size / 2);
      if (inside) return inside.layer >= 0 ? { at: inside } : null;
      let best = null, nearest = 9;
      for (const at of flat) {
        for (let i = 0; i < (at.inputs ?? 0); i++) {
          const [x1, y1, x2, y2] = ends(columns[at.layer][i], at, size);
          if (x < x1 || x > x2) continue;
          const t = inverse((x - x1) / (x2 - x1)), distance = Math.abs(y1 + (y2 - y1) * t * t * (3 - 2 * t) - y);
          if (distance < nearest) { nearest = distance; best = { at, input: i }; }
        }
      }
      return best;
    }
    const inverse = share => { let [low, high] = [0, 1]; for (let n = 0; n < 14; n++) { const t = (low + high) / 2, x = 1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t ** 3; x < share ? (low = t) : (high = t); } return low; };
    function hover(what) {
      hovered = what && what.layer !== undefined ? { at: what } : what;
      net.redraw();
      showTip();
    }
    function showTip() {
      tip.hidden = !hovered || !frame;
      if (tip.hidden) return;
      const { at, input } = hovered, { layer, index } = at;
      if (input === undefined) {
        const { left, right } = unitFormula(frame, play.settings, layer, index), [x1, x2] = frame.points[frame.at];
        tip.textContent = `${left}${right}\nat the point x₁ ${short(x1, 2)}, x₂ ${short(x2, 2)}; ∂L/∂b ${slope(at.parameter + at.inputs)}`;
      } else {
        const w = frame.weights[at.parameter + input], g = pass()?.grads[at.parameter + input];
        tip.textContent = `${weightName(frame, layer, index, input)} = ${short(w)}\n∂L/∂w ${slope(at.parameter + input)}${g === undefined ? "" : g === 0 ? ": no step downhill changes it" : `: downhill it gets ${g > 0 ? "smaller" : "larger"}`}`;
      }
      const [x, y] = input === undefined ? [at.x, at.y + places.size / 2 - 6] : spot, low = y + 14;
      tip.style.left = `${Math.max(0, Math.min(netBox.clientWidth - tip.offsetWidth, x - tip.offsetWidth / 2))}px`;
      tip.style.top = `${low + tip.offsetHeight > netBox.clientHeight && y > tip.offsetHeight + 14 ? y - tip.offsetHeight - (input === undefined ? places.size : 14) : low}px`;
    }
    netBox.addEventListener("pointermove", event => {
      if (event.target.closest(".layer") || event.pointerType === "touch") return;  // a tip would stay where the finger was
      const box = netBox.getBoundingClientRect();
      spot = [event.clientX - box.x, event.clientY - box.y];
      const found = find(...spot);
      if (found?.at !== hovered?.at || found?.input !== hovered?.input) hover(found);
      netBox.style.cursor = found ? "pointer" : "";
    });
    netBox.addEventListener("pointerleave", () => hover(null));
    netBox.addEventListener("click", event => {
      if (event.target.closest("button")) return;
      const box = netBox.getBoundingClientRect(), found = find(event.clientX - box.x, event.clientY - box.y);
      if (found) select(found.at.layer, found.at.index, found.input);
    });
    function select(layer, index, input) {
      selected = { layer, index };
      inspect(true);
      net.redraw();
      if (input !== undefined) { const field = fields.querySelectorAll("input")[input]; field?.focus(); field?.select(); }
    }

    // --- one neuron: its formula, its weights to edit --------------------------------------------------------------------
    const formula = element("p", { class: "formula" }), illness = element("p", { class: "ill", role: "status" });
    const fields = element("div", { class: "fields" });
    const open = element("button", { type: "button", title: "the scalars (single numbers) that make this neuron at the ringed point, each with its gradient", onclick: () => play.explain(frame.units[unitAt(frame, selected.layer, selected.index).unit]) }, "Open its scalars");
    const openLoss = element("button", { type: "button", title: "L, the mean loss of the newest batch: from which scalars it is computed", onclick: () => play.explain(frame.root) }, "Open the loss");
    const whose = element("p", { class: "note whose" });
    let inspected = "";
    const fits = w => (/e/.test(short(w)) ? short(w, 2) : short(w));  // a number that is cut reads as another one
    function inspect() {
      if (!frame) return;
      const { layer, index } = selected, { parameter, inputs } = unitAt(frame, layer, index), key = `${built}/${layer}-${index}`;
      const { left, right } = unitFormula(frame, play.settings, layer, index);
      formula.textContent = left + right;
      if (inspected !== key) {
        inspected = key;
        fields.replaceChildren(...Array.from({ length: inputs + 1 }, (_, i) => {
          const name = weightName(frame, layer, index, i);
          const field = element("input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": name, onchange: () => {
            const value = Number(field.value.trim().replace("−", "-"));
            if (field.value.trim() && Number.isFinite(value)) play.edit({ parameter: parameter + i, value });
            else { field.value = fits(frame.weights[parameter + i]); field.nextSibling.textContent = "expected a number"; field.nextSibling.className = "slope negative"; }
          } });
          return element("div", { class: "weight" }, element("button", { type: "button", title: "where this number and its gradient come from", onclick: () => play.explain(frame.refs[parameter + i]) }, name), field, element("span", { class: "slope" }));
        }));
      }
      [...fields.children].forEach((row, i) => {
        const [name, field, slope] = row.children, w = frame.weights[parameter + i], g = pass()?.grads[parameter + i];
        name.disabled = !explains();
        if (document.activeElement !== field || (typed !== field && !play.running)) field.value = fits(w);
        slope.textContent = `∂L ${g === undefined ? "–" : short(g, 3)}`;
        slope.className = `slope ${signWord(g)}`;
      });
      open.disabled = openLoss.disabled = !explains();
      if (!explains()) document.getElementById("explained-close").click();
      whose.textContent = !pass() ? "The formula: at the ringed point. ∂L is not known before the backward pass." : `The formula: at the ringed point. ∂L: gradient of the mean loss of ${frame.chosen.length === frame.trained ? `all ${frame.trained} points to learn from` : `${phase === 3 ? "the batch that made the step" : "the newest batch"}, ${plural(frame.chosen.length, "point")}`}.`;
      const text = illText(frame.ill);
      if (illness.textContent !== text) illness.textContent = text;
    }

    // --- slow motion: the same step, part by part ------------------------------------------------------------------------
    // The Worker has done forward and backward for the weights that are shown; each part shows what is known by then. After
    // the update, that is the pass which made it: the next one is done already, with another batch.
    const pass = () => (!play.settings.slow || phase === 2 ? frame : phase === 3 ? frame.made : null);
    const explains = () => !play.settings.slow || phase === 2;
    const slope = i => (pass() ? `= ${short(pass().grads[i], 3)}` : "is not known before the backward pass");
    function refresh() {
      net.redraw();
      plane.redraw();
      tell();
      inspect();
      showStrip();
      if (hovered) showTip();
    }
    const story = element("p", { class: "story", role: "status" });
    const parts = ["1 forward", "2 backward", "3 update"].map((text, i) => element("button", { type: "button", onclick: () => go(i + 1) }, text));
    const slow = element("div", { class: "slow" }, element("span", { class: "stepper" }, parts), story);
    // A step has been made, or playing has begun: the parts of the next one follow by themselves.
    function follow(steps) {
      const { slow } = play.settings, playing = play.running && slow;
      if (steps || !slow || (phase === 3 && !frame.made)) phase = slow && steps > 0 && frame.made ? 3 : 0;
      else if (playing && phase % 3 === 0) phase = 1;
      const later = (to, wait) => soon(`part ${to}`, wait, () => { if (play.running && play.settings.slow && frame) { phase = to; refresh(); } });
      if (playing && steps) { later(1, PART); later(2, 2 * PART); } else if (playing) later(2, 1.5 * PART);
    }
    function go(to) {
      if (to === 3) { play.once(); return; }
      phase = to;
      refresh();
    }
    function tell() {
      slow.hidden = !play.settings.slow;
      if (slow.hidden) return;
      parts.forEach((button, i) => { button.disabled = i !== phase % 3 || play.running; button.classList.toggle("now", phase === i + 1); });
      const { settings } = play, all = frame.weights.length;
      const order = [...frame.weights.keys()].sort((a, b) => Math.abs(frame.weights[b] - frame.before[b]) - Math.abs(frame.weights[a] - frame.before[a]));
      const changed = order.filter(i => frame.weights[i] !== frame.before[i]);
      const list = changed.slice(0, 2).map(i => `${parameterName(i)}: ${short(frame.before[i], 3)} → ${short(frame.weights[i], 3)}`).join(", ");
      story.textContent = [
        `${plural(frame.chosen.length, "point")} of the batch are next.${play.running ? "" : " Press 1."}`,
        `Forward: the batch goes through, and its loss is L = ${short(frame.batchLoss)}. Each neuron shows its value at the ringed point.`,
        `Backward: from L = ${short(frame.batchLoss)} every weight gets its ∂L (point at a line). Each neuron shows ∂ of the ringed point's own loss.`,
        `Update: ${changed.length} of ${all} numbers changed${settings.optimizer === "sgd" && !settings.decay ? `, each by −${number(frame.made?.rate)}·∂L` : ""}. Most: ${list}.`,
      ][phase];
    }
    function parameterName(i) {
      for (let l = 0; l < frame.names.length; l++) for (let u = 0; u < frame.names[l].length; u++) { const { parameter, inputs } = unitAt(frame, l, u); if (i <= parameter + inputs) return weightName(frame, l, u, i - parameter); }
      return "";
    }

    // --- the points ----------------------------------------------------------------------------------------------------
    const planeBox = element("div", { class: "plane" });
    const plane = canvas(planeBox, (context, width, height) => (play.settings.view === "plane" ? drawPoints : drawHidden)(context, width, height), { label: "the points" });
    const under = element("p", { class: "note under" });
    const at = (x, size, reach) => (x / reach + 1) / 2 * size;
    function drawPoints(context, width, height) {
      if (!frame) return;
      context.globalAlpha = 0.55;  // paler than the points
      drawPlane(context, frame, frame.scales.length - (frame.three ? 0 : 1), 0, 0, width);
      context.globalAlpha = 1;
      const batch = new Set(play.settings.slow ? (pass() ?? frame).chosen : []);
      [...frame.points.map(([x, y, label]) => [x, y, kindOf(frame, label)]), ...(stroke ?? [])].forEach(([x, y, kind], i) => {
        const hollow = i >= frame.trained && i < frame.points.length;
        if ((hollow && !play.settings.tests) || (painting() && stroke?.gone.some(spot => distance(spot, [x, y]) < 0.08))) return;
        drawPoint(context, at(x, width, frame.reach), height - at(y, height, frame.reach), kind, { hollow, ring: i === frame.at ? 2 : Number(batch.has(i)), wrong: frame.wrong.includes(i) });
      });
    }
    function drawHidden(context, width, height) {
      if (!frame) return;
      const units = frame.scales.length, first = frame.names[0].length, pair = hiddenPair(first);
      const value = (k, u) => frame.outs[k * units + u], all = frame.points.flatMap((_, k) => pair.map(u => Math.abs(value(k, u))));
      const reach = 1.1 * Math.max(1, ...all), names = pair.map(u => frame.names[0][u]);
      context.strokeStyle = color("frame-line");
      context.lineWidth = 1;
      line(context, 0, height / 2, width, height / 2);
      line(context, width / 2, 0, width / 2, height);
      if (frame.names.length === 2 && first <= 2 && !frame.three) drawBorder(context, width, height, reach, pair);
      frame.points.forEach(([, , label], k) => {
        if (k >= frame.trained && !play.settings.tests) return;
        const [x, y] = pair.map(u => value(k, u));
        drawPoint(context, at(x, width, reach), height - at(pair.length > 1 ? y : 0, height, reach), kindOf(frame, label), { hollow: k >= frame.trained, ring: k === frame.at ? 2 : 0, wrong: frame.wrong.includes(k) });
      });
      context.fillStyle = color("ink");
      context.textAlign = "right";
      context.textBaseline = "alphabetic";
      context.strokeStyle = color("paper");  // a halo: points may be below
      context.lineWidth = 4;
      const write = (text, x, y) => { context.strokeText(text, x, y); context.fillText(text, x, y); };
      write(`${names[0]} → ${short(reach, 2)}`, width - 4, height / 2 - 5);
      context.textAlign = "left";
      if (names[1]) write(`${names[1]} ↑ ${short(reach, 2)}`, width / 2 + 6, 16);
    }
    // Where the output is 0: a straight line here, whatever it looks like in the plane of the inputs.
    function drawBorder(context, width, height, reach, pair) {
      const { parameter } = unitAt(frame, 1, 0), [w1, w2, b] = pair.length > 1 ? frame.weights.subarray(parameter, parameter + 3) : [frame.weights[parameter], 0, frame.weights[parameter + 1]];
      const steep = Math.abs(w1) > Math.abs(w2), ends = [-reach, reach].map(t => (steep ? [-(b + w2 * t) / w1, t] : [t, -(b + w1 * t) / w2]));
      context.strokeStyle = color("ink");
      context.lineWidth = 2;
      context.setLineDash([6, 4]);
      line(context, ...ends.flatMap(([x, y]) => [at(x, width, reach), height - at(y, height, reach)]));
      context.setLineDash([]);
    }
    const hiddenPair = first => { const [a, b] = play.settings.pair.split("-").map(Number); return first < 2 ? [0] : a < first && b < first && a !== b ? [a, b] : [0, 1]; };
    const axes = element("span", { class: "axes" });
    let axesFor = "";
    function showAxes() {
      const first = frame.names[0].length, wanted = play.settings.view === "hidden" && first > 2, key = `${wanted}/${first}/${play.settings.pair}`;
      if (axesFor === key) return;
      axesFor = key;
      const pair = hiddenPair(first);
      axes.replaceChildren(...(wanted ? pair.map((u, side) => element("select", { "aria-label": ["across", "upwards"][side], onchange: event => { const fresh = [...pair]; fresh[side] = Number(event.target.value); play.set({ pair: fresh.join("-") }); } },
        frame.names[0].map((name, i) => element("option", { value: i, selected: i === u, disabled: i === pair[1 - side] }, name)))) : []));
    }
    const where = event => { const box = plane.element.getBoundingClientRect(), { reach } = frame; return [(2 * (event.clientX - box.x) / box.width - 1) * reach, (1 - 2 * (event.clientY - box.y) / box.height) * reach]; };
    const distance = ([a, b], [c, d]) => Math.hypot(a - c, b - d);
    const painting = () => play.settings.data === "own" && play.settings.view === "plane";
    function paint(event) {
      const spot = where(event);
      if (spot.some(t => Math.abs(t) > 1.28)) return;
      if (pen < 0) {
        const left = stroke.left.filter(one => distance([0, 2].map(i => (parseInt(one.slice(i, i + 2), 36) - 648) / 500), spot) > 0.08);
        if (left.length < 2 || left.length === stroke.left.length) return;
        stroke.left = left;
        stroke.gone.push(spot);
        plane.redraw();
      } else if (!stroke.length || distance(stroke.at(-1), spot) > 0.1) { stroke.push([...spot, pen]); plane.redraw(); }
    }
    plane.element.addEventListener("pointerdown", event => {
      if (!frame) return;
      if (painting()) { plane.element.setPointerCapture(event.pointerId); stroke = Object.assign([], { left: play.settings.own.match(/.{5}/g), gone: [] }); return paint(event); }
      if (play.settings.view !== "plane") return;
      const spot = where(event), gaps = frame.points.map(point => distance(point, spot)), nearest = gaps.indexOf(Math.min(...gaps));
      play.set({ point: String(nearest) });
    });
    plane.element.addEventListener("pointermove", event => {
      if (!frame) return;
      if (stroke) return paint(event);
      if (play.settings.view !== "plane") return;
      const [x, y] = where(event), n = frame.grid, cell = t => Math.min(n - 1, Math.max(0, Math.floor((t / frame.reach + 1) / 2 * n)));
      const u = frame.scales.length - 1, place = cell(-y) * n + cell(x), out = frame.planes[u * n * n + place] / 127 * frame.scales[u], of = frame.likeliest?.[place];
      const said = frame.three ? `${NET_KINDS[of >> 6][1]}, with probability ${short((1 + 2 * (of & 63) / 63) / 3, 2)}` : `${short(out, 2)}, ${out > 0 ? "blue" : "orange"}`;
      under.textContent = `The network says ${said}, here: x₁ ${short(x, 2)}, x₂ ${short(y, 2)}`;
    });
    const finish = () => { if (!stroke) return; const fresh = stroke; stroke = null; play.set({ own: (fresh.left.join("") + paintedText(fresh)).slice(-1500) }); };  // 300 points
    plane.element.addEventListener("pointerup", finish);
    plane.element.addEventListener("pointercancel", finish);
    plane.element.addEventListener("pointerleave", () => { if (frame) caption(); });
    const pens = element("span", { class: "stepper pens", role: "group", "aria-label": "what the pointer paints" }, [...NET_KINDS.map(([, name, sign], kind) => [kind, `${sign} ${name}`]), [-1, "erase"]].map(([kind, text]) => element("button", { type: "button", "aria-pressed": String(kind === pen), onclick: event => { pen = kind; for (const one of pens.children) one.setAttribute("aria-pressed", one === event.currentTarget); } }, text)));
    const fresh = element("button", { type: "button", title: "leave one point of each kind", onclick: () => { play.set({ own: NET_TWO }); play.say("Two points stay, one of each kind: a network needs something to learn from. ◀ brings the others back."); } }, "clear");
    const tools = element("div", { class: "tools" }, element("span", {}, "paint in the plane (◀ undoes):"), pens, fresh);
    function caption() {
      const { points, trained, wrong } = frame, tests = points.length - trained;
      under.textContent = play.settings.view === "plane" ? `${trained} filled points to learn from${wrong.length ? ` (crosses: ${plural(wrong.length, "wrong label")})` : ""}${tests ? `, ${tests} outlines to test` : ""}. The formulas are about the ringed one${painting() ? "" : ": click another"}.`
        : `what layer 1 says about each point: across ${hiddenPair(frame.names[0].length).map(u => frame.names[0][u]).join(", upwards ")}`;
      plane.label(`${points.length} points, ${NET_KINDS.slice(0, frame.three ? 3 : 2).map(([, name], kind) => `${points.filter(([, , label]) => kindOf(frame, label) === kind).length} ${name}`).join(", ")}; training loss ${number(frame.history.losses.at(-1))}`);
    }

    // --- sizes of the gradients, curves ------------------------------------------------------------------------------------
    const strip = element("div", { class: "strip" });
    const log = x => Math.max(0, Math.min(1, 1 + Math.log10(x) / 10)) || 0;  // from 10⁻¹⁰ to 1, whatever the network is
    const data = element("div", { class: "card given" }, element("h2", {}, "Points"), play.controls("data", "count", "noise", "wrong", "test", "batch"), tools,
      element("h2", {}, "Size of the gradients"), strip, element("p", { class: "note" }, "Mean |∂L/∂w| of the batch; a tenth of a bar: a factor 10."));
    function showStrip() {
      const known = pass()?.layers;
      bars(strip, frame.layers.map((_, l) => ({ label: l < frame.layers.length - 1 ? `layer ${l + 1}` : "output", value: known ? log(known[l]) : 0, text: known ? short(known[l], 2) : "–", title: known ? `the mean size of ∂L/∂w: ${number(known[l])}; the bar goes from 10⁻¹⁰ to 1` : "not known before the backward pass" })), 1);
    }
    const chartBox = element("div", { class: "curves" });
    place.append(
      play.controls("activation", "optimizer", "rate", "decay", "dropout"),
      data,
      element("div", { class: "card middle" }, head, scroll, slow, illness, element("div", { class: "one" }, formula, element("span", {}, open, " ", openLoss)), fields, whose),
      element("div", { class: "card right" }, element("div", { class: "controls" }, play.control("view"), axes, play.control("tests")), planeBox, under, chartBox),
    );
    place.firstChild.classList.add("training");
    const narrow = matchMedia("(max-width: 1000px)"), seat = () => (narrow.matches ? planeBox : data.children[1]).after(tools);  // near what they paint
    narrow.onchange = seat;
    seat();
    const chart = lossChart(chartBox, { label: "loss by step" });

    return {
      *draw(given) {
        const steps = given.steps - (frame ?? given).steps;
        frame = given;
        follow(steps);
        net.redraw();  // pictures first: they ask for their sizes, which costs time once a text has changed
        yield;
        plane.redraw();
        if (play.running && !play.settings.slow && performance.now() - said < 100) return;  // numbers that change faster cannot be read
        yield;
        const { steps: xs, losses, vals } = frame.history, tests = frame.points.length > frame.trained;
        chart.draw({ series: [{ name: "training", color: "positive", xs, ys: losses }, ...(tests ? [{ name: "test", color: "negative", dash: [6, 3], xs, ys: vals }] : [])], lines: frame.three ? [{ name: "ln 3 =", y: Math.log(3) }] : [] });
        said = performance.now();
        if (plot !== play.settings.data) { plot = play.settings.data; tools.hidden = plot !== "own"; for (const name of ["count", "noise", "wrong"]) data.querySelector(`#set-${name}`).closest(".control").hidden = plot === "own"; }
        tell();
        net.label(`a network of ${["2 inputs", ...frame.names.map((names, l) => (l < frame.names.length - 1 ? plural(names.length, "neuron") : plural(names.length, "output")))].join(", ")}`);
        if (hovered) showTip();
        inspect();
        showAxes();
        caption();
        showStrip();
      },
      pace: () => (play.settings.slow ? 1000 / (3 * PART) : undefined),
      python: netProgram,
      get repeats() { return !frame?.events.length; },  // a link cannot say what was changed on the way
    };
  },
});

// The same run as a program: the points as they are, the same seeds, and what was changed on the way.
function netProgram(settings, frame) {
  const { points, trained, steps, events } = frame, adam = settings.optimizer === "adam", sizes = [...layerSizes(settings), frame.three ? 3 : 1];
  const { rate, decay } = { ...settings, ...firstOf(events) }, batch = Math.min(settings.batch, trained);
  const list = some => some.map(([x, y, label]) => `    ((${x}, ${y}), ${label}),`).join("\n");
  const lines = ["import random", ""];
  lines.push("from tinygrad_edu import functional as F", "from tinygrad_edu import no_grad", `from tinygrad_edu.nn import ${settings.activation === "clip" ? "ACTIVATIONS, " : ""}MLP${settings.dropout ? ", Dropout" : ""}`);
  lines.push(`from tinygrad_edu.optim import ${adam ? "AdamW" : "SGD"}`, "");
  lines.push(`train = [\n${list(points.slice(0, trained))}\n]`, `test = [\n${list(points.slice(trained))}\n]`.replace("[\n\n]", "[]"), "");
  if (settings.activation === "clip") lines.push(`ACTIVATIONS["clip"] = lambda z: z.maximum(0.0).minimum(1.0)`);
  lines.push(`model = MLP(2, [${sizes.join(", ")}], "${settings.activation}"${frame.three ? "" : `, last_activation="tanh"`}, rng=${settings.seed})`, "parameters = model.parameters()");
  lines.push(adam ? `optimizer = AdamW(parameters, lr=${rate}, weight_decay=${decay})` : `optimizer = SGD(parameters, lr=${rate}${settings.optimizer === "momentum" ? ", momentum=0.9" : ""})`);
  const shrinks = !adam && (decay || events.some(one => one.decay));
  if (shrinks) lines.push(`weight_decay = ${decay}`);
  const all = batch === trained;
  if (!all) lines.push(`shuffler = random.Random(${Number(settings.seed) + 1})`, "order = []");
  if (settings.dropout) lines.push(`drop = Dropout(${settings.dropout}, rng=${Number(settings.seed) + 2})`);
  lines.push("", "", "def say(x, training=False):", `    """What the network says at a point: ${frame.three ? "a score for blue, orange and green" : "from -1 to 1"}."""`);
  if (settings.dropout) lines.push("    for layer in model.layers[:-1]:", "        x = layer(x)", "        if training:", "            x = drop(x)", `    return model.layers[-1](x)${frame.three ? "" : "[0]"}`);
  else lines.push("    return model(x)");
  lines.push("", "", "def loss_of(points, training=False):", frame.three ? "    return F.mean([F.cross_entropy(say(x, training), label) for x, label in points])" : "    return F.mse([say(x, training) for x, _ in points], [label for _, label in points])", "", "");
  lines.push(`for step in range(${steps}):`);
  const changes = eventLines(events, steps, adam);
  lines.push(...changes);
  if (all) lines.push("    batch = train");
  else lines.push(`    if len(order) < ${batch}:`, "        order = [*range(len(train))]", "        shuffler.shuffle(order)", `    batch = [train[order.pop()] for _ in range(${batch})]`);
  lines.push("    loss = loss_of(batch, training=True)", "    optimizer.zero_grad()", "    loss.backward()");
  if (shrinks) lines.push("    for p in parameters:", "        p.data *= 1 - optimizer.lr * weight_decay");
  lines.push("    optimizer.step()", ...eventLines(events.filter(one => one.step === steps), Infinity, adam), "");
  lines.push("with no_grad():", `    print("training loss", loss_of(train).data)`);
  if (trained < points.length) lines.push(`    print("test loss", loss_of(test).data)`);
  return `${lines.join("\n")}\n`;
}
// The rate and the decay that a run began with: an event says what was set later.
function firstOf(events) {
  const found = {};
  for (const name of ["rate", "decay"]) { const first = events.find(one => one[name] !== undefined); if (first) found[name] = first[`${name}Before`]; }
  return found;
}
function eventLines(events, before, adam) {
  return events.filter(one => one.step < before).flatMap(one => {
    const what = one.parameter !== undefined ? `parameters[${one.parameter}].data = ${one.value}` : one.rate !== undefined ? `optimizer.lr = ${one.rate}` : adam ? `optimizer.weight_decay = ${one.decay}` : `weight_decay = ${one.decay}`;
    return before === Infinity ? [what] : [`    if step == ${one.step}:`, `        ${what}`];
  });
}
