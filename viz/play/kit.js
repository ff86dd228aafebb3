// The frame of all screens: settings and their controls, the address, the play bar, the Worker, what went wrong.
const SCREENS = {};
const FACTS = JSON.parse(document.getElementById("facts").textContent);
const $ = id => document.getElementById(id);

function screen(name, what) {
  const seed = { ...(what.settings.seed ?? hidden("1")), read: text => (/^\d{1,12}$/.test(text) ? text : undefined) };
  SCREENS[name] = { ...what, settings: { ...what.settings, seed, speed: what.settings.speed ?? hidden("0", { live: true }) } };
}

// --- settings: how each is read from the address and shown ---------------------------------------------------------------
const setting = (kind, label, value, more, read) => ({ kind, label, value, live: false, ...more, read });
// A number on a scale; `log` for rates.
function slider(label, value, more) {
  return setting("slider", label, value, { step: 0.01, ...more }, text => within(Number(text), more));
}
function whole(label, value, more) {
  return setting("whole", label, value, more, text => (Number.isInteger(Number(text)) ? within(Number(text), more) : undefined));
}
const within = (x, { min, max }) => (Number.isFinite(x) ? Math.min(max, Math.max(min, x)) : undefined);
function choice(label, value, options, more) {
  return setting("choice", label, value, { options, ...more }, text => (text in options ? text : undefined));
}
const tick = (label, value, more) => setting("tick", label, value, more, text => ({ 1: true, 0: false })[text]);
const words = (label, value, more) => setting("words", label, value, more, text => text);
// Without a control of its own.
const hidden = (value, more) => setting("hidden", "", value, more, text => text);
// The same for what must look so; anything else in an address is left out.
const pattern = (value, looks, more) => setting("hidden", "", value, more, text => (looks.test(text) ? text : undefined));
const written = x => (x === true ? "1" : x === false ? "0" : typeof x === "number" ? String(Number(x.toPrecision(12))) : x);

// --- what is shown now ---------------------------------------------------------------------------------------------------
const KEPT = {};  // the settings of screens that were left
let now = null;  // { name, what, settings, view, worker, frame, … }

function address() {
  const words = new URLSearchParams(location.hash.slice(1));
  const names = Object.keys(SCREENS);
  return { words, name: names.includes(words.get("screen")) ? words.get("screen") : names[0] };
}
function read(name, words) {
  const settings = {};
  for (const [key, one] of Object.entries(SCREENS[name].settings)) {
    const text = words.get(key), given = text === null ? undefined : one.read(text);
    settings[key] = given ?? one.value;
  }
  return settings;
}
function addressOf(name, settings, more = {}) {
  const words = new URLSearchParams({ screen: name });
  for (const [key, one] of Object.entries(SCREENS[name].settings)) if (settings[key] !== one.value) words.set(key, written(settings[key]));
  for (const [key, value] of Object.entries(more)) if (value) words.set(key, value);
  return `#${words}`;
}
const later = {}, awaited = {};
function soon(name, wait, act) {
  clearTimeout(later[name]);
  awaited[name] = act;
  later[name] = setTimeout(() => hurry(name), wait);
}
function hurry(name) {  // now, if it is awaited
  const act = awaited[name];
  forget(name);
  act?.();
}
function forget(name) { clearTimeout(later[name]); delete awaited[name]; }
function say(text) {  // for a few seconds
  $("said").textContent = text;
  soon("said", 6000, () => { $("said").textContent = ""; });
}
let own = "";  // the address that this page wrote itself
function remember() {
  const { name, settings, step, running, view } = now;
  const run = running || view.repeats === false ? "" : (view.run?.() ?? step);
  own = addressOf(name, settings, { run, theme: document.documentElement.dataset.theme, embed: document.body.dataset.embed });
  history.replaceState(null, "", location.href.split("#")[0] + own);  // in a frame with srcdoc, "#…" alone would be of the page around it
}

