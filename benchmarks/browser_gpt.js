// The step of the GPT of gpt/model.py in a page, for browser.py: loss and gradient of a batch, by our module, and as
// usually written with TensorFlow.js and with jax-js. `prepare(who)` makes one ready, `measure` times it, and
// `difference` compares its gradient with ours.
"use strict";

const steps = {}; // by name: a function that returns the loss (as a promise), and one that returns the gradient by name

async function given() {
  const settings = await (await fetch("settings.json")).json();
  const numbers = new Float32Array(await (await fetch("weights.bin")).arrayBuffer());
  const weights = {};
  for (const [name, { start, shape }] of Object.entries(settings.tensors)) {
    weights[name] = { shape, data: numbers.slice(start, start + shape.reduce((a, b) => a * b, 1)) };
  }
  return { ...settings, weights };
}

function script(address) {
  return new Promise((done, failed) => {
    const tag = Object.assign(document.createElement("script"), { src: address, onload: done });
    tag.onerror = () => failed(new Error(`${address} cannot be loaded`));
    document.head.append(tag);
  });
}

// A row for each number, 1 in its column. Products with these rows look entries up, and choose them.
function oneHot(numbers, columns) {
  const rows = new Float32Array(numbers.length * columns);
  numbers.forEach((column, row) => (rows[row * columns + column] = 1));
  return rows;
}

const hidden = (size) => Float32Array.from({ length: size * size }, (_, n) => (n % size > Math.floor(n / size) ? -1e9 : 0));

