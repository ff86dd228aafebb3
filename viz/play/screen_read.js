// The page half of "Read a trained GPT": the text and the next character above, below one of four views: the numbers from
// left to right, all heads, switches, the training again.
{
const VIEWS = { flow: "Numbers, left to right", heads: "All heads", off: "Switch parts off", time: "While it learned" };
const LEVELS = [0.5, 0.2, 0.05, 0.01], LEVEL_WORDS = ["over 50 %", "20 %", "5 %", "1 %", "less"];
// What is computed at one position: key, title, width, caption.
const FLOW = [
  ["in", "vector", 84, ""], ["ln_1", "norm", 84, "one size for all"], ["q", "query", 44, "seeks"], ["k", "key", 44, "is found"], ["v", "value", 44, "gives"],
  ["scores", "query · key", 200, "one score for each character"], ["weights", "softmax", 200, "how much it looks where"], ["mix", "mix", 44, "Σ w · v"],
  ["attn", "attention", 84, "of all heads"], ["mid", "vector +", 84, "bypass + attention"], ["ln_2", "norm", 84, "one size for all"], ["act", "MLP units", 180, ""],
  ["mlp", "MLP", 84, "what it adds"], ["out", "vector +", 84, "bypass + MLP"], ["ln_f", "last norm", 84, "one size for all"],
  ["logits", "scores", 200, "one for each character"], ["chance", "softmax", 200, "probability of each"],
];
const LOST = "This link was made with a model that was trained in a page. A link does not hold the model: here is the one of this page.";
const FREE = 0.005;  // a change of the loss that nobody would notice
const LARGEST = 100e6;  // bytes of a file
const MODEL = { at: "", off: "", layer: "0", head: "0", position: "-1" };  // what is about one model, and not about another
const MOST_BARS = 7;
const ALL = 41;  // of top-k: none is left out
const shown = character => ({ "\n": "⏎", " ": "␣", "\t": "⇥", "\r": "␍" })[character] ?? character;
const percent = p => (p >= 0.995 || p === 0 ? `${Math.round(100 * p)} %` : p >= 0.1 ? `${(100 * p).toFixed(0)} %` : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");
const change = (x, places = 3) => `${x < 0 ? "−" : "+"}${number(Math.abs(Number(x.toFixed(places))))}`;
const scale = () => fontSize() / 15;
// The colors of numbers, 101 of them: thousands of cells are drawn at once. They are forgotten when the look changes.
function shade(t) {
  const level = Math.round(50 * t), key = `shade ${level}`;
  if (!COLORS.has(key)) COLORS.set(key, tint(level / 50));
  return COLORS.get(key);
}

// What is in the page already is left alone: a change makes the browser lay out everything again.
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const LABELS = new Set();  // what screen readers hear of a picture is written when it rests
const relabel = (node, label) => (node.getAttribute("aria-label") ? LABELS.add(label) : label());

// Numbers as cells that can be pointed at, chosen with the arrow keys, and explained by a click or Enter.
function cells(place, play, hover, { title, caption = "", width, height = 84 }) {
  const card = element("div", { class: "stage" }, element("h3", {}, title));
  place.append(card);
  let numbers = [], letters = null, columns = 1, ref = () => null, mark = -1;
  const rows = () => Math.ceil(numbers.length / columns);
  const own = canvas(card, (context, w, h) => {
    const [cw, ch] = [w / columns, h / rows()], most = Math.max(1e-12, ...numbers.map(Math.abs));
    numbers.forEach((x, i) => {
      const [left, top] = [(i % columns) * cw, Math.floor(i / columns) * ch];
      context.fillStyle = shade((letters ? 0.55 : 1) * x / most);
      context.fillRect(left, top, cw + 0.4, ch + 0.4);
      if (letters && cw >= 8 * scale()) {
        context.fillStyle = color("ink");
        context.font = `${14 * scale()}px "DejaVu Sans Mono", Menlo, Consolas, monospace`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(shown(letters[i]), left + cw / 2, top + ch / 2);
      }
      if (i === mark) { context.strokeStyle = color("ink"); context.lineWidth = 2; context.strokeRect(left + 1, top + 1, cw - 2, ch - 2); }
    });
    context.strokeStyle = color("frame-line");
    context.lineWidth = 1;
    context.strokeRect(0.5, 0.5, w - 1, h - 1);
  });
  const canvasOf = own.element;
  canvasOf.tabIndex = 0;
  canvasOf.classList.add("keys");
  const at = event => {
    const box = canvasOf.getBoundingClientRect(), column = Math.floor(((event.clientX - box.left) / box.width) * columns), row = Math.floor(((event.clientY - box.top) / box.height) * rows());
    return Math.max(0, Math.min(numbers.length - 1, Math.min(rows() - 1, row) * columns + Math.min(columns - 1, column)));
  };
  const point = (i, event) => { mark = i; own.redraw(); label(); hover(i < 0 ? null : ref(i), event, canvasOf); };
  canvasOf.addEventListener("pointermove", event => point(at(event), event));
  canvasOf.addEventListener("pointerleave", () => point(-1));
  canvasOf.addEventListener("blur", () => point(-1));
  canvasOf.addEventListener("click", event => { mark = at(event); own.redraw(); play.explain(ref(mark)); });
  canvasOf.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (by) { event.preventDefault(); point(Math.max(0, Math.min(numbers.length - 1, mark + by))); }
    if (event.key === "Enter" && mark >= 0) play.explain(ref(mark));
  });
  function label() { own.label(`${title}: ${plural(numbers.length, "number")}${mark >= 0 && mark < numbers.length ? `; number ${mark}${letters ? `, ${shown(letters[mark])}` : ""}: ${number(numbers[mark])}` : ""}`); }
  const foot = element("p", {}, caption);
  card.append(foot);
  return {
    card,
    show(stage, given = {}) {
      numbers = Array.from(stage.numbers);
      ref = i => `${stage.ref.name}[${stage.ref.first + i}]`;
      letters = given.letters ?? null;
      columns = given.columns(numbers.length);
      if (mark >= numbers.length) mark = -1;
      const size = `width: ${Math.round(scale() * (given.width ?? width))}px; height: ${Math.round(scale() * height)}px`;
      if (canvasOf.getAttribute("style") !== size) canvasOf.setAttribute("style", size);
      if (given.caption !== undefined) put(foot, given.caption);
      if (given.title) put(card.firstChild, title = given.title);
      relabel(canvasOf, label);
      own.redraw();
    },
  };
}

