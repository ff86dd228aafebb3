// Loads a module that `to_wasm` made, in browsers and in Node; depends on nothing.
//
//   const model = await load(bytes);              // or the answer of fetch("step.wasm"), or an address
//   model.step([xs, ys]);                         // the loss of a batch; model.loss; its gradient is in model.gradient
//   model.update({ lr: 0.001 });                  // moves model.parameters; model.steps and model.state are the optimizer's
//   model.forward([xs, ys]);                      // the results of every example
//   model.sample({ prompt: "To be", length: 100 });   // of a language model: text
//
// As a script in a page it defines `tinygrad.load`; in Node, `const { load } = require("./step.js")`, too.
"use strict";
(function (root) {
  const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: Int32Array };
  const count = (shape) => shape.reduce((a, b) => a * b, 1);

  async function bytesOf(source) {
    source = await source;
    if (typeof source === "string" || source instanceof URL) source = await fetch(source);
    if (typeof Response !== "undefined" && source instanceof Response) {
      if (!source.ok) throw new Error(`${source.url} cannot be loaded: ${source.status} ${source.statusText}`);
      source = await source.arrayBuffer();
    }
    if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
    throw new Error("load expects the bytes of step.wasm, a response, or an address");
  }

  // A module as `WasmModule.packed` writes it: the bytes of its tables are sorted by their place in a number.
  function unpacked(source) {
    const view = ArrayBuffer.isView(source) ? source : new Uint8Array(source);
    const packed = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    if (String.fromCharCode(...packed.subarray(0, 4)) !== "tgew") return source;
    const numbers = new DataView(packed.buffer, packed.byteOffset);
    const [start, count, bytes] = [numbers.getUint32(4, true), numbers.getUint32(8, true), packed.slice(12)];
    for (let byte = 0, from = 12 + start; byte < 8; byte++) {
      for (let n = 0; n < count; n++) bytes[start + 8 * n + byte] = packed[from++];
    }
    return bytes;
  }

  async function load(source) {
    const bytes = unpacked(await bytesOf(source));
    let module;
    try {
      module = await WebAssembly.compile(bytes);
    } catch (error) {
      const why = WebAssembly.validate(bytes) ? "" : "; it is damaged, or this browser is too old (it needs WebAssembly SIMD)";
      throw new Error(`these bytes are no WebAssembly module that runs here${why}`, { cause: error });
    }
    const description = describe(module);
    try {
      return new Model(await WebAssembly.instantiate(module), description);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const size = Math.ceil(description.pages / 16);
      const what = `the model needs ${size} MiB of memory, more than there is here`;
      throw new Error(`${what}: close other pages, or export a smaller batch`, { cause: error });
    }
  }

  // The same from bytes without a promise, where waiting disturbs nobody: in a Worker, or in Node.
  function loadSync(bytes) {
    const module = new WebAssembly.Module(unpacked(bytes));
    return new Model(new WebAssembly.Instance(module), describe(module));
  }

  function describe(module) {
    const notes = WebAssembly.Module.customSections(module, "tinygrad_edu");
    if (!notes.length) throw new Error("this WebAssembly module was not made by to_wasm");
    return JSON.parse(new TextDecoder().decode(notes[0]));
  }

  class Model {
    #exports;
    #memory;
    #plans = new Map();
    #ready = false;

    constructor(instance, description) {
      this.description = description;
      this.#exports = instance.exports;
      this.#memory = instance.exports.memory.buffer;
      this.loss = NaN;
      this.steps = description.optimizer ? description.optimizer.steps : 0;
      this.parameters = this.#byName(description.parameters.offset);
      this.gradient = this.#byName(description.gradient.offset);
      const { size } = description.parameters;
      const states = Object.entries(description.optimizer?.state ?? {});
      this.state = Object.fromEntries(states.map(([name, offset]) => [name, this.#view(offset, size)])); // of the optimizer
    }

    // Everything: `description` and the attribute `constants` in Python say what is where.
    get memory() {
      return this.#memory;
    }

    // The mean of the function over a batch; its gradient is then in `gradient`.
    step(inputs) {
      if (!this.description.programs.step) throw new Error("this function has no gradient: it does not return one Value");
      this.#ready = false;
      const [losses] = this.#run("step", inputs);
      let sum = 0;
      for (const loss of losses) sum += loss;
      this.loss = sum / losses.length;
      const square = this.#square();
      if (!Number.isFinite(this.loss) || !Number.isFinite(square)) {
        const what = Number.isFinite(this.loss) ? "the gradient is not finite" : `the loss is ${this.loss}`;
        throw new Error(
          `${what}: log and sqrt need positive numbers, a division needs a divisor that is not 0; if this comes after ` +
            "many steps, the learning rate may be too high",
        );
      }
      this.#ready = true;
      return this.loss;
    }

    // The results of every example: a list of arrays, each with the numbers of the function's result in its order.
    forward(inputs) {
      return this.run("forward", inputs);
    }

    // The same of any program of the module.
    run(name, inputs) {
      const rows = this.#run(name, inputs);
      const each = (n) => this.#array(rows.map((row) => row[row.length > 1 ? n : 0]));
      return Array.from({ length: this.description.programs[name].batch }, (_, n) => each(n));
    }

    // Scales the gradient down if its norm is larger; returns the norm before.
    clip(largest) {
      if (!(largest >= 0)) throw new Error(`the largest norm must be a number that is at least 0, got ${largest}`);
      const norm = Math.sqrt(this.#square());
      const gradient = this.#whole();
      if (norm > largest) for (let n = 0; n < gradient.length; n++) gradient[n] *= largest / norm;
      return norm;
    }

    #whole() {
      return this.#view(this.description.gradient.offset, this.description.gradient.size);
    }

    #square() {
      const gradient = this.#whole();
      let sum = 0;
      for (let n = 0; n < gradient.length; n++) sum += gradient[n] * gradient[n]; // the fastest kind of loop
      return sum;
    }

    // Text that continues a prompt, token by token; the keys and values of earlier ones stay in memory. A full context
    // drops its older half. A model of documents begins a new one, and stops at its end. `temperature` 0 always takes the most likely; `random` returns numbers from 0 to 1.
    sample({ prompt, length = 100, temperature = 1, top_k = Infinity, random = Math.random } = {}) {
      const own = this.description.notes.sampling;
      if (!own) throw new Error("this module writes no text: `gpt export RUN FOLDER --wasm` makes one that does");
      if (!Number.isInteger(length) || length < 0) throw new Error(`length must be a number of tokens, got ${length}`);
      if (!(temperature >= 0 && temperature < Infinity)) {
        throw new Error(`temperature must be a finite number of at least 0, got ${temperature}`);
      }
      if (!(top_k >= 1)) throw new Error(`top_k must be at least 1, got ${top_k}`);
      const alphabet = Array.from(own.alphabet);
      const opening = own.end === undefined ? prompt ?? alphabet[0] : own.end + (prompt ?? "");
      const tokens = Array.from(opening, (letter) => {
        if (!alphabet.includes(letter)) throw new Error(`the model has no character ${JSON.stringify(letter)}`);
        return alphabet.indexOf(letter);
      });
      if (!tokens.length) throw new Error("a prompt needs at least one character");
      let window = tokens.slice(-own.block_size);
      let known = 0;
      const made = [];
      while (made.length < length) {
        if (window.length > own.block_size) {
          window = window.slice(Math.max(1, Math.floor(own.block_size / 2)));
          known = 0;
        }
        let scores;
        for (; known < window.length; known++) scores = this.#oneMore(own, window[known], known);
        const next = draw(scores, temperature, top_k, random);
        if (alphabet[next] === own.end) break;
        made.push(next);
        window.push(next);
      }
      return made.map((token) => alphabet[token]).join("");
    }

    // The scores after one more token, whose keys and values are kept for the next.
    #oneMore({ vocab_size, block_size, hidden }, token, position) {
      const [first, where, mask, ...kept] = this.description.programs.token.inputs;
      const places = mask.shape[1] - 1;
      const open = Array.from({ length: places + 1 }, (_, n) => (n < position || n === places ? 0 : hidden));
      this.#write(first, [token]);
      this.#write(where, [position]);
      this.#write(mask, open);
      this.#exports.token();
      const out = this.#read("token").map((row) => row[0]);
      if (position < Math.min(places, block_size - 1)) {
        let at = vocab_size;
        for (const { offset, shape, strides } of kept) {
          const type = ARRAYS[this.description.dtype];
          const memory = new type(this.#memory);
          for (let head = 0; head < shape[1]; head++) {
            for (let n = 0; n < shape[3]; n++) {
              const place = offset + head * strides[1] + position * strides[2] + n * strides[3];
              memory[place / type.BYTES_PER_ELEMENT] = out[at++];
            }
          }
        }
      }
      return out.slice(0, vocab_size);
    }

    // A step of the optimizer; `lr` and its other settings stay what they are unless they are given.
    update(settings) {
      const own = this.description.optimizer;
      if (!own) throw new Error("this module has no optimizer");
      if (!this.#ready) throw new Error("there is no gradient yet: call step first");
      for (const [name, given] of Object.entries(settings ?? {})) {
        if (!["lr", "betas", "eps", "momentum", "weight_decay"].includes(name) || !(name in own)) {
          throw new Error(`${own.kind} has no setting ${name}`);
        }
        for (const x of [given].flat()) {
          if (typeof x !== "number" || !(x >= 0 && x < Infinity)) {
            throw new Error(`${name} must be a number that is at least 0, got ${x}`);
          }
        }
        own[name] = given;
      }
      this.steps += 1;
      own.numbers.forEach((offset, n) => {
        const numbers = own.kind === "SGD" ? [own.momentum, own.lr] : this.#adam(own, n);
        this.#view(offset, numbers.length).set(numbers);
      });
      this.#exports.update();
    }

    #adam({ lr, betas: [beta1, beta2], eps, weight_decay }, decays) {
      const root = Math.sqrt(1 - beta2 ** this.steps);
      const rate = lr / (1 - beta1 ** this.steps);
      return [beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate, 1 - lr * weight_decay * decays];
    }

    #run(name, inputs) {
      const { inputs: wanted } = this.description.programs[name];
      const given = Array.isArray(inputs) ? inputs : wanted.map(({ name }) => (inputs ?? {})[name]);
      const names = wanted.map((one) => one.name).join(", ");
      if (given.length !== wanted.length) throw new Error(`expected the arguments ${names}, got ${given.length}`);
      wanted.forEach((one, n) => this.#write(one, given[n]));
      this.#exports[name]();
      return this.#read(name);
    }

    #read(name) {
      const { outputs } = this.description.programs[name];
      const [n, lanes] = [outputs.shape[0], outputs.shape[1] ?? 1];
      const item = ARRAYS[this.description.dtype].BYTES_PER_ELEMENT;
      const [row, lane] = [outputs.strides[0] / item, (outputs.strides[1] ?? 0) / item];
      const all = this.#view(outputs.offset, (n - 1) * row + (lanes - 1) * lane + 1);
      return Array.from({ length: n }, (_, i) => Array.from({ length: lanes }, (_, j) => all[i * row + j * lane]));
    }

    // Checks the numbers of an argument, lists of lists or flat, and writes them where the program reads them.
    #write(one, given) {
      const plan = this.#plan(one);
      const { whole, places, view, found, limits } = plan;
      const wanted = () => `${one.name}: expected ${one.shape.join(" × ")} ${whole ? "whole numbers" : "numbers"} (the examples first)`;
      if (given === undefined || given === null) throw new Error(`${wanted()}, got nothing`);
      let count = 0, wrong = -1, odd;
      (function flatten(x) {
        for (let i = 0; i < x.length; i++) {
          const item = x[i];
          if (typeof item === "object" && (Array.isArray(item) || ArrayBuffer.isView(item))) flatten(item);
          else {
            if (wrong < 0 && (typeof item !== "number" || (whole && !Number.isSafeInteger(item)))) [wrong, odd] = [count, item];
            found[count++] = typeof item === "number" ? item : NaN; // beyond its end, a typed array ignores it
          }
        }
      })(Array.isArray(given) || ArrayBuffer.isView(given) ? given : [given]);
      if (count !== places.length) throw new Error(`${wanted()}, got ${count}`);
      if (wrong >= 0) throw new Error(`${wanted()}, got ${odd} among them`);
      for (let n = 0; limits && n < count; n++) {
        const limit = limits[n % limits.length] ?? Infinity;
        if (limit < Infinity && (found[n] < 0 || found[n] >= limit)) {
          throw new Error(`${one.name}: index ${found[n]} is out of range for a table of ${limit} entries (0 to ${limit - 1})`);
        }
      }
      if (whole) {
        for (let n = 0; n < count; n++) {
          view[places[n]] = found[n]; // 64 bits, the low half first
          view[places[n] + 1] = Math.floor(found[n] / 2 ** 32);
        }
      } else for (let n = 0; n < count; n++) view[places[n]] = found[n];
    }

    // Where each number of an argument goes; made once.
    #plan(one) {
      if (this.#plans.has(one)) return this.#plans.get(one);
      const { dtype, offset, shape, strides, limits } = one;
      const view = new ARRAYS[dtype](this.#memory);
      const places = Int32Array.from({ length: count(shape) }, (_, n) => {
        let at = offset;
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          at += (n % shape[axis]) * strides[axis];
          n = Math.floor(n / shape[axis]);
        }
        return at / view.BYTES_PER_ELEMENT;
      });
      const plan = { whole: dtype === "int64", places, view, found: new Float64Array(places.length), limits };
      this.#plans.set(one, plan);
      return plan;
    }

    #array(numbers) {
      return ARRAYS[this.description.dtype].from(numbers);
    }

    #view(offset, size) {
      return new ARRAYS[this.description.dtype](this.#memory, offset, size);
    }

    #byName(offset) {
      const item = ARRAYS[this.description.dtype].BYTES_PER_ELEMENT;
      const all = Object.entries(this.description.parameters.tensors);
      return Object.fromEntries(
        all.map(([name, { start, shape }]) => [name, this.#view(offset + start * item, count(shape))]),
      );
    }
  }

  // A token, each with its probability.
  function draw(scores, temperature, top_k, random) {
    if (!scores.every(Number.isFinite)) throw new Error("the model's scores are not finite: its training diverged");
    const order = scores.map((_, n) => n).sort((a, b) => scores[b] - scores[a] || a - b);
    if (temperature === 0) return order[0];
    const kept = order.slice(0, top_k);
    const powers = kept.map((n) => Math.exp((scores[n] - scores[order[0]]) / temperature));
    let point = random() * powers.reduce((a, b) => a + b, 0);
    const found = powers.findIndex((power) => (point -= power) < 0);
    return kept[found < 0 ? kept.length - 1 : found];
  }

  const own = { load, loadSync };
  if (typeof module === "object" && module.exports) module.exports = own;
  root.tinygrad = own;
})(globalThis);
