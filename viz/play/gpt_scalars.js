// A GPT in which every number is a node of a Tape: the operations, the names and the initial weights of gpt/model.py.
class ScalarGPT {
  // `chance` draws the weights in Python's order. Without positions their table exists, but is not added.
  constructor(tape, { vocab, width = 16, heads = 4, layers = 1, context = 16, positions = true, std = 0.08 }, chance) {
    Object.assign(this, { width, heads, layers, context, positions });
    const table = (name, rows, columns, deviation = std) => Array.from({ length: rows }, (_, i) =>
      Array.from({ length: columns }, (_, j) => tape.leaf(chance.gauss(0, deviation), `${name}.weight[${i}][${j}]`)));
    const toStream = std / Math.sqrt(2 * layers);  // each block adds to the residual stream twice
    this.wte = table("transformer.wte", vocab, width);
    this.wpe = table("transformer.wpe", context, width);
    this.h = Array.from({ length: layers }, (_, i) => ({
      c_attn: table(`transformer.h.${i}.attn.c_attn`, 3 * width, width),
      c_proj: table(`transformer.h.${i}.attn.c_proj`, width, width, toStream),
      c_fc: table(`transformer.h.${i}.mlp.c_fc`, 4 * width, width),
      out: table(`transformer.h.${i}.mlp.c_proj`, width, 4 * width, toStream),
    }));
    this.lm_head = table("lm_head", vocab, width);
  }
  // Keys and values of the positions read so far, by layer and head.
  memory() { return this.h.map(() => Array.from({ length: this.heads }, () => ({ keys: [], values: [] }))); }
  // Reads one more token, or its vector; returns the scores of the next one. `t` is the tape, or Plain, which gives numbers.
  // `see(what, nodes, layer, head)` is told the parts on the way.
  read(t, token, memory, see) {
    const { width, heads } = this, size = width / heads, place = memory[0][0].keys.length;
    const row = nodes => (t.leaves ? t.leaves(nodes) : nodes);
    let x = Array.isArray(token) ? token : row(this.wte[token]);
    if (this.positions) x = t.sums(x, row(this.wpe[place]));
    const told = (what, nodes, layer, head) => { see?.(what, nodes, layer, head); return nodes; };
    told("vector", x);
    this.h.forEach((block, layer) => {
      const qkv = t.linear(told("scaled vector", t.rmsNorm(x), layer), block.c_attn), mixed = [];
      for (let h = 0; h < heads; h++) {
        const { keys, values } = memory[layer][h];
        const part = k => told(["query", "key", "value"][k], qkv.slice(k * width + h * size, k * width + (h + 1) * size), layer, h);
        keys.push(part(1));
        values.push(part(2));
        const weights = told("weights", t.attentionWeights(part(0), keys), layer, h);
        mixed.push(...told("mix", t.weightedSum(weights, values), layer, h));
      }
      x = told("vector after attention", t.sums(x, t.linear(mixed, block.c_proj)), layer);
      const hidden = t.linear(told("scaled vector after attention", t.rmsNorm(x), layer), block.c_fc).map(v => t.relu(v));
      x = told("vector after the MLP", t.sums(x, t.linear(told("hidden", hidden, layer), block.out)), layer);
    });
    return t.linear(told("scaled vector at the end", t.rmsNorm(x)), this.lm_head);
  }
  // The scores after each token, a row per token.
  scores(t, tokens, see) {
    const memory = this.memory();
    return tokens.map((token, place) => this.read(t, token, memory, see && ((what, nodes, layer, head) => see(what, nodes, place, layer, head))));
  }
}

// The functions of a Tape on plain numbers, for what needs no gradient; parameters are nodes of the tape.
class Plain {
  constructor(tape) { this.tape = tape; }
  leaves(nodes) { const { data } = this.tape; return nodes.map(node => data[node]); }
  sums(a, b) { return a.map((x, i) => x + b[i]); }
  linear(x, weight, bias) {
    const { data } = this.tape, n = x.length;
    return weight.map((row, j) => {
      let total = data[row[0]] * x[0];
      for (let i = 1; i < n; i++) total += data[row[i]] * x[i];
      return bias ? total + data[bias[j]] : total;
    });
  }
  dot(a, b) { let total = a[0] * b[0]; for (let i = 1; i < a.length; i++) total += a[i] * b[i]; return total; }
  relu(x) { return x > 0 || x !== x ? x : 0; }
  tanh(x) { return Math.tanh(x); }
  rmsNorm(x) { const scale = Math.pow(this.dot(x, x) / x.length + 1e-5, -0.5); return x.map(v => v * scale); }
  softmax(scores) {
    const largest = Math.max(...scores), powers = scores.map(x => Math.exp(x - largest)), total = powers.reduce((a, b) => a + b);
    return powers.map(power => power / total);
  }
  attentionWeights(query, keys) { const scale = query.length ** -0.5; return this.softmax(keys.map(key => this.dot(query, key) * scale)); }
  weightedSum(weights, rows) { return rows[0].map((_, i) => { let total = 0; for (let s = 0; s < rows.length; s++) total += weights[s] * rows[s][i]; return total; }); }
}
