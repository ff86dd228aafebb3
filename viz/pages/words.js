"use strict";
// Numbers and formulas as viz/style.py and tinygrad_edu/step_log.py write them; tests hold them together.
function short(x, digits = 4) {
  if (x !== x) return "NaN";
  if (!isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return Object.is(x, -0) ? "−0" : "0";
  const long = x.toExponential(100), [head, tail] = [long.slice(0, long.indexOf(".") + digits), long.slice(long.indexOf(".") + digits)];
  const tie = /^50*e/.test(tail) && "02468".includes(head.at(-1));  // Python rounds 0.5 to the even digit, JavaScript up
  const rounded = tie ? `${head}${tail.slice(tail.indexOf("e"))}` : x.toExponential(digits - 1);
  const [mantissa, exponent] = rounded.split("e").map(Number);
  const text = exponent < -4 || exponent >= digits ? `${mantissa}e${exponent}` : String(Number(rounded));
  return text.replaceAll("-", "−");
}
// How a head is called: in words, layers and heads are counted from 1; in the code they are h[0], h[1], ….
const headName = (layer, head) => `head ${Number(layer) + 1}.${Number(head) + 1}`;
const signed = x => x > 0 ? `+${short(x)}` : short(x);
const sums = numbers => numbers.map((x, i) => { const t = short(x); return i === 0 ? t : t.startsWith("−") ? ` − ${t.slice(1)}` : ` + ${t}`; });
function sumOf(numbers) {
  const words = sums(numbers);
  return words.length > 6 ? `${words.slice(0, 5).join("")} + …${words.at(-1)} (${words.length} terms)` : words.join("");
}
const signs = text => text.replaceAll("**", "^").replaceAll("*", "·").replaceAll("-", "−");
function write(formula, words, out, wrap) {
  let result = "", end = 0;
  for (const m of formula.matchAll(/([-+*/] ?)?\b(a|b|out)\b(\*\*)?/g)) {
    const before = m[1] ?? "", after = m[3] ?? "";
    let word = m[2] === "out" ? out : words["ab".indexOf(m[2])];
    if (wrap && word.startsWith("−") && (before || after)) word = `(${word})`;
    result += signs(formula.slice(end, m.index)) + signs(before) + word + signs(after);
    end = m.index + m[0].length;
  }
  return result + signs(formula.slice(end));
}
// An operation on operands that are already words; `row` is its row of the table.
function writeOperation(op, row, words, wrap) {
  if (row.arity === null) return `${row.symbol}(${words.join(", ")})`;
  if (op === "sigmoid") return `σ(${words[0]})`;
  if (op === "gelu") return `GELU(${words[0]})`;
  return write(row.formula, words, "", wrap);
}
// Its local derivative for one operand; `exponent` is the number in the formula when a power has one.
function writeDerivative(op, row, operand, words, out, exponent) {
  if (row.arity === null) return `1 if ${words[operand]} is the ${op === "maximum" ? "largest" : "smallest"} (equal ones share it), else 0`;
  if (exponent !== undefined && operand === 0) return `${short(exponent)} · ${exponent === 2 ? words[0] : `${words[0]}^${short(exponent - 1)}`}`;
  return write(row.derivatives[operand], words, out, false);
}