const makers = {
  async program() {
    const { tokens, targets } = await given();
    await script("step.js");
    const model = await tinygrad.load(fetch("step.wasm"));
    return [() => model.step([tokens, targets]), () => model.gradient];
  },

  async tensorflow() {
    const { config, weights, tokens, targets } = await given();
    await script("/npm/@tensorflow/tfjs/dist/tf.min.js");
    await script("/npm/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js");
    tf.wasm.setWasmPaths("/npm/@tensorflow/tfjs-backend-wasm/dist/");
    if (!(await tf.setBackend("wasm"))) throw new Error("its wasm backend does not start");
    const [B, T, C, heads, V] = [tokens.length, tokens[0].length, config.n_embd, config.n_head, config.vocab_size];
    const w = {};
    for (const [name, { shape, data }] of Object.entries(weights)) w[name] = tf.variable(tf.tensor(data, shape));
    const [x0, y0] = [tokens, targets].map((rows) => tf.tensor(oneHot(rows.flat(), V), [B * T, V]));
    const mask = tf.tensor(hidden(T), [T, T]);
    const linear = (name, x) => tf.matMul(x, w[`${name}.weight`], false, true);
    const activations = { relu: tf.relu, relu2: (x) => tf.square(tf.relu(x)),
      gelu: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)) };
    const norm = (name, x) => {
      if (config.norm === "layernorm") x = tf.sub(x, tf.mean(x, -1, true));
      x = tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-5)));
      return config.norm_weight ? tf.mul(x, w[`${name}.weight`]) : x;
    };
    const attention = (name, x) => {
      const parts = tf.split(linear(`${name}.c_attn`, x), 3, 1);
      const [q, k, v] = parts.map((x) => tf.transpose(tf.reshape(x, [B, T, heads, C / heads]), [0, 2, 1, 3]));
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), (C / heads) ** -0.5), mask);
      const y = tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]);
      return linear(`${name}.c_proj`, tf.reshape(y, [B * T, C]));
    };
    const loss = () => {
      let x = tf.reshape(tf.matMul(x0, w["transformer.wte.weight"]), [B, T, C]);
      x = tf.reshape(tf.add(x, tf.slice(w["transformer.wpe.weight"], [0, 0], [T, C])), [B * T, C]);
      for (let i = 0; i < config.n_layer; i++) {
        const block = `transformer.h.${i}`;
        x = tf.add(x, attention(`${block}.attn`, norm(`${block}.ln_1`, x)));
        const inner = activations[config.activation](linear(`${block}.mlp.c_fc`, norm(`${block}.ln_2`, x)));
        x = tf.add(x, linear(`${block}.mlp.c_proj`, inner));
      }
      x = norm("transformer.ln_f", x);
      const scores = linear(config.tied_head ? "transformer.wte" : "lm_head", x);
      return tf.div(tf.sum(tf.mul(tf.logSoftmax(scores), y0)), -B * T);
    };
    let latest = {};
    const step = () => {
      tf.dispose(latest);
      const { value, grads } = tf.variableGrads(loss);
      latest = grads;
      const found = value.dataSync()[0]; // waits for the result
      value.dispose();
      return found;
    };
    const gradient = () => Object.fromEntries(Object.keys(w).map((name) => [name, latest[w[name].name].dataSync()]));
    return [step, gradient];
  },

  async jax() {
    const { config, weights, tokens, targets } = await given();
    const { numpy: np, nn, jit, valueAndGrad, init, defaultDevice, blockUntilReady } = await import("/npm/@jax-js/jax/dist/index.js");
    await init("wasm");
    defaultDevice("wasm");
    const [B, T, C, heads, V] = [tokens.length, tokens[0].length, config.n_embd, config.n_head, config.vocab_size];
    const w = {};
    for (const [name, { shape, data }] of Object.entries(weights)) w[name] = np.array(data).reshape(shape);
    const rows = [tokens, targets].map((rows) => np.array(oneHot(rows.flat(), V)).reshape([B * T, V]));
    const constants = [...rows, np.array(hidden(T)).reshape([T, T])];
    // A function owns its arguments: `ref` is one more owner.
    const loss = (w, x0, y0, mask) => {
      const linear = (name, x) => np.matmul(x, np.transpose(w[`${name}.weight`].ref));
      const activations = { relu: nn.relu, relu2: (x) => np.square(nn.relu(x)), gelu: (x) => nn.gelu(x, { approximate: false }) };
      const norm = (name, x) => {
        if (config.norm === "layernorm") x = x.ref.sub(np.mean(x, -1, { keepdims: true }));
        const size = np.sqrt(np.mean(np.square(x.ref), -1, { keepdims: true }).add(1e-5));
        x = x.div(size);
        return config.norm_weight ? x.mul(w[`${name}.weight`].ref) : x;
      };
      const attention = (name, x) => {
        const parts = np.split(linear(`${name}.c_attn`, x), 3, 1);
        const [q, k, v] = parts.map((x) => np.transpose(x.reshape([B, T, heads, C / heads]), [0, 2, 1, 3]));
        const scores = np.matmul(q, np.transpose(k, [0, 1, 3, 2])).mul((C / heads) ** -0.5).add(mask.ref);
        const y = np.transpose(np.matmul(nn.softmax(scores, -1), v), [0, 2, 1, 3]);
        return linear(`${name}.c_proj`, y.reshape([B * T, C]));
      };
      let x = np.matmul(x0, w["transformer.wte.weight"].ref).reshape([B, T, C]);
      x = x.add(w["transformer.wpe.weight"].ref).reshape([B * T, C]);
      for (let i = 0; i < config.n_layer; i++) {
        const block = `transformer.h.${i}`;
        x = x.ref.add(attention(`${block}.attn`, norm(`${block}.ln_1`, x)));
        const inner = activations[config.activation](linear(`${block}.mlp.c_fc`, norm(`${block}.ln_2`, x.ref)));
        x = x.add(linear(`${block}.mlp.c_proj`, inner));
      }
      x = norm("transformer.ln_f", x);
      const scores = linear(config.tied_head ? "transformer.wte" : "lm_head", x);
      const result = np.sum(nn.logSoftmax(scores, -1).mul(y0)).div(-B * T);
      mask.dispose();
      for (const one of Object.values(w)) one.dispose();
      return result;
    };
    const both = jit(valueAndGrad(loss));
    let latest = {};
    const step = async () => {
      for (const one of Object.values(latest)) one.dispose();
      const owned = Object.fromEntries(Object.entries(w).map(([name, one]) => [name, one.ref]));
      const [value, gradient] = both(owned, ...constants.map((one) => one.ref));
      await blockUntilReady(gradient);
      latest = gradient;
      return (await value.data())[0];
    };
    const gradient = async () => {
      const found = {};
      for (const [name, one] of Object.entries(latest)) found[name] = await one.ref.data();
      return found;
    };
    return [step, gradient];
  },
};

async function prepare(who) {
  steps[who] = await makers[who]();
  return await steps[who][0]();
}

// Seconds of the fastest step; short ones are timed many at a time, because clocks of pages are coarse.
async function measure(who, seconds) {
  const [step] = steps[who];
  let [best, repeats] = [Infinity, 1];
  const end = performance.now() + 1000 * seconds;
  do {
    const start = performance.now();
    for (let n = 0; n < repeats; n++) await step();
    const took = performance.now() - start;
    if (took < 20) repeats = Math.ceil(repeats * Math.min(20 / Math.max(took, 0.1), 10));
    else best = Math.min(best, took / repeats / 1000);
    await new Promise((done) => setTimeout(done));
  } while (performance.now() < end || best === Infinity);
  return best;
}

// The largest difference of a gradient from ours, relative to the largest number.
async function difference(who) {
  const [ours, theirs] = [await steps.program[1](), await steps[who][1]()];
  let [largest, apart] = [0, 0];
  for (const [name, numbers] of Object.entries(ours)) {
    for (let n = 0; n < numbers.length; n++) {
      largest = Math.max(largest, Math.abs(theirs[name][n]));
      apart = Math.max(apart, Math.abs(numbers[n] - theirs[name][n]) || 0);
      if (!Number.isFinite(theirs[name][n])) return Infinity;
    }
  }
  return apart / largest;
}
