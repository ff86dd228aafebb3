// In the Worker: one model of one screen at a time. It counts steps, plays, and keeps what undo needs. A model that has an end
// says so (`get done()`): then no step is made.
const RING = 200;  // steps that can be taken back
const RING_BYTES = 64e6;
const SLICE = 12;  // milliseconds of training before the messages of the page are read
const REST = 250;  // milliseconds without a new frame, at the most, after one was drawn

let model = null, screenOf = "", turn = 0, settings = {};
let step = 0, heard = 0, running = false, until = Infinity, undrawn = false, changed = false, urgent = false, busy = false;
let shown = 0, rested = 0;  // when the page was given a frame, and when it may be given the next one
let earlier = [];  // models that another one took the place of: undo brings them back; as many as `comesBack` of the model says
let ring = [], history = { steps: [], losses: [], vals: [] }, speed = 0, due = 0;

const WAITING = new Map();  // assets that were asked for
function asset(name) {
  return new Promise((resolve, reject) => { WAITING.set(name, { resolve, reject }); postMessage({ what: "asset", name }); });
}

// Another thread with this same program, for a model that has work for two: there MODELS[screen].help(order) is done, one
// order after the other, and answered. The page makes it, for a Worker of a file may not.
let ours = null;  // is given the port to it
class Helper {
  constructor(screen) {
    Object.assign(this, { screen, count: 0, asked: new Map(), port: new Promise(resolve => { ours = resolve; }) });
    postMessage({ what: "helper" });
    this.port.then(port => { port.onmessage = ({ data }) => this.#answered(data); });
  }
  #answered({ id, answer, error }) {
    const { resolve, reject } = this.asked.get(id);
    this.asked.delete(id);
    error === undefined ? resolve(answer) : reject(new Trouble(error));
  }
  ask(order) {
    const id = ++this.count;
    this.port.then(port => port.postMessage({ id, screen: this.screen, order }));
    return new Promise((resolve, reject) => this.asked.set(id, { resolve, reject }));
  }
}
let helped = Promise.resolve();
function help(port, { id, screen, order }) {
  helped = helped.then(() => MODELS[screen].help(order)).then(answer => port.postMessage({ id, answer }), error => port.postMessage({ id, error: error.message }));
}

onmessage = async ({ data }) => {
  if (data.what === "asset") {
    const { resolve, reject } = WAITING.get(data.name);
    data.bytes ? resolve(data.bytes) : reject(new Trouble(`this page has no ${data.name}`));
    return;
  }
  if (data.what === "drawn") return wasDrawn();
  try {
    heard = data.asked ?? heard;
    await ACTIONS[data.what](data);
  } catch (error) {
    report(error, data.id);
  }
};

const ACTIONS = {
  async make({ screen, settings: given, run, goesOn }) {  // goesOn: a slider that is still being dragged
    const mine = ++turn, most = Number(MODELS[screen].comesBack ?? 0);
    running = false;
    const other = most > 1 && (ring.length || (!goesOn && JSON.stringify(settings) !== JSON.stringify(given)));
    if (model && most && (step || other)) earlier = [...earlier, { model, settings, step, ring, history }].slice(-most);
    model = null;
    [screenOf, settings] = [screen, given];
    const fresh = await (MODELS[screen].make ? MODELS[screen].make(given, asset) : new MODELS[screen](given));
    if (mine !== turn) return;  // the page has asked for another one since
    model = fresh;
    step = 0;
    ring = [];
    history = { steps: [], losses: [], vals: [] };
    noteStep();
    if (run > 0) { until = run; speed = 0; start(); } else show(true);
  },
  start({ speed: wanted }) { until = Infinity; speed = wanted; start(); },
  speed({ speed: wanted }) { speed = wanted; begin(); },
  async pause() { running = false; await model?.rest?.(); show(true); },
  async step() { running = false; await one(); show(true); },
  async back({ count = 1 }) {
    running = false;
    if (!model) return;
    if (count === 1 && earlier.length && !step && !ring.length) return bringBack();
    for (let n = 0; n < count && ring.length && (count === 1 || !ring.at(-1).edited);) {
      n += count === 1 || !ring.at(-1).settings;  // ten steps, but nothing that the user did
      await takeBack(count === 1);
    }
    show(true);
  },
  async change({ settings: given }) {
    keepSettings(given);
    settings = given;
    await model?.change?.(given);
    show(true);
  },
  async edit({ edit }) {
    if (!model) return;
    await attempt(() => model.edit(edit), true);
    show(true);
  },
  port({ port }) { if (ours) ours(port); else port.onmessage = ({ data }) => help(port, data); },
  async ask({ id, question }) { postMessage({ what: "answer", id, answer: await model.ask(question) }); },
};

function start() {
  if (running || !model) return;
  running = true;
  begin();
}
// A pace of less than a step a second begins with the wait: the page shows what the step will be made of.
function begin() {
  const wait = speed && speed < 1 ? 1000 / speed : 0;
  due = performance.now() + wait;
  if (!running) return;
  if (wait) show(true);
  next();
}
const channel = new MessageChannel();
let queued = false, timer = 0;  // one slice is awaited, however often it is asked for
channel.port1.onmessage = () => { queued = false; slice(); };
function next() {
  clearTimeout(timer);
  if (!queued) channel.port2.postMessage(0);
  queued = true;
}
function nextAt(time) {
  clearTimeout(timer);
  timer = setTimeout(next, Math.max(0, time - performance.now()));
}

async function slice() {
  if (!running || busy) return;
  busy = true;
  const mine = turn, begun = performance.now();
  try {
    do {
      if (step >= until || model.done) { running = false; break; }
      if (speed && performance.now() < due) break;
      due += speed ? 1000 / speed : 0;
      await one();
    } while (running && mine === turn && performance.now() - begun < SLICE);
  } catch (error) {
    running = false;
    report(error);
  }
  busy = false;
  if (!running) await model?.rest?.();  // what a second thread still does
  if (mine !== turn) return running ? next() : undefined;
  show(!running);
  if (running) speed ? nextAt(due) : next();
}
async function one() {
  if (!model || model.done) return;
  const mine = model;
  await attempt(async () => {
    await mine.step();
    if (mine !== model) return;  // the page has another one now
    if (model.loss !== undefined && !Number.isFinite(model.loss)) throw new Trouble(`the loss became ${model.loss}: the learning rate may be too high`);
  });
  if (mine !== model) return;
  step = model.at ?? step + 1;
  noteStep();
  changed = true;
}
// What ends in trouble has not happened: the model is as it was, and there is nothing to undo.
async function attempt(act, edited = false) {
  const mine = model, kept = remember(edited);
  try {
    await act();
  } catch (error) {
    if (kept && mine === model) await takeBack();
    throw error;
  }
}
function remember(edited) {
  const kept = model.keep();
  if (kept === undefined) return false;
  ring.push({ kept, edited, step, loss: model.loss, val: model.val });
  const bytes = sizeOf(kept);
  while (ring.length > RING || (ring.length > 2 && ring.length * bytes > RING_BYTES)) ring.shift();
  return true;
}
const sizeOf = x => ArrayBuffer.isView(x) ? x.byteLength : x && typeof x === "object" ? Object.values(x).reduce((sum, y) => sum + sizeOf(y), 0) : 8;
// Settings that a model calls `undone` are taken back like a step; one slider that is dragged, at once.
function keepSettings(given) {
  const names = (model ? MODELS[screenOf].undone ?? [] : []).filter(name => given[name] !== settings[name]), last = ring.at(-1);
  if (!names.length || (last?.step === step && last.by === names.join())) return;
  if (remember()) Object.assign(ring.at(-1), { by: names.join(), settings: Object.fromEntries(names.map(name => [name, settings[name]])) });
}
async function takeBack(withSettings = false) {
  const last = ring.pop(), mine = model;
  await model.back(last.kept);
  if (mine !== model) return;
  if (withSettings && last.settings) {
    settings = { ...settings, ...last.settings };
    await model.change(settings);
    postMessage({ what: "settings", settings: last.settings });
  }
  step = last.step;
  [model.loss, model.val] = [last.loss, last.val];
  noteStep();
}
function bringBack() {
  ({ model, settings, step, ring, history } = earlier.pop());
  turn++;
  model.again?.();  // the page has forgotten what was said once
  postMessage({ what: "settings", settings });
  show(true);
}
function noteStep() {  // once for a step: what is known of it now
  if (!Number.isFinite(model.loss)) return;
  while (history.steps.at(-1) >= step) for (const list of Object.values(history)) list.pop();
  note(history, { steps: step, losses: model.loss, vals: model.val ?? NaN });
}
// One frame at a time: the next one is made when the page has drawn the last. While a model trains as fast as it can, the
// page then rests for as long as it drew: where cores are few, the drawing of one step would take the time of the next.
function show(force = false) {
  if (!model) return;
  if (force) changed = urgent = true;
  if (undrawn || !changed || (!urgent && performance.now() < rested)) return;
  undrawn = true;
  changed = urgent = false;
  shown = performance.now();
  const drawn = model.frame(running);
  noteStep();  // some models measure the loss over all points only for a frame
  const frame = { ...drawn, history: { steps: history.steps.slice(), losses: history.losses.slice(), vals: history.vals.slice() } };
  postMessage({ what: "frame", frame, step, loss: model.loss, val: model.val, running, heard, done: Boolean(model.done), undo: ring.length || (earlier.length && !step ? 1 : 0), before: step ? undefined : earlier.at(-1)?.step });
}
function wasDrawn() {
  const now = performance.now();
  undrawn = false;
  rested = running && !speed ? now + Math.min(now - shown, REST) : 0;
  show();
}
function report(error, id) {
  const sentence = error instanceof Trouble;
  if (id !== undefined) postMessage({ what: "answer", id, error: error.message });
  else postMessage({ what: sentence || error instanceof RangeError ? "trouble" : "fault", message: error.message, stack: error.stack, step, undo: ring.length, value: error.value ?? null, shown: model !== null });
  if (model) show(true);
}
