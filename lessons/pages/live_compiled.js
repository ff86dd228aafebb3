// What lessons/compiled.py asks of JavaScript: the compiled programs of a lesson, and steps of its optimizers.
import "./step.js";

export const machine = {
  open: bytes => globalThis.tinygrad.loadSync(bytes),

  numbers: (count, dtype) => new { float32: Float32Array, float64: Float64Array }[dtype](count),

  // Runs a program; returns its results, example after example. With a gradient, fills it.
  run(model, name, inputs, parameters, gradient) {
    model.parameters.all.set(parameters);
    const rows = model.run(name, inputs);
    if (gradient) gradient.set(model.gradient.all);
    const all = new Float64Array(rows.length * rows[0].length);
    rows.forEach((row, n) => all.set(row, n * row.length));
    return all;
  },

  // Writes numbers into a program: each part has an address and a place among the numbers, a step of each, and a count.
  fill(model, parts, numbers) {
    const memory = new (model.description.dtype === "float32" ? Float32Array : Float64Array)(model.memory);
    for (const [address, far, place, next, count] of parts) {
      for (let n = 0; n < count; n++) {
        memory[(address + n * far) / memory.BYTES_PER_ELEMENT] = numbers[place + n * next];
      }
    }
  },

  // total += gradient * share
  collect(total, gradient, share) {
    for (let i = 0; i < total.length; i++) total[i] += gradient[i] * share;
  },

  norm: gradient => Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0)),

  scale(gradient, factor) {
    for (let i = 0; i < gradient.length; i++) gradient[i] *= factor;
  },

  sgd(parameters, gradient, velocity, momentum, lr) {
    for (let i = 0; i < parameters.length; i++) {
      velocity[i] = momentum * velocity[i] + gradient[i];
      parameters[i] -= lr * velocity[i];
    }
  },

  // `keep` is what weight decay leaves of a parameter, where `decays` is 1.
  adam(parameters, gradient, m, v, decays, beta1, beta2, root, eps, rate, keep) {
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      parameters[i] = parameters[i] * (decays[i] ? keep : 1) - rate * m[i] / (Math.sqrt(v[i]) / root + eps || 1);
    }
  },
};