screen("read", {
  title: "Read a trained GPT",
  lead: "Type a text: what does the model expect next? Click a bar to append it, or let it write on. Then look inside.",
  settings: {
    temperature: slider("temperature", 1, { min: 0, max: 2, step: 0.05, live: true }),
    topK: slider("top-k", ALL, { min: 1, max: ALL, step: 1, live: true, text: k => (k < ALL ? String(k) : "all") }),
    topP: slider("top-p", 1, { min: 0.05, max: 1, step: 0.05, live: true }),
    text: hidden("", { live: true }), view: hidden("flow", { live: true }), layer: hidden("0", { live: true }), head: hidden("0", { live: true }), position: hidden("-1", { live: true }),
    off: hidden("", { live: true }), at: hidden("", { live: true }), watch: hidden("", { live: true }), model: hidden("read"),
    speed: hidden("10", { live: true }),  // characters a second: as fast as one reads
  },
  tasks: [
    "All heads: find a head that looks one character back. (Its squares lie just below the diagonal.)",
    "Type the most surprising text you can think of: how large can you make the loss? And how small?",
    "Switch parts off: which head may be removed for free? Which one must stay?",
    "Type “th” and open “While it learned”: between which two of its steps did the model learn that “e” follows?",
    "Numbers: press the last layer, click one number of the last scores, and follow it down to a single multiplication and its weight.",
  ],
  build(place, play) {
    let frame = null, pointed = -1, sent = 0, tried = null, asked = 0;

    LABELS.clear();

    // --- the text ----------------------------------------------------------------------------------------------------
    const typed = element("textarea", { id: "read-typed", rows: 2, spellcheck: "false", autocomplete: "off", maxlength: 600, oninput: () => type(typed.value) });
    const type = text => play.edit({ text, nth: ++sent });
    const unknown = element("p", { class: "note", role: "status" });
    const seen = element("div", { class: "seen keys", tabindex: 0, role: "group" });
    const about = element("p", { class: "note about" });
    const legend = element("p", { class: "legend" }, "probability:", LEVEL_WORDS.map((text, i) => element("span", { class: `s${i}` }, text)));
    // Which model reads it: that of the page, or one of the learner's, trained here or opened from a file.
    const by = element("span", { class: "by" }), shipped = play.facts.read ?? "the run";
    const back = element("button", { type: "button", hidden: true, onclick: () => play.set({ ...MODEL, model: "read" }) }, `Back to ${shipped}`);
    const opener = id => {
      const input = element("input", { type: "file", id, multiple: true, accept: ".safetensors,.json", onchange: async () => { await openFiles(input.files); input.value = ""; } });
      return element("label", { class: "opener", title: "a .safetensors file of this page or of “gpt export”, or model.safetensors, config.json and tokenizer.json of a run; dropping them here does the same" }, "Open a model file …", input);
    };
    const refused = element("p", { class: "card refused", role: "alert", hidden: true });
    async function openFiles(list) {
      const large = Array.from(list).find(file => file.size > LARGEST);
      try {
        if (large) throw new Error(`${large.name} has ${number(large.size / 1e6)} MB, and this page opens files of up to ${LARGEST / 1e6} MB: choose a smaller model`);
        const files = await Promise.all(Array.from(list, async file => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })));
        if (!files.length) return;
        const { file, run, step, numbers, ...model } = await play.ask({ what: "open", files });
        handModel(play, { ...model, from: `opened from ${file}`, run, opened: file, snapshots: [{ step, file: run ? file : null, val: null }] }, numbers);
        refused.hidden = true;
        const again = play.settings.model === "mine";
        play.set({ ...MODEL, model: "mine" });
        if (again) play.reset();
        play.say(`${file} is open: it reads your text now.`);
      } catch (error) { refused.hidden = false; refused.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`; }
    }
    // Files may be dropped anywhere on this screen.
    const files = event => place.classList.contains("read") && [...event.dataTransfer.types].includes("Files");
    document.body.ondragover = event => { if (files(event)) { event.preventDefault(); place.classList.add("drops"); } };
    document.body.ondragleave = event => { if (!event.relatedTarget) place.classList.remove("drops"); };
    document.body.ondrop = event => { if (files(event)) { event.preventDefault(); place.classList.remove("drops"); openFiles(event.dataTransfer.files); } };
    function showModel() {
      const both = play.hasAsset("read") && play.hasAsset("mine"), mine = `your model ${YOURS.name}, ${YOURS.from}`;
      const key = both ? mine : `read by ${frame.own ? mine : frame.name}`;
      if (by.dataset.key !== key) {
        by.dataset.key = key;
        by.replaceChildren(both ? element("select", { "aria-label": "the model that reads it", onchange: event => play.set({ ...MODEL, model: event.target.value }) },
          element("option", { value: "read" }, `${shipped}, the model of this page`), element("option", { value: "mine" }, mine)) : key);
      }
      if (both) by.firstChild.value = frame.own ? "mine" : "read";
      back.hidden = !both || !frame.own;
      put(rounded, frame.bits === 8 ? "weights rounded to 8 bits" : "");
      by.title = { 8: "Its weights are rounded to 8 bits in this page, in units of the largest of their row: two digits of each. The loss hardly changes.", 16: "Its weights are rounded to 16 bits in this page: three digits of each. The loss hardly changes.", 32: "Its weights are floats of 32 bits.", 64: "Its weights are floats of 64 bits." }[frame.bits];
    }
    const rounded = element("span", { class: "note" });
    const why = element("div", { class: "controls why" },
      element("button", { type: "button", onclick: () => play.explain(`surprise[${Math.max(1, frame.from + frame.at)}]`) }, "Explain this surprise"),
      element("button", { type: "button", onclick: () => play.explain("loss") }, "Explain the loss"),
      opener("read-file"), back, rounded);
    const bar = element("div", { class: "next" }), rest = element("p", { class: "note" });
    seen.addEventListener("pointermove", event => lookFrom(Number(event.target.dataset?.i ?? -1)));
    seen.addEventListener("pointerleave", () => lookFrom(-1));
    seen.addEventListener("click", event => { if (event.target.dataset?.i) choose(Number(event.target.dataset.i)); });
    seen.addEventListener("keydown", event => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by && frame) { event.preventDefault(); choose(Math.max(frame.from, Math.min(frame.characters.length - 1, frame.from + frame.at + by))); }
      if (event.key === "Enter") play.explain(`surprise[${frame.from + frame.at}]`);
    });
    const choose = i => { if (i >= frame.from) play.set({ position: i === frame.characters.length - 1 ? "-1" : String(i) }); };

    // --- the model -----------------------------------------------------------------------------------------------------
    const group = (name, label, list) => element("span", { class: "choices", role: "group", "aria-label": label }, element("span", {}, label), list.map(([value, text]) => element("button", { type: "button", "data-set": name, value, onclick: () => play.set({ [name]: value }) }, text)));
    const which = element("span", { class: "choices" });
    const when = element("span", { class: "control" });
    const views = group("view", "show", Object.entries(VIEWS));
    const tabs = element("div", { class: "controls views" }, views, which, when);
    const tip = element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    const missing = element("p", { class: "card", hidden: true }, "There is no trained model in this page. Run “python3 run.py” on your machine: it trains one, and its report has this page with the model in it. Or train one in “Train a GPT” here, and open it from there. ", opener("read-first"));
    const whole = element("div", { class: "whole" },
      element("section", { class: "card mine" }, element("div", { class: "top" }, element("label", { for: "read-typed" }, "your text"), by, element("span", { class: "room" }), legend), typed, unknown, seen, about, why),
      element("section", { class: "card" }, element("div", { class: "top" }, element("h2", {}, "The next character"), element("span", { class: "room" }), rest), element("div", { class: "beside" }, bar, element("div", {}, play.controls("temperature", "topK", "topP"), element("p", { class: "note" }, "Temperature below 1 prefers the likeliest. Top-k keeps k of them; top-p as many as reach this sum.")))),
      tabs);
    const lost = element("p", { class: "card", hidden: true, role: "status" }, LOST);
    place.append(refused, missing, lost, whole, tip);
    why.hidden = tabs.hidden = true;  // until there is a frame

    // What the pointer is on, with today's numbers.
    async function hover(ref, event, on) {
      const mine = ++asked;
      if (ref === null || !play.frame) { tip.hidden = true; return; }
      let told;
      try { told = await play.ask({ what: "explain", ref, quick: true }); } catch { return; }
      if (mine !== asked) return;
      tip.replaceChildren(element("b", {}, told.title), element("span", {}, told.formula), element("span", {}, told.numbers), element("i", {}, "click: where it comes from"));
      tip.hidden = false;
      const box = on.getBoundingClientRect(), x = event?.clientX ?? box.left, y = event?.clientY ?? box.bottom;
      tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${y + 20 + tip.offsetHeight > innerHeight ? Math.max(4, y - tip.offsetHeight - 12) : y + 20}px`;
    }

    // --- views ---------------------------------------------------------------------------------------------------------
    const PANELS = {
      flow(panel) {
        const top = element("div", { class: "stages" }), parts = {}, trio = element("div", { class: "trio" });
        const square = count => { const rows = [16, 12, 10, 8, 6, 5, 4, 3, 2].find(n => count % n === 0 && count / n >= n) ?? 1; return count / Math.min(rows, 8 * Math.ceil(count / 256)); };
        const letter = element("div", { class: "stage" }, element("h3", {}, "character"), element("div", { class: "letter" }), element("p", {}, ""));
        top.append(letter);
        for (const [key, title, width, caption] of FLOW) {
          const into = "qkv".includes(key) ? trio : top;
          if (!"kv".includes(key)) top.append(element("span", { class: "arrow", "aria-hidden": "true" }, "→"), ...(key === "q" ? [trio] : []));
          parts[key] = cells(into, play, hover, { title, width, caption });
        }
        const on = element("button", { type: "button", class: "on", onclick: () => play.set({ layer: String(frame.layer + 1) }) });
        top.append(on);
        panel.append(top);
        return () => {
          const { config, layer, head, at, characters, from } = frame, stages = Object.fromEntries(frame.stages.map(stage => [stage.key, stage])), last = Boolean(stages.logits);
          put(letter.children[1], shown(characters[from + at]));
          put(letter.children[2], `position ${at}`);
          const read = characters.slice(from, from + at + 1), grid = n => (n <= 32 ? 16 : Math.ceil(n / 4));
          const parted = play.settings.off.split(","), off = part => parted.includes(`h.${layer}.${part}`), bypass = part => (off("bypass") ? `${part} only` : `bypass + ${part}`);
          const captions = {
            in: layer ? `from layer ${layer}` : config.positions === "learned" && !parted.includes("positions") ? "character + position" : "of the character",
            mix: off(`head.${head}`) ? "is off" : "Σ w · v", attn: off("attn") ? "is off" : "of all heads", mid: bypass("attention"),
            act: `${config.mlp_ratio * config.n_embd} times ${config.activation === "relu2" ? "ReLU²" : config.activation}`, mlp: off("mlp") ? "is off" : "what it adds", out: bypass("MLP"),
          };
          for (const [key, own] of Object.entries(parts)) {
            const stage = stages[key];
            own.card.hidden = !stage;
            if (!stage) continue;
            if (key === "scores" || key === "weights") own.show(stage, { columns: grid, letters: read });
            else if (key === "logits" || key === "chance") own.show(stage, { columns: n => Math.ceil(n / 4), letters: frame.alphabet, width: Math.max(120, Math.min(400, 12 * Math.ceil(frame.alphabet.length / 4))) });
            else if (["q", "k", "v"].includes(key)) own.show(stage, { columns: n => Math.ceil(n / 8) });
            else if (key === "mix") own.show(stage, { columns: n => Math.ceil(n / 8), title: headName(layer, head), caption: captions.mix });
            else own.show(stage, { columns: square, caption: captions[key] });
          }
          const arrows = [...top.querySelectorAll(".arrow")];
          for (const one of arrows.slice(-2)) one.hidden = !last;
          on.hidden = last;
          put(on, `layer ${layer + 2}`);
        };
      },

      heads(panel) {
        const grid = element("div", { class: "heads" }), list = [];
        const told = element("p", { class: "note", role: "status" }, "Each row is a character, and each square how much it looks at one before it. Point at a character of your text, or at a square.");
        panel.append(grid, told);
        return () => {
          const { config, characters, from } = frame, T = characters.length - from;
          if (list.length !== config.n_layer * config.n_head) {
            grid.replaceChildren();
            list.length = 0;
            for (let l = 0; l < config.n_layer; l++) for (let h = 0; h < config.n_head; h++) list.push(triangle(grid, l, h, told));
            const rows = Math.ceil(list.length / 8);
            grid.style.setProperty("--columns", Math.min(8, Math.ceil(list.length / rows)));
            grid.style.setProperty("--most", `${rows > 1 ? 108 : 236}px`);  // so that two rows fit on a laptop
          }
          list.forEach(one => one.show(frame.heads[one.layer][one.head], T));
        };
      },

      off(panel) {
        const head = element("p", { class: "big", role: "status" }), grid = element("div", { class: "switches" });
        const buttons = element("div", { class: "controls" },
          element("button", { type: "button", onclick: () => tryEach(false) }, "Which head may go?"), element("button", { type: "button", onclick: () => tryEach(true) }, "Try every part alone"),
          element("button", { type: "button", onclick: () => play.set({ off: "" }) }, "Switch all on"));
        const found = element("p", { class: "found", role: "status" }), note = element("p", { class: "note" }, "A head that is off gives zeros; attention and MLP that are off add nothing. Without its bypass a layer forgets what came before it. All of it is about your text only: another text may need the head.");
        buttons.append(found);
        panel.append(head, buttons, grid, note);
        return () => {
          const off = new Set(play.settings.off.split(",").filter(Boolean)), { config } = frame;
          const loss = mean(frame.surprise), before = frame.whole;
          head.textContent = off.size && before !== undefined ? `loss of your text ${number(before)} → ${number(loss)} without ${[...off].map(partName).join(", ")}  (${change(loss - before)})` : Number.isFinite(loss) ? `loss of your text ${number(loss)}, nothing is off` : "Type at least two characters: a loss needs one to read and one to expect.";
          const results = tried?.key === triedKey() ? tried.results : null;
          put(found, results ? tried.said : "");
          const rows = Array.from({ length: config.n_layer }, (_, l) => [...Array.from({ length: config.n_head }, (_, h) => `h.${l}.head.${h}`), `h.${l}.attn`, `h.${l}.mlp`, `h.${l}.bypass`]);
          rows.push(["positions"]);
          grid.style.setProperty("--columns", config.n_head + 4);
          const known = grid.children.length === rows.flat().length;
          if (!known) grid.replaceChildren(...rows.flat().map(part => element("button", { type: "button", "data-part": part, onclick: () => toggle(part) }, element("b", {}, partName(part)), element("span", { class: "state" }), element("span", { class: "value" }))));
          for (const button of grid.children) {
            const { part } = button.dataset, result = results?.get(part), by = result === undefined ? NaN : result - results.loss;
            button.setAttribute("aria-pressed", String(!off.has(part)));
            button.children[1].textContent = off.has(part) ? "off" : "";
            button.children[2].textContent = Number.isFinite(by) ? (Math.abs(by) < FREE ? "free" : change(by, 2)) : "";
            button.children[2].className = `value ${by < FREE ? "positive" : "negative"}`;
            button.title = Number.isFinite(by) ? `without this part alone: loss ${number(result)} (${change(by)})` : "";
          }
        };
      },

      time(panel) {
        const charts = element("div", { class: "charts" }), left = element("section", { class: "card" }, element("h2", {}, "Loss of your text")), right = element("section", { class: "card" });
        const input = element("input", { id: "read-watch", maxlength: 2, size: 2, autocomplete: "off", spellcheck: "false", oninput: () => play.set({ watch: [...input.value].at(-1) ?? "" }) });
        right.append(element("h2", {}, element("label", { for: "read-watch" }, "Probability of "), input, " after your text"));
        charts.append(left, right);
        const scroll = element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "each step in numbers" });
        const only = element("p", {}, "This page holds one moment of the training only, not the steps before it. A run keeps more with “gpt train --keep 9”; of a large model a page holds the last one.");
        panel.append(only, charts, scroll);
        const losses = lossChart(left, { height: 112, label: "loss of your text by step of the training" }), chances = lossChart(right, { height: 112, label: "probability by step of the training" });
        return () => {
          only.hidden = frame.snapshots.length > 1;
          put(left.firstChild, `Loss of your text, at the ${plural(frame.snapshots.length, "step")} that this page holds`);
          charts.hidden = !only.hidden;
          const steps = frame.snapshots.map(one => one.step), watched = frame.alphabet.includes(play.settings.watch) ? play.settings.watch : likeliest(frame.raw), token = frame.alphabet.indexOf(watched);
          if (document.activeElement !== input) input.value = play.settings.watch;
          input.placeholder = shown(watched);
          const validated = frame.snapshots.filter(one => one.val !== null && one.val !== undefined);
          losses.draw({ series: [{ name: "your text", color: "positive", xs: steps, ys: frame.time.map(one => one.loss) }, ...(validated.length > 1 ? [{ name: "validation text", color: "mixed", dash: [5, 4], xs: validated.map(one => one.step), ys: validated.map(one => one.val) }] : [])] });
          chances.draw({ from: 0, to: 1, series: [{ name: `“${shown(watched)}”`, color: "negative", xs: steps, ys: frame.time.map(one => one.chances[token]) }] });
          const cell = (tag, text, more = {}) => element(tag, more, text), here = i => (i === frame.nth ? { class: "here" } : {});
          scroll.replaceChildren(element("table", {},
            element("tr", {}, cell("th", "after step", { scope: "row" }), steps.map((step, i) => cell("th", number(step), { scope: "col", ...here(i) }))),
            element("tr", {}, cell("th", "loss of your text", { scope: "row" }), frame.time.map((one, i) => cell("td", Number.isFinite(one.loss) ? number(one.loss) : "–", here(i)))),
            element("tr", {}, cell("th", `probability of “${shown(watched)}”`, { scope: "row" }), frame.time.map((one, i) => cell("td", percent(one.chances[token]), here(i)))),
            element("tr", {}, cell("th", "likeliest next", { scope: "row" }), frame.time.map((one, i) => cell("td", `${shown(likeliest(one.chances))} ${percent(Math.max(...one.chances))}`, here(i)))),
          ));
        };
      },
    };
    const likeliest = chances => frame.alphabet[chances.indexOf(Math.max(...chances))];
    const mean = list => { const all = Array.from(list).slice(1); return all.length ? all.reduce((a, b) => a + b, 0) / all.length : NaN; };
    const partName = part => { const [, layer, what, head] = /^h\.(\d+)\.(\w+)\.?(\d*)$/.exec(part) ?? []; return layer === undefined ? "positions" : what === "head" ? headName(layer, head) : `${{ attn: "attention", mlp: "MLP", bypass: "bypass" }[what]} ${+layer + 1}`; };
    const toggle = part => { const off = new Set(play.settings.off.split(",").filter(Boolean)); off.has(part) ? off.delete(part) : off.add(part); play.set({ off: [...off].sort().join(",") }); };
    const triedKey = () => JSON.stringify([frame.text, frame.nth]);
    async function tryEach(all) {
      if (frame.characters.length < 2) return;
      const key = triedKey(), parts = [...whole.querySelectorAll("[data-part]")].map(one => one.dataset.part).filter(part => all || part.includes(".head."));
      put(whole.querySelector(".found"), "Reading your text once for each part …");
      const results = new Map((await play.ask({ what: "without", parts })).map(one => [one.part, one.loss]));
      if (!frame || key !== triedKey()) return;
      results.loss = frame.whole ?? mean(frame.surprise);
      const by = part => results.get(part) - results.loss, same = parts.filter(part => Math.abs(by(part)) < FREE), lower = parts.filter(part => by(part) <= -FREE);
      const told = [lower.length && `The loss of your text is lower without any one of these: ${lower.map(part => `${partName(part)} (${change(by(part), 2)})`).join(", ")}.`, same.length && `It stays within ${FREE} without ${same.map(partName).join(", ")}.`].filter(Boolean).join(" ");
      tried = { key, results, said: told || `Each of these ${plural(parts.length, "part")} is needed: without it the loss of your text grows.` };
      show();
    }

    // One head: a triangle of squares.
    function triangle(grid, layer, head, told) {
      const card = element("div", { class: "stage" }, element("h3", {}, headName(layer, head)));
      grid.append(card);
      let numbers = [], T = 1, mark = null;
      const own = canvas(card, (context, w, h) => {
        const size = w / T, row = pointed >= 0 ? pointed - frame.from : frame.at;
        context.fillStyle = color("frame-1");
        context.fillRect(0, row * size, w, Math.max(1, size));
        for (let t = 0; t < T; t++) for (let s = 0; s <= t; s++) if (numbers[t * T + s] > 0.004) { context.fillStyle = shade(numbers[t * T + s]); context.fillRect(s * size, t * size, size + 0.3, size + 0.3); }
        context.strokeStyle = color("frame-line");
        context.lineWidth = 1;
        context.beginPath(); context.moveTo(0, 0); context.lineTo(w, h); context.lineTo(0, h); context.closePath(); context.stroke();
        if (mark) { context.strokeStyle = color("ink"); context.lineWidth = 2; context.strokeRect(mark[1] * size, mark[0] * size, size, size); }
      });
      const at = event => { const box = own.element.getBoundingClientRect(), place = (x, from, size) => Math.max(0, Math.min(T - 1, Math.floor(((x - from) / size) * T))); const t = place(event.clientY, box.top, box.height); return [t, Math.min(t, place(event.clientX, box.left, box.width))]; };
      const point = found => { mark = found; own.redraw(); label(); if (found) told.textContent = words(...found); };
      const words = (t, s) => `H${headName(layer, head).slice(1)}: “${shown(frame.characters[frame.from + t])}” (position ${t}) looks at “${shown(frame.characters[frame.from + s])}” (position ${s}, ${t === s ? "itself" : `${t - s} back`}) with ${number(numbers[t * T + s])}.`;
      const open = ([t, s]) => { play.set({ layer: String(layer), head: String(head) }); play.explain(`h.${layer}.weights[${head}][${t}][${s}]`); };
      own.element.tabIndex = 0;
      own.element.classList.add("keys");
      own.element.addEventListener("pointermove", event => point(at(event)));
      own.element.addEventListener("pointerleave", () => point(null));
      own.element.addEventListener("blur", () => point(null));
      own.element.addEventListener("click", event => { mark = at(event); point(mark); open(mark); });
      own.element.addEventListener("keydown", event => {
        const [t, s] = mark ?? [frame.at, frame.at], by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        if (by) { event.preventDefault(); const row = Math.max(0, Math.min(T - 1, t + by[0])); point([row, Math.max(0, Math.min(row, s + by[1]))]); }
        if (event.key === "Enter") open(mark ?? [t, s]);
      });
      // Where it looks on average: the distance that gets most.
      function label() {
        const far = new Float64Array(T);
        for (let t = 1; t < T; t++) for (let s = 0; s <= t; s++) far[t - s] += numbers[t * T + s] / (T - 1);
        const best = far.indexOf(Math.max(...far));
        own.label(mark ? words(...mark) : `${headName(layer, head)}, attention of ${plural(T, "character")}; most of all ${best ? `${best} back` : "at itself"}: ${number(far[best])} on average`);
      }
      return { layer, head, show(given, count) { numbers = given; T = count; if (mark && mark[0] >= T) mark = null; card.classList.toggle("chosen", layer === frame.layer && head === frame.head); relabel(own.element, label); own.redraw(); } };
    }

    // --- what a frame changes ------------------------------------------------------------------------------------------
    const spans = [];
    function showText() {
      const { characters, surprise, from, at } = frame, looks = pointed >= 0 ? pointed - from : at, T = characters.length - from;
      while (spans.length > characters.length) spans.pop().remove();
      characters.forEach((character, i) => {
        const span = spans[i] ?? element("span", { "data-i": i });
        if (!spans[i]) { spans.push(span); seen.append(span); }
        const p = Math.exp(-surprise[i]), level = i ? LEVELS.filter(bound => p < bound).length : 0;
        const text = character === "\n" ? "⏎\n" : character, name = `s${level}${i === from + at ? " at" : ""}${i < from ? " past" : ""}`;
        const look = i >= from && looks >= i - from && looks < T ? frame.looks[looks * T + i - from] : 0;
        put(span, text);
        if (span.className !== name) span.className = name;
        const share = `${Math.round(100 * look)}%`;
        if (span.look !== share) { span.look = share; span.style.setProperty("--look", share); }
      });
      put(about, aboutText(pointed >= 0 ? pointed : from + at));
      relabel(seen, labelText);
    }
    const labelText = () => seen.setAttribute("aria-label", `your text, each character in the color of its surprise. ${about.textContent}`);
    function aboutText(i) {
      const { characters, surprise, from, layer, head } = frame, t = i - from, T = characters.length - from, words = [`“${shown(characters[i])}”, position ${t < 0 ? i : t}`];
      if (i > 0) words.push(`: probability ${percent(Math.exp(-surprise[i]))}, surprise ${number(surprise[i])} nats (${number(surprise[i] / Math.LN2)} bits)`);
      if (t < 0) return `${words.join("")}. The model no longer sees it: its context is ${frame.config.block_size} characters.`;
      const row = Array.from({ length: t + 1 }, (_, s) => [frame.looks[t * T + s], s]).sort((a, b) => b[0] - a[0]).slice(0, 2);
      return `${words.join("")}. H${headName(layer, head).slice(1)} looks at ${row.map(([w, s]) => `“${shown(characters[from + s])}” ${s === t ? "(itself)" : `(${t - s} back)`} ${number(w)}`).join(", ")}.`;
    }
    function lookFrom(i) {
      if (!frame?.looks || i === pointed) return;
      pointed = i >= frame.from ? i : i < 0 ? -1 : i;
      showText();
      if (view() === "heads") show();
    }
    function showNext() {
      const order = [...frame.raw.keys()].sort((a, b) => frame.raw[b] - frame.raw[a]), list = order.slice(0, MOST_BARS);
      bars(bar, list.map(token => ({ label: shown(frame.alphabet[token]), value: frame.chances[token], text: percent(frame.chances[token]), title: `append “${shown(frame.alphabet[token])}”; the full width is 100 %`, onclick: () => append(frame.alphabet[token]) })), 1);
      const others = frame.chances.reduce((sum, p, token) => (list.includes(token) ? sum : sum + p), 0);
      put(rest, frame.alphabet.length > MOST_BARS ? `${frame.alphabet.length - MOST_BARS} others: ${percent(others)}` : "");
    }
    const append = character => play.edit({ append: character, nth: ++sent });
    function showChoices() {
      const { config, layer, head, snapshots, nth } = frame;
      if (which.dataset.shape !== `${config.n_layer} ${config.n_head}`) {
        which.dataset.shape = `${config.n_layer} ${config.n_head}`;
        const numbers = n => Array.from({ length: n }, (_, i) => [String(i), String(i + 1)]);
        which.replaceChildren(group("layer", "layer", numbers(config.n_layer)), group("head", "head", numbers(config.n_head)));
      }
      if (when.dataset.steps !== snapshots.map(one => one.step).join()) {
        when.dataset.steps = snapshots.map(one => one.step).join();
        const input = element("input", { id: "read-at", type: "range", min: 0, max: snapshots.length - 1, step: 1, oninput: () => { const one = frame.snapshots[Number(input.value)]; play.set({ at: one === frame.snapshots.at(-1) ? "" : String(one.step) }); } });
        when.replaceChildren(element("label", { for: "read-at" }, "after step"), input, element("output", { for: "read-at" }));
        input.disabled = snapshots.length < 2;
      }
      const [, input, output] = when.children;
      input.value = nth;
      input.setAttribute("aria-valuetext", `step ${snapshots[nth].step}`);
      put(output, number(snapshots[nth].step));
      for (const button of tabs.querySelectorAll("[data-set]")) button.setAttribute("aria-pressed", String(button.value === { view: view(), layer: String(layer), head: String(head) }[button.dataset.set]));
      which.hidden = view() === "off" || view() === "time";
    }
    const view = () => (play.settings.view in VIEWS ? play.settings.view : "flow");
    const made = {};  // the views that were opened, and how each draws itself
    function show() {
      const name = view();
      if (!made[name]) { const own = element("div", { class: "panel" }); place.querySelector(".whole").append(own); made[name] = { own, draw: PANELS[name](own) }; }
      for (const [other, { own }] of Object.entries(made)) own.hidden = other !== name;
      if ({ flow: frame.stages, heads: frame.heads, off: true, time: frame.time }[name]) made[name].draw();
    }

    return {
      draw(given) {
        missing.hidden = !given.empty;
        whole.hidden = Boolean(given.empty);
        play.locked = given.empty ? "no trained model in this page" : given.characters.length ? "" : "type a character first";
        if (given.empty) return;
        frame = given;
        if (pointed >= frame.characters.length) pointed = -1;
        put(unknown, frame.unknown ? `Left out: “${frame.unknown}”. This model knows ${frame.alphabet.length} characters: ${frame.alphabet.map(shown).join("")}` : "");
        if (frame.heard >= sent) {  // else the learner has typed since
          if (typed.value !== frame.text) typed.value = frame.text;
          if (!play.running) play.set({ text: frame.text === frame.opening ? "" : frame.text });
        }
        bar.hidden = seen.hidden = tabs.hidden = !frame.characters.length;
        why.hidden = frame.characters.length < 2;  // nothing was predicted yet
        if (!frame.characters.length) { about.textContent = "Type at least one character, which the model continues."; rest.textContent = ""; for (const { own } of Object.values(made)) own.hidden = true; return; }
        showModel();
        lost.hidden = !frame.lost;
        showNext();
        showChoices();
        showText();
        show();
        soon("labels", 200, () => { for (const label of LABELS) label(); LABELS.clear(); });
      },
      status: () => (frame ? `${fontSize() > 15 ? number(frame.written) : plural(frame.written, "character")} written${Number.isFinite(mean(frame.surprise)) ? `  ·  loss of your text ${number(mean(frame.surprise))}${fontSize() > 15 ? "" : " nats"}` : ""}${frame.snapshots[frame.nth].val ? `  ·  validation ${number(frame.snapshots[frame.nth].val)}` : ""}${play.settings.off ? `  ·  ${plural(play.settings.off.split(",").length, "part")} off` : ""}` : "no model"),
      python: (settings, now) => program(settings, now),
      link: () => (frame?.own ? "The link is in the clipboard. It does not hold your model: elsewhere it opens with the model of that page. To keep yours, download it in “Train a GPT”." : null),
      repeats: false,  // the address holds the text as it is, not how it was written
    };
  },
});

