// Formulas as people type them, in the language of viz/expressions.py: the same results, the same refusals at the same
// column, in words for beginners. The text becomes a tree and the tree nodes of a Tape; nothing is ever run as code.
class FormulaError extends Trouble {
  constructor(reason, text = "", at = null) {
    const before = at === null ? [""] : text.slice(0, at).split("\n"), where = at === null ? null : { line: before.length, column: [...before.at(-1)].length + 1 };
    super(where === null ? reason : `${text.includes("\n") ? `line ${where.line}, ` : ""}column ${where.column}: ${reason}`);
    Object.assign(this, { reason, at, ...where });
  }
}
const FUNCTIONS = { __proto__: null, max: "maximum", min: "minimum" };  // the operation of each
for (const name of Object.keys(OPS)) if (!["add", "sub", "mul", "div", "pow", "neg"].includes(name)) FUNCTIONS[name] = name;
const KNOWN_FUNCTIONS = Object.keys(FUNCTIONS).sort().join(", ");

class Formula {
  // text: as it is read; inputs: the names that need numbers, in their order; statements: {name, tree}, name "" for none.
  constructor(text) {
    const long = text.length.toLocaleString("en-US");
    if (text.length > 10000) throw new FormulaError(`the expression has ${long} characters, at most 10,000 are read; build something that large in Python, from Values`);
    if (text.includes("\0")) throw new FormulaError("the expression contains a null character; type it again");
    const plain = text.trim().replace(/[−·×÷\u00a0]/g, sign => ({ "−": "-", "·": "*", "×": "*", "÷": "/", "\u00a0": " " })[sign]);
    this.text = plain.split(/\r\n|\r|\n/).map(line => line.trim()).join("\n");
    this.statements = [];
    const inputs = new Set(), assigned = new Set();
    for (const { name, tree, at } of new FormulaParser(this.text).statements()) {
      if (name in FUNCTIONS) throw new FormulaError(`${name} is a function; use another name`, this.text, at);
      this.names(tree, found => { if (!assigned.has(found)) inputs.add(found); });
      if (inputs.has(name)) throw new FormulaError(`${name} is used before this line gives it a value; use another name here`, this.text, at);
      if (name) assigned.add(name);
      this.statements.push({ name, tree });
    }
    if (!this.statements.length) throw new FormulaError("there is no expression; write for example: L = (a*b + c) * f");
    this.inputs = [...inputs];
  }
  names(tree, found) {
    if (tree.bad) throw new FormulaError(tree.bad, this.text, tree.at);
    if (tree.name in FUNCTIONS) throw new FormulaError(`${tree.name} is a function and needs its argument in parentheses: ${tree.name}(x)`, this.text, tree.at);
    if (tree.name) found(tree.name);
    for (const operand of tree.operands ?? []) this.names(operand, found);
  }

  // Adds the graph to a tape. numbers: by name. Gives the root, and nodes by name; labels: names by node.
  build(tape, numbers) {
    const known = new Map(this.inputs.map(name => [name, { node: tape.leaf(numbers[name], name) }])), labels = new Map([...known].map(([name, { node }]) => [node, name]));
    let result;
    for (const { name, tree } of this.statements) {
      result = this.value(tree, tape, known);
      if (!name) continue;
      if (result.node === undefined) result = { node: tape.leaf(result.number, name) };
      if (!tree.name) labels.set(result.node, name);  // b = a is another name for the same Value
      known.set(name, result);
    }
    return { root: nodeOf(result, tape), inputs: this.inputs.map(name => known.get(name).node), labels };
  }
  // A node, or a plain number where no name occurs.
  value(tree, tape, known) {
    if (tree.number !== undefined) return { number: tree.number };
    if (tree.name) return known.get(tree.name);
    const operands = tree.operands.map(operand => this.value(operand, tape, known));
    if (!tree.op) return operands[0];
    try {
      if (operands.every(x => x.node === undefined)) return { number: OPS[tree.op].f(...operands.map(x => x.number)) };
      return { node: tape[tree.op](...operands.map(x => nodeOf(x, tape))) };
    } catch (error) {
      throw error instanceof Trouble ? new FormulaError(error.message.replace(/ \(at [^;]*\)$/, ""), this.text, tree.at) : error;
    }
  }

