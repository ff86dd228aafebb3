// Neurons, layers and optimizers on a Tape, as tinygrad_edu's nn.py and optim.py: the same numbers in the same order.
class Neuron {
  constructor(tape, inputs, activation, chance, name = "neuron") {
    this.tape = tape;
    this.activation = activation;
    this.w = Array.from({ length: inputs }, (_, i) => tape.leaf(chance.uniform(-1, 1), `${name}.w[${i}]`));
    this.b = tape.leaf(0, `${name}.b`);
  }
  parameters() { return [...this.w, this.b]; }
  forward(x) {
    const { tape } = this;
    this.total = tape.add(tape.dot(this.w, x), this.b);
    return this.out = tape.activation(this.activation, this.total);
  }
}
class Layer {
  constructor(tape, inputs, outputs, activation, chance, name = "layer") {
    this.neurons = Array.from({ length: outputs }, (_, i) => new Neuron(tape, inputs, activation, chance, `${name}.neurons.${i}`));
  }
  parameters() { return this.neurons.flatMap(neuron => neuron.parameters()); }
  forward(x) { return this.neurons.map(neuron => neuron.forward(x)); }
}
class MLP {
  constructor(tape, inputs, outputs, { activation = "tanh", last = "linear", chance = new Chance(0) } = {}) {
    const sizes = [inputs, ...outputs];
    this.layers = outputs.map((n, i) => new Layer(tape, sizes[i], n, i < outputs.length - 1 ? activation : last, chance, `layers.${i}`));
  }
  parameters() { return this.layers.flatMap(layer => layer.parameters()); }
  forward(x, between = x => x) {  // `between` is what happens after each hidden layer, such as dropout
    return this.layers.reduce((out, layer, i) => { out = layer.forward(out); return i < this.layers.length - 1 ? between(out) : out; }, x);
  }
}
// The factors are numbers of the graph: draw() renews all of them in the order in which Python draws.
class Dropout {
  constructor(tape, p, chance) { Object.assign(this, { tape, p, chance, factors: [] }); }
  factor() { return this.chance.random() < this.p ? 0 : 1 / (1 - this.p); }
  forward(x) {
    if (this.p === 0) return x;
    return x.map(v => { const factor = this.tape.number(this.factor()); this.factors.push(factor); return this.tape.mul(v, factor); });
  }
  draw() { for (const factor of this.factors) this.tape.data[factor] = this.factor(); }
  off() { for (const factor of this.factors) this.tape.data[factor] = 1; }
}

// --- optimizers: `state()` and `load(state)` are all that changes from step to step -----------------------------------
class SGD {
  constructor(tape, parameters, lr, { momentum = 0 } = {}) {
    Object.assign(this, { tape, parameters: Int32Array.from(parameters), lr, momentum, steps: 0, velocity: new Float64Array(parameters.length) });
  }
  step() {
    const { tape: { data, grad }, parameters, lr, momentum, velocity } = this;
    this.steps++;
    for (let i = 0; i < parameters.length; i++) {
      const p = parameters[i], v = velocity[i] = momentum * velocity[i] + grad[p];
      data[p] -= lr * v;
    }
  }
  state() { return { steps: this.steps, velocity: this.velocity.slice() }; }
  load({ steps, velocity }) { this.steps = steps; this.velocity.set(velocity); }
}
class Adam {
  constructor(tape, parameters, lr = 1e-3, { betas = [0.9, 0.999], eps = 1e-8 } = {}) {
    const n = parameters.length;
    Object.assign(this, { tape, parameters: Int32Array.from(parameters), lr, betas, eps, steps: 0, m: new Float64Array(n), v: new Float64Array(n) });
  }
  step() {
    const { tape: { data, grad }, parameters, lr, betas: [beta1, beta2], eps, m, v } = this;
    this.steps++;
    const stepSize = lr / (1 - beta1 ** this.steps), correction = Math.sqrt(1 - beta2 ** this.steps);
    for (let i = 0; i < parameters.length; i++) {
      const g = grad[parameters[i]];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      data[parameters[i]] -= stepSize * m[i] / (Math.sqrt(v[i]) / correction + eps || 1);
    }
  }
  state() { return { steps: this.steps, m: this.m.slice(), v: this.v.slice() }; }
  load({ steps, m, v }) { this.steps = steps; this.m.set(m); this.v.set(v); }
}
class AdamW extends Adam {
  constructor(tape, parameters, lr, { weightDecay = 1e-2, noDecay = [], ...rest } = {}) {
    super(tape, parameters, lr, rest);
    const kept = new Set(noDecay);
    this.weightDecay = weightDecay;
    this.decayed = Int32Array.from(parameters.filter(p => !kept.has(p)));
  }
  step() { decay(this.tape, this.decayed, this.lr * this.weightDecay); super.step(); }
}
// Every parameter shrinks by this part of itself (decoupled weight decay).
function decay(tape, parameters, part) {
  const keep = 1 - part;
  if (keep !== 1) for (const p of parameters) tape.data[p] *= keep;
}
function clipGradNorm(tape, parameters, most) {
  let largest = 0, sum = 0;
  for (const p of parameters) largest = Math.max(largest, Math.abs(tape.grad[p]));
  for (const p of parameters) sum += (tape.grad[p] / largest) ** 2;
  const norm = largest === 0 ? 0 : largest === Infinity ? Infinity : largest * Math.sqrt(sum);
  if (norm > most && norm < Infinity) for (const p of parameters) tape.grad[p] *= most / norm;
  return norm;
}
function warmUp(step, lr, { totalSteps, warmupSteps = 0, minLr = 0 }, shape) {
  const rise = step < warmupSteps ? (step + 1) / (warmupSteps + 1) : 1;
  const done = step < warmupSteps ? 0 : Math.min((step - warmupSteps) / Math.max(totalSteps - warmupSteps, 1), 1);
  return rise * (minLr + shape(done) * (lr - minLr));
}
const warmupCosine = (step, { lr, ...rest }) => warmUp(step, lr, rest, done => 0.5 * (1 + Math.cos(Math.PI * done)));
const warmupLinear = (step, { lr, ...rest }) => warmUp(step, lr, rest, done => 1 - done);
