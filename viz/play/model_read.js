// A trained GPT on the text of the learner: writes on, keeps what undo needs, and answers what the page asks.
//
// The assets: "read", JSON {name, config, alphabet, end, bits, text, snapshots: [{step, asset, val}]}, and by the names
// in it the numbers of parameter_shapes() one after the other, little-endian floats of 16 or 32 bits. "mine" is the same
// for a model that another screen handed over, with {tables: [[name, length]]} in the order of that screen.
MODELS.read = class {
  static async make(settings, assets) {
    for (const name of settings.model === "mine" ? ["mine", "read"] : ["read", "mine"]) {
      let facts;
      try { facts = JSON.parse(new TextDecoder().decode(await assets(name))); } catch { continue; }
      const readers = [];
      for (const { asset } of facts.snapshots) readers.push(new Reader(Reader.unpack(await assets(asset), facts)));
      return new this(settings, { ...facts, own: name === "mine", lost: settings.model === "mine" && name !== "mine" }, readers);
    }
    return new this(settings, null, []);
  }
  constructor(settings, facts, readers) {
    Object.assign(this, { facts, readers, settings, heard: 0, unknown: "", spare: new Map() });
    if (!facts) return;
    const [first] = readers, { alphabet } = first;
    this.opening = facts.end === null ? [] : [first.token.get(facts.end)];  // a document begins after an end
    this.type(settings.text || facts.text || [..."the "].filter(character => first.token.has(character)).join("") || alphabet[0]);
    this.change(settings);
  }
  // Characters that the model does not know are left out.
  type(text) {
    const [first] = this.readers, all = [...text];
    this.unknown = [...new Set(all.filter(character => !first.token.has(character)))].join("");
    this.tokens = [...this.opening, ...first.encode(all.filter(character => first.token.has(character)).slice(0, MODELS.read.LONGEST).join(""))];
    this.begin();
  }
  // From here on characters are drawn, from the beginning of the chance of this seed.
  begin() {
    this.began = this.tokens.length;
    this.chance = new Chance(this.settings.seed);
  }
  get written() { return this.tokens.length - this.began; }
  get text() { return this.tokens.slice(this.opening.length).map(token => this.readers[0].alphabet[token]).join(""); }
  get off() { return new Set(this.settings.off.split(",").filter(Boolean)); }
  get nth() { const n = this.facts.snapshots.findIndex(one => String(one.step) === this.settings.at); return n < 0 ? this.readers.length - 1 : n; }
  get reader() { return this.readers[this.nth]; }
  get val() { return this.facts?.snapshots[this.nth].val ?? undefined; }
  set val(_) {}

  change(settings) {
    const draws = ({ temperature, topK, topP, off, at, seed }) => [temperature, topK, topP, off, at, seed].join();
    const before = this.settings;
    this.settings = settings;
    if (!this.facts) return;
    if (draws(before) !== draws(settings)) this.begin();
    this.read();
  }
  read() {
    if (!this.tokens.length) { this.loss = undefined; return; }
    this.reader.surprise(this.tokens, this.off);
    if (!this.reader.next().every(Number.isFinite)) throw new Trouble("the scores of this model are not finite numbers: its training diverged; choose an earlier step");
    this.loss = this.tokens.length > 1 ? this.reader.value("loss") : undefined;
  }
  chances() {
    const { temperature, topK, topP } = this.settings;
    return Reader.distribution(this.reader.next(), temperature, topK > 40 ? 0 : topK, topP);  // 41: all
  }
  step() {
    if (!this.facts) throw new Trouble("there is no trained model in this page");
    if (!this.tokens.length) throw new Trouble("the text is empty: type at least one character, which the model continues");
    if (this.tokens.length >= MODELS.read.LONGEST) throw new Trouble(`the text has ${MODELS.read.LONGEST} characters, as many as this page keeps: shorten it, and write on`);
    this.tokens.push(Reader.draw(this.chances(), this.chance.random()));
    this.read();
  }
  keep() { return this.facts ? { tokens: Int32Array.from(this.tokens), began: this.began, chance: this.chance.state() } : undefined; }
  back({ tokens, began, chance }) {
    this.tokens = [...tokens];
    this.began = began;
    this.chance.load(chance);
    this.unknown = "";
    this.read();
  }
  // {text} as it is typed, or one more character; `nth` tells the page which of its changes this is.
  edit({ text, append, nth }) {
    this.heard = nth ?? this.heard;
    this.type(text ?? this.text + append);
    this.read();
  }

  // --- questions ---------------------------------------------------------------------------------------------------------
  ask({ what, ref, parts, files, quick }) {
    if (what === "explain") {
      const told = { ...this.reader.explain(ref), grad: quick ? null : this.reader.grad(ref) }, table = /^transformer\.(?:h\.\d+\.)?(\w+)|^lm_head/.exec(ref);
      if (/^(surprise|loss)/.test(ref)) told.unit = "nats";
      if (table) told.more += ` ${MODELS.read.TABLES[ref.match(/c_attn|attn\.c_proj|mlp\.c_proj|c_fc|wte|wpe|ln_1|ln_2|ln_f|lm_head/)?.[0]] ?? ""}`;
      if (this.facts.bits < 32 && ref.endsWith("]") && this.reader.weights[ref.split("[")[0]]) told.more += ` In this page it is rounded to ${this.facts.bits} bits.`;
      if (told.grad === 0 && !/surprise|loss/.test(ref)) told.more += " Gradient 0: the loss of your text does not depend on it. What comes after the last character is not in your text, or the number is multiplied by 0 on the way.";
      else if (told.grad !== null) told.more += " Gradient: how fast the loss of your text grows when this number grows.";
      return told;
    }
    if (what === "open") return Safetensors.read(files);
    if (what === "without") return this.other().without(this.tokens, parts);
    throw new Error(`unknown question: ${what}`);
  }
  // The same model once more: what is tried on it leaves the numbers of the page as they are.
  other() {
    const { reader } = this;
    if (!this.spare.has(reader)) this.spare.set(reader, new Reader({ config: reader.config, alphabet: reader.alphabet.join(""), weights: reader.weights, end: reader.end }));
    return this.spare.get(reader);
  }

  frame() {
    if (!this.facts) return { empty: true };
    const { reader, facts, tokens, settings } = this, { name, snapshots, config, bits } = facts;
    const shared = { name, bits, opened: facts.opened, levels: facts.levels, own: facts.own, lost: facts.lost, config, opening: facts.text, alphabet: reader.alphabet, end: reader.end, text: this.text, began: reader.decode(tokens.slice(this.opening.length, this.began)), written: this.written, heard: this.heard, unknown: this.unknown,
      snapshots, nth: this.nth, characters: tokens.map(token => reader.alphabet[token]) };
    if (!tokens.length) return { ...shared, surprise: [] };
    const T = reader.tokens.length, layer = Math.min(Number(settings.layer), reader.layers - 1), head = Math.min(Number(settings.head), reader.heads - 1);
    const at = Number(settings.position) < 0 ? T - 1 : Math.min(T - 1, Math.max(0, Number(settings.position) - reader.from));
    const frame = { ...shared, surprise: Float64Array.from(reader.text.surprise), from: reader.from, layer, head, at, raw: reader.at("chance").slice((T - 1) * reader.alphabet.length, T * reader.alphabet.length), chances: this.chances() };
    frame.looks = this.attention(layer, head);
    frame.whole = settings.off && tokens.length > 1 ? this.other().loss(tokens, new Set()) : undefined;
    if (settings.view === "flow") frame.stages = this.stages(layer, head, at);
    if (settings.view === "heads") frame.heads = Array.from({ length: reader.layers }, (_, l) => Array.from({ length: reader.heads }, (_, h) => this.attention(l, h)));
    if (settings.view === "time") frame.time = this.readers.map(one => { one.surprise(tokens, this.off); return { loss: tokens.length > 1 ? one.value("loss") : NaN, chances: one.at("chance").slice((T - 1) * one.alphabet.length, T * one.alphabet.length) }; });
    return frame;
  }
  // One head: row by row what each position looks at.                                                          (T, T)
  attention(layer, head) {
    const { reader } = this, T = reader.tokens.length, all = reader.at(`h.${layer}.weights`), found = new Float32Array(T * T);
    for (let t = 0; t < T; t++) for (let s = 0; s <= t; s++) found[t * T + s] = all[(head * reader.block + t) * reader.block + s];
    return found;
  }
  // What is computed at one position, from left to right; `ref` of number i is its address.
  stages(layer, head, at) {
    const { reader } = this, { width, size } = reader, h = `h.${layer}.`, list = [];
    const add = (key, name, first, count, ref) => { const { shape, data } = reader.made[name], row = shape.at(-1); list.push({ key, numbers: data.slice(at * row + first, at * row + first + count), ref: ref ?? { name: `${name}[${at}]`, first } }); };
    const one = (key, name, count) => add(key, name, 0, count);
    const row = part => { const all = reader.at(h + part), start = (head * reader.block + at) * reader.block; return { numbers: all.slice(start, start + at + 1), ref: { name: `${h}${part}[${head}][${at}]`, first: 0 } }; };
    one("in", layer ? `h.${layer - 1}.out` : "x", width);
    one("ln_1", `${h}ln_1`, width);
    add("q", `${h}q`, head * size, size);
    add("k", `${h}k`, head * size, size);
    add("v", `${h}qkv`, 2 * width + head * size, size);
    list.push({ key: "scores", ...row("scores") }, { key: "weights", ...row("weights") });
    add("mix", `${h}mix`, head * size, size);
    one("attn", `${h}attn`, width);
    one("mid", `${h}mid`, width);
    one("ln_2", `${h}ln_2`, width);
    one("act", `${h}act`, reader.wide);
    one("mlp", `${h}mlp`, width);
    one("out", `${h}out`, width);
    if (layer === reader.layers - 1) {
      one("ln_f", "ln_f", width);
      one("logits", "logits", reader.alphabet.length);
      one("chance", "chance", reader.alphabet.length);
    }
    return list;
  }
};
MODELS.read.LONGEST = 600;  // characters
// What the tables of a run are, by their names.
MODELS.read.TABLES = {
  wte: "wte: the vectors of the characters.", wpe: "wpe: the vectors of the positions.", lm_head: "lm_head: from the last vector to a score for each character.",
  c_attn: "c_attn: makes query, key and value of a vector.", "attn.c_proj": "attn.c_proj: mixes what the heads gathered.", c_fc: "c_fc: from a vector to the units of the MLP.", "mlp.c_proj": "mlp.c_proj: from the units back to a vector.",
  ln_1: "ln_1: the norm before attention.", ln_2: "ln_2: the norm before the MLP.", ln_f: "ln_f: the last norm.",
};
