// Trains a GPT by a compiled step in WebAssembly, as `gpt train` does: the same text, weights, batches, rates, losses.
MODELS.train = (() => {
const END = "\n";
const SHUFFLED = 42;  // gpt/data/corpus.py: the order of documents is that of every run
const OTHER = "□";  // stands for characters that have no place in the alphabet
const UNDO = 200, UNDO_BYTES = 100e6;  // steps that can be taken back, and what is kept for that
const SAMPLE = 120;  // characters
const CATCH_UP = 20;  // milliseconds of a step in which a second run makes up for its later start
const AHEAD = 0.05;  // seconds of work that one run of a race may be ahead of the other
let runs = 0;
const bytesOf = text => new TextEncoder().encode(text);

// --- Python's random.Random("words"): the words, followed by their SHA-512, as one large number ---------------------------
const sha512 = (() => {
  const root = (n, power) => {
    let low = 0n, high = 1n << 80n;
    while (high - low > 1n) { const middle = (low + high) / 2n; middle ** power <= n ? low = middle : high = middle; }
    return low;
  };
  const primes = [];
  for (let p = 2n; primes.length < 80; p++) if (primes.every(q => p % q)) primes.push(p);
  const parts = numbers => Uint32Array.from(numbers.flatMap(x => [Number(x >> 32n & 0xffffffffn), Number(x & 0xffffffffn)]));
  const K = parts(primes.map(p => root(p << 192n, 3n))), H = parts(primes.slice(0, 8).map(p => root(p << 128n, 2n)));
  const turned = (h, l, n) => n < 32 ? h >>> n | l << 32 - n : l >>> n - 32 | h << 64 - n;  // the high half; the low one: l, h
  const w = new Uint32Array(160), s = new Uint32Array(16);
  return bytes => {  // fewer than 112 (FIPS 180-4)
    w.fill(0);
    bytes.forEach((byte, i) => { w[i >> 2] |= byte << 24 - 8 * (i & 3); });
    w[bytes.length >> 2] |= 0x80 << 24 - 8 * (bytes.length & 3);
    w[31] = 8 * bytes.length;
    for (let t = 32; t < 160; t += 2) {
      const [a, b, c, d] = [w[t - 4], w[t - 3], w[t - 30], w[t - 29]];
      const low = ((turned(b, a, 19) ^ turned(b, a, 61) ^ (b >>> 6 | a << 26)) >>> 0) + w[t - 13]
        + ((turned(d, c, 1) ^ turned(d, c, 8) ^ (d >>> 7 | c << 25)) >>> 0) + w[t - 31];
      w[t + 1] = low;
      w[t] = (turned(a, b, 19) ^ turned(a, b, 61) ^ a >>> 6) + w[t - 14] + (turned(c, d, 1) ^ turned(c, d, 8) ^ c >>> 7) + w[t - 32] + Math.floor(low / 2 ** 32);
    }
    let [a, A, b, B, c, C, d, D, e, E, f, F, g, G, h, I] = H;  // high halves, and low ones in capitals
    for (let t = 0; t < 160; t += 2) {
      const low = I + ((turned(E, e, 14) ^ turned(E, e, 18) ^ turned(E, e, 41)) >>> 0) + ((E & F ^ ~E & G) >>> 0) + K[t + 1] + w[t + 1];
      const high = h + (turned(e, E, 14) ^ turned(e, E, 18) ^ turned(e, E, 41)) + (e & f ^ ~e & g) + K[t] + w[t] + Math.floor(low / 2 ** 32);
      const low2 = ((turned(A, a, 28) ^ turned(A, a, 34) ^ turned(A, a, 39)) >>> 0) + ((A & B ^ A & C ^ B & C) >>> 0);
      const high2 = (turned(a, A, 28) ^ turned(a, A, 34) ^ turned(a, A, 39)) + (a & b ^ a & c ^ b & c) + Math.floor(low2 / 2 ** 32);
      const sum = D + (low >>> 0), sum2 = (low >>> 0) + (low2 >>> 0);
      h = g; I = G; g = f; G = F; f = e; F = E;
      e = d + high + Math.floor(sum / 2 ** 32) >>> 0; E = sum >>> 0;
      d = c; D = C; c = b; C = B; b = a; B = A;
      a = high + high2 + Math.floor(sum2 / 2 ** 32) >>> 0; A = sum2 >>> 0;
    }
    s.set([a, A, b, B, c, C, d, D, e, E, f, F, g, G, h, I]);
    for (let i = 15; i > 0; i -= 2) {
      const low = s[i] + H[i];
      s[i - 1] = s[i - 1] + H[i - 1] + Math.floor(low / 2 ** 32);
      s[i] = low;
    }
    return s;
  };
})();
function chanceOf(words) {
  const bytes = bytesOf(words), hex = (x, digits) => x.toString(16).padStart(digits, "0");
  return new Chance(`0x${Array.from(bytes, x => hex(x, 2)).join("")}${Array.from(sha512(bytes), x => hex(x, 8)).join("")}`);
}

// --- the text: gpt/data/corpus.py, documents.py --------------------------------------------------------------------------
class Corpus {
  // At most `room` different characters; the rarest are replaced.
  constructor(text, room, documents) {
    const counts = new Map(), letters = Array.from(text.replace(/\r\n/g, "\n"));
    for (const letter of letters) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    let alphabet = [...counts.keys()];
    this.replaced = [];
    if (alphabet.length > room) {
      alphabet.sort((a, b) => (b === END) - (a === END) || counts.get(b) - counts.get(a) || a.codePointAt(0) - b.codePointAt(0));
      this.replaced = alphabet.splice(room - 1).filter(letter => letter !== OTHER);
      alphabet.push(OTHER);
    }
    this.alphabet = alphabet.sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
    this.number = new Map(this.alphabet.map((letter, i) => [letter, i]));
    const tokens = Uint16Array.from(letters, letter => this.number.get(letter) ?? this.number.get(OTHER));
    if (this.replaced.length) this.text = Array.from(tokens, token => this.alphabet[token]).join("");
    this.end = documents ? this.number.get(END) : null;
    if (documents) this.#split(tokens);
    else {
      const split = Math.floor(tokens.length * 9 / 10);
      [this.train, this.val] = [tokens.subarray(0, split), tokens.subarray(split)];
    }
    this.size = tokens.length;
  }
  #split(tokens) {
    const found = [];
    for (let start = 0; start < tokens.length;) {
      let stop = tokens.indexOf(this.end, start);
      if (stop < 0) stop = tokens.length;
      if (stop > start) found.push([...tokens.subarray(start, stop), this.end]);
      start = stop + 1;
    }
    if (found.length < 2) throw new Trouble("the text has fewer than two lines; every line is a document here, and a tenth of them is for validation: add lines");
    new Chance(SHUFFLED).shuffle(found);
    const split = Math.floor(found.length * 9 / 10);
    [this.train, this.val] = [found.slice(0, split), found.slice(split)].map(part => Uint16Array.from([this.end, ...part.flat()]));
  }
  // What a model with this context reads of a part: [start, count] of each window; weights that average over all.
  windows(part, block) {
    const starts = [], counts = [];
    for (let from = 0; from < part.length - 1;) {
      const stop = part.indexOf(this.end, from + 1);
      for (let at = from; at < stop; at += block) { starts.push(at); counts.push(Math.min(block, stop - at)); }
      from = stop;
    }
    return { starts, counts };
  }
}

// --- what counting reaches: gpt/data/ngram.py -----------------------------------------------------------------------------
function ladder({ train, val, alphabet: { length: V }, end }, room) {  // guessing is among all that the model has room for
  const LONGEST = 5, names = { 1: "letters", 2: "bigram", 3: "trigram" };
  const part = tokens => {
    if (end === null) return { tokens, counts: () => true };
    const list = [], own = [];
    tokens.forEach((token, i) => { for (let k = token === end ? LONGEST - 1 : 1; k > 0; k--) { list.push(token); own.push(i > 0 && k === (token === end ? LONGEST - 1 : 1)); } });
    return { tokens: list, counts: i => own[i] };
  };
  const [learned, asked] = [part(train), part(val)], found = [{ name: "uniform", y: Math.log(room) }];
  let known = new Int32Array(learned.tokens.length + 1), sought = new Int32Array(asked.tokens.length + 1), smooth = new Float64Array(asked.tokens.length + 1).fill(1 / V);
  for (let n = 1; n <= LONGEST; n++) {
    const runs = new Map(), count = [], totals = [], kinds = [], fresh = new Int32Array(Math.max(0, learned.tokens.length - n + 1));
    for (let i = 0; i < fresh.length; i++) {
      const key = known[i] * V + learned.tokens[i + n - 1];
      let id = runs.get(key);
      if (id === undefined) { runs.set(key, id = runs.size); count.push(0); }
      fresh[i] = id;
      if (!learned.counts(i + n - 1)) continue;
      totals[known[i]] = (totals[known[i]] ?? 0) + 1;
      if (!count[id]++) kinds[known[i]] = (kinds[known[i]] ?? 0) + 1;
    }
    const next = new Int32Array(Math.max(0, asked.tokens.length - n + 1)), mixed = new Float64Array(next.length), sums = [0, 0, 0];
    let number = 0, smoothed = 0;
    for (let i = 0; i < next.length; i++) {
      const history = sought[i], id = history < 0 ? undefined : runs.get(history * V + asked.tokens[i + n - 1]);
      next[i] = id ?? -1;
      const [c, total, kind] = [id === undefined ? 0 : count[id], totals[history] ?? 0, kinds[history] ?? 0], before = smooth[i + 1];
      mixed[i] = total > 0 ? (c + kind * before) / (total + kind) : before;
      if (!asked.counts(i + n - 1)) continue;
      number++;
      smoothed -= Math.log(mixed[i]);
      [1, 0.1, 0.01].forEach((alpha, k) => { sums[k] -= Math.log((c + alpha) / (total + alpha * V)); });
    }
    if (names[n] && number) found.push({ name: names[n], y: Math.min(...sums) / number });
    if (n === LONGEST && number) found.push({ name: "5-gram", y: smoothed / number });
    [known, sought, smooth] = [fresh, next, mixed];
  }
  return found;
}

const leastText = block => 10 * block + 10;  // a tenth of it is for validation

// --- one run ---------------------------------------------------------------------------------------------------------------
class Run {
  constructor(model, corpus, { rate, steps, seed }) {
    const { config, train } = model.description.notes;
    Object.assign(this, { model, corpus, config, seed, step: 0, seconds: 0, id: ++runs });
    this.train = { ...train, lr: rate, min_lr: rate / 10, steps, seed: Number(seed) };
    const { block_size: block } = config, need = leastText(block);
    if (corpus.end === null && corpus.val.length <= block) throw new Trouble(`the text is too short: it has ${plural(corpus.size, "character")}, and a context of ${block} needs at least ${need}; paste a longer text, or choose a smaller model`);
    const alphabet = [...corpus.alphabet, ...Array(config.vocab_size - corpus.alphabet.length).fill("·")];
    model.description.notes.sampling = { ...model.description.notes.sampling, alphabet, end: corpus.end === null ? undefined : END };
    this.rates = [{ from: 0, rate, steps }];
    this.curve = { steps: [], losses: [], seconds: [] };
    this.checks = { steps: [], losses: [], seconds: [] };
    this.kept = [];
    const room = train.batch_size * block;
    this.batch = [new Int32Array(room), new Int32Array(room), new Float64Array(room)];
    if (corpus.end !== null) this.windows = [corpus.train, corpus.val].map(part => corpus.windows(part, block));
    const numbers = Object.values(model.parameters).reduce((sum, one) => sum + one.length, 0);
    this.parameters = numbers;
    this.every = Math.ceil(UNDO * numbers * 12 / UNDO_BYTES);
    this.unkept = 0;
    this.#begin();
    this.validate();
  }
  // The weights that Python makes: gpt/model.py, in the order of its draws.
  #begin() {
    const { init_std: std, n_layer: layers } = this.config, chance = new Chance(this.seed);
    for (const [name, numbers] of Object.entries(this.model.parameters)) {
      if (name.includes(".ln_") || name.endsWith(".bias")) numbers.fill(name.endsWith(".weight") ? 1 : 0);
      else {
        const spread = name.endsWith("c_proj.weight") ? std / (2 * layers) ** 0.5 : std;
        for (let i = 0; i < numbers.length; i++) numbers[i] = chance.gauss(0, spread);
      }
    }
  }
  rate(step = this.step) {
    const { lr, min_lr, steps, warmup_steps: warm } = { ...this.train, ...this.#peak(step) };
    if (step < warm) return (step + 1) / (warm + 1) * lr;
    const done = Math.min((step - warm) / Math.max(steps - warm, 1), 1);
    return min_lr + 0.5 * (1 + Math.cos(Math.PI * done)) * (lr - min_lr);
  }
  #peak(step) {
    const { rate, steps } = this.rates.findLast(({ from }) => from <= step);
    return { lr: rate, min_lr: rate / 10, steps };
  }
  get done() { return this.step >= this.rates.at(-1).steps; }
  change(rate, steps) {
    this.rates = this.rates.filter(({ from }) => from <= this.step);
    if (this.rates.at(-1).from === this.step) this.rates.pop();
    const last = this.rates.at(-1);
    if (last?.rate !== rate || last.steps !== steps) this.rates.push({ from: this.step, rate, steps });
    if (!this.rates[0].from && this.rates.length === 1) Object.assign(this.train, this.#peak(0));
  }
  // Puts a window of a part into the batch.
  #put(row, part, start, count, weight) {
    const [xs, ys, ws] = this.batch, { block_size: block } = this.config, at = row * block, { end } = this.corpus;
    for (let t = 0; t < block; t++) {
      const there = t < count;
      xs[at + t] = there ? part[start + t] : end;
      ys[at + t] = there ? part[start + t + 1] : end;
      ws[at + t] = there ? weight : 0;
    }
  }
  #fill(part, windows, which) {
    const { block_size: block } = this.config;
    if (!windows) return which.forEach((start, row) => this.#put(row, part, start, block, 1 / block));
    const sum = which.reduce((total, i) => total + windows.counts[i], 0), weight = which.weight ?? which.length / sum;
    which.forEach((i, row) => this.#put(row, part, windows.starts[i], windows.counts[i], weight));
  }
  // One step of training; nothing else.
  advance() {
    const { batch_size, grad_clip } = this.train, { train } = this.corpus, chance = chanceOf(`${this.seed} batch ${this.step}`);
    const windows = this.windows?.[0], room = windows ? windows.starts.length : train.length - this.config.block_size;
    this.#fill(train, windows, Array.from({ length: batch_size }, () => chance.randrange(room)));
    try {
      this.model.step(this.batch);
    } catch (error) {
      throw this.#trouble(error);
    }
    this.norm = this.model.clip(grad_clip || Infinity);
    this.scale = grad_clip && this.norm > grad_clip ? this.norm / grad_clip : 1;  // what the gradient was before that
    this.model.update({ lr: this.rate() });
    this.step += 1;
    return this.loss = this.model.loss;
  }
  #trouble(error) {
    const broken = Object.entries(this.model.gradient).filter(([, numbers]) => !numbers.every(Number.isFinite));
    if (!broken.length && Number.isFinite(this.model.loss)) return error;
    const what = Number.isFinite(this.model.loss) ? "the gradient" : "the loss", where = broken.at(-1)?.[0];
    return new Trouble(`${what} became ${Number.isFinite(this.model.loss) ? "infinite" : this.model.loss} at a learning rate of ${plain(this.rate())}${where ? `; on the way back, the first gradient that is no number is that of ${where}` : ""}. Go back and take smaller steps`);
  }
  next() {
    const begun = performance.now();
    this.advance();
    this.seconds += (performance.now() - begun) / 1000;
    note(this.curve, { steps: this.step, losses: this.loss, seconds: this.seconds });
    if (this.step % this.train.eval_interval === 0) this.validate();
  }
  // The validation loss of now, whether or not it is time for it in the curve.
  newest() {
    if (this.checks.steps.at(-1) === this.step) return this.checks.losses.at(-1);
    return this.measured();
  }
  validate() {
    this.val = this.measured();
    note(this.checks, { steps: this.step, losses: this.val, seconds: this.seconds });
  }
  measured() {
    const { eval_sequences, batch_size } = this.train, { val } = this.corpus, { block_size: block } = this.config, windows = this.windows?.[1];
    const available = windows ? windows.starts.length : Math.floor((val.length - 1) / block), count = Math.min(eval_sequences, available);
    const all = Array.from({ length: count }, (_, i) => Math.floor(i * available / count) * (windows ? 1 : block));
    const weight = windows && count / all.reduce((sum, i) => sum + windows.counts[i], 0);
    let total = 0;
    for (let from = 0; from < count; from += batch_size) {
      const some = Array.from({ length: batch_size }, (_, i) => all[Math.min(from + i, count - 1)]);
      some.weight = weight;
      this.#fill(val, windows, some);
      for (const [loss] of this.model.forward(this.batch).slice(0, count - from)) total += loss;
    }
    return total / count;
  }
  // Undo: now and then all numbers, from which the steps after them are made again, exactly.
  keep() {
    if (this.kept.at(-1)?.step !== this.step && this.unkept++ % this.every === 0) {
      const { parameters, state, steps } = this.model;
      this.kept.push({ step: this.step, steps, numbers: [...Object.values(parameters), ...Object.values(state)].map(list => list.slice()) });
      if (this.kept.length > UNDO / this.every + 1) this.kept.shift();
    }
    return { id: this.id, step: this.step, loss: this.loss, val: this.val, seconds: this.seconds };
  }
  back({ id, step, loss, val, seconds }) {
    if (id !== this.id) return;  // a run that another one took the place of
    while (this.kept.length > 1 && this.kept.at(-1).step > step) this.kept.pop();
    const kept = this.kept.at(-1), { parameters, state } = this.model;
    [...Object.values(parameters), ...Object.values(state)].forEach((list, i) => list.set(kept.numbers[i]));
    [this.step, this.model.steps] = [kept.step, kept.steps];
    while (this.step < step) this.advance();
    Object.assign(this, { loss, val, seconds });
    for (const curve of [this.curve, this.checks]) while (curve.steps.at(-1) > step) for (const list of Object.values(curve)) list.pop();
  }
  // Root mean square of the gradient of each table, before clipping.
  flow() {
    if (!this.step) return [];
    return Object.entries(this.model.gradient).map(([name, numbers]) => {
      let sum = 0;
      for (let i = 0; i < numbers.length; i++) sum += numbers[i] * numbers[i];
      return { name, size: Math.sqrt(sum / numbers.length) * this.scale };
    });
  }
  sample({ temperature, prompt, length = SAMPLE }) {
    const chance = chanceOf(`${this.seed} sample ${this.step}`), random = () => chance.random(), { end, alphabet } = this.corpus;
    const known = prompt && Array.from(prompt).filter(letter => this.corpus.number.has(letter)).join("");
    if (end === null) {
      const opening = known || (this.corpus.number.has(END) ? END : alphabet[0]);
      return known + this.model.sample({ prompt: opening, length, temperature, random });
    }
    const lines = [];
    for (let left = length; left > 0; left -= lines.at(-1).length + 1) lines.push(known + this.model.sample({ prompt: known, length: left, temperature, random }));
    return lines.join("\n");
  }
  // The model as it is now, with a row per character of the text: rows that no character has are left out.
  reading() {
    const { length } = this.corpus.alphabet, { n_embd: width } = this.config, weights = {};
    for (const [name, numbers] of Object.entries(this.model.parameters)) {
      weights[name] = numbers.slice(0, /wte|lm_head/.test(name) ? length * width : undefined);
    }
    return { step: this.step, config: { ...this.config, vocab_size: length }, alphabet: this.corpus.alphabet.join(""), end: this.corpus.end === null ? null : END, weights };
  }
}
// --- a second run: in a thread of its own, so that both have a core, and a race over seconds is fair ---------------------
// There: the run, what it tells, and what undo needs.
const RACED = new Map();  // by number
const told = ({ run }) => ({ step: run.step, loss: run.loss, val: run.val, seconds: run.seconds, lr: run.rate(Math.max(0, run.step - 1)), norm: run.norm, rates: run.rates, train: run.train });
function found(id) {
  if (!RACED.has(id)) throw new Trouble("the second run is no longer kept: begin it again with “race a second run”");
  return RACED.get(id);
}
const DO = {
  async begin({ id, bytes, corpus, settings }) {
    const run = new Run(await tinygrad.load(bytes), new Corpus(...corpus), settings), one = { run, marks: new Map() };
    RACED.set(id, one);
    if (RACED.size > 3) RACED.delete(RACED.keys().next().value);
    return { ...told(one), config: run.config, parameters: run.parameters };
  },
  newest({ id }) { const one = found(id); return { ...told(one), newest: one.run.newest() }; },
  change({ id, rate, steps }) { const one = found(id); one.run.change(rate, steps); return told(one); },
  keep({ id, mark }) { const { run, marks } = found(id); marks.set(mark, run.keep()).delete(mark - UNDO - 1); },
  back({ id, mark }) {
    const one = found(id);
    if (one.marks.has(mark)) one.run.back(one.marks.get(mark));
    return told(one);
  },
  // Until so many steps, or seconds of work, but not for longer than `most` milliseconds: a point of the curves for each.
  go({ id, steps = Infinity, seconds = Infinity, most }) {
    const one = found(id), { run } = one, until = performance.now() + most, points = [];
    while (!run.done && run.step < steps && run.seconds < seconds) {
      const before = run.checks.steps.at(-1);
      run.next();
      points.push([run.step, run.loss, run.seconds, run.checks.steps.at(-1) === before ? undefined : run.val]);
      if (performance.now() > until) break;
    }
    return { ...told(one), points };
  },
};
let helper;
// Here: the same curves, and orders. Where there are no threads (in Node), what is ordered is done at once.
class Twin {
  static async begin(bytes, corpus, settings) {
    const twin = new Twin();
    Object.assign(twin, { id: ++runs, marks: 0, curve: { steps: [], losses: [], seconds: [] }, checks: { steps: [], losses: [], seconds: [] } });
    await twin.order({ what: "begin", bytes, corpus, settings });
    note(twin.checks, { steps: 0, losses: twin.val, seconds: 0 });
    return twin;
  }
  async order(order) {
    const mine = { ...order, id: this.id };
    const { points = [], ...now } = await (typeof Worker === "undefined" ? DO[order.what](mine) : (helper ??= new Helper("train")).ask(mine)) ?? {};
    Object.assign(this, now);
    for (const [steps, losses, seconds, val] of points) {
      note(this.curve, { steps, losses, seconds });
      if (val !== undefined) note(this.checks, { steps, losses: val, seconds });
    }
  }
  get done() { return this.step >= this.rates.at(-1).steps; }
  rate() { return this.lr; }
  change(rate, steps) { return this.order({ what: "change", rate, steps }).catch(this.caught); }
  keep() {
    this.order({ what: "keep", mark: ++this.marks }).catch(this.caught);
    return { id: this.id, mark: this.marks };
  }
  async back({ id, mark }) {
    if (id !== this.id) return;  // a run that another one took the place of
    await this.order({ what: "back", mark }).catch(this.caught);
    for (const curve of [this.curve, this.checks]) while (curve.steps.at(-1) > this.step) for (const list of Object.values(curve)) list.pop();
  }
  // One order at a time; while it is done, the first run makes its step.
  go(order) { return this.going ??= this.order({ what: "go", ...order }).catch(this.caught).finally(() => { this.going = null; }); }
  caught = error => { this.trouble = error; };
  // What went wrong there, told once, by the step that finds it.
  check() {
    const { trouble } = this;
    this.trouble = null;
    if (trouble) throw new Trouble(`run 2: ${trouble.message}`);
  }
}
const plain = x => String(Number(x.toPrecision(2)));
const plural = (count, word) => `${count.toLocaleString("en-US")} ${word}${count === 1 ? "" : "s"}`;

