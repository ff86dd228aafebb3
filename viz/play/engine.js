// Functions that JavaScript lacks or defines otherwise; the table of operations after them is generated. Needs words.js
// and trouble.js.
function divide(a, b) {
  if (b === 0) throw new Trouble(`${short(a)} / 0: division by zero has no answer; make sure that the divisor is never 0, for example by adding a small number to it`);
  return a / b;
}
function power(a, b) {
  if (a === 0 && b < 0) throw new Trouble(`${short(a)} ** ${short(b)}: zero to a negative power is a division by zero; make sure that the base is never 0`);
  if (a < 0 && !Number.isInteger(b) && isFinite(a) && isFinite(b)) throw new Trouble(`(${short(a)}) ** ${short(b)}: a negative base with a fractional exponent has no real answer; take the absolute value first, or use a whole number as the exponent`);
  return raised(a, b);
}
function raised(a, b) {  // as in IEEE arithmetic, which JavaScript leaves at 1
  if (b === 2) return a * a;
  if (a === 1 || b === 0) return 1;
  if (a === -1 && !isFinite(b) && b === b) return 1;
  return Math.pow(a, b);
}
function logarithm(a) {
  if (a <= 0) throw new Trouble(`log(${short(a)}): the logarithm needs a positive number; if this is a probability that became 0, compute the loss from the scores with cross_entropy`);
  return Math.log(a);
}
function squareRoot(a) {
  if (a < 0) throw new Trouble(`sqrt(${short(a)}): the square root of a negative number is not real`);
  return Math.sqrt(a);
}
function ofAngle(f, a) {
  if (a === Infinity || a === -Infinity) throw new Trouble(`${f.name}(${short(a)}): ${f.name} of infinity has no answer; look for what overflowed before it`);
  return f(a);
}
const sine = a => ofAngle(Math.sin, a), cosine = a => ofAngle(Math.cos, a);
function sigmoid(a) {
  if (a >= 0) return 1 / (1 + Math.exp(-a));
  const e = Math.exp(a);
  return e / (1 + e);
}
const relu = a => a > 0 || a !== a ? a : 0;
function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  if (x < 1.5) {  // a series of positive terms: nothing cancels
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) { term *= 2 * x * x / (2 * n + 1); sum += term; }
    return 1 - 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }
  let fraction = 0;  // the continued fraction, from the outside in
  for (let n = Math.ceil(10 + 240 / (x * x)); n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
const gelu = a => a === -Infinity ? 0 : 0.5 * a * erfc(-a * Math.SQRT1_2);
function geluSlope(a) {
  const density = Math.exp(-0.5 * a * a) / Math.sqrt(2 * Math.PI);
  return 0.5 * erfc(-a * Math.SQRT1_2) + (density ? a * density : 0);
}
function extreme(sign, data, pool, start, count) {  // the largest or the smallest of a list, or of those at its places in the pool
  let best = data[pool ? pool[start] : start];
  for (let i = start; i < start + count; i++) {
    const x = data[pool ? pool[i] : i];
    if (x !== x) return x;
    if (sign * x > sign * best) best = x;
  }
  return best;
}
function shares(out, x) {  // of the gradient, for the largest or the smallest of x
  if (out !== out) return x.map(() => out);
  const share = 1 / (x.filter(number => number === out).length || 1);
  return x.map(number => number === out ? share : 0);
}