  // The same as a Python function of its inputs.
  python(name = "formula") {
    const known = new Set(this.inputs), lines = [];
    const plain = tree => tree.name ? !known.has(tree.name) : (tree.operands ?? []).every(plain);
    this.statements.forEach(({ name, tree }, i) => {
      const text = plain(tree) ? `Value(${this.written(tree, plain)[0]})` : this.written(tree, plain)[0];
      if (name) known.add(name);
      if (i === this.statements.length - 1) lines.push(`return ${text}`);
      else if (name) lines.push(`${name} = ${text}`);
    });
    return `def ${name}(${this.inputs.join(", ")}):\n    ${lines.join("\n    ")}`;
  }
  // Text and how tightly it binds: + 1, * 2, - 3, ** 4, a name 5.
  written(tree, plain) {
    if (tree.name) return [tree.name, 5];
    if (plain(tree)) {
      const { number } = this.value(tree, null, new Map());
      return [Number.isFinite(number) ? String(number) : `float("${String(number).replace("Infinity", "inf")}")`, number < 0 ? 3 : 5];
    }
    const { op } = tree, parts = tree.operands.map(operand => this.written(operand, plain));
    const inside = (k, least) => parts[k][1] < least ? `(${parts[k][0]})` : parts[k][0];
    if (!op) return parts[0];
    if (op === "add" || op === "sub") return [`${inside(0, 1)} ${op === "add" ? "+" : "-"} ${inside(1, 2)}`, 1];
    if (op === "mul" || op === "div") return [`${inside(0, 2)} ${op === "mul" ? "*" : "/"} ${inside(1, 3)}`, 2];
    if (op === "neg") return [`-${inside(0, 3)}`, 3];
    if (op === "pow") return [`${inside(0, 5)}**${inside(1, 5)}`, 4];
    return [OPS[op].arity === null ? `${op}(${parts.map(part => part[0]).join(", ")})` : `${inside(0, 5)}.${op}()`, 5];
  }
}
const nodeOf = (x, tape) => x.node ?? tape.number(x.number);

