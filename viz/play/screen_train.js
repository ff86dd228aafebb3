// Screen 6 in the page: a GPT learns a text, by a compiled step in WebAssembly.
(() => {
const SIZES = { micro: "micro", tinylm: "TinyLM", small: "small", nano: "nano" };
const RATES = { micro: 0.01, tinylm: 0.01, small: 0.005, nano: 0.002 };
const ABOUT = {
  micro: "one layer of width 16, context 16", tinylm: "one layer of width 32, context 32", small: "two layers of width 64, context 64", nano: "four layers of width 128, context 64",
};
const mine = FACTS.train ?? {};
const GIVEN = mine.text ? "text" : mine.list ? "list" : "";  // the text that the page was made with
const TEXTS = { ...(GIVEN ? { [GIVEN]: mine[GIVEN].title } : {}), ...(SCREENS.names ? { names: "first names" } : {}), own: "your own text", lines: "your own lines" };
const LONGEST = 50000;  // characters that are pasted
const TYPED = ["own", "lines"];
const CALLED = { uniform: "guessing", letters: "letters (unigram)", bigram: "pairs (bigram)", trigram: "triples (trigram)" };  // as in the screen of names
const GLOSS = {
  "transformer.wte.weight": "wte: the vectors of the characters", "transformer.wpe.weight": "wpe: the vectors of the positions", "lm_head.weight": "lm_head: from the last vector to a score for each character",
  "attn.c_attn": "makes query, key and value of each vector", "attn.c_proj": "mixes what the heads gathered", "mlp.c_fc": "from a vector to the units of the MLP", "mlp.c_proj": "from the units back to a vector",
};
const KNOWS = { uniform: "It beats guessing.", letters: "It knows more than how often each letter comes.", bigram: "It knows more than all pairs of letters.", trigram: "It knows more than all triples.", "5-gram": "It knows more than all runs of five letters." };
const visible = text => text.replaceAll("\n", "⏎").replaceAll(" ", "␣");

screen("train", {
  title: "Train a GPT",
  lead: "A language model begins with random weights. Press ▶ and watch how far it gets, and what it writes on the way.",
  lossName: "training, last batch", valName: "validation",
  // A size has its own usual rate.
  also: ({ size, size2 }) => ({ ...(size && { rate: RATES[size] }), ...(size2 && { rate2: RATES[size2] }) }),
  settings: {
    text: choice("text", Object.keys(TEXTS)[0], TEXTS),
    own: words("your text", "", { rows: 3, longest: LONGEST, placeholder: "Paste a text here: some thousand characters, or more." }),
    size: choice("model", "micro", SIZES),
    rate: slider("learning rate", RATES.micro, { min: 0.0001, max: 100, log: true, live: true, help: "it rises to this in 100 steps, and then falls to a tenth of it until the last step" }),
    steps: whole("steps", 2000, { min: 100, max: 20000, by: 100, live: true, help: "the training stops there; after 100 steps of warm-up, the learning rate falls to a tenth over these steps" }),
    every: whole("every", 200, { min: 10, max: 5000, by: 10, live: true, help: "it writes once in so many steps" }),
    temperature: slider("temperature", 0.8, { min: 0, max: 2, step: 0.05, live: true }),
    prompt: words("goes on from", "", { live: true, longest: 60 }),
    line: words("your line", "the king and the queen", { live: true, longest: 32 }),
    race: tick("race a second run", false, { live: true }),
    size2: choice("its model", "micro", SIZES, { live: true }),
    rate2: slider("its rate", 0.001, { min: 0.0001, max: 100, log: true, live: true }),
    seed2: whole("its seed", 1, { min: 0, max: 1e6, live: true }),
    over: choice("over", "steps", { steps: "steps", seconds: "seconds" }, { live: true }),
  },
  tasks: [
    "What is the loss before the first step, when the model knows nothing? Type your guess below the chart; the answer says why.",
    "Press ▶. At which step does it pass “letters”, “pairs”, “triples”? Read what it writes at each of them.",
    "Find the largest learning rate that still learns (below “pairs” in 500 steps). Race it against a tenth of it.",
    "Race micro against small, over seconds. Which one is ahead after 5 seconds of work, which after a minute?",
    "Set “steps” to 100, then to 2,000; it stops there: where is the gradient largest? Which head looks at the character before?",
    "Paste a text of yours, train TinyLM, and read the model, or take it with you as a file.",
  ],
  build,
});

function build(place, play) {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("rate")) play.settings.rate = RATES[play.settings.size];
  let text, taken = null;  // taken: the model that was downloaded
  const TITLES = ["What it writes", "Gradient, from the embedding to the head", "Attention on"], titles = TITLES.map(title => element("h2", {}, title));
  const opener = element("input", { type: "file", id: "own-file", accept: "text/*,.txt,.md,.csv", onchange: openFile });
  const typed = element("div", { class: "typed" }, play.control("own"), element("div", { class: "control file" }, element("label", { for: "own-file" }, "or open a file"), opener, element("span", { class: "note" }, "It is read in this page only.")));
  const rival = element("div", { class: "controls rival" }, play.control("size2"), play.control("rate2"), play.control("seed2"), play.control("over"));
  // The loss before the first step is shown when it was guessed, or after a step.
  let known = false;
  const guessed = element("input", { id: "train-guess", inputmode: "decimal", autocomplete: "off", maxlength: 8, size: 5 });
  const guessing = element("form", { class: "controls", onsubmit: event => { event.preventDefault(); takeGuess(); } },
    element("label", { for: "train-guess" }, "Your guess of the loss before the first step, in nats:"), guessed, element("button", { type: "submit" }, "That is my guess"));
  const answer = element("p", { role: "status" });
  const about = element("p", { class: "note" }), verdict = element("p", { class: "verdict", role: "status" });
  const facts = element("p", { class: "facts" }), left = element("div"), right = element("div");
  const chart = lossChart(left, { height: 194, label: "loss by step", log: true });
  const written = element("pre", { class: "written", tabindex: "0", "aria-label": "what the model writes" });
  const now = element("button", { type: "button", onclick: () => play.edit({ what: "write" }) }, "Write now");
  const flow = element("div", { class: "gradients" }), flowNote = element("p", { class: "note" });
  const heads = element("div"), seen = canvas(heads, paint, { label: "attention" }), headsNote = element("p", { class: "note" });
  const file = element("button", { type: "button", title: "the model as it is, as a .safetensors file", onclick: download }, "Download");
  const read = element("button", { type: "button", title: "opens it in the screen “Read a trained GPT”", "data-leaves": true, onclick: hand }, "Read this model");
  const how = element("p", { class: "note how" });
  let attention = null, calm = 0, columns, pointer = null;
  seen.element.addEventListener("pointermove", ({ offsetX, offsetY }) => { pointer = [offsetX, offsetY]; looked(); });
  seen.element.addEventListener("pointerleave", () => { pointer = null; looked(); });

  place.append(
    element("div", { class: "controls" }, play.control("text"), play.control("size"), play.control("rate"), play.control("steps"), play.control("race")),
    typed, rival, about,
    columns = element("div", { class: "columns" },
      element("div", {},
        element("section", { class: "card" }, element("h2", {}, "Loss in nats (log scale), and what counting reaches"), left, guessing, answer, verdict, facts),
        element("section", { class: "card" },
          element("div", { class: "top" }, titles[0], element("span", { class: "room" }), now, file, SCREENS.read ? read : null),
          element("div", { class: "controls" }, play.control("temperature"), play.control("every"), play.control("prompt")), how, written)),
      element("div", {},
        element("section", { class: "card" }, titles[1], flow, flowNote),
        element("section", { class: "card" }, titles[2], play.control("line"), heads, headsNote))),
  );
  if (!play.hasAsset("step-micro")) {
    const why = mine.missing ?? "This page was made without compiled models: `python -m gpt play` makes one with them.";
    play.locked = "No compiled model here";
    place.replaceChildren(element("p", { class: "missing" }, why));
    return { draw() {}, python: () => `# ${why}\n`, repeats: false };
  }
  columns.hidden = true;  // until there is something to show: nothing jumps
  about.textContent = "Loading the text and the compiled model …";
  layout();
  heads.firstChild.style.height = "132px";

  function layout() {
    const { settings } = play;
    const hidden = !TYPED.includes(settings.text), fresh = typed.hidden && !hidden;
    typed.hidden = hidden;
    if (fresh && !settings.own) document.getElementById("set-own").focus();
    rival.hidden = !settings.race;
    about.hidden = settings.race;
    place.classList.toggle("race", settings.race);
    titles.forEach((title, i) => { const said = `${TITLES[i]}${settings.race ? " (run 1)" : ""}`; if (title.textContent !== said) title.textContent = said; });
  }

  async function openFile() {
    const [chosen] = opener.files;
    if (!chosen) return;
    const all = await chosen.text(), letters = all.slice(0, LONGEST);
    play.say(all.length > LONGEST ? `${chosen.name} has ${plural(all.length, "character")}: these are the first ${LONGEST.toLocaleString("en-US")}.` : `${plural(all.length, "character")} of ${chosen.name}.`);
    play.set({ own: letters });
  }
  function draw(frame) {
    const { settings } = play;
    layout();
    if (taken && (taken.model !== `${settings.size} ${settings.text} ${settings.own}` || frame.waiting || frame.a.step < taken.step)) { taken = null; how.textContent = ""; }  // what was said of another model
    const { waiting } = frame;
    const locked = waiting ? "no text yet" : frame.done ? `all ${frame.a.step.toLocaleString("en-US")} steps are made; for more of them, raise “steps”` : "";
    if (play.locked !== locked) play.locked = locked;
    columns.hidden = Boolean(waiting);
    if (waiting) {
      about.textContent = `${waiting[0].toUpperCase()}${waiting.slice(1)}.`;
      about.hidden = false;
      return;
    }
    if (frame.text.whole !== undefined) text = frame.text.whole;
    const { a, b, ahead } = frame, rungs = (frame.ladder ?? mine[GIVEN].ladder).map(rung => (rung.name === "uniform" ? { ...rung, y: Math.log(a.config.vocab_size) } : rung));
    if (a.step && !known) { known = true; answer.textContent = ""; }  // the answer to a guess stays
    guessing.hidden = known;
    verdict.hidden = facts.hidden = !known;
    answer.hidden = !answer.textContent;
    describe(frame);
    const xs = curve => curve[settings.over === "seconds" && b ? "seconds" : "steps"], name = b ? "1 " : "";
    const series = [
      { name: b ? "1 training" : "training, smoothed", color: "faint", xs: xs(a.curve), ys: smooth(a.curve.losses) },
      { name: `${name}validation`, color: "positive", xs: known ? xs(a.checks) : [], ys: known ? a.checks.losses : [] },
    ];
    if (b) series.push(
      { name: "2 training", color: "faint", dash: [3, 3], xs: xs(b.curve), ys: smooth(b.curve.losses) },
      { name: "2 validation", color: "negative", xs: xs(b.checks), ys: b.checks.losses },
    );
    if (ahead) [a, b].forEach(({ checks }, i) => {  // and what was measured for the race
      const one = series[2 * i + 1], at = ahead[settings.over][i];
      if (ahead.steps[i] > checks.steps.at(-1)) Object.assign(one, { xs: [...one.xs, at], ys: [...one.ys, ahead.vals[i]] });
    });
    chart.draw({ series, lines: rungs.slice(known ? 0 : 1).map(rung => ({ ...rung, name: CALLED[rung.name] ?? rung.name })), log: true, unit: settings.over === "seconds" && b ? "second" : "step" });
    if (play.running && performance.now() < calm) return;  // nobody reads sixty numbers a second
    calm = performance.now() + 100;
    judge(frame, rungs);
    show(...frame.samples);
    gradient(frame.flow);
    attention = frame.attention;
    looked();
  }
  function takeGuess() {
    const value = Number(guessed.value.trim().replace(",", "."));
    if (!guessed.value.trim() || !(value >= 0 && value <= 100)) { answer.hidden = false; answer.textContent = "Type a number from 0 to 100, such as 1.5."; return; }
    const { val, config: { vocab_size: count } } = play.frame.a;
    known = true;
    answer.textContent = `You said ${number(value)}; it is ${number(val)}. To a model that knows nothing, all ${count} characters that it has room for are about equally likely: ln ${count} = ${number(Math.log(count))}. Its random weights make it prefer some, and that costs the rest.`;
    calm = 0;
    draw(play.frame);
  }
  function describe({ a, text: { alphabet, replaced, size: characters, documents } }) {
    const { vocab_size } = a.config;
    const { size } = play.settings, parts = [
      `${SIZES[size]}: ${plural(a.parameters, "parameter")}, ${ABOUT[size]}; a step reads ${a.train.batch_size} ${documents ? "lines" : "pieces of the text"}.`,
      `Text: ${plural(characters, "character")}, ${alphabet} different ones, the last tenth for validation.`,
    ];
    if (alphabet < vocab_size) parts.push(`The model was compiled for ${vocab_size}, so guessing costs ln ${vocab_size} = ${number(Math.log(vocab_size))}; it soon learns that the rest never come.`);
    if (replaced.length) parts.push(`It has room for ${vocab_size}: the ${plural(replaced.length, "rarest character")} became □ (${replaced.slice(0, 8).join(" ")}${replaced.length > 8 ? " …" : ""}).`);
    const said = parts.join(" ");
    if (about.textContent !== said) about.textContent = said;
  }
  function judge({ a, b, ahead }, rungs) {
    const beaten = loss => { let best = ""; for (const rung of rungs) { if (!(loss < rung.y)) break; best = rung.name; } return best; };
    const raced = Boolean(ahead) && ahead.steps[0] > a.checks.steps.at(-1);  // the newest measure is that of the race
    const [val, measured] = raced ? [ahead.vals[0], ahead.steps[0]] : [a.val, a.checks.steps.at(-1)];
    const best = beaten(val), rung = rungs.find(({ name }) => name === best), since = rung && (a.checks.steps[a.checks.losses.findIndex(loss => loss < rung.y)] ?? measured);
    const slow = a.step >= 500 && !(val < (rungs.find(({ name }) => name === "bigram")?.y ?? Infinity));
    const guess = rungs[0].y, checked = a.step && a.step !== measured ? ` at step ${number(measured)}` : "";
    const high = Math.min(val, smooth(a.curve.losses).at(-1) ?? 0) > guess + 0.5 ? ` It is worse than guessing: the learning rate is too high. Take it back with ◀, or set it to ${RATES[play.settings.size]} and press ⟲.` : "";
    const words = high ? high.trim() : `${KNOWS[best]?.replace(".", ` (seen at step ${number(since)}).`) ?? "It does not beat guessing yet."}${slow && !high ? " That is little after so many steps: the learning rate may be too high, or too low." : ""}`;
    const race = b && ahead ? told(ahead) : "";
    const lowest = Math.min(...a.checks.losses), at = a.checks.steps[a.checks.losses.indexOf(lowest)];
    const heart = val > lowest + 0.05 && a.loss < val - 0.1;
    const said = `Validation loss ${number(val)}${checked}${heart ? `; it was ${number(lowest)} at step ${number(at)}. Now it learns the text by heart.` : `. ${words}`}${race}`;
    if (verdict.textContent !== said) verdict.textContent = said;
    const speed = a.seconds > 0 ? Math.round(a.characters / a.seconds) : 0;
    facts.textContent = a.step
      ? `${speed.toLocaleString("en-US")} characters a second · ${number(a.step / a.seconds)} steps a second · ${duration(a.seconds)} of work · learning rate now ${number(a.rate)}`
      : `Not trained yet: all weights are random.${play.before ? ` ◀ brings back the model you had, of ${plural(play.before, "step")}.` : ""}`;
  }
  function told({ steps: [m, n], vals: [x, y], seconds }) {
    const over = play.settings.over === "seconds";
    if (!over && m !== n) return ` Run 1: validation ${number(x)} after ${plural(m, "step")}; run 2: ${number(y)} after ${plural(n, "step")}.`;  // not yet to be compared
    const after = over ? `after ${duration(Math.min(...seconds))} of work each, ${number(m)} and ${plural(n, "step")}` : `after ${plural(m, "step")} each`;
    return ` Run ${x < y ? 1 : 2} is ahead by ${number(Math.abs(x - y))}: validation ${number(x)} and ${number(y)}, both measured ${after}.`;
  }
  const duration = seconds => (seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`);
  // Batches differ in how hard they are: a mean over neighbors shows where the loss goes.
  function smooth(losses) {
    const width = Math.min(12, Math.floor(losses.length / 40));
    if (!width) return losses;
    let sum = 0;
    return losses.map((loss, i) => { sum += loss - (i >= width ? losses[i - width] : 0); return sum / Math.min(i + 1, width); });
  }
  function show(...samples) {
    const said = samples.reverse().map(one => `— step ${one.step.toLocaleString("en-US")}, loss ${number(one.loss)} —\n${one.text}`).join("\n\n") || "Nothing yet. “Write now” asks the model as it is.";
    const missing = play.frame.text.missing, all = `${missing.length ? `“goes on from”: the text has no ${missing.map(visible).join(" ")}, which is left out.\n\n` : ""}${said}`;
    if (written.textContent !== all) written.textContent = all;
  }

  // --- the gradient of each table ------------------------------------------------------------------------------------------
  function gradient(tables) {
    const rows = tables.filter(({ name }) => !/\.ln_|\.bias$/.test(name)), sizes = rows.map(row => row.size);
    const middle = sizes.slice().sort((x, y) => x - y)[Math.floor(sizes.length / 2)], largest = Math.max(...sizes, 1e-30);
    const word = size => (size === 0 ? "none" : size < middle / 1000 ? "vanishes" : size > middle * 1000 ? "explodes" : "");
    bars(flow, rows.map(({ name, size }) => ({ label: called(name), value: 4 + Math.log10(Math.max(size / largest, 1e-4)), title: `${name}: ${gloss(name)}`, text: word(size) || number(size), color: word(size) ? "negative" : "" })), 4);
    const odd = rows.filter(({ size }) => word(size));
    flow.classList.toggle("many", rows.length > 9);
    flowNote.textContent = !rows.length ? "How large the gradient of each table is, after a step."
      : odd.length ? `${odd.map(({ name, size }) => `${called(name)}: ${word(size)}`).join("; ")}.`
      : "The usual size of its numbers (root mean square): a quarter of the width less is ten times less. None vanishes or explodes.";
  }
  const gloss = name => (GLOSS[name] ?? GLOSS[name.match(/h\.\d+\.(.*)\.weight/)?.[1]] ?? "").replace(/^\w+: /, "");
  function called(name) {
    const layer = name.match(/h\.(\d+)\.(.*)\.weight/), parts = { "attn.c_attn": "q, k, v", "attn.c_proj": "heads", "mlp.c_fc": "MLP in", "mlp.c_proj": "MLP out" };
    return layer ? `layer ${Number(layer[1]) + 1}: ${parts[layer[2]] ?? layer[2]}` : { "transformer.wte.weight": "characters", "transformer.wpe.weight": "positions", "lm_head.weight": "head" }[name] ?? name;
  }

  // --- attention -----------------------------------------------------------------------------------------------------------
  function looked() {
    if (!attention) return;
    const { letters, missing, heads: found, block } = attention, n = letters.length;
    heads.hidden = !n;
    const parts = [n ? "Each row: where a character looks, back to the first." : "Type a line of characters that the text has."];
    if (missing.length) parts.push(`Left out, as the text has none: ${[...new Set(missing)].map(visible).join(" ")}.`);
    if (Array.from(play.settings.line).length - missing.length > n) parts.push(`Only the first ${Math.min(block, 32)}.`);
    headsNote.textContent = (n && pointer && square(pointer)) || parts.join(" ");
    seen.label(found.map(({ layer, head, weights }) => {
      let best = 0;
      for (let k = 1; k < n; k++) best += weights[k * n + k - 1];
      return `layer ${layer + 1}, head ${head + 1}: ${Math.round(100 * best / Math.max(1, n - 1))} % on the character before`;
    }).join("; ") || "attention");
    seen.redraw();
  }
  // Where each head stands in the picture.
  function places(width, height) {
    const { heads: found } = attention, columns = found.length > 4 ? Math.ceil(found.length / Math.max(2, Math.ceil(found.length / 8))) : found.length;
    const rows = Math.ceil(found.length / columns), w = width / columns, h = height / rows, title = found.length > 8 ? 0 : 20;
    return found.map((one, i) => ({ ...one, x: (i % columns) * w, y: Math.floor(i / columns) * h, side: Math.min(w - 8, h - title - 6), title }));
  }
  function square([x, y]) {
    const { letters } = attention, n = letters.length;
    for (const one of places(seen.element.clientWidth, seen.element.clientHeight)) {
      const [s, t] = [x - one.x - 2, y - one.y - one.title].map(at => Math.floor(at / one.side * n));
      if (s >= 0 && t >= s && t < n) return `Layer ${one.layer + 1}, head ${one.head + 1}: “${visible(letters[t])}” looks at “${visible(letters[s])}”, ${t === s ? "itself" : `${t - s} back`}: ${number(one.weights[t * n + s])}.`;
    }
    return "";
  }
  function paint(context, width, height) {
    if (!attention?.letters.length) return;
    const { letters, heads: found } = attention, n = letters.length;
    places(width, height).forEach(({ layer, head, weights, x, y, side, title }) => {
      if (title) {
        context.fillStyle = color("faint");
        context.textBaseline = "top";
        context.fillText(found.length > 4 || found.some(one => one.layer) ? `${layer + 1}.${head + 1}` : `head ${head + 1}`, x + 2, y + 2);
      }
      heat(context, x + 2, y + title, side, side, weights, n, n, 1);
      context.strokeStyle = color("frame-line");
      context.strokeRect(x + 2, y + title, side, side);
    });
  }

  // --- taking it away --------------------------------------------------------------------------------------------------------
  const source = () => mine[play.settings.text]?.source ?? {};
  async function asked(question) {
    try { return await play.ask(question); } catch { how.textContent = "There is no model yet."; return null; }
  }
  async function download() {
    const bytes = await asked({ what: "file", source: source() });
    if (!bytes) return;
    const { size, text: chosen, own } = play.settings, name = `${size}-${play.step}.safetensors`;
    taken = { model: `${size} ${chosen} ${own}`, step: play.step };
    const link = element("a", { href: URL.createObjectURL(new Blob([bytes])), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    const { dataset, data } = source(), typed = !dataset && !data, where = dataset ? "" : ` --data ${data ?? "text.txt"}`;
    how.textContent = `Open it again in “Read a trained GPT”, or go on with it in Python: python -m gpt import ${name} runs/mine${where}, then python -m gpt sample runs/mine${typed ? " (text.txt: the text, as “Show the Python” has it)" : ""}`;
  }
  async function hand() {
    const model = await asked({ what: "reading" });
    if (model) openInReader(play, { name: `${SIZES[play.settings.size]}, step ${model.step}`, val: play.frame.a.val, ...model });
  }

  // --- Python ----------------------------------------------------------------------------------------------------------------
  function python(settings, frame) {
    if (!frame?.a) return "# not ready yet\n";
    const { a, b } = frame;
    return [
      "# The same training in Python: it prints the losses of this page.", "from dataclasses import replace", "",
      "from gpt.config import GPTConfig, TrainConfig", "from gpt.data.corpus import Corpus, open_text", "from gpt.data.text import Text", "from gpt.engines import make_engine", "from gpt.model import GPT", "from gpt.train import learning_rate", "",
      `TEXT = ${opened(settings, frame)}`, ...(settings.text === GIVEN && source().data ? [`# Run it in the folder of ${source().data}.`] : []), "",
      "def run(model, train, rates, steps):",
      "    corpus = Corpus.from_text(TEXT, model.block_size)",
      "    engine = make_engine(GPT(model, seed=train.seed), train)",
      "    check = corpus.validation(model.block_size, train.eval_sequences)",
      '    print(f"validation {engine.evaluate(check):.6f}")',
      "    for step in range(steps):",
      "        rate, last = [now for since, *now in rates if since <= step][-1]  # as it was set",
      "        now = replace(train, lr=rate, min_lr=rate / 10, steps=last)",
      "        batch = corpus.batch(model.block_size, train.batch_size, train.seed, step)",
      '        loss, norm = engine.step(batch, learning_rate(now, step), "")',
      '        print(f"step {step + 1} loss {loss:.6f}")',
      "        if (step + 1) % train.eval_interval == 0:",
      '            print(f"validation {engine.evaluate(check):.6f}")', "",
      ...(b ? ["# The first run, then the second."] : []),
      call(a), ...(b ? [call(b)] : []), "",
      `# ${command(settings, frame)}`, "",
    ].join("\n");
  }
  const USED = ["steps", "batch_size", "lr", "min_lr", "warmup_steps", "beta1", "beta2", "eps", "weight_decay", "grad_clip", "seed", "eval_interval", "eval_sequences"];
  const literal = x => (x === true ? "True" : x === false ? "False" : typeof x === "string" ? JSON.stringify(x) : String(x));
  const made = (kind, fields) => `${kind}(${Object.entries(fields).map(([name, value]) => `${name}=${literal(value)}`).join(", ")})`;
  function call({ config, train, rates, step }) {
    const settings = Object.fromEntries(USED.map(name => [name, train[name]]));
    return `run(\n    ${made("GPTConfig", config)},\n    ${made("TrainConfig", settings)},\n    [${rates.map(one => `(${one.from}, ${one.rate}, ${one.steps})`).join(", ")}],  # from which step on: learning rate, steps\n    ${step},\n)`;
  }
  function opened({ text: chosen }, frame) {
    const { dataset, data, normalize } = source();
    if (chosen === GIVEN) return `open_text(${dataset ? JSON.stringify(dataset) : "None"}, ${data ? JSON.stringify(data) : "None"}, ${normalize.length ? `tuple(${JSON.stringify(normalize)})` : "()"}, ${literal(frame.text.documents)})`;
    return `Text("text", (${JSON.stringify(text ?? "")},), documents=${literal(frame.text.documents)})`;
  }
  // The command line of the same run, where the alphabet of the model is that of the text.
  function command({ text: chosen }, { a, b, text: { alphabet } }) {
    if (alphabet !== a.config.vocab_size) return `\`gpt train\` makes a model of ${alphabet} characters from this text, and this page one of ${a.config.vocab_size}: its numbers are others.`;
    if (a.rates.length > 1 || b) return "`gpt train` trains one run, at one learning rate, for as many steps as were set first.";
    const { dataset, data = "text.txt", normalize = [] } = source();
    const { train: { lr, min_lr, steps, seed, eval_interval, eval_sequences } } = a, { size } = play.settings;
    return `On the command line:  python -m gpt train --preset ${size} ${dataset ? `--dataset ${dataset}` : `--data ${data}`} --lr ${lr} --min-lr ${min_lr} --steps ${steps} --seed ${seed} --eval-interval ${eval_interval} --eval-sequences ${eval_sequences}${normalize.length ? ` --normalize ${normalize}` : ""}`;
  }
  const status = () => (known || !play.frame?.a ? null : "step 0  ·  guess the loss, or press ▶");
  return { draw, python, status };
}
})();