// --- the screen ------------------------------------------------------------------------------------------------------------
const READ = new Map();  // assets and texts of this Worker
async function once(name, make) {
  if (!READ.has(name)) READ.set(name, await make());
  return READ.get(name);
}
return class {
  static help(order) { return DO[order.what](order); }
  static undone = ["rate", "steps", "rate2", "every", "temperature"];  // settings that undo takes back
  static comesBack = true;  // a model is minutes of work: undo brings it back after a setting that makes another
  static async make(settings, asset) {
    const made = new this(settings);
    try {
      await made.begin(settings, asset);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      made.waiting = error.message;  // for a text that can be trained on, or for a page with compiled models
      made.a = made.b = undefined;
    }
    return made;
  }
  async begin({ text, own, size, rate, steps, seed }, asset) {
    const bytes = name => once(`step-${name}`, () => asset(`step-${name}`));
    this.bytes = bytes;
    const first = await tinygrad.load(await bytes(size));
    const { vocab_size, block_size } = first.description.notes.config, typed = text === "own" || text === "lines", given = text === "text" || text === "list";
    const words = typed ? own : text === "names" ? Names.LIST.trim().split(/\s+/).join(END) : await once(text, async () => new TextDecoder().decode(await asset(text)));
    if (!words.trim()) throw new Trouble(`there is no text yet: paste ${text === "lines" ? "at least two lines, and better some hundred" : `at least ${leastText(block_size)} characters, and better some thousand`}, open a file, or choose another text`);
    this.read = [words, vocab_size, ["names", "lines", "list"].includes(text)];
    const corpus = () => new Corpus(...this.read);
    this.corpus = typed ? corpus() : await once(`corpus of ${text}`, corpus);
    this.ladder = given ? null : ladder(this.corpus, vocab_size);
    this.whole = given ? undefined : this.corpus.text ?? words;
    this.again();
    this.a = new Run(first, this.corpus, { rate, steps, seed });
    await this.#race();
    this.val = this.a.val;
  }
  // The second run, beside the first: begun when it is asked for, or asked for as another.
  async #race() {
    const { race, size2, rate2, seed2, steps } = this.settings, key = race ? `${size2} ${seed2}` : "";
    if (this.raced === key) return;
    this.raced = key;
    this.b = undefined;
    if (!race) return;
    const twin = await Twin.begin(await this.bytes(size2), this.read, { rate: rate2, steps, seed: seed2 });
    if (this.raced === key) this.b = twin;
  }
  again() { this.text = this.whole; }
  constructor(settings) {
    this.settings = settings;
    this.raced = "";
    this.last = 0;  // seconds of the newest step
    this.samples = [];
    this.line = { at: -Infinity };
  }
  // The first run makes a step here, and the second one works at the same time. With steps to count, both make one; with
  // seconds, the one that has worked for longer waits.
  step() {
    if (!this.a) throw new Trouble(this.waiting);
    const { a, b } = this, begun = a.step, over = this.settings.over === "seconds", { seconds } = a;
    b?.check();
    const going = b && !b.done && b.go(over ? { seconds: seconds + this.last, most: Math.max(CATCH_UP, 2000 * this.last) } : { steps: a.done ? a.step : begun + 1, most: CATCH_UP });
    const waits = () => over && !b.done && a.seconds > b.seconds + AHEAD;
    if (!a.done && !(going && waits())) {
      a.next();
      this.last = a.seconds - seconds;
    }
    [this.loss, this.val] = [a.loss, a.val];
    if (a.step > begun && this.settings.every && a.step % this.settings.every === 0) this.write();
    const compare = b && performance.now() > (this.compared ?? 0) && (() => this.compare());
    if (compare || (going && (!over || a.done || waits()))) return Promise.resolve(going).then(() => b.check()).then(compare || undefined);
  }
  async rest() {
    await this.b?.going;
    return this.compare();
  }
  // Which run of a race is ahead: the validation losses of both, measured now. None of that is work in the race.
  async compare() {
    const { a, b } = this, found = { steps: [a?.step, b?.step] };
    if (!b || !a.step || !b.step || (this.ahead?.id === b.id && String(this.ahead.steps) === String(found.steps))) return;
    const begun = performance.now();
    await b.order({ what: "newest" }).catch(b.caught);
    if (b.newest === undefined || a.step !== found.steps[0]) return;
    this.ahead = { ...found, id: b.id, vals: [a.newest(), b.newest], seconds: [a.seconds, b.seconds] };
    this.compared = performance.now() + Math.max(2000, 10 * (performance.now() - begun));
  }
  // Whether the second run has made fewer steps than the first, or used less time.
  get behind() {
    const { a, b } = this;
    return Boolean(b) && !b.done && (this.settings.over === "seconds" ? b.seconds < a.seconds : b.step < a.step);
  }
  get done() { return Boolean(this.a?.done) && !this.behind; }
  get at() { return this.a.step; }
  write() {
    const { temperature, prompt } = this.settings;
    this.samples.push({ step: this.a.step, loss: this.a.loss, text: this.a.sample({ temperature, prompt }) });
  }
  keep() { return this.a && { a: this.a.keep(), b: this.b?.keep(), written: this.samples.length }; }
  async back({ a, b, written }) {
    this.a.back(a);
    if (b) await this.b?.back(b);
    this.samples.length = Math.min(written, this.samples.length);
    this.line.at = -Infinity;
    return this.change(this.settings);
  }
  async change(settings) {
    if (settings.line !== this.settings.line) this.line.at = -Infinity;
    this.settings = settings;
    this.a?.change(settings.rate, settings.steps);
    await this.b?.change(settings.rate2, settings.steps);
    if (this.a) return this.#race();
  }
  edit() { if (this.a) this.write(); }
  ask({ what, source }) {
    if (what === "file") return Safetensors.write(this.a.reading(), this.a.train, source);
    if (what === "reading") return this.a.reading();
    throw new Error(`no answer to ${what}`);
  }
  // Attention on the learner's line, a few times a second.
  attention() {
    const now = performance.now();
    if (now - this.line.at < 300 || (this.line.step === this.a.step && this.line.text === this.settings.line)) return this.line.found;
    const { block_size, n_layer, n_head } = this.a.config, letters = Array.from(this.settings.line);
    const known = letters.filter(letter => this.corpus.number.has(letter)).slice(0, Math.min(block_size, 32));
    const found = { letters: known, missing: letters.filter(letter => !this.corpus.number.has(letter)), heads: [], block: block_size };
    if (known.length) {
      const reader = new Reader(this.a.reading());
      reader.read(reader.encode(known.join("")));
      const n = known.length;
      for (let layer = 0; layer < n_layer; layer++) {
        const all = reader.at(`h.${layer}.weights`);
        for (let head = 0; head < n_head; head++) {
          const weights = new Float32Array(n * n);
          for (let t = 0; t < n; t++) for (let s = 0; s <= t; s++) weights[t * n + s] = all[(head * block_size + t) * block_size + s];
          found.heads.push({ layer, head, weights });
        }
      }
    }
    this.line = { at: now, step: this.a.step, text: this.settings.line, found };
    return found;
  }
  frame() {
    if (!this.a) return { waiting: this.waiting };
    const part = run => run && {
      curve: copied(run.curve), checks: copied(run.checks), val: run.val, loss: run.loss, step: run.step, seconds: run.seconds, rate: run.rate(Math.max(0, run.step - 1)),
      rates: run.rates, config: run.config, train: run.train, parameters: run.parameters, norm: run.norm,
      characters: run.step * run.train.batch_size * run.config.block_size,
    };
    const { corpus, text } = this, { end } = corpus;
    this.text = undefined;  // the page keeps it
    return {
      ladder: this.ladder, done: this.done, a: part(this.a), b: part(this.b), ahead: this.b && this.ahead?.id === this.b.id && this.ahead.steps.every((step, i) => step <= [this.a, this.b][i].step) ? this.ahead : undefined, flow: this.a.flow(), samples: this.samples.slice(-3), attention: this.attention(),
      text: { alphabet: corpus.alphabet.length, replaced: corpus.replaced, size: corpus.size, documents: end !== null, whole: text, missing: [...new Set(this.settings.prompt)].filter(letter => !corpus.number.has(letter)) },
    };
  }
};
function copied(curve) { return Object.fromEntries(Object.entries(curve).map(([name, list]) => [name, Float64Array.from(list)])); }
})();