// What Python's own parser does for expressions, so that whatever is not part of the language is named, not guessed.
class FormulaParser {
  static DEEPEST = 400;
  static LANGUAGE = `use numbers, names, + - * / ** ( ), name = expression, and the functions ${KNOWN_FUNCTIONS}`;
  static FOREIGN = `this is not part of the language; ${FormulaParser.LANGUAGE}`;
  static WORDS = new Set(("False None True and as assert async await break class continue def del elif else except finally for from global if import in is "
    + "lambda nonlocal not or pass raise return try while with yield").split(" "));
  static STATEMENTS = new Set("assert async break class continue def del for from global if import nonlocal pass raise return try while with".split(" "));
  static BETWEEN = [["or"], ["and"], [], ["<", ">", "==", ">=", "<=", "!=", "in", "is", "not"], ["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "//", "%", "@"]];
  static OPERATORS = { "+": "add", "-": "sub", "*": "mul", "/": "div" };

  constructor(text) {
    this.text = text;
    this.tokens = this.split();
    this.at = 0;
    this.depth = 0;
  }
  fail(reason, at) { throw new FormulaError(`this cannot be read: ${reason}`, this.text, at); }
  get next() { return this.tokens[this.at]; }
  is(...texts) { return this.next.kind !== "string" && texts.includes(this.next.text); }
  take(...texts) { return this.is(...texts) ? this.tokens[this.at++] : null; }

  split() {
    const { text } = this, tokens = [], open = [];
    const number = /0[xX](?:_?[\da-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][-+]?\d+(?:_\d+)*)?[jJ]?/y;
    const pieces = { space: /[ \t\f]+|#[^\n]*|\\\n/y, number, name: /[\p{ID_Start}_][\p{ID_Continue}]*/uy, string: /"""[^]*?"""|'''[^]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/y,
      sign: /\*\*=|\/\/=|>>=|<<=|\.\.\.|\*\*|\/\/|<<|>>|[<>=!+*/%&|^@-]=|:=|->|[-+*/%@&|^~<>()[\]{},:.;=]|\n/y };
    for (let at = 0; at < text.length;) {
      const [kind, found] = Object.entries(pieces).map(([kind, piece]) => { piece.lastIndex = at; return [kind, piece.exec(text)?.[0]]; }).find(([, found]) => found) ?? [];
      if (!found) {
        const letter = String.fromCodePoint(text.codePointAt(at));
        this.fail(/["']/.test(letter) ? "a quotation mark is never closed" : `the character ${letter} means nothing here`, at);
      }
      if (kind === "number") this.checkNumber(found, at);
      if ("([{".includes(found)) {
        open.push({ text: found, at });
        if (open.length > 90) throw this.tooDeep();
      } else if (")]}".includes(found) && kind === "sign") {
        const last = open.pop();
        if (!last) this.fail(`${found} closes nothing`, at);
        if ("([{".indexOf(last.text) !== ")]}".indexOf(found)) this.fail(`${found} does not close ${last.text}`, at);
      }
      if (kind !== "space" && !(found === "\n" && open.length)) tokens.push({ kind, text: kind === "name" ? found.normalize("NFKC") : found, at });
      at += found.length;
    }
    tokens.push({ kind: "end", text: "", at: text.length });
    this.open = open;
    return tokens;
  }
  checkNumber(found, at) {
    const after = this.text[at + found.length] ?? "";
    if (/^0[\d_]*[1-9]/.test(found) && !/[.eEjJ]/.test(found)) this.fail(`a number cannot begin with 0: ${found}`, at);
    if (/[\p{ID_Start}_]/u.test(after) && !/^(?:and|else|for|if|in|is|not|or)\b/.test(this.text.slice(at + found.length))) {
      const [name] = /^[\p{ID_Continue}]+/u.exec(this.text.slice(at + found.length));
      this.fail(`write ${found}*${name}, with a sign between the number and the name`, at + found.length - 1);
    }
  }
  tooDeep() { return new FormulaError("this is nested too deeply; give parts of it names, on lines of their own: e = a*b"); }

  *statements() {
    const found = [];  // the whole text is read before anything in it is judged, as in Python
    while (this.next.kind !== "end") {
      if (this.take("\n")) continue;
      found.push(this.statement());
      if (this.next.kind !== "end" && !this.take("\n", ";")) this.unexpected();
    }
    yield* found;
  }
  unexpected() {
    const { text, at, kind } = this.next, unclosed = this.open.at(-1);
    if (unclosed && kind === "end") this.fail(`${unclosed.text} was never closed`, unclosed.at);
    if (kind === "end" || text === "\n") this.fail("it ends too early: a number or a name is missing", at);
    const before = this.tokens[this.at - 1], ended = before && (before.kind !== "sign" || [")", "]", "}"].includes(before.text));
    if (kind === "name" && FormulaParser.WORDS.has(text)) this.fail(`${text} is a word of Python; use another name`, at);
    if (kind === "sign" && text === "=") this.fail("only a single name can stand on the left of =", at);
    this.fail(kind === "sign" && !ended ? `a number or a name is missing before ${text}` : kind === "sign" ? `${text} means nothing here` : `a sign such as * or + is missing before ${text}`, at);
  }
  statement() {
    const { at } = this.next, only = "only a single name can stand on the left of =";
    if (this.next.kind === "name" && FormulaParser.STATEMENTS.has(this.next.text)) return { name: "", tree: { bad: this.rest(), at }, at };
    const left = this.list();
    if (this.next.kind === "sign" && (/^[^=<>!]+=$/.test(this.next.text) || this.is(":")) && !this.is(":=")) return { name: "", tree: { bad: this.rest(), at }, at };
    if (!this.take("=")) return { name: "", tree: left, at };
    if (!left.name && !left.place) this.fail(only, at);
    let tree = this.list(), count = 1;
    for (; this.take("="); count++) tree = this.list();
    if (count > 1) return { name: "", tree: { bad: `this is not an expression; ${FormulaParser.LANGUAGE}`, at }, at };
    return left.name ? { name: left.name, tree, at } : { name: "", tree: { bad: only, at: left.at }, at };
  }
  // Leaves out the rest of a line that is no expression.
  rest() {
    while (this.next.kind !== "end" && !this.is("\n", ";")) this.at++;
    return `this is not an expression; ${FormulaParser.LANGUAGE}`;
  }
  list() {
    const { at } = this.next, first = this.expression();
    if (!this.is(",")) return first;
    while (this.take(",")) if (!(this.next.kind === "end" || this.is("\n", ";", "=", ")", "]", "}"))) this.expression();
    return { bad: FormulaParser.FOREIGN, at, place: true, tuple: true };
  }
  node(op, operands, at) {
    const depth = 1 + Math.max(...operands.map(x => x.depth ?? 0));
    if (depth > FormulaParser.DEEPEST) throw this.tooDeep();
    return { op, operands, at, depth };
  }
  expression() {
    const { at } = this.next;
    if (++this.depth > FormulaParser.DEEPEST) throw this.tooDeep();
    let tree;
    if (this.take("lambda")) {
      while (!this.is(":")) { if (this.next.kind === "end" || this.is("\n", "+", "-", "*", "/", ")", ";")) { this.at--; this.unexpected(); } this.at++; }
      this.at++;
      this.expression();
      tree = { bad: FormulaParser.FOREIGN, at };
    } else {
      tree = this.binary(0);
      if (this.take("if")) {
        this.binary(0);
        if (!this.take("else")) this.unexpected();
        this.expression();
        tree = { bad: FormulaParser.FOREIGN, at };
      }
    }
    this.depth--;
    return tree;
  }
  binary(level) {
    const { at } = this.next;
    if (level === 2) {
      if (!this.take("not")) return this.binary(3);
      this.binary(2);
      return { bad: FormulaParser.FOREIGN, at };
    }
    if (level === FormulaParser.BETWEEN.length) return this.signed();
    let left = this.binary(level + 1);
    for (let sign; (sign = this.take(...FormulaParser.BETWEEN[level]));) {
      if (sign.text === "not" && !this.take("in")) { this.at--; this.unexpected(); }
      if (sign.text === "is") this.take("not");
      const right = this.binary(level + 1), op = FormulaParser.OPERATORS[sign.text];
      if (op) left = this.node(op, [left, right], at);
      else if (level < 4) left = { bad: FormulaParser.FOREIGN, at };
      else left = { bad: `this operator is not known; ${sign.text === "^" ? "write powers with **" : FormulaParser.LANGUAGE}`, at: sign.at };
    }
    return left;
  }
  signed() {
    const sign = this.take("-", "+", "~");
    if (!sign) return this.power();
    if (++this.depth > FormulaParser.DEEPEST) throw this.tooDeep();
    const operand = this.signed();
    this.depth--;
    return sign.text === "~" ? { bad: FormulaParser.FOREIGN, at: sign.at } : this.node(sign.text === "-" ? "neg" : null, [operand], sign.at);
  }
  power() {
    const { at } = this.next, base = this.primary();
    return this.take("**") ? this.node("pow", [base, this.signed()], at) : base;
  }
  primary() {
    const { at } = this.next;
    let tree = this.atom();
    for (;;) {
      if (this.take("(")) tree = this.call(tree, this.inside(), at);
      else if (this.take(".")) {
        if (this.next.kind !== "name") this.unexpected();
        tree = { bad: FormulaParser.FOREIGN, at, place: true, method: this.tokens[this.at++].text, of: tree };
      } else if (this.take("[")) {
        this.list();
        this.close("]");
        tree = { bad: FormulaParser.FOREIGN, at, place: true };
      } else return tree;
    }
  }
  // The arguments of a call, up to its closing parenthesis.
  inside() {
    const found = [];
    found.named = false;
    while (!this.is(")")) {
      if (this.take("*", "**")) found.named = true;
      const value = this.expression();
      if (value.name && this.take("=")) { this.expression(); found.named = true; } else found.push(value);
      if (!this.take(",")) break;
    }
    this.close(")");
    return found;
  }
  close(sign) { if (!this.take(sign)) this.unexpected(); }
  call(of, given, at) {
    const name = of.method ?? of.name, operands = of.method ? [of.of, ...given] : given;
    if (!name) return { bad: `this cannot be called: write * to multiply; ${FormulaParser.LANGUAGE}`, at };
    const op = FUNCTIONS[name];
    if (!op) return { bad: `unknown function: '${name}'; known are ${KNOWN_FUNCTIONS}`, at };
    const wanted = OPS[op].arity ?? Math.max(1, operands.length);
    if (given.named || operands.length !== wanted) return { bad: `${name} takes ${wanted} number${wanted > 1 ? "s" : ""}, got ${operands.length}`, at };
    return this.node(op, operands, at);
  }
  atom() {
    const { kind, text, at } = this.next;
    if (kind === "number") { this.at++; return this.number(text, at); }
    if (kind === "string") {
      while (this.next.kind === "string") this.at++;
      return { bad: `expected a number, got ${text.slice(0, 40)}`, at };
    }
    if (kind === "name" && ["True", "False", "None"].includes(text)) { this.at++; return { bad: `expected a number, got ${text}`, at }; }
    if (kind === "name" && !FormulaParser.WORDS.has(text)) { this.at++; return { name: text, at }; }
    if (this.take("...")) return { bad: "expected a number, got ...", at };
    if (this.take("(")) {
      if (this.take(")")) return { bad: FormulaParser.FOREIGN, at, place: true };
      const tree = this.list();
      this.close(")");
      return tree.tuple ? { ...tree, at, tuple: false } : tree;
    }
    if (this.take("[", "{")) {
      const end = text === "[" ? "]" : "}";
      if (!this.is(end)) this.list();
      this.close(end);
      return { bad: FormulaParser.FOREIGN, at, place: text === "[" };
    }
    this.unexpected();
  }
  number(text, at) {
    const plain = text.replaceAll("_", "");
    if (/j$/i.test(plain)) return { bad: `expected a number, got ${text}`, at };
    const number = Number(plain);
    if (number === Infinity && !/[.eE]/.test(plain)) return { bad: "this number is too large", at };
    return { number, at };
  }
}
