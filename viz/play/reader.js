// A GPT, read: the forward pass of gpt/model.py on one text, every number on the way kept, parts switched off on
// request, and each number explained down to one multiplication.
//
// A model is plain data, {config, alphabet, weights, end}: the fields of GPTConfig, the characters in order, arrays of
// floats by the names of parameter_shapes() (a tied head has none of its own), and the character that ends documents, if
// there is one. A number has an address: the name of what is computed and its place, "h.0.scores[head][t][s]"; "*i"
// after it is one product of its sum. `off` is a set of "positions", "h.0.head.1", "h.0.attn", "h.0.mlp", "h.0.bypass".
const Reader = (() => {
const EPS = 1e-5;

const ACTIVATIONS = {
  linear: [a => a, "x"],
  relu: [relu, "max(x, 0)"],
  tanh: [Math.tanh, "tanh(x)"],
  sigmoid: [sigmoid, "1/(1 + e^−x)"],
  gelu: [gelu, "x · (1 + erf(x/√2))/2"],
  gelu_tanh: [a => a * sigmoid(2 * Math.sqrt(2 / Math.PI) * (a + 0.044715 * a * a * a)), "x · (1 + tanh(0.798 · (x + 0.0447 x³)))/2"],
  relu2: [a => a > 0 ? a * a : 0, "max(x, 0)²"],
  silu: [a => a * sigmoid(a), "x/(1 + e^−x)"],
};

class Reader {
  constructor({ config, alphabet, weights, end = null }) {
    Object.assign(this, { config, alphabet: [...alphabet], end });
    this.token = new Map(this.alphabet.map((character, i) => [character, i]));
    const { n_layer, n_head, n_embd: width, block_size, vocab_size } = config;
    if (this.alphabet.length !== vocab_size) throw new Error(`the model has ${vocab_size} characters, its alphabet ${this.alphabet.length}`);
    Object.assign(this, { layers: n_layer, heads: n_head, width, size: width / n_head, block: block_size, wide: config.mlp_ratio * width });
    this.weights = {};
    for (const [name, count] of Reader.tables(config)) {
      if (weights[name]?.length !== count) throw new Error(`${name}: expected ${count} numbers, got ${weights[name]?.length ?? "none"}`);
      this.weights[name] = weights[name] instanceof Float64Array ? weights[name] : Float64Array.from(weights[name]);
    }
    this.head = config.tied_head ? "transformer.wte" : "lm_head";
    this.act = ACTIVATIONS[config.activation][0];
    this.rotary = config.positions === "rotary";
    this.tokens = [];
    this.off = new Set();
    this.text = { tokens: [], surprise: [] };  // what surprise() has read
    this.made = {};
    const room = (name, ...shape) => { this.made[name] = { shape, data: new Float64Array(shape.reduce((a, b) => a * b)) }; };
    const norm = (name) => { room(name, block_size, width); room(`${name}.scale`, block_size); room(`${name}.mean`, block_size); };
    room("x", block_size, width);
    for (let i = 0; i < n_layer; i++) {
      const h = `h.${i}.`;
      norm(`${h}ln_1`);
      room(`${h}qkv`, block_size, 3 * width);
      for (const part of "qk") room(h + part, block_size, width);
      for (const part of ["scores", "weights"]) room(h + part, n_head, block_size, block_size);
      for (const part of ["mix", "attn", "mid"]) room(h + part, block_size, width);
      norm(`${h}ln_2`);
      for (const part of ["fc", "act"]) room(h + part, block_size, this.wide);
      for (const part of ["mlp", "out"]) room(h + part, block_size, width);
    }
    norm("ln_f");
    for (const part of ["logits", "chance"]) room(part, block_size, vocab_size);
  }
  // Names and lengths of the tables: gpt.model.parameter_shapes.
  static tables(c) {
    const w = c.n_embd, wide = c.mlp_ratio * w, list = [["transformer.wte.weight", c.vocab_size * w]];
    const norm = name => { if (c.norm_weight) { list.push([`${name}.weight`, w]); if (c.bias && c.norm === "layernorm") list.push([`${name}.bias`, w]); } };
    const linear = (name, n, m) => { list.push([`${name}.weight`, n * m]); if (c.bias) list.push([`${name}.bias`, m]); };
    if (c.positions === "learned") list.push(["transformer.wpe.weight", c.block_size * w]);
    for (let i = 0; i < c.n_layer; i++) {
      const h = `transformer.h.${i}.`;
      norm(`${h}ln_1`);
      linear(`${h}attn.c_attn`, w, 3 * w);
      linear(`${h}attn.c_proj`, w, w);
      norm(`${h}ln_2`);
      linear(`${h}mlp.c_fc`, w, wide);
      linear(`${h}mlp.c_proj`, wide, w);
    }
    norm("transformer.ln_f");
    if (!c.tied_head) list.push(["lm_head.weight", c.vocab_size * w]);
    return list;
  }
  // The shape of a table of so many numbers.
  static shape(name, count, { mlp_ratio, n_embd }) {
    const columns = (name.endsWith("mlp.c_proj.weight") ? mlp_ratio : 1) * n_embd;
    return /\.ln_|bias$/.test(name) ? [count] : [count / columns, columns];
  }
  encode(text) {
    return [...text].map((character, i) => {
      const token = this.token.get(character);
      if (token === undefined) throw new RangeError(`“${character}” (character ${i + 1}) is not among the ${this.alphabet.length} characters that this model knows`);
      return token;
    });
  }
  decode(tokens) { return tokens.map(token => this.alphabet[token]).join(""); }

  // --- the forward pass ------------------------------------------------------------------------------------------------
  at(name) { return this.made[name].data; }
  // Reads up to block_size tokens. What the last reading has in common with this one is not computed again: causal
  // attention never looks ahead, so all that is kept of earlier positions, keys and values among it, stays true.
  read(tokens, off = this.off) {
    if (!tokens.length || tokens.length > this.block) throw new RangeError(`expected 1 to ${this.block} characters, got ${tokens.length}`);
    let from = 0;
    if (same(off, this.off)) while (from < tokens.length && tokens[from] === this.tokens[from]) from++;
    this.off = new Set(off);
    this.tokens = [...tokens];
    if (from < tokens.length) this.forward(from, tokens.length);
    return this;
  }
  forward(from, to) {
    const { width: w, weights: all, made } = this, on = part => !this.off.has(part);
    const table = all["transformer.wte.weight"], places = !this.rotary && on("positions") ? all["transformer.wpe.weight"] : null;
    for (let t = from; t < to; t++) for (let c = 0; c < w; c++) made.x.data[t * w + c] = table[this.tokens[t] * w + c] + (places ? places[t * w + c] : 0);
    let x = made.x.data;
    for (let i = 0; i < this.layers; i++) {
      const h = `h.${i}.`, p = `transformer.h.${i}.`, bypass = on(`${h}bypass`);
      const plus = (sum, part) => { for (let k = from * w; k < to * w; k++) sum[k] = (bypass ? x[k] : 0) + part[k]; x = sum; };
      this.norm(`${h}ln_1`, x, from, to);
      this.linear(`${p}attn.c_attn`, this.at(`${h}ln_1`), this.at(`${h}qkv`), from, to, w, 3 * w);
      this.attend(i, from, to);
      if (on(`${h}attn`)) this.linear(`${p}attn.c_proj`, this.at(`${h}mix`), this.at(`${h}attn`), from, to, w, w);
      else this.at(`${h}attn`).fill(0, from * w, to * w);
      plus(this.at(`${h}mid`), this.at(`${h}attn`));
      this.norm(`${h}ln_2`, x, from, to);
      const [fc, act] = [this.at(`${h}fc`), this.at(`${h}act`)];
      this.linear(`${p}mlp.c_fc`, this.at(`${h}ln_2`), fc, from, to, w, this.wide);
      for (let k = from * this.wide; k < to * this.wide; k++) act[k] = this.act(fc[k]);
      if (on(`${h}mlp`)) this.linear(`${p}mlp.c_proj`, act, this.at(`${h}mlp`), from, to, this.wide, w);
      else this.at(`${h}mlp`).fill(0, from * w, to * w);
      plus(this.at(`${h}out`), this.at(`${h}mlp`));
    }
    this.norm("ln_f", x, from, to);
    const V = this.alphabet.length, { data: logits } = made.logits;
    this.linear(this.head, this.at("ln_f"), logits, from, to, w, V);
    for (let t = from; t < to; t++) softmax(logits, t * V, V, this.at("chance"));
  }
  // y = W·x + b for the positions of a range: four rows of W at a time.
  linear(name, x, y, from, to, n, m) {
    const W = this.weights[`${name}.weight`], b = this.weights[`${name}.bias`];
    for (let t = from; t < to; t++) {
      const at = t * n, out = t * m;
      let j = 0;
      for (; j + 4 <= m; j += 4) {
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0, r = j * n;
        for (let i = 0; i < n; i++, r++) {
          const v = x[at + i];
          s0 += W[r] * v; s1 += W[r + n] * v; s2 += W[r + 2 * n] * v; s3 += W[r + 3 * n] * v;
        }
        y[out + j] = s0; y[out + j + 1] = s1; y[out + j + 2] = s2; y[out + j + 3] = s3;
      }
      for (; j < m; j++) {
        let s = 0;
        for (let i = 0; i < n; i++) s += W[j * n + i] * x[at + i];
        y[out + j] = s;
      }
      if (b) for (let i = 0; i < m; i++) y[out + i] += b[i];
    }
  }
  norm(name, x, from, to) {
    const { width: w } = this, y = this.at(name), weight = this.weights[`transformer.${name}.weight`], bias = this.weights[`transformer.${name}.bias`];
    for (let t = from; t < to; t++) {
      let mean = 0, square = 0;
      if (this.config.norm === "layernorm") { for (let c = 0; c < w; c++) mean += x[t * w + c]; mean /= w; }
      for (let c = 0; c < w; c++) square += (x[t * w + c] - mean) ** 2;
      const scale = 1 / Math.sqrt(square / w + EPS);
      this.at(`${name}.mean`)[t] = mean;
      this.at(`${name}.scale`)[t] = scale;
      for (let c = 0; c < w; c++) y[t * w + c] = (x[t * w + c] - mean) * scale * (weight ? weight[c] : 1) + (bias ? bias[c] : 0);
    }
  }
  angle(t, i) { return t * 10000 ** (-i / (this.size / 2)); }
  attend(layer, from, to) {
    const h = `h.${layer}.`, { width: w, size, block } = this, qkv = this.at(`${h}qkv`), half = size / 2;
    const [q, k, scores, weights, mix] = ["q", "k", "scores", "weights", "mix"].map(part => this.at(h + part));
    const turned = this.rotary && !this.off.has("positions");
    for (let t = from; t < to; t++) {
      for (let c = 0; c < w; c++) { q[t * w + c] = qkv[t * 3 * w + c]; k[t * w + c] = qkv[t * 3 * w + w + c]; }
      if (!turned) continue;
      for (let i = 0; i < half; i++) {
        const angle = this.angle(t, i), cos = Math.cos(angle), sin = Math.sin(angle);
        for (const part of [q, k]) {
          for (let c = t * w + i; c < t * w + w; c += size) {
            const [a, b] = [part[c], part[c + half]];
            part[c] = a * cos + b * -sin;
            part[c + half] = a * sin + b * cos;
          }
        }
      }
    }
    for (let head = 0; head < this.heads; head++) {
      const off = this.off.has(`${h}head.${head}`), first = head * size;
      for (let t = from; t < to; t++) {
        const row = (head * block + t) * block;
        for (let s = 0; s <= t; s++) {
          let sum = 0;
          for (let c = first; c < first + size; c++) sum += q[t * w + c] * k[s * w + c];
          scores[row + s] = sum * size ** -0.5;
        }
        softmax(scores, row, t + 1, weights);
        for (let c = first; c < first + size; c++) {
          let sum = 0;
          if (!off) for (let s = 0; s <= t; s++) sum += weights[row + s] * qkv[s * 3 * w + 2 * w + c];
          mix[t * w + c] = sum;
        }
      }
    }
  }

  // --- a whole text ----------------------------------------------------------------------------------------------------
  // Where the window begins in which the token at n is predicted: windows overlap by half, and begin again with every
  // document, as in gpt/inspection/surprisal.py and gpt/sample.py.
  start(tokens, n) {
    let begin = 0;
    if (this.end !== null) for (let i = n - 1; i > 0; i--) if (tokens[i] === this.token.get(this.end)) { begin = i; break; }
    const half = Math.max(1, Math.floor(this.block / 2));
    return begin + Math.max(0, Math.ceil((n - begin - this.block) / half)) * half;
  }
  // The surprise at each token but the first, −ln of its probability, and after that the reading of the last window, in
  // which the next character is predicted. Only what is new is computed.
  surprise(tokens, off = this.off) {
    const known = this.text, N = tokens.length;
    let n = 0;
    if (same(off, this.off)) while (n < N && n < known.tokens.length && tokens[n] === known.tokens[n]) n++;
    const found = known.surprise.slice(0, n);
    if (!n) found.push(NaN);
    for (n = Math.max(n, 1); n < N;) {
      const start = this.start(tokens, n);
      let last = n;
      while (last < N && this.start(tokens, last) === start) last++;
      this.read(tokens.slice(start, last - 1), off);
      for (; n < last; n++) found.push(this.miss(n - 1 - start, tokens[n]));
    }
    this.from = this.start(tokens, N);
    this.read(tokens.slice(this.from), off);
    this.text = { tokens: [...tokens], surprise: found };
    return found;
  }
  // ln Σ e^(score − largest) − (score − largest): exact where a probability would round to 0.
  miss(t, token) {
    const V = this.alphabet.length, scores = this.at("logits").subarray(t * V, t * V + V), most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    let sum = 0;
    for (const score of scores) sum += Math.exp(score - most);
    return Math.log(sum) - (scores[token] - most);
  }
  loss(tokens, off = this.off) { return meanOf(this.surprise(tokens, off).slice(1)); }
  // The scores of the next character.
  next() { const V = this.alphabet.length, t = this.tokens.length - 1; return this.at("logits").slice(t * V, t * V + V); }
  // The loss without each of some parts alone.
  without(tokens, parts) { return parts.map(part => ({ part, loss: this.loss(tokens, new Set([part])) })); }

  // --- explanations ------------------------------------------------------------------------------------------------
  value(ref) {
    const [name, ...at] = parse(ref);
    if (this.made[name]) return this.at(name)[flat(this.made[name].shape, at)];
    if (this.weights[name]) return this.weights[name][at.length < 2 ? at[0] : at[0] * this.columns(name) + at[1]];
    if (name === "surprise") return this.text.surprise[at[0]];
    if (name === "loss") return meanOf(this.text.surprise.slice(1));
    throw new RangeError(`there is no number ${ref}`);
  }
  columns(name) { return name.endsWith("mlp.c_proj.weight") ? this.wide : this.width; }
  // The character at a position of the window, to be read.
  shown(t) { return visible(this.alphabet[this.tokens[t]]); }
  of(t) { return `“${this.shown(t)}” (position ${t})`; }
  // One number: formula, today's numbers, what it is made of. Rows lead on by their address.
  explain(ref) {
    const [whole, term] = ref.split("*"), [name, ...at] = parse(whole);
    if (term !== undefined) return this.product(ref, this.sum(whole), +term);
    const found = this.weights[name] ? this.parameter(ref, name, at) : this.computed(whole, name, at);
    return { ref, value: this.value(ref), grad: null, rows: [], uses: [], more: "", ...found, numbers: (found.numbers ?? "").replaceAll("+ −", "− ") };
  }
  parameter(ref, name, at) {
    return { title: ref.replace("transformer.", ""), formula: "a weight: training found this number; nothing computes it",
      more: `It is number ${at.join(", ")} of the table ${name} in the file of the run.` };
  }
  product(ref, sum, i) {
    const [a, b] = sum.pair(i), [x, y] = [this.value(a.ref), this.value(b.ref)];
    return { ref, title: `one multiplication of ${sum.title}`, value: x * y, grad: null, formula: `${a.text} · ${b.text}`, numbers: `${short(x)} · ${short(y)} = ${short(x * y)}`,
      rows: [{ ...a, value: x }, { ...b, value: y }], uses: [], more: `It is one of ${sum.count} that are added.` };
  }
  // What a sum of products is: their number, and the two factors of each.
  sum(ref) {
    const [name, ...at] = parse(ref), [, layer, part] = /^h\.(\d+)\.(.*)$/.exec(name) ?? [null, null, name], h = `h.${layer}.`, p = `transformer.h.${layer}.`;
    const { width: w, size } = this;
    const linear = (from, table, count) => ({ title: this.title(ref), count, bias: this.weights[`${table}.bias`] ? `${table}.bias[${at[1]}]` : null,
      pair: i => [{ text: `${from}[${i}]`, ref: `${from}[${at[0]}][${i}]` }, { text: "weight", ref: `${table}.weight[${at[1]}][${i}]` }] });
    switch (part) {
      case "qkv": return linear(`${h}ln_1`, `${p}attn.c_attn`, w);
      case "attn": return linear(`${h}mix`, `${p}attn.c_proj`, w);
      case "fc": return linear(`${h}ln_2`, `${p}mlp.c_fc`, w);
      case "mlp": return linear(`${h}act`, `${p}mlp.c_proj`, this.wide);
      case "logits": return linear("ln_f", this.head, w);
      case "scores": { const [head, t, s] = at; return { title: this.title(ref), count: size,
        pair: i => [{ text: `q[${i}]`, ref: `${h}q[${t}][${head * size + i}]` }, { text: `k[${i}]`, ref: `${h}k[${s}][${head * size + i}]` }] }; }
      case "mix": { const [t, c] = at, head = Math.floor(c / size); return { title: this.title(ref), count: t + 1,
        pair: s => [{ text: `weight of ${this.of(s)}`, ref: `${h}weights[${head}][${t}][${s}]` }, { text: `v[${c % size}] of ${this.of(s)}`, ref: `${h}qkv[${s}][${2 * w + c}]` }] }; }
    }
    throw new RangeError(`${ref} is no sum of products`);
  }
  // The number in words.
  title(ref) {
    const [name, ...at] = parse(ref), [, layer, part] = /^h\.(\d+)\.(.*)$/.exec(name) ?? [null, null, name], { width: w, size } = this;
    const number = i => `number ${i} of`, where = layer === null ? "" : ` in layer ${+layer + 1}`;
    switch (part) {
      case "x": return `${number(at[1])} the vector of ${this.of(at[0])}`;
      case "ln_1": case "ln_2": case "ln_f": return `${number(at[1])} the normalized vector of ${this.of(at[0])}${layer === null ? " before the scores" : `, before the ${part === "ln_1" ? "attention" : "MLP"} of layer ${+layer + 1}`}`;
      case "qkv": { const c = at[1] % w; return `${["query", "key", "value"][Math.floor(at[1] / w)]} ${c % size} of ${headName(layer, Math.floor(c / size))} at ${this.of(at[0])}`; }
      case "q": case "k": return `${part === "q" ? "query" : "key"} ${at[1] % size} of ${headName(layer, Math.floor(at[1] / size))} at ${this.of(at[0])}`;
      case "scores": return `score in ${headName(layer, at[0])}: how well the query of ${this.of(at[1])} fits the key of ${this.of(at[2])}`;
      case "weights": return `how much ${this.of(at[1])} looks at ${this.of(at[2])} in ${headName(layer, at[0])}`;
      case "mix": return `number ${at[1] % size} of what ${headName(layer, Math.floor(at[1] / size))} gathers for ${this.of(at[0])}`;
      case "attn": return `${number(at[1])} what attention adds at ${this.of(at[0])}${where}`;
      case "mid": return `${number(at[1])} the vector of ${this.of(at[0])} after the attention of layer ${+layer + 1}`;
      case "fc": return `unit ${at[1]} of the MLP at ${this.of(at[0])}${where}, before its activation`;
      case "act": return `unit ${at[1]} of the MLP at ${this.of(at[0])}${where}`;
      case "mlp": return `${number(at[1])} what the MLP adds at ${this.of(at[0])}${where}`;
      case "out": return `${number(at[1])} the vector of ${this.of(at[0])} after layer ${+layer + 1}`;
      case "logits": return `score of “${visible(this.alphabet[at[1]])}” after ${this.of(at[0])}`;
      case "chance": return `probability of “${visible(this.alphabet[at[1]])}” after ${this.of(at[0])}`;
      case "surprise": return `surprise at “${visible(this.alphabet[this.text.tokens[at[0]]])}”, character ${at[0]} of the text`;
      case "loss": return "loss of the text";
    }
    return ref;
  }
  computed(ref, name, at) {
    const [, layer, part] = /^h\.(\d+)\.(.*)$/.exec(name) ?? [null, null, name], h = `h.${layer}.`, p = `transformer.h.${layer}.`;
    const { width: w, size } = this, [t, c] = at, title = this.title(ref), off = word => this.off.has(word), row = (text, to) => ({ text, value: this.value(to), ref: to });
    const before = layer === null ? (this.layers ? `h.${this.layers - 1}.out` : "x") : +layer ? `h.${layer - 1}.out` : "x";
    const total = (formula, more = "", scale = null) => {
      const sum = this.sum(ref), rows = [];
      for (let i = 0; i < sum.count; i++) { const [a, b] = sum.pair(i).map(one => ({ ...one, value: this.value(one.ref) })); rows.push({ text: `${a.text} · ${b.text} = ${short(a.value)} · ${short(b.value)}`, value: a.value * b.value, ref: `${ref}*${i}` }); }
      const shown = rows.slice(0, 3).map(one => one.text.split(" = ")[1]);
      if (sum.bias) rows.push(row("bias", sum.bias));
      const dots = sum.count > 3 ? ` + … (${sum.count} products)` : "";
      rows.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
      const joined = shown.map((text, i) => (!i ? text : text.startsWith("−") ? ` − ${text.slice(1)}` : ` + ${text}`)).join("");
      const inside = `${joined}${dots}${sum.bias ? ` + ${short(this.value(sum.bias))}` : ""}`;
      return { title, formula, numbers: `${scale ? `(${inside})${scale}` : inside} = ${short(this.value(ref))}`, rows, more: more || "The largest products come first." };
    };
    const added = (a, b, words, part) => {
      const bypass = part.startsWith("h.") && off(`h.${layer}.bypass`);
      return { title, formula: bypass ? `only ${words[1]}: the bypass of layer ${+layer + 1} is off` : `${words[0]} + ${words[1]}`, numbers: bypass ? `${short(this.value(b))}` : `${short(this.value(a))} + ${short(this.value(b))} = ${short(this.value(ref))}`,
        rows: bypass ? [row(words[1], b)] : [row(words[0], a), row(words[1], b)], more: "The vector keeps what it was, and each part adds to it: that is the bypass (residual connection)." };
    };
    switch (part) {
      case "x": {
        const token = `transformer.wte.weight[${this.tokens[t]}][${c}]`;
        if (this.rotary || off("positions")) return { title, formula: "the vector of the character", numbers: short(this.value(ref)), rows: [row(`vector of “${this.shown(t)}”`, token)],
          more: this.rotary ? "Positions come in later: they rotate queries and keys." : "The positions are switched off." };
        const place = `transformer.wpe.weight[${t}][${c}]`;
        return { title, formula: "vector of the character + vector of the position", numbers: `${short(this.value(token))} + ${short(this.value(place))} = ${short(this.value(ref))}`, rows: [row(`vector of “${this.shown(t)}”`, token), row(`vector of position ${t}`, place)] };
      }
      case "ln_1": case "ln_2": case "ln_f": return this.normed(name, part === "ln_2" ? `${h}mid` : before, t, c, title);
      case "ln_1.scale": case "ln_2.scale": case "ln_f.scale": case "ln_1.mean": case "ln_2.mean": case "ln_f.mean":
        return this.statistic(ref, name, part.startsWith("ln_2") ? `${h}mid` : before, t);
      case "qkv": return total(`Σ (normalized vector · weights) ${this.config.bias ? "+ bias" : ""}, row ${c} of h.${layer}.attn.c_attn`);
      case "q": case "k": {
        const raw = `${h}qkv[${t}][${(part === "q" ? 0 : w) + c}]`;
        if (!this.rotary || off("positions")) return this.explain(raw);
        const half = size / 2, i = c % size % half, other = `${h}qkv[${t}][${(part === "q" ? 0 : w) + c + (c % size < half ? half : -half)}]`, angle = this.angle(t, i);
        const [cos, sin] = [Math.cos(angle), (c % size < half ? -1 : 1) * Math.sin(angle)];
        return { title, formula: `turned by ${short(angle)} = position ${t} · ${short(angle / (t || 1))}: a · cos ${c % size < half ? "−" : "+"} b · sin`,
          numbers: `${short(this.value(raw))} · ${short(cos)} + ${short(this.value(other))} · ${short(sin)} = ${short(this.value(ref))}`,
          rows: [row("a, before the rotation", raw), row("b, its partner", other), { text: "cosine", value: Math.cos(angle), ref: null }, { text: "sine", value: Math.sin(angle), ref: null }] };
      }
      case "scores": return total(`(Σ query · key) / √${size}`, "A large score: this query fits this key.", ` / ${short(Math.sqrt(size))}`);
      case "weights": {
        const [head, at, s] = [t, c, parse(ref)[3]], rows = [], most = Math.max(...Array.from({ length: at + 1 }, (_, s) => this.value(`${h}scores[${head}][${at}][${s}]`)));
        let sum = 0;
        for (let s = 0; s <= at; s++) { const score = `${h}scores[${head}][${at}][${s}]`, e = Math.exp(this.value(score) - most); sum += e; rows.push({ text: `e^(${short(this.value(score))} − ${short(most)}) of ${this.of(s)}`, value: e, ref: score }); }
        const own = rows[s];
        return { title, formula: "e^(score − largest) / sum of all of them", numbers: `${short(own.value)} / ${short(sum)} = ${short(this.value(ref))}`, rows: [own, ...rows.filter(one => one !== own).sort((a, b) => b.value - a.value)],
          more: `Softmax: the ${at + 1} weights of this query are positive and sum to 1.` };
      }
      case "mix": return off(`${h}head.${Math.floor(c / size)}`) ? { title, formula: "0: this head is switched off", numbers: "0" } : total("Σ (how much it looks there · value there)", "Each character up to this one gives its value, times its weight.");
      case "attn": return off(`${h}attn`) ? { title, formula: "0: this attention is switched off", numbers: "0" } : total(`Σ (what all heads gathered · weights) ${this.config.bias ? "+ bias" : ""}, row ${c} of h.${layer}.attn.c_proj`);
      case "mid": return added(`${before}[${t}][${c}]`, `${h}attn[${t}][${c}]`, ["the vector before", "what attention adds"], name);
      case "fc": return total(`Σ (normalized vector · weights) ${this.config.bias ? "+ bias" : ""}, row ${c} of h.${layer}.mlp.c_fc`);
      case "act": { const from = `${h}fc[${t}][${c}]`, x = this.value(from), words = ACTIVATIONS[this.config.activation][1]; return { title, formula: `${this.config.activation}(x) = ${words}`, numbers: `${words.replace(/x/g, (_, i, all) => all.slice(i - 2, i) === "ma" ? "x" : short(x))} = ${short(this.value(ref))}`, rows: [row("x", from)] }; }
      case "mlp": return off(`${h}mlp`) ? { title, formula: "0: this MLP is switched off", numbers: "0" } : total(`Σ (units · weights) ${this.config.bias ? "+ bias" : ""}, row ${c} of h.${layer}.mlp.c_proj`);
      case "out": return added(`${h}mid[${t}][${c}]`, `${h}mlp[${t}][${c}]`, ["the vector before", "what the MLP adds"], name);
      case "logits": return total(`Σ (last vector · vector of “${visible(this.alphabet[c])}”${this.config.tied_head ? ", the same as at the beginning" : " in lm_head"})`);
      case "chance": {
        const V = this.alphabet.length, scores = Array.from({ length: V }, (_, v) => this.value(`logits[${t}][${v}]`)), most = Math.max(...scores), powers = scores.map(x => Math.exp(x - most)), sum = powers.reduce((a, b) => a + b);
        const rows = powers.map((value, v) => ({ text: `e^(${short(scores[v])} − ${short(most)}) for “${visible(this.alphabet[v])}”`, value, ref: `logits[${t}][${v}]` })), own = rows[c];
        return { title, formula: "e^(score − largest) / sum of all of them", numbers: `${short(own.value)} / ${short(sum)} = ${short(this.value(ref))}`, rows: [own, ...rows.filter(one => one !== own).sort((a, b) => b.value - a.value)], more: "The probabilities of all characters sum to 1." };
      }
      case "surprise": {
        const token = this.text.tokens[t], at = t - 1 - this.from, ours = at >= 0 && this.start(this.text.tokens, t) === this.from, p = Math.exp(-this.value(ref));
        return { title, formula: "−ln(probability)", numbers: `−ln(${short(p)}) = ${short(this.value(ref))}`, rows: [ours ? row("its probability", `chance[${at}][${token}]`) : { text: "its probability", value: p, ref: null }],
          more: ours ? "" : "It was predicted in an earlier window of the text, whose other numbers are no longer kept." };
      }
      case "loss": return { title, formula: "the mean surprise of its characters", numbers: `sum / ${this.text.tokens.length - 1} = ${short(this.value(ref))}`,
        rows: this.text.surprise.slice(1).map((value, i) => ({ text: `surprise at “${visible(this.alphabet[this.text.tokens[i + 1]])}” after “${this.text.tokens.slice(Math.max(0, i - 7), i + 1).map(token => visible(this.alphabet[token])).join("")}”`, value, ref: `surprise[${i + 1}]` })).sort((a, b) => b.value - a.value), more: "The most surprising come first." };
    }
    throw new RangeError(`there is no number ${ref}`);
  }
  normed(name, before, t, c, title) {
    const rows = [], p = `transformer.${name}`, add = (text, ref) => rows.push({ text, value: this.value(ref), ref }), layer = this.config.norm === "layernorm";
    add("the number before", `${before}[${t}][${c}]`);
    if (layer) add("the mean of all numbers", `${name}.mean[${t}]`);
    add("the scale", `${name}.scale[${t}]`);
    if (this.weights[`${p}.weight`]) add("weight", `${p}.weight[${c}]`);
    if (this.weights[`${p}.bias`]) add("bias", `${p}.bias[${c}]`);
    const by = text => rows.find(one => one.text === text), x = short(rows[0].value);
    const inside = layer ? `(${x} − ${short(by("the mean of all numbers").value)})` : x;
    return { title, rows, formula: `${layer ? "(number − mean)" : "number"} · scale${by("weight") ? " · weight" : ""}${by("bias") ? " + bias" : ""}`,
      numbers: `${inside} · ${short(by("the scale").value)}${by("weight") ? ` · ${short(by("weight").value)}` : ""}${by("bias") ? ` + ${short(by("bias").value)}` : ""} = ${short(this.value(`${name}[${t}][${c}]`))}`,
      more: "A norm makes all vectors about equally long: the next layer sees numbers of one size." };
  }
  statistic(ref, name, before, t) {
    const { width: w } = this, x = i => this.value(`${before}[${t}][${i}]`), mean = this.value(`${name.replace(".scale", "").replace(".mean", "")}.mean[${t}]`), scale = name.endsWith("scale");
    const rows = Array.from({ length: w }, (_, i) => ({ text: `number ${i}${scale ? ", squared" : ""}`, value: scale ? (x(i) - mean) ** 2 : x(i), ref: `${before}[${t}][${i}]` }));
    const average = rows.reduce((sum, one) => sum + one.value, 0) / w;
    return { title: `the ${scale ? "scale" : "mean"} of a norm at ${this.of(t)}`, rows: rows.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)),
      formula: scale ? `1 / √(mean of ${this.config.norm === "layernorm" ? "(number − mean)²" : "number²"} + ${EPS})` : "the mean of all numbers",
      numbers: scale ? `1 / √(${short(average)} + ${EPS}) = ${short(this.value(ref))}` : short(average), more: "The largest come first." };
  }

  // --- writing: gpt/sample.py ------------------------------------------------------------------------------------------
  static distribution(scores, temperature, topK, topP) {
    const chances = new Float64Array(scores.length), order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]), largest = scores[order[0]];
    if (temperature === 0) { chances[order[0]] = 1; return chances; }
    const powers = order.map(token => Math.exp((scores[token] - largest) / temperature));
    let kept = topK ? Math.min(topK, order.length) : order.length;
    if (topP < 1) {
      const target = topP * powers.slice(0, kept).reduce((a, b) => a + b);
      let total = 0;
      for (let i = 0; i < kept; i++) { total += powers[i]; if (total >= target) { kept = i + 1; break; } }
    }
    const total = powers.slice(0, kept).reduce((a, b) => a + b);
    for (let i = 0; i < kept; i++) chances[order[i]] = powers[i] / total;
    return chances;
  }
  static draw(chances, point) {
    let total = 0, last = 0;
    for (let token = 0; token < chances.length; token++) {
      if (chances[token] > 0) { total += chances[token]; last = token; if (point < total) return token; }
    }
    return last;
  }

  // --- a model in a page -----------------------------------------------------------------------------------------------
  // Its tables one after the other, those of tables() or [name, length] as told: floats of 2 bytes (IEEE half
  // precision), 4, or 8, little-endian; or a scale for each row, floats of 4 bytes, and then all numbers in units of it.
  static unpack(bytes, { config, alphabet, end = null, bits = 32, tables = Reader.tables(config) }) {
    const weights = {}, view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const get = { 8: at => view.getInt8(at), 16: at => halfFloat(view.getUint16(at, true)), 32: at => view.getFloat32(at, true), 64: at => view.getFloat64(at, true) }[bits];
    const rows = tables.map(([name, n]) => { const shape = bits === 8 ? Reader.shape(name, n, config) : []; return shape.length > 1 ? shape[0] : 1; });
    const count = tables.reduce((sum, [, n]) => sum + n, 0), size = bits / 8, scales = bits === 8 ? 4 * rows.reduce((a, b) => a + b) : 0;
    if (bytes.byteLength !== scales + size * count) throw new Error(`the weights in this page have ${bytes.byteLength} bytes, expected ${scales + size * count}`);
    let at = scales, row = 0;
    tables.forEach(([name, n], nth) => {
      const table = weights[name] = new Float64Array(n), columns = n / rows[nth];
      for (let i = 0; i < n; i++, at += size) table[i] = get(at) * (scales ? view.getFloat32(4 * (row + Math.floor(i / columns)), true) : 1);
      row += rows[nth];
    });
    return { config, alphabet, weights, end };
  }
}
function halfFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
function softmax(from, at, count, to) {
  let most = -Infinity, sum = 0;
  for (let i = at; i < at + count; i++) if (from[i] > most) most = from[i];
  for (let i = at; i < at + count; i++) sum += to[i] = Math.exp(from[i] - most);
  for (let i = at; i < at + count; i++) to[i] /= sum;
}
const same = (a, b) => a.size === b.size && [...a].every(one => b.has(one));
const meanOf = list => list.reduce((a, b) => a + b, 0) / list.length;
const visible = character => ({ "\n": "⏎", " ": "␣", "\t": "⇥", "\r": "␍" })[character] ?? character;
// "h.0.scores[1][2][3]" is ["h.0.scores", 1, 2, 3].
const parse = ref => { const [name, ...at] = ref.split("["); return [name, ...at.map(part => parseInt(part))]; };
function flat(shape, at) {
  if (at.length !== shape.length || at.some((i, axis) => !(i >= 0 && i < shape[axis]))) throw new RangeError(`there is no number at [${at.join("][")}] of ${shape.join("×")}`);
  return at.reduce((sum, i, axis) => sum * shape[axis] + i, 0);
}
return Object.assign(Reader, { visible, ACTIVATIONS: Object.keys(ACTIVATIONS) });
})();