// --- opening a screen ----------------------------------------------------------------------------------------------------
function open() {
  const { words, name } = address();
  look(LOOK.all.find(name => name === words.get("theme")) ?? LOOK.kept);
  if (words.get("embed")) document.body.dataset.embed = "1";
  if (now) { KEPT[now.name] = now.settings; now.worker?.terminate(); now.helper?.terminate(); forget("make"); forget("change"); }
  const what = SCREENS[name];
  $("explained").hidden = true;
  $("trouble").hidden = true;
  say("");
  now = { name, what, settings: read(name, words), questions: new Map(), step: 0, running: false, frame: null, locked: "" };
  document.title = `${what.title} – playground`;
  for (const link of $("tabs").children) link.toggleAttribute("aria-current", link.dataset.screen === name);
  for (const link of $("tabs").children) if (link.hasAttribute("aria-current")) { link.setAttribute("aria-current", "page"); link.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  $("title").textContent = what.title;
  $("lead").textContent = what.lead;
  $("tasks-open").hidden = !what.tasks?.length;
  showTasks(false);
  document.querySelector("footer").classList.remove("open");
  $("more").setAttribute("aria-expanded", "false");
  $("task-list").replaceChildren(...(what.tasks ?? []).map(text => element("li", {}, text)));
  const place = $("place");
  place.replaceChildren();
  place.className = name;
  LOOKED.clear();
  Object.assign(document.body.dataset, { screen: name, step: "0", loss: "", val: "", error: "", busy: "1" });
  now.worker = worker(now);
  now.view = what.build(place, handle(now));
  showState();
  make(Number(words.get("run")) || 0);
}
let program;  // the address of the Worker's script, which stands deflated in the page
function worker(mine) {
  const made = new Worker(program);
  made.onmessage = ({ data }) => { if (mine === now) HEARD[data.what](data, mine); };
  made.onerror = event => fault(event.message);
  return made;
}
let count = 0;  // of questions and orders
function post(what, more = {}) {
  if (what !== "change") hurry("change");  // the Worker hears of everything in the order in which it was done
  now.worker.postMessage({ what, ...more });
}
// The same for what ends with a frame; until the Worker has heard it, frames say nothing about it.
function act(what, more) {
  if (what !== "make") hurry("make");
  calm();
  document.body.dataset.busy = "1";
  now.asked = ++count;
  post(what, { ...more, asked: count });
}
function calm() { $("trouble").hidden = true; document.body.dataset.error = ""; }
function make(run = 0, goesOn = false) {
  now.step = 0;
  now.running = now.done = false;
  act("make", { screen: now.name, settings: now.settings, run, goesOn });
  if (!goesOn) now.madeBy = "";
  showState();
}
// A screen whose pictures take long draws them in turns: its draw() is a generator, and at each `yield` the browser shows what is there.
function* inTurns(view, frame) {
  yield* view.draw(frame) ?? [];
}
const HEARD = {
  helper(data, mine) {  // a second thread for the first one, and a line between them
    const { port1, port2 } = new MessageChannel();
    mine.helper = new Worker(program);
    mine.helper.onerror = event => fault(event.message);
    for (const [one, port] of [[mine.helper, port1], [mine.worker, port2]]) one.postMessage({ what: "port", port }, [port]);
  },
  async asset({ name }) {
    let bytes = null;
    try { bytes = await asset(name); } catch { /* the Worker says what is missing */ }
    now.worker.postMessage({ what: "asset", name, bytes });
  },
  frame(data, mine) {
    const late = data.heard < mine.asked;
    Object.assign(mine, { frame: data.frame, step: data.step, running: late ? mine.running : data.running, loss: data.loss, val: data.val, undo: data.undo, done: data.done, before: data.before });
    const parts = inTurns(mine.view, data.frame), draw = () => {
      if (mine !== now) return;
      try { if (!parts.next().done) return requestAnimationFrame(draw); } catch (error) { fault(error.message); throw error; }
      showState();
      if ($("python-box").open) showPython();
      post("drawn");
      if (!$("explained").hidden) later.explain ||= setTimeout(() => { later.explain = 0; explain(trail.at(-1), true, true); }, 250);
      if (!mine.running && !data.running && !late) { soon("remember", 200, remember); document.body.dataset.busy = ""; }
    };
    requestAnimationFrame(draw);
  },
  settings({ settings }, mine) {  // those of a model that undo brought back
    Object.assign(mine.settings, settings);
    mine.madeBy = "";
    for (const key of Object.keys(settings)) for (const update of CONTROLS.get(key) ?? []) update(settings[key]);
  },
  trouble(data, mine) {
    mine.running = false;
    const text = data.step === undefined || /^step /.test(data.message) ? data.message : `Step ${data.step + 1}: ${data.message}`;
    document.body.dataset.error = text;
    if (!data.shown) document.body.dataset.busy = "";  // else a frame follows
    $("trouble-text").textContent = text;
    $("trouble-back").hidden = !("rate" in mine.settings) || !data.undo;
    $("trouble").hidden = false;
    $("trouble").dataset.value = data.value ?? "";
    showState();
  },
  fault({ message }) { fault(message); },
  answer({ id, answer, error }, mine) {
    const { resolve, reject } = mine.questions.get(id) ?? {};
    mine.questions.delete(id);
    error === undefined ? resolve?.(answer) : reject?.(new Error(error));
  },
};
function fault(message) {
  document.body.dataset.error = message;
  document.body.dataset.busy = "";
  $("trouble-text").textContent = `This page has a fault: ${message}`;
  $("trouble-back").hidden = true;
  $("trouble").hidden = false;
}

// Deflated bytes that stand in the page, or that a screen handed over.
const HANDED = new Map();
async function asset(name) {
  if (HANDED.has(name)) return HANDED.get(name);
  const place = $(`asset-${name}`);
  if (!place) throw new Error(`this page has no ${name}`);
  const text = atob(place.textContent), packed = Uint8Array.from(text, letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
const hasAsset = name => HANDED.has(name) || Boolean($(`asset-${name}`));

// --- what a screen is given ----------------------------------------------------------------------------------------------
function handle(mine) {
  return {
    get settings() { return mine.settings; },
    get frame() { return mine.frame; },
    get running() { return mine.running; },
    get step() { return mine.step; },
    get before() { return mine.before; },  // the steps of the model that undo brings back
    get facts() { return FACTS; },
    get locked() { return mine.locked; },
    set locked(reason) { mine.locked = reason ?? ""; showState(); },
    set, ask, edit: change => post("edit", { edit: change }), asset, hasAsset,
    start, pause, reset: () => make(), undo: () => $("undo").click(), once,
    control, controls: (...names) => element("div", { class: "controls" }, names.map(control)),
    explain, say,
    hand(name, bytes) { HANDED.set(name, bytes); },
    go(name, settings = {}) { location.hash = addressOf(name, { ...read(name, new URLSearchParams()), ...KEPT[name], ...settings }, { theme: document.documentElement.dataset.theme }); },
  };
}
function ask(question) {
  const id = ++count, { questions } = now;
  post("ask", { id, question });
  return new Promise((resolve, reject) => questions.set(id, { resolve, reject }));
}
function set(changes) {
  changes = { ...now.what.also?.(changes), ...changes };  // what a change of one setting changes with it
  const changed = Object.keys(changes).filter(key => now.settings[key] !== changes[key]);
  if (!changed.length) return;
  const paceBefore = pace();
  Object.assign(now.settings, changes);
  if (changed.some(key => now.what.settings[key].calms)) calm();  // what went wrong was about other numbers
  for (const key of changed) for (const update of CONTROLS.get(key) ?? []) update(now.settings[key]);
  const live = changed.every(key => now.what.settings[key].live);
  if (pace() !== paceBefore) post("speed", { speed: pace() });
  if (live && changed.some(key => key !== "speed")) soon("change", 0, () => post("change", { settings: now.settings }));
  if (!live) {  // dragging a slider makes many models, but is one thing to take back
    const by = changed.join(), goesOn = now.madeBy === by, kind = now.what.settings[by]?.kind;
    soon("make", 60, () => { make(0, goesOn); now.madeBy = kind === "slider" ? by : ""; });
    if (kind !== "slider" && kind !== "words") hurry("make");
  }
  showState();
  soon("remember", 300, remember);
}
const pace = () => now.view?.pace?.() ?? Number(now.settings.speed);  // steps a second; 0 for as many as it can
function start() {
  if (now.locked || now.running || now.done) return;
  now.running = true;
  act("start", { speed: pace() });
  showState();
}
function pause() {
  now.running = false;
  post("pause");
  showState();
}
function once() {
  if (now.locked || now.done) return;
  act("step");
}

// --- controls ------------------------------------------------------------------------------------------------------------
const CONTROLS = new Map();  // by setting: what shows a new value
function control(name) {
  const one = now.what.settings[name], id = `set-${name}`;
  const give = value => set({ [name]: value });
  const { input, update, more = [] } = INPUTS[one.kind](one, id, () => now.settings[name], give);
  update(now.settings[name]);
  CONTROLS.set(name, [update]);
  const label = element("label", { for: id }, one.label);
  const parts = one.kind === "tick" ? [input, label] : [label, input, ...more];
  return element("div", { class: `control ${one.kind}`, title: one.help }, parts);
}
const INPUTS = {
  slider(one, id, get, give) {  // a log one stops at each number of two digits; the number can be typed, unless words show it
    const { min, max, log, step, text = number } = one;
    const to = x => { if (!log) return x; const e = Math.floor(Math.log10(x) + 1e-9); return 90 * e + 10 * (x / 10 ** e) - 10; };
    const from = t => (log ? Number(`${10 + (((t % 90) + 90) % 90)}e${Math.floor(t / 90) - 1}`) : Number(t));
    const range = log ? { min: Math.round(to(min)), max: Math.round(to(max)), step: 1 } : { min, max, step };
    const input = element("input", { id, type: "range", ...range, oninput: () => give(within(from(Number(input.value)), one)) });
    const shown = one.text ? element("output", { for: id }) : element("input", { type: "text", class: "exact", inputmode: "decimal", autocomplete: "off", "aria-label": `${one.label}, as a number`, onchange: () => {
      const typed = shown.value.trim().replace("−", "-"), x = typed === "" ? undefined : one.read(typed);
      if (x === undefined) say(`${one.label}: expected a number from ${number(min)} to ${number(max)}, got “${typed.slice(0, 20)}”`);
      else {
        give(x);
        if (x !== Number(typed)) say(`${one.label}: from ${number(min)} to ${number(max)}; it is ${number(x)} now`);
      }
      update(get());
    } });
    const update = x => { input.value = to(x); shown[one.text ? "textContent" : "value"] = text(x); input.setAttribute("aria-valuetext", text(x)); };
    return { input, update, more: [shown] };
  },
  whole(one, id, get, give) {
    const input = element("input", { id, type: "number", min: one.min, max: one.max, step: 1, onchange: () => {
      const x = input.value === "" ? NaN : Number(input.value), fits = Number.isInteger(x) && x >= one.min && x <= one.max;
      if (!fits) say(`${one.label}: expected a whole number from ${number(one.min)} to ${number(one.max)}; it stays at ${number(get())}.`);
      input.value = fits ? x : get();
      if (fits) give(x);
    } });
    input.style.width = `${Math.max(3.4, 1.5 + 0.6 * String(one.max).length)}em`;
    const by = sign => element("button", { type: "button", "aria-label": `${one.label}: ${one.by ?? "one"} ${sign < 0 ? "less" : "more"}`, onclick: () => give(within(get() + sign * (one.by ?? 1), one)) }, sign < 0 ? "−" : "+");
    return { input: element("span", { class: "stepper" }, by(-1), input, by(1)), update: x => { input.value = x; } };
  },
  choice(one, id, get, give) {
    const input = element("select", { id, onchange: () => give(input.value) }, Object.entries(one.options).map(([value, text]) => element("option", { value }, text)));
    return { input, update: x => { input.value = x; } };
  },
  tick(one, id, get, give) {
    const input = element("input", { id, type: "checkbox", onchange: () => give(input.checked) });
    return { input, update: x => { input.checked = x; } };
  },
  words(one, id, get, give) {
    const input = element(one.rows ? "textarea" : "input", { id, rows: one.rows, placeholder: one.placeholder, maxlength: one.longest, spellcheck: "false", autocomplete: "off", oninput: () => give(input.value) });
    return { input, update: x => { if (input.value !== x) input.value = x; } };
  },
  hidden: (one, id) => ({ input: element("span", { id }), update() {} }),
};

// --- play bar ------------------------------------------------------------------------------------------------------------
const SPEEDS = { 0: "as fast as it goes", 60: "60 steps a second", 10: "10 steps a second", 2: "2 steps a second" };
function showState() {
  const { step, running, loss, val, undo, done, locked, view, what } = now;
  const play = $("play");
  play.textContent = running ? "❚❚" : "▶";
  play.setAttribute("aria-label", running ? "pause" : "play");
  play.disabled = $("step").disabled = Boolean(locked || done);
  $("undo").disabled = !undo;
  $("locked").textContent = locked;
  const shown = loss === undefined ? "" : `${what.lossName ?? "loss"} ${number(loss)}${val === undefined ? "" : `, ${what.valName ?? "test"} ${number(val)}`}`;
  $("status").textContent = !now.frame && !document.body.dataset.error ? "loading …" : view?.status?.() ?? `step ${step.toLocaleString("en-US")}${shown && `  ·  ${shown}`}`;
  $("speed").value = now.settings.speed;
  Object.assign(document.body.dataset, { step: String(step), loss: loss === undefined ? "" : String(loss), val: val === undefined ? "" : String(val) });
}
function look(theme) {
  LOOK.show(theme);
  $("look").value = theme;
  lookChanged();
}
$("play").onclick = () => (now.running ? pause() : start());
$("step").onclick = once;
$("undo").onclick = () => { calm(); hurry("make"); post("back"); };
$("reset").onclick = () => make();
$("new-seed").onclick = () => set({ seed: String(Number(now.settings.seed) + 1) });
$("speed").append(...Object.entries(SPEEDS).sort(([a], [b]) => a - b || 0).map(([value, text]) => element("option", { value }, text)));
$("speed").onchange = () => set({ speed: $("speed").value });
$("look").onchange = () => { LOOK.choose($("look").value); look($("look").value); remember(); };
$("trouble-back").onclick = () => {
  post("back", { count: 10 });
  set({ rate: now.what.settings.rate.read(String(now.settings.rate / 2)) });
  calm();
};
$("trouble-again").onclick = () => make();
$("more").onclick = () => $("more").setAttribute("aria-expanded", String(document.querySelector("footer").classList.toggle("open")));
$("link").onclick = async () => {
  remember();
  try { await navigator.clipboard.writeText(location.href); say(now.view.link?.() ?? "The link to exactly this is in the clipboard."); }
  catch { say("Copy the address of this page: it holds all settings."); }
};

// --- the Python ----------------------------------------------------------------------------------------------------------
const showPython = () => { $("python-text").textContent = now.view.python(now.settings, now.frame); };
$("python").onclick = () => {
  if (now.running) pause();  // it says how many steps were made
  showPython();
  $("python-box").showModal();
};
$("python-copy").onclick = async () => {
  const text = $("python-text");
  try { await navigator.clipboard.writeText(text.textContent); $("python-copy").textContent = "Copied"; }
  catch { getSelection().selectAllChildren(text); }
  soon("copied", 1500, () => { $("python-copy").textContent = "Copy"; });
};
for (const close of document.querySelectorAll("dialog .close")) close.onclick = () => close.closest("dialog").close();

// --- explanations: one number, where it comes from and where its gradient comes from ---------------------------------------
let trail = [];
let explained = "";  // what the panel shows
async function explain(ref, back = false, again = false) {  // again: the same with the numbers of a new frame
  const mine = now;
  let told;
  try { told = await ask({ what: "explain", ref }); } catch (error) {
    if (again) return $("explained-close").click();  // it is no more
    told = { title: "Nothing to explain", formula: error.message, rows: [], uses: [] };
  }
  if (mine !== now || !told || (again && ($("explained").hidden || trail.at(-1) !== ref || explained === JSON.stringify(told)))) return;
  explained = JSON.stringify(told);
  if (!back) trail.push(ref);
  const buttons = () => [...$("explained-body").querySelectorAll("button, h2")], focused = again ? buttons().indexOf(document.activeElement) : -1;
  const row = one => {
    const inside = [element("span", { class: "what" }, one.text), element("span", { class: `value ${signWord(one.value)}` }, number(one.value)), one.grad === undefined ? null : element("span", { class: `value ${signWord(one.grad)}` }, number(one.grad))];
    return element("li", {}, one.ref === undefined || one.ref === null ? element("div", {}, inside) : element("button", { type: "button", onclick: () => explain(one.ref) }, inside));
  };
  const part = (title, list) => (list?.length ? [element("h3", {}, title), element("ol", {}, list.map(row))] : []);
  $("explained-body").replaceChildren(
    element("h2", { id: "explained-title", tabindex: "-1" }, told.title),
    element("p", { class: "big" }, `${number(told.value)}${told.unit ? ` ${told.unit}` : ""}`, told.grad === undefined || told.grad === null ? null : element("small", {}, `  gradient ${number(told.grad)}`)),
    ...(told.formula ? [element("p", { class: "formula" }, told.formula)] : []),
    ...(told.numbers ? [element("p", { class: "formula" }, told.numbers)] : []),
    ...part(told.rowsTitle ?? "computed from", told.rows),
    ...part(told.usesTitle ?? "its gradient comes from", told.uses),
    ...(told.more ? [element("p", {}, told.more)] : []),
  );
  buttons()[focused]?.focus();
  const fresh = $("explained").hidden;
  $("explained").hidden = false;
  $("explained-back").disabled = trail.length < 2;
  if (fresh) { $("explained-title").focus({ preventScroll: true }); touched?.scrollIntoView({ block: "nearest" }); }
  if (!again) $("side").scrollTop = 0;
}
$("explained-back").onclick = () => { trail.pop(); explain(trail.at(-1), true); };
$("explained-close").onclick = () => { $("explained").hidden = true; trail = []; };

// --- keys, tabs ------------------------------------------------------------------------------------------------------------
let clicked = null;  // the button that has the focus because it was clicked, so that space still plays
addEventListener("pointerdown", ({ target }) => { clicked = target.closest?.("button"); }, true);
addEventListener("focusout", ({ target }) => { if (target === clicked) clicked = null; });
let typed = null;  // a field with a text that is not taken yet
addEventListener("input", ({ target }) => { typed = target; }, true);
for (const end of ["change", "focusout"]) addEventListener(end, () => { typed = null; }, true);
addEventListener("keydown", event => {
  const at = event.target;
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !event.shiftKey && typed !== at && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    return $("undo").disabled || $("undo").click();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (at.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], .keys")) return;
  if (event.key === "Escape" && !$("explained").hidden) return $("explained-close").click();
  const button = { " ": "play", ArrowRight: "step", ArrowLeft: "undo" }[event.key];
  if (!button || (event.key === " " && at !== clicked && at.closest?.("button, summary, a, input"))) return;
  event.preventDefault();
  if (at === clicked) at.blur();
  if (!$(button).disabled) $(button).click();
});
function showTasks(shown) {
  $("tasks").hidden = !shown;
  $("tasks-open").setAttribute("aria-expanded", String(shown));
}
$("tasks-open").onclick = () => showTasks($("tasks").hidden);
$("tasks-close").onclick = () => { showTasks(false); $("tasks-open").focus(); };
let touched = null;  // what an explanation is about: on a telephone it must not cover that
addEventListener("pointerdown", ({ target }) => { if (target.closest?.("#place")) touched = target; }, true);
for (const [name, tag] of [["--above", "header"], ["--below", "footer"]]) {
  const part = document.querySelector(tag);
  new ResizeObserver(() => document.documentElement.style.setProperty(name, `${part.offsetHeight}px`)).observe(part);
}
document.addEventListener("visibilitychange", () => { if (document.hidden && now?.running) pause(); });
addEventListener("hashchange", () => { if (location.hash !== own) open(); });
addEventListener("message", ({ data }) => { if (parent !== window && ["", ...LOOK.all].includes(data?.look)) look(data.look); });  // the page around this one
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", lookChanged);
$("tabs").addEventListener("click", event => {
  const link = event.target.closest("[data-screen]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { screen: name } = link.dataset;
  if (name !== now.name) location.hash = addressOf(name, KEPT[name] ?? read(name, new URLSearchParams()), { theme: document.documentElement.dataset.theme, embed: document.body.dataset.embed });
});
async function begin() {
  program = URL.createObjectURL(new Blob([await asset("worker")], { type: "text/javascript" }));
  Object.entries(SCREENS).forEach(([name, what], i) => $("tabs").append(element("a", { href: `#screen=${name}`, "data-screen": name }, element("span", { class: "nth" }, String(i + 1)), element("span", { class: "word" }, ` ${what.title}`))));
  open();
}
