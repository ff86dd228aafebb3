// What a number of a GPT that is read does to the loss of the text: the backward pass of reader.js, in the same float64.
// A number has the address that it has there. The slopes of activations are those of the graph of scalars.
{
const MOST = 2e9;  // multiplications: an answer must not take long
const slopes = name => { const tape = new Tape(), x = tape.leaf(0), y = tape.activation(name, x); return at => { tape.data[x] = at; tape.forward(); tape.backward(y); return tape.grad[x]; }; };

// ∂(loss of the text)/∂(number), or null where there is none, or it would take too long.
Reader.prototype.grad = function (ref) {
  const { tokens } = this.text, [whole, term] = ref.split("*"), [name, ...at] = parseAddress(whole), N = tokens.length;
  if (N < 2) return null;
  if (term !== undefined) { const sum = this.grad(whole); return sum === null ? null : sum * (name.endsWith("scores") ? this.size ** -0.5 : 1); }
  if (name === "loss") return 1;
  if (name === "surprise") return 1 / (N - 1);
  const found = this.gradients(Boolean(this.weights[name]));
  if (!found) return null;
  if (this.weights[name]) return found[name][at.length < 2 ? at[0] : at[0] * this.columns(name) + at[1]];
  return found[name][at.reduce((sum, i, axis) => sum * this.made[name].shape[axis] + i, 0)];
};
const parseAddress = ref => { const [name, ...at] = ref.split("["); return [name, ...at.map(part => parseInt(part))]; };

// Those of the numbers of the last window; `tables`: of all weights, to which all windows contribute.
Reader.prototype.gradients = function (tables) {
  const { tokens } = this.text, N = tokens.length, key = `${[...tokens]} ${[...this.off]}`;
  if (this.kept?.key !== key) this.kept = { key };
  const last = this.from, windows = new Map([[last, []]]), kind = tables ? "weights" : "numbers";
  if (this.kept[kind]) return this.kept[kind];
  for (let n = 1; n < N; n++) {
    const start = this.start(tokens, n);
    if (tables || start === last) windows.set(start, [...windows.get(start) ?? [], n]);
  }
  const numbers = Object.values(this.weights).reduce((sum, one) => sum + one.length, 0), read = [...windows.values()].reduce((sum, list) => sum + list.length, 0);
  if (6 * numbers * (tables ? N : Math.max(read, 1)) > MOST) return null;
  const into = Object.fromEntries(Object.entries(tables ? this.weights : {}).map(([name, { length }]) => [name, new Float64Array(length)]));
  for (const [start, list] of windows) {
    if (start !== last) { this.read(tokens.slice(start, list.at(-1))); this.back(start, list, into, tables); }
  }
  if (windows.size > 1) this.read(tokens.slice(last));
  this.back(last, windows.get(last), into, tables);
  return this.kept[kind] = into;
};
// The way back through one window, as it is read now: `into` gets the gradients of its numbers, or those of the weights.
Reader.prototype.back = function (start, predicted, into, tables) {
  const { width: w, wide, size, block, heads, weights: all, alphabet: { length: V }, text } = this, T = this.tokens.length, N = text.tokens.length, on = part => !this.off.has(part);
  const g = tables ? {} : into;
  const room = name => g[name] ??= new Float64Array(this.made[name]?.data.length ?? 0);
  const linear = (name, x, dy, dx, n, m) => {  // y = W·x + b
    const W = all[`${name}.weight`], dW = into[`${name}.weight`], db = into[`${name}.bias`];
    for (let t = 0; t < T; t++) for (let j = 0; j < m; j++) {
      const d = dy[t * m + j];
      if (!d) continue;
      for (let i = 0, r = j * n; i < n; i++, r++) { dx[t * n + i] += d * W[r]; if (dW) dW[r] += d * x[t * n + i]; }
      if (db) db[j] += d;
    }
  };
  const norm = (name, before, dx) => {
    const weight = all[`transformer.${name}.weight`], [dw, db] = ["weight", "bias"].map(part => into[`transformer.${name}.${part}`]), dy = room(name);
    const layer = this.config.norm === "layernorm", scales = this.at(`${name}.scale`), means = this.at(`${name}.mean`), [dscale, dmean] = [room(`${name}.scale`), room(`${name}.mean`)];
    for (let t = 0; t < T; t++) {
      let sum = 0, along = 0;
      const inside = c => dy[t * w + c] * (weight ? weight[c] : 1), centered = c => before[t * w + c] - means[t];
      for (let c = 0; c < w; c++) {
        sum += inside(c);
        along += inside(c) * centered(c);
        if (dw) dw[c] += dy[t * w + c] * centered(c) * scales[t];
        if (db) db[c] += dy[t * w + c];
      }
      dscale[t] = along;
      dmean[t] = layer ? -scales[t] * sum : 0;
      for (let c = 0; c < w; c++) dx[t * w + c] += scales[t] * (inside(c) - (layer ? sum / w : 0)) - scales[t] ** 3 * along / w * centered(c);
    }
  };
  // The scores.
  const chance = this.at("chance"), dlogits = room("logits"), dchance = room("chance");
  for (const n of predicted) {
    const t = n - 1 - start, target = text.tokens[n];
    for (let v = 0; v < V; v++) dlogits[t * V + v] = (chance[t * V + v] - (v === target)) / (N - 1);
    dchance[t * V + target] = -1 / chance[t * V + target] / (N - 1);
  }
  linear(this.head, this.at("ln_f"), dlogits, room("ln_f"), w, V);
  const outOf = layer => (layer < 0 ? "x" : `h.${layer}.out`);
  norm("ln_f", this.at(outOf(this.layers - 1)), room(outOf(this.layers - 1)));
  const slope = slopes(this.config.activation);
  for (let layer = this.layers - 1; layer >= 0; layer--) {
    const h = `h.${layer}.`, p = `transformer.h.${layer}.`, bypass = on(`${h}bypass`), from = outOf(layer - 1), at = part => this.at(h + part), d = part => room(h + part);
    const split = (sum, part, before) => { for (let k = 0; k < T * w; k++) { part[k] += sum[k]; if (bypass) before[k] += sum[k]; } };
    split(d("out"), d("mlp"), d("mid"));
    if (on(`${h}mlp`)) linear(`${p}mlp.c_proj`, at("act"), d("mlp"), d("act"), wide, w);
    const [fc, dfc, dact] = [at("fc"), d("fc"), d("act")];
    for (let k = 0; k < T * wide; k++) dfc[k] = dact[k] && dact[k] * slope(fc[k]);
    linear(`${p}mlp.c_fc`, at("ln_2"), dfc, d("ln_2"), w, wide);
    norm(`${h}ln_2`, at("mid"), d("mid"));
    split(d("mid"), d("attn"), room(from));
    if (on(`${h}attn`)) linear(`${p}attn.c_proj`, at("mix"), d("attn"), d("mix"), w, w);
    const [q, k, qkv, weights] = ["q", "k", "qkv", "weights"].map(at), [dq, dk, dqkv, dweights, dscores, dmix] = ["q", "k", "qkv", "weights", "scores", "mix"].map(d);
    for (let head = 0; head < heads; head++) {
      if (!on(`${h}head.${head}`)) continue;
      for (let t = 0; t < T; t++) {
        const row = (head * block + t) * block;
        let mean = 0;
        for (let s = 0; s <= t; s++) {
          for (let c = head * size; c < (head + 1) * size; c++) { dweights[row + s] += dmix[t * w + c] * qkv[s * 3 * w + 2 * w + c]; dqkv[s * 3 * w + 2 * w + c] += weights[row + s] * dmix[t * w + c]; }
          mean += weights[row + s] * dweights[row + s];
        }
        for (let s = 0; s <= t; s++) {
          const score = dscores[row + s] = weights[row + s] * (dweights[row + s] - mean);
          for (let c = head * size; c < (head + 1) * size; c++) { dq[t * w + c] += score * size ** -0.5 * k[s * w + c]; dk[s * w + c] += score * size ** -0.5 * q[t * w + c]; }
        }
      }
    }
    // Back before the rotation.
    const half = size / 2, turned = this.rotary && on("positions");
    for (let t = 0; t < T; t++) for (let c = 0; c < w; c++) for (const [part, more] of [[dq, 0], [dk, w]]) {
      const i = c % size % half, first = c % size < half, angle = turned ? this.angle(t, i) : 0;
      dqkv[t * 3 * w + more + c] = turned ? part[t * w + c] * Math.cos(angle) + (first ? 1 : -1) * part[t * w + c + (first ? half : -half)] * Math.sin(angle) : part[t * w + c];
    }
    linear(`${p}attn.c_attn`, at("ln_1"), dqkv, d("ln_1"), w, 3 * w);
    norm(`${h}ln_1`, this.at(from), room(from));
  }
  if (!tables) return;
  const table = into["transformer.wte.weight"], places = !this.rotary && on("positions") ? into["transformer.wpe.weight"] : null, dx = room("x");
  for (let t = 0; t < T; t++) for (let c = 0; c < w; c++) { table[this.tokens[t] * w + c] += dx[t * w + c]; if (places) places[t * w + c] += dx[t * w + c]; }
};
}