// A program that makes the same text from the same beginning, and prints the same loss.
function program(settings, frame) {
  if (!frame || frame.empty) return "# There is no trained model in this page. Train one: python3 run.py\n";
  const { temperature, topK, topP, seed } = settings, off = settings.off.split(",").filter(Boolean), one = frame.snapshots[frame.nth];
  const lines = [
    ...(one.file ? [] : [`# First ${frame.opened ? "" : "download the model where it was trained, and "}import it: python3 run.py gpt import ${frame.opened ?? "FILE"} runs/mine`]),
    ...(frame.opened && one.file ? ["# FOLDER: that of the run whose files were opened"] : []),
    "# Save this as read_it.py in the folder of the project, then: python3 run.py python read_it.py", "# (or, for a run in another folder: python3 run.py python read_it.py FOLDER)", "import dataclasses", "import math", "import random", ...(frame.bits < 32 ? ["import struct"] : []), "import sys", "",
    ...(off.some(part => part.endsWith("bypass")) ? ["from gpt.model import Block"] : []),
    "from gpt.runs.saved_run import SavedRun", "from gpt.sample import ScalarScorer, distribution, draw", "",
    `run = SavedRun.open(sys.argv[1] if len(sys.argv) > 1 else ${py(one.file && !frame.opened ? `runs/${frame.name}` : one.file ? "FOLDER" : "runs/mine")})`,
    ...(one.file && one.file !== "model.safetensors" ? [`run = dataclasses.replace(run, file=${py(one.file)})  # after step ${one.step}`] : []),
    "model, tokenizer, block = run.model, run.tokenizer, run.config.model.block_size",
  ];
  if (frame.bits === 16) lines.push("for p in model.parameters():  # the page holds 16 bits of each number", '    p.data = struct.unpack("e", struct.pack("e", p.data))[0]');
  if (frame.bits === 8) lines.push("for _, table in model.named_parameters():  # the page holds 8 bits of each number", "    for row in table if isinstance(table[0], list) else [table]:", `        unit = struct.unpack("f", struct.pack("f", max(abs(p.data) for p in row) / ${frame.levels}))[0]`, "        for p in row:", "            p.data = round(p.data / (unit or 1.0)) * unit");
  if (off.length) lines.push("", ...switched(off, frame.config));
  lines.push("",
    `tokens = ${frame.end === null ? "" : "[run.end] + "}tokenizer.encode(${py(frame.began)})`,
    `rng = random.Random(${seed})`, "", "",
    "def start(n):  # of the window in which token n is predicted: windows overlap by half",
    frame.end === null ? "    first, half = 0, max(1, block // 2)" : "    first, half = max([0, *(i for i in range(1, n) if tokens[i] == run.end)]), max(1, block // 2)",
    "    return first + max(0, math.ceil((n - first - block) / half)) * half", "", "",
    "score, surprises = ScalarScorer(model), []",
    `for n in range(1, ${frame.characters.length}):`,
    "    scores = score(tokens[start(n) : n])",
    `    if n == len(tokens):  # the text is read: write on`,
    `        tokens.append(draw(distribution(scores, ${temperature}, ${topK < ALL ? topK : "None"}, ${topP < 1 ? topP : "None"}), rng))`,
    "    surprises.append(-math.log(distribution(scores)[tokens[n]]))",
    'print(tokenizer.decode(tokens))', 'print("loss", math.fsum(surprises) / len(surprises))', "");
  return lines.join("\n");
}
const py = text => JSON.stringify(text).replace(/[\u007f-\uffff]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
function switched(off, config) {
  const lines = [], size = config.n_embd / config.n_head, of = layer => `model.transformer.h[${layer}]`;
  for (const part of off) {
    const [, layer, what, head] = /^h\.(\d+)\.(\w+)\.?(\d*)$/.exec(part) ?? [];
    if (part === "positions") lines.push(...(config.positions === "learned" ? ["model.transformer.learned = False  # no positions"] : ["for block_ in model.transformer.h:  # no positions", "    block_.attn.rotary = False"]));
    else if (what === "head") lines.push(`for row in ${of(layer)}.attn.c_proj.weight:  # what ${headName(layer, head)} gathers counts for nothing`, `    for p in row[${head * size} : ${(+head + 1) * size}]:`, "        p.data = 0.0");
    else if (what !== "bypass") lines.push(`for p in ${of(layer)}.${what}.c_proj.parameters():  # ${what === "attn" ? "attention" : "MLP"} ${+layer + 1} adds nothing`, "    p.data = 0.0");
  }
  const bypass = off.filter(part => part.endsWith("bypass"));
  if (bypass.length) {
    lines.push("", "", "class WithoutBypass(Block):", "    def forward(self, x, cache=None):", "        x = self.attn([self.ln_1(v) for v in x], cache)", "        return [self.mlp(self.ln_2(v)) for v in x]", "", "");
    for (const part of bypass) lines.push(`${of(part.split(".")[1])}.__class__ = WithoutBypass`);
  }
  return lines;
}
}

// Open a model in this screen: {name, step, config, alphabet, weights, end, val}, the weights by their names. For the
// screen that trains. Numbers are handed over as floats of 32 bits.
function openInReader(play, { step, weights, val = null, ...model }) {
  const all = Float32Array.from(Object.values(weights).flatMap(table => [...table])), tables = Object.entries(weights).map(([table, numbers]) => [table, numbers.length]);
  handModel(play, { ...model, from: "trained in this page", bits: 32, tables, snapshots: [{ step, file: null, val }] }, new Uint8Array(all.buffer));
  play.go("read", { model: "mine", at: "", off: "", layer: "0", head: "0", position: "-1" });
}
const YOURS = { name: "", from: "" };
function handModel(play, { snapshots: [only], ...about }, numbers) {
  Object.assign(YOURS, { name: about.name, from: about.from });
  play.hand("mine", new TextEncoder().encode(JSON.stringify({ end: null, text: "", ...about, snapshots: [{ ...only, asset: "mine-weights" }] })));
  play.hand("mine-weights", numbers);
}
