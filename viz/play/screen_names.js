// Screen 4 in the page: names, and four models that learn them.
(() => {
const RATES = { counting: 0.005, bigram: 0.1, mlp: 0.01, gpt: 0.005 };
const OF = {  // the settings of each model
  counting: ["smooth"], bigram: ["rate"], mlp: ["window", "embedding", "hidden", "batch", "rate"], gpt: ["width", "heads", "layers", "context", "batch", "positions", "rate"],
};
const MODEL_NAMES = { counting: "Counting", bigram: "Pairs, trained", mlp: "Window MLP", gpt: "GPT" };
const ABOUT = {
  counting: "Counts which letter follows which, one name per step.",
  bigram: "A table of scores, moved by the gradient: it arrives at what counting finds.",
  mlp: "The last letters as vectors, through a hidden layer.",
  gpt: "Looks back at all letters so far.",
};
// The models of counting as the field calls them, too.
const RUNGS = { guessing: "guessing (uniform)", letters: "letters (unigram)", pairs: "pairs (bigram)", triples: "triples (trigram)" };
const MEAN = 25;  // steps: one name says little
const counts = (...numbers) => Object.fromEntries(numbers.map(n => [n, String(n)]));
const glyph = letter => (letter === "\n" ? "·" : letter === " " ? "␣" : letter);
const percent = p => (p === 0 ? "0 %" : p < 0.001 ? "< 0.1 %" : p < 0.1 ? `${(100 * p).toFixed(1)} %` : `${Math.round(100 * p)} %`);
const oneIn = nats => { const n = Math.exp(nats); return n < 1e6 ? `1 in ${Number(n.toPrecision(2)).toLocaleString("en-US")}` : n < 1e15 ? `1 in ${Number((n / 10 ** (3 * Math.floor(Math.log10(n) / 3))).toPrecision(2))} ${["", "", "million", "billion", "trillion"][Math.floor(Math.log10(n) / 3)]}` : `1 in 10^${Math.round(nats / Math.LN10)}`; };

screen("names", {
  title: "Names",
  lead: "A model learns to write names, letter by letter. Press ▶, watch what it writes, then type your own name.",
  lossName: "training", valName: "held-out",
  settings: {
    model: choice("model", "gpt", MODEL_NAMES),
    width: choice("width", "16", counts(4, 8, 16, 32), { help: "numbers per letter" }),
    heads: choice("heads", "4", counts(1, 2, 4)),
    layers: choice("layers", "1", counts(1, 2, 3)),
    context: choice("context", "16", counts(2, 4, 8, 16), { help: "how many letters it sees at once" }),
    positions: tick("positions", true, { help: "whether it is told where each letter stands" }),
    window: choice("window", "3", counts(1, 2, 3, 4, 5, 6), { help: "how many letters it sees" }),
    embedding: choice("vector", "8", counts(2, 4, 8, 16), { help: "numbers per letter" }),
    hidden: choice("hidden", "32", counts(8, 16, 32, 64), { help: "neurons of the hidden layer" }),
    smooth: slider("added to every count", 1, { min: 0.01, max: 10, log: true, live: true }),
    rate: slider("learning rate", 0.005, { min: 0.0001, max: 1, log: true, live: true }),
    batch: choice("batch", "1", counts(1, 2, 4, 8, 16, 32), { help: "names per step" }),
    every: choice("every", "100", { 1: "step", 10: "10 steps", 100: "100 steps", 1000: "1,000 steps" }, { live: true }),
    temperature: slider("temperature", 1, { min: 0, max: 3, step: 0.05, live: true }),
    topK: slider("top-k", 30, { min: 1, max: 30, step: 1, live: true, text: k => (k >= 30 ? "all" : String(k)) }),
    topP: slider("top-p", 1, { min: 0.05, max: 1, step: 0.05, live: true }),
    view: choice("picture", "table", { table: "table: what comes next", map: "map of the letters" }, { live: true }),
    unit: choice("in", "nats", { nats: "nats", bits: "bits" }, { live: true, help: "1 nat = 1.443 bits; the loss is in nats" }),
    name: words("your name", "emma", { live: true, longest: 40 }),
    place: hidden("3", { live: true }),
    names: hidden(""),
  },
  tasks: [
    "Before the first step: what will the first loss be, when the model knows nothing? Type your guess, then press ▶|, one step.",
    "Train, and pause as soon as the held-out loss is below “pairs (bigram)”. Then go on: does it stay there?",
    "Whose name is least likely? Compare yours with your neighbor’s, then open “Least likely names”.",
    "Set the temperature to 0.1, then to 3. What happens to the bars and to the ten names?",
    "Train with width 4, then with width 32. Which one ends lower on the held-out names, and which in training? The earlier run stays in the chart.",
    "Switch “positions” off and train again. How much is lost? Why can it still do so well?",
  ],
  build,
  python,
});

function build(place, play) {
  let earlier = null;  // the curves of the run before this one
  let frame = null, pointed = null, cell = null, last = null, guess = null, drawn = 0, shownTen = null;
  const put = (place, text) => { if (place.textContent !== text) place.textContent = text; };

  // On a telephone a card is folded to its first line, so that what changes while it learns comes before what is set.
  function folded(card, title, first = null) {
    const button = element("button", { type: "button", class: "fold", "aria-expanded": "false", onclick: () => button.setAttribute("aria-expanded", String(card.classList.toggle("open"))) }, title);
    card.classList.add("folded");
    first ? first.after(button) : card.prepend(button);
    return card;
  }
  // --- the model and its settings -----------------------------------------------------------------------------------------
  const kinds = element("div", { class: "kinds", role: "group", "aria-label": "model" }, Object.entries(MODEL_NAMES).map(([kind, name]) =>
    element("button", { type: "button", "data-kind": kind, onclick: () => play.set({ model: kind, rate: RATES[kind] }) }, name)));
  const about = element("p", { class: "note" });
  const controls = {};
  for (const name of [...new Set(["width", "heads", "layers", "context", ...Object.values(OF).flat().filter(name => name !== "rate" && name !== "smooth"), "rate", "smooth"])]) controls[name] = play.control(name);
  const listed = element("p", { class: "listed" }), editing = element("button", { type: "button", onclick: openList }, "Edit");
  const said = element("p", { class: "said", role: "status" });
  const model = element("section", { class: "card model", "aria-label": "the model" }, kinds, about, element("div", { class: "controls" }, Object.values(controls)), element("div", { class: "own" }, listed, editing), said);

  // --- loss ---------------------------------------------------------------------------------------------------------------
  const chartPlace = element("div", { class: "chart-place" }), verdict = element("p", { class: "verdict" });
  const chart = lossChart(chartPlace, { label: "surprise per letter by step, in nats" });
  const legend = element("ul", { class: "curves" });
  const guessed = element("input", { id: "guess", inputmode: "decimal", autocomplete: "off", maxlength: 8 });
  const guessSaid = element("span", { role: "status" });
  const guessing = element("form", { class: "guess", onsubmit: event => { event.preventDefault(); takeGuess(); } },
    element("label", { for: "guess" }, "Your guess of the first loss, in nats"), guessed, element("button", { type: "submit" }, "That is my guess"), guessSaid);
  const losses = element("section", { class: "card losses", "aria-label": "loss" }, chartPlace, legend, verdict, guessing);

  // --- table or map ---------------------------------------------------------------------------------------------------------
  const read = element("p", { class: "told", role: "status" });
  const picture = element("div", { class: "picture" });
  const drawing = canvas(picture, drawPicture);
  const surface = drawing.element;
  surface.tabIndex = 0;
  surface.classList.add("keys");
  for (const kind of ["pointermove", "pointerdown"]) surface.addEventListener(kind, event => { cell = cellAt(event.offsetX, event.offsetY); drawing.redraw(); showCell(); });
  surface.addEventListener("pointerleave", () => { cell = null; drawing.redraw(); showCell(); });
  surface.addEventListener("click", openCell);
  surface.addEventListener("keydown", event => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Enter") openCell();
    if (!move || play.settings.view !== "table" || !frame) return;
    event.preventDefault();
    const count = frame.alphabet.length, [row, column] = cell ?? [0, 0];
    cell = cell ? [(row + move[0] + count) % count, (column + move[1] + count) % count] : [0, 0];
    drawing.redraw();
    showCell();
  });
  const learned = element("section", { class: "card view", "aria-label": "what the model has learned" }, play.control("view"), picture, read);

  // --- ten names --------------------------------------------------------------------------------------------------------------
  const ten = element("ul", { class: "ten" }), since = element("p", { class: "note" });
  const written = element("section", { class: "card written" }, element("div", { class: "head" }, element("h2", {}, "It writes ten names"), play.control("every")), ten, since);

  // --- your name ----------------------------------------------------------------------------------------------------------------
  const letters = element("div", { class: "letters", role: "group", "aria-label": "the letters of the name" });
  const sentence = element("p", { class: "sentence" }), why = element("button", { type: "button", "aria-label": "why: explain this surprise", onclick: () => play.explain(`surprise:${chosen() - 1}`) }, "Why?"), whole = element("p", { class: "note whole" }), misread = element("p", { class: "said misread", role: "status" });
  const own = element("section", { class: "card own-name" },
    element("div", { class: "head" }, element("h2", {}, "Surprise"), play.control("name"), play.control("unit"), element("button", { type: "button", onclick: openRanks }, "Least likely names")), misread,
    letters, element("div", { class: "head because" }, sentence, why), whole);

  // --- the next letter --------------------------------------------------------------------------------------------------------
  const nextTitle = element("h2", {}), rows = element("div", {});
  const next = element("section", { class: "card next" }, nextTitle, play.controls("temperature", "topK", "topP"), rows);

  place.append(element("div", {}, folded(model, "Settings and names", kinds), written), element("div", {}, losses, own), element("div", {}, folded(learned, "What it has learned"), folded(next, "The next letter")));

  // --- the list, in a dialog ----------------------------------------------------------------------------------------------------
  const area = element("textarea", { id: "list", rows: 12, spellcheck: "false", autocomplete: "off" }), listSaid = element("p", { role: "status" });
  const listBox = element("dialog", { class: "names-box", "aria-labelledby": "list-title" },
    element("div", { class: "top" }, element("h2", { id: "list-title" }, "The names to learn from"), element("span", { class: "room" }), element("button", { type: "button", class: "close", onclick: () => listBox.close() }, "Close")),
    element("label", { for: "list" }, "Paste any list: one name per line, or with spaces or commas between. At least 10 names; a tenth is held out for the test."), area,
    element("div", { class: "controls" }, element("button", { type: "button", class: "use", onclick: useList }, "Use this list"), element("button", { type: "button", onclick: () => { area.value = ""; useList(); } }, "Use ours")), listSaid);
  const ranksBody = element("div", { class: "ranks" });
  const ranksBox = element("dialog", { class: "names-box", "aria-labelledby": "ranks-title" },
    element("div", { class: "top" }, element("h2", { id: "ranks-title" }, "Whose name is least likely?"), element("span", { class: "room" }), element("button", { type: "button", class: "close", onclick: () => ranksBox.close() }, "Close")), ranksBody);
  place.append(listBox, ranksBox);

  function openList() {
    area.value = frame?.own ? play.settings.names : (frame?.names ?? []).join("\n");
    listSaid.textContent = "";
    show(listBox);
  }
  async function useList() {
    const text = area.value.slice(0, 60000), told = text.trim() ? await play.ask({ what: "read", ref: text }) : { own: false, names: [], said: [] };
    if (text.trim() && !told.own) { listSaid.textContent = `${told.said.join(". ")}.`; return; }
    listBox.close();
    play.set({ names: told.own ? told.names.join(told.names.some(name => name.includes(" ")) ? "\n" : " ") : "" });
    play.say(told.own ? `${plural(told.names.length, "name")} to learn from. ${told.said.map(one => `${one}.`).join(" ")}` : "The list is ours again.");
  }
  async function openRanks() {
    const ran = play.running;
    if (ran) play.pause();
    const { step, ranked } = await play.ask({ what: "rank" }), mine = frame.typed.name;
    const unit = play.settings.unit === "bits" ? Math.LN2 : 1;
    const row = (one, i) => element("li", {}, element("button", { type: "button", onclick: () => { ranksBox.close(); play.set({ name: one.name }); } },
      element("span", {}, `${i + 1}. ${one.name}`), element("span", { class: "value" }, oneIn(one.total)), element("span", { class: "value" }, `${number(one.mean / unit)} a letter`)));
    const total = frame.typed.surprise.reduce((a, b) => a + b, 0), above = ranked.filter(one => one.total > total).length, inside = ranked.some(one => one.name === mine);
    ranksBody.replaceChildren(
      element("p", {}, `How likely is it that the model writes exactly this name, after ${plural(step, "step")}? A long name is less likely than a short one, so the last column is the surprise per letter, in ${play.settings.unit}. `,
        mine ? element("b", {}, `${mine}: ${oneIn(total)}; ${above} of ${ranked.length - (inside ? 1 : 0)} names are less likely.`) : null),
      element("div", { class: "two" },
        element("div", {}, element("h3", {}, "Least likely"), element("ol", {}, ranked.slice(0, 12).map(row))),
        element("div", {}, element("h3", {}, "Most likely"), element("ol", {}, ranked.slice(-12).reverse().map((one, i) => row(one, i))))));
    show(ranksBox, ran);
  }
  function show(box, ran = play.running) {  // what is read there must not change
    if (ran) play.pause();
    box.showModal();
    box.addEventListener("close", () => { if (ran) play.start(); }, { once: true });
  }

  // --- drawing ----------------------------------------------------------------------------------------------------------------
  function* draw(given) {
    frame = given;
    if (play.running && performance.now() - drawn < 50) return;  // twenty times a second is enough for eyes
    drawn = performance.now();
    keepEarlier(frame);
    drawLoss();  // canvases first: their size is known as long as nothing else has changed
    yield;
    drawing.redraw();
    yield;
    showSettings();
    showCell();
    showTen();
    showLetters();
    showNext();
  }
  function showSettings() {
    const { settings } = play;
    for (const button of kinds.children) give(button, { "aria-pressed": String(button.dataset.kind === settings.model) });
    const still = settings.model === "gpt" && !settings.positions && play.step >= 500 ? " It still knows the newest letter, whose vector goes straight to the scores, and which letters came before, but not where." : "";
    put(about, `${ABOUT[settings.model]}${still}${frame.parameters ? ` ${frame.parameters.toLocaleString("en-US")} parameters.` : ""}`);
    for (const [name, made] of Object.entries(controls)) made.hidden = !OF[settings.model].includes(name);
    put(listed, `${frame.own ? "Your" : "Our"} ${plural(frame.names.length, "name")}, ${frame.held} held out`);
    put(said, frame.said.map(one => `${one}.`).join(" "));
  }
  // What the run before this one reached stays in the chart, thin: two widths side by side. A curve is called after the
  // settings with which its own model was made. Losses over another list cannot be compared.
  function keepEarlier({ made, history }) {
    const key = JSON.stringify({ ...made, run: 0, ...Object.fromEntries(["name", "place", "unit", "view", "every", "temperature", "topK", "topP", "speed"].map(name => [name, 0])) });
    if (last && last.run !== made.run && last.key !== key && last.xs.at(-1) >= 50) earlier = last;
    if (earlier && (earlier.names !== made.names || earlier.key === key)) earlier = null;
    last = { run: made.run, key, names: made.names, title: titleOf(made), training: smoothed(history), steps: history.steps.at(-1) ?? 0, ...changes(history.steps, history.vals) };
  }
  const titleOf = ({ model, width, layers, positions, hidden }) => ({ gpt: `GPT, width ${width}${layers === "1" ? "" : `, ${layers} layers`}${positions ? "" : ", no positions"}`, mlp: `MLP, ${hidden} hidden`, bigram: "pairs, trained", counting: "counting" })[model];
  function smoothed({ losses }) {
    const width = frame.counted === undefined ? MEAN : 1, found = [];  // the table reads all names in each step
    let sum = 0;
    losses.forEach((loss, i) => { sum += loss - (i >= width ? losses[i - width] : 0); found.push(sum / Math.min(i + 1, width)); });
    return found;
  }
  function changes(xs, ys) {  // the held-out loss, where it was measured
    const at = xs.map((_, i) => i).filter(i => Number.isFinite(ys[i]) && ys[i] !== ys[i - 1]);
    return { xs: at.map(i => xs[i]), ys: at.map(i => ys[i]) };
  }
  function drawLoss() {
    const { steps, losses } = frame.history, { ladder } = frame;
    if (guess && guess.run !== frame.made.run) { guess = null; guessed.value = ""; put(guessSaid, ""); }
    const lines = ladder.slice(steps.length || guess ? 0 : 1).map(({ name, loss }) => ({ name: RUNGS[name], y: loss }));  // guessing would give the answer away
    if (frame.counted !== undefined) lines.push({ name: "counted, training names", y: frame.counted });
    const series = [{ name: frame.counted === undefined ? "training, smoothed" : "training", color: "positive", xs: steps, ys: last.training }, { name: "held-out (validation)", color: "negative", xs: last.xs, ys: last.ys }];
    if (earlier) series.push({ name: `before: ${earlier.title}, ${plural(earlier.steps, "step")}, training ${number(earlier.training.at(-1))}, held-out`, color: "mixed", dash: [6, 3], thin: true, xs: earlier.xs, ys: earlier.ys });
    chart.draw({ series, lines, from: Math.min(...lines.map(one => one.y), ...series.flatMap(one => one.ys.slice(-1))) - 0.15,
      legend: (step, values) => {
        while (legend.children.length > series.length) legend.lastChild.remove();
        series.forEach(({ name, dash }, i) => {
          if (!legend.children[i]) legend.append(element("li", { class: `curve${i}` }));
          put(legend.children[i], values[i] === undefined ? "" : `${name} ${number(values[i])}${i ? "" : " nats a letter"}${step === null || i ? "" : ` (step ${number(step)})`}`);
        });
      } });
    const val = last.ys.at(-1);
    guessing.hidden = steps.length > 0 && guess === null;
    verdict.hidden = steps.length === 0;
    showGuess();
    if (val === undefined) { put(verdict, ""); return; }
    const beaten = ladder.filter(one => val < one.loss).map(one => one.name), counted = beaten.filter(name => name !== "guessing"), aims = ladder.filter((one, i) => ladder.slice(0, i).every(({ loss }) => one.loss < loss)), best = aims.find(({ loss }) => val >= loss);  // of few names, triples know less than pairs
    const few = frame.held < 20 ? ` Only ${plural(frame.held, "name")} ${frame.held === 1 ? "is" : "are"} held out: luck decides much of this number.` : "";
    const now = last.training.at(-1), { best: lowest } = frame, heart = val > lowest.val + 0.05 && now < val - 0.1 && now < ladder[0].loss;
    const high = !heart && steps.at(-1) >= 25 && Math.min(now, val) > ladder[0].loss + 0.3;
    if (heart || high) {
      put(verdict, heart ? `Held-out ${number(val)}, and it was ${number(lowest.val)} at step ${number(lowest.step)}; training ${number(now)}. It learns its names by heart (overfitting).${few}`
        : `Held-out ${number(val)}: worse than guessing, ${number(ladder[0].loss)}. The learning rate is too high: take it back with ◀, or set it to ${RATES[play.settings.model]} and press ⟲.`);
      return;
    }
    put(verdict, frame.counted !== undefined && losses.at(-1) < frame.counted + 0.02 ? `The gradient has found what counting finds: ${number(losses.at(-1))}; counted ${number(frame.counted)} on the same names.`
      : `Held-out ${number(val)}: ${counted.length ? `better than counting ${counted.join(", ")}` : beaten.length ? "better than guessing" : "not better than guessing"}${best ? `; next: ${best.name} ${number(best.loss)}` : ""}.${few}${frame.beat && !few ? ` First below pairs: step ${frame.beat.toLocaleString("en-US")}.` : ""}${frame.all ? " All names are counted." : ""}`);
  }
  function takeGuess() {
    const text = guessed.value.trim().replace(",", "."), value = Number(text);
    if (text === "" || !(value >= 0 && value <= 100)) { put(guessSaid, "Type a number from 0 to 100, such as 1.5."); return; }
    guess = { value, run: frame.made.run };
    drawLoss();
  }
  function showGuess() {
    const first = frame.history.losses[0], count = frame.alphabet.length, exact = Math.log(count), { batch } = frame.made;
    guessed.disabled = first !== undefined;
    guessing.querySelector("label").hidden = guessed.hidden = guessing.querySelector("button").hidden = first !== undefined;
    if (!guess) return;
    const why = Math.abs(first - exact) < 0.0005 ? "" : ` The first step saw only ${batch === "1" ? "one name" : `${batch} names`}, and the weights begin at random, not at 0.`;
    put(guessSaid, first === undefined ? "Now press ▶|, one step." : `You said ${number(guess.value)}; it was ${number(first)}. All ${count} signs equally likely: ln ${count} = ${number(exact)}.${why}`);
  }
  const margin = size => Math.round(size * 1.9);
  function drawPicture(context, width, height) {
    if (!frame) return;
    const size = fontSize(), edge = margin(size), count = frame.alphabet.length;
    context.textAlign = "center";
    context.textBaseline = "middle";
    if (frame.table) {
      const [w, h] = [(width - edge) / count, (height - edge) / count];
      heat(context, edge, edge, width - edge, height - edge, frame.table, count, count, 0.6);
      frame.alphabet.forEach((letter, i) => {  // in two rows, so that they have room
        context.fillStyle = color(cell?.[0] === i ? "positive" : "ink");
        context.fillText(glyph(letter), i % 2 && h < size ? edge * 0.75 : edge * 0.3, edge + (i + 0.5) * h);
        context.fillStyle = color(cell?.[1] === i ? "positive" : "ink");
        context.fillText(glyph(letter), edge + (i + 0.5) * w, i % 2 && w < size ? edge * 0.78 : edge * 0.3);
      });
      if (cell) { context.strokeStyle = color("ink"); context.lineWidth = 2; context.strokeRect(edge + cell[1] * w, edge + cell[0] * h, w, h); }
    } else if (frame.points) {
      const xs = frame.points.map(p => p[0]), ys = frame.points.map(p => p[1]), most = Math.max(1e-9, ...xs.map(Math.abs), ...ys.map(Math.abs));
      const X = x => width / 2 + x / most * (width / 2 - edge), Y = y => height / 2 - y / most * (height / 2 - edge);
      context.strokeStyle = color("frame-2");
      context.lineWidth = 1;
      line(context, 0, height / 2, width, height / 2);
      line(context, width / 2, 0, width / 2, height);
      context.font = `bold ${size + 2}px Arial, Helvetica, sans-serif`;
      frame.alphabet.forEach((letter, i) => { context.fillStyle = color(/[aeiouäöüáéíóúàèø]/.test(letter) ? "text-negative" : letter === "\n" ? "ink" : "positive"); context.fillText(glyph(letter), X(xs[i]), Y(ys[i])); });
    }
  }
  function cellAt(x, y) {
    if (!frame?.table) return null;
    const edge = margin(fontSize()), count = frame.alphabet.length, { clientWidth, clientHeight } = surface;
    const [row, column] = [Math.floor((y - edge) / (clientHeight - edge) * count), Math.floor((x - edge) / (clientWidth - edge) * count)];
    return row >= 0 && column >= 0 && row < count && column < count ? [row, column] : null;
  }
  function showCell() {
    const view = play.settings.view, first = ["gpt", "mlp"].includes(play.settings.model);
    if (!frame) return;
    if (view === "map") {
      put(read, "Each letter is a vector; near ones are used alike. Vowels are orange, · is begin and end.");
      drawing.label("map of the letters: near ones are used alike");
      return;
    }
    const count = frame.alphabet.length;
    if (cell && frame.table) {
      const [a, b] = cell, all = frame.pairs.slice(a * count, (a + 1) * count).reduce((x, y) => x + y, 0), name = a === 0 ? "at the beginning" : `after ${glyph(frame.alphabet[a])}`;
      put(read, `${name}: ${b === 0 ? "the end" : glyph(frame.alphabet[b])} ${percent(frame.table[a * count + b])}; in the list ${frame.pairs[a * count + b]} of ${all} times${all ? ` = ${percent(frame.pairs[a * count + b] / all)}` : ""}`);
    } else put(read, first ? "Row: the first letter of a name. Column: the next letter. Point at a cell." : "Row: a letter. Column: the next letter. Point at a cell.");
    drawing.label(`table of probabilities: what comes after each letter. ${cell ? read.textContent : "Arrow keys move through it, Enter explains"}`);
  }
  function openCell() { if (cell && frame?.table) play.explain(`cell:${cell[0]}:${cell[1]}`); }

  function showTen() {
    if (frame.written === shownTen || JSON.stringify(frame.written) === JSON.stringify(shownTen)) return;
    const { step, names } = shownTen = frame.written;
    ten.replaceChildren(...names.map(({ name, known }) => element("li", { class: known ? "known" : "" }, element("button", { type: "button", title: known ? "in the list" : "new", onclick: () => play.set({ name }) }, `${name || "(no letter)"}${known ? " ✓" : ""}`))));
    const fresh = new Set(names.filter(one => !one.known).map(one => one.name)).size, different = new Set(names.map(one => one.name)).size;
    since.textContent = `Step ${step.toLocaleString("en-US")}: ${different === 1 ? `ten times the same, ${fresh ? "new" : "in the list"}` : `${fresh} new${different === names.length ? "" : `, ${different} different`}`}.${names.some(one => one.known) ? " ✓ in the list." : ""}`;
  }

  // The letters of the typed name: a bar of surprise above each, and below where each head looks when it predicts the letter.
  const chosen = () => Math.min(Math.max(pointed ?? (Number(play.settings.place) || 1), 1), frame.typed.tokens.length - 1);
  function showLetters() {
    const { tokens, surprise, looks, strange, instead, name } = frame.typed, unit = play.settings.unit === "bits" ? Math.LN2 : 1, at = chosen();
    const largest = Math.max(Math.log(frame.alphabet.length), ...surprise), heads = looks.flatMap((layer, l) => layer.map((places, h) => ({ places, l, h })));
    const key = `${tokens}/${heads.length}`;
    if (letters.dataset.key !== key) {
      letters.dataset.key = key;
      letters.style.gridTemplateColumns = `auto repeat(${tokens.length}, minmax(1.9em, 3.4em))`;
      letters.replaceChildren(element("span", { class: "row-name surprise" }, element("span", {}, "surprise"), element("span", {}, "letter")), ...tokens.map((token, i) => {
        const letter = i === 0 ? "begin" : i === tokens.length - 1 ? "end" : glyph(frame.alphabet[token]);
        if (i === 0) return element("span", { class: "letter first" }, element("span", { class: "bar-room" }), element("b", {}, "·"));
        return element("button", { type: "button", class: "letter", "data-place": i, onclick: () => play.set({ place: String(i) }),
          onpointerenter: () => point(i), onpointerleave: () => point(null), onfocus: () => point(i), onblur: () => point(null) },
        element("span", { class: "bar-room" }, element("span", { class: "amount" }), element("span", { class: "stick" })), element("b", {}, letter === "end" ? "·" : letter));
      }), ...heads.flatMap(({ l, h }) => [element("span", { class: "row-name" }, looks.length > 1 ? `layer ${l + 1} head ${h + 1}` : `head ${h + 1}`),
        ...tokens.map((_, j) => (j === tokens.length - 1 ? element("span", {}) : element("button", { type: "button", class: "look", "data-look": `${l}:${h}:${j}`, onclick: () => openLook(l, h, j) })))]));
    }
    letters.querySelectorAll(".letter[data-place]").forEach((button, i) => {
      button.classList.toggle("chosen", i + 1 === at);
      button.querySelector(".stick").style.setProperty("--share", surprise[i] / largest);  // one scale for all bars
      const amount = (surprise[i] / unit).toFixed(1);
      put(button.querySelector(".amount"), amount);
      button.setAttribute("aria-label", `${i + 2 === tokens.length ? "end" : button.querySelector("b").textContent}: ${amount} ${play.settings.unit}`);
    });
    letters.querySelectorAll(".look").forEach(button => {
      const [l, h, j] = button.dataset.look.split(":").map(Number), { from, weights } = looks[l][h][at - 1], w = weights[j - from];
      button.style.background = w === undefined ? "transparent" : `color-mix(in srgb, var(--positive) ${Math.round(50 * w)}%, var(--paper))`;  // at most half: the number stays readable
      put(button, w === undefined ? "" : String(Math.round(100 * w)));
      button.disabled = w === undefined;
      button.setAttribute("aria-label", w === undefined ? "not seen" : `layer ${l + 1}, head ${h + 1}: ${Math.round(100 * w)} % on letter ${j}`);
    });
    const { plain } = frame.next[at - 1], best = plain.indexOf(Math.max(...plain)), real = tokens[at], say = token => (token === 0 ? "the end" : glyph(frame.alphabet[token]));
    const before = tokens.slice(1, at).map(token => glyph(frame.alphabet[token])).join("");
    put(sentence, `${before ? `After “${before}” it` : "First it"} expected ${say(best)} (${percent(plain[best])})${best === real ? `, and that is right: ${number(Number((surprise[at - 1] / unit).toPrecision(2)))} ${play.settings.unit}.` : `; ${say(real)} had ${percent(plain[real])}: ${number(Number((surprise[at - 1] / unit).toPrecision(2)))} ${play.settings.unit} of surprise.`}`);
    const total = surprise.reduce((a, b) => a + b, 0);
    put(whole, `${name ? `${name}: ` : "No letter yet: "}${number(Number((total / unit).toPrecision(3)))} ${play.settings.unit} in all, ${number(Number((total / unit / surprise.length).toPrecision(3)))} a letter; probability ${oneIn(total)}.`);
    put(misread, [...instead.map(([letter, plain]) => `${letter} is read as ${plain}.`), ...(strange.length ? [`Not in the list, so the model cannot read it: ${strange.join(" ")}`] : [])].join(" "));
  }
  function openLook(l, h, j) {
    const at = chosen(), { from } = frame.typed.looks[l][h][at - 1];
    play.explain(`look:${l}:${h}:${at - 1}:${j - from}`);
  }
  function point(i) {
    pointed = i;
    if (frame) { showLetters(); showNext(); }
  }
  function showNext() {
    const at = chosen(), { plain, shown } = frame.next[at - 1], { tokens } = frame.typed, before = tokens.slice(1, at).map(token => glyph(frame.alphabet[token])).join("");
    put(nextTitle, before ? `What comes after “${before}”` : "What comes first");
    const order = [...plain.keys()].sort((a, b) => plain[b] - plain[a]).slice(0, 6);
    if (!order.includes(tokens[at])) order[order.length - 1] = tokens[at];
    bars(rows, order.map(token => ({
      label: token === 0 ? "· end" : glyph(frame.alphabet[token]), value: shown[token], text: percent(shown[token]), color: token === tokens[at] ? "negative" : "positive",
      title: `without the sliders ${percent(plain[token])}`, onclick: () => play.explain(`score:${at - 1}:${token}`),
    })), 1);
  }
  const status = () => `step ${play.step.toLocaleString("en-US")}${play.step && last?.training.length ? `  ·  training${frame.counted === undefined ? ", smoothed" : ""} ${number(last.training.at(-1))}, held-out ${number(last.ys.at(-1))}${fontSize() > 15 ? "" : " nats"}` : ""}`;  // the beamer has no room for it
  return { draw, status, python: (settings, given) => python(settings, given, play.step) };
}

// --- the same in Python ---------------------------------------------------------------------------------------------------
function python(settings, frame, steps) {
  const { model, batch, rate } = settings, seed = Math.trunc(Number(settings.seed)) || 0, lines = [], spaced = frame.names.some(name => /\s/.test(name)), glue = spaced ? ", " : " ";
  let row = "";
  for (const name of frame.names) { if (row.length + name.length > 100) { lines.push(row); row = ""; } row += name + glue; }
  lines.push(row.slice(0, -glue.length));
  const literal = lines.map(text => `    ${JSON.stringify(text)}`).join("\n");
  const number = x => (Number.isInteger(x) ? `${x}.0` : String(x));
  const MODELS = {
    counting: `counts = [[0] * len(alphabet) for _ in alphabet]


def scores(tokens):
    """The logarithm of the probability of each letter, after each token."""
    extra, size = ${number(settings.smooth)}, len(alphabet)
    return [[math.log((count + extra) / (sum(counts[token]) + extra * size)) for count in counts[token]] for token in tokens]


def learn(step, batch):
    """Measure the surprise at some names, then count their pairs, every name once."""
    loss = [F.cross_entropy(row, b).data for t in batch for row, b in zip(scores(t[:-1]), t[1:])]
    for i, tokens in enumerate(batch):
        if step * ${batch} + i < len(train):
            for a, b in zip(tokens, tokens[1:]):
                counts[a][b] += 1
    return math.fsum(loss) / len(loss)
`,
    bigram: `class Bigram(Module):
    def __init__(self):
        self.table = Embedding(len(alphabet), len(alphabet), std=0.0)

    def forward(self, tokens):
        return [self.table(token) for token in tokens]


model = Bigram()
pairs = Counter((a, b) for tokens in train for a, b in zip(tokens, tokens[1:]))
shares = [pairs[pair] / pairs.total() for pair in sorted(pairs)]


def loss_of(batch):
    """All names at once: each pair of letters weighs as much as it occurs."""
    logs = [F.log_softmax(row) for row in model.table.weight]
    return -F.dot(shares, [logs[a][b] for a, b in sorted(pairs)])
`,
    mlp: `class Window(Module):
    def __init__(self):
        rng = random.Random(${seed})
        self.embedding = Embedding(len(alphabet), ${settings.embedding}, rng=rng)
        self.hidden = Linear(${settings.window * settings.embedding}, ${settings.hidden}, rng=rng)
        self.output = Linear(${settings.hidden}, len(alphabet), std=0.08, rng=rng)

    def forward(self, tokens):
        padded = [0] * ${settings.window - 1} + tokens
        windows = [padded[i : i + ${settings.window}] for i in range(len(tokens))]
        vectors = [[x for token in window for x in self.embedding(token)] for window in windows]
        return [self.output([x.tanh() for x in self.hidden(vector)]) for vector in vectors]


model = Window()


def loss_of(batch):
    return F.mean([F.cross_entropy(row, b) for t in batch for row, b in zip(model(t[:-1]), t[1:])])
`,
    gpt: `config = GPTConfig(
    vocab_size=len(alphabet), n_embd=${settings.width}, n_head=${settings.heads}, n_layer=${settings.layers}, block_size=${settings.context}
)
model = GPT(config, seed=${seed})
${settings.positions ? "" : "model.transformer.learned = False  # no positions are added\n"}

def loss_of(batch):
    parts = [t[i : i + ${Number(settings.context) + 1}] for t in batch for i in range(0, len(t) - 1, ${settings.context})]
    return F.mean([F.cross_entropy(row, b) for part in parts for row, b in zip(model(part[:-1]), part[1:])])
`,
  };
  const imports = {
    counting: "import math\nimport random\n\nfrom tinygrad_edu import functional as F\n",
    bigram: "import random\nfrom collections import Counter\n\nfrom tinygrad_edu import functional as F\nfrom tinygrad_edu.nn import Embedding, Module\nfrom tinygrad_edu.optim import Adam\n",
    mlp: "import random\n\nfrom tinygrad_edu import functional as F\nfrom tinygrad_edu.nn import Embedding, Linear, Module\nfrom tinygrad_edu.optim import Adam\n",
    gpt: "import random\n\nfrom gpt.config import GPTConfig\nfrom gpt.model import GPT\nfrom tinygrad_edu import functional as F\nfrom tinygrad_edu.optim import Adam\n",
  }[model];
  const learn = model === "counting" ? "" : `

optimizer = Adam(model.parameters(), lr=${rate}, betas=(0.9, 0.99))


def learn(step, batch):
    loss = loss_of(batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.data
`;
  return `${imports}
names = (
${literal}
).split(${spaced ? '", "' : ""})
alphabet = "\\n" + "".join(sorted(set("".join(names))))  # token 0 begins and ends a name


def encode(name):
    return [alphabet.index(letter) for letter in f"\\n{name}\\n"]


random.Random(42).shuffle(names)  # always in this way: a tenth is held out
split = len(names) * 9 // 10
train, held_out = [[encode(name) for name in part] for part in (names[:split], names[split:])]
random.Random(${seed}).shuffle(train)


${MODELS[model]}${learn}

for step in range(${Math.max(1, steps)}):
    batch = [train[(step * ${batch} + i) % len(train)] for i in range(${batch})]
    print(step + 1, learn(step, batch))
`;
}
})();
