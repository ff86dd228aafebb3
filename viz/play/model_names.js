// Screen 4 in the Worker: four models of names, from counting pairs to a GPT, trained one scalar at a time.

// What the screen knows about names, whatever the model: the list, its split, what counting reaches, how to draw a letter.
const Names = {
  LIST: `
aaron abby abigail adam adele adrian agnes aisha alan albert alex alexander alexandra alfred alice alicia alina alisa
alison allison alma alvin amalia amanda amber amelia amir amy ana anastasia andrea andreas andrew angela angelina
anita anja anna anne anthony anton antonia antonio april ariana arnold arthur astrid aurora austin ava axel barbara
basil beatrice ben benjamin bertha beth bettina betty bianca bill billy brad brandon brenda brian bridget brooke bruce
bruno bryan caleb camilla candice cara carina carl carla carlos carmen carol carolina caroline carolyn carrie casey
cassandra catherine cecilia cedric celia celina charles charlotte chelsea chester chloe chris christian christina
christine christopher cindy claire clara clarence claudia clemens cody colin connor conrad constance cora craig
crystal cynthia daisy dana daniel daniela danny daphne david dawn dean deborah denise dennis derek diana diego dina
dominic don donald donna dora doris dorothy douglas dustin dylan edgar edith edmund eduardo edward edwin eileen elaine
eleanor elena eli elias elijah elisa elise elizabeth ella ellen ellie elliot elmer elsa elvira emil emilia emily emma
enrique eric erica erik erin ernest esther ethan eugene eva evan evelyn fabian faith fatima felicia felix ferdinand
fernando finn fiona flora florence frances francesca francis frank franklin fred freda frederick frieda gabriel
gabriela gail gary gavin gemma george gerald gilbert gina giovanni gloria gordon grace graham grant gregory greta
gustav gwen hanna hannah hans harold harriet harry harvey hazel heather hector heidi helen helena henry herbert herman
hilda hope howard hugh hugo ian ida igor ines ingrid irene iris isaac isabel isabella ivan ivy jack jackson jacob
jacqueline jake james jamie jan jana jane janet janine jared jasmin jasmine jason jasper jean jenna jennifer jenny
jeremy jerome jesse jessica jill jim joan joanna joel johanna john johnny jonas jonathan jordan jorge jose joseph
josephine joshua joyce juan judith julia julian juliana julie juliet julius june justin kai kara karen karin karina
karl karla kate katharina katherine kathleen katie kay keith kelly ken kenneth kevin kim klara kristen kristina kurt
kyle lara larry laura lauren laurence lea leah lee leila lena leo leon leonard leonie leslie lewis liam lilian lillian
lily lina linda lisa logan lola lorenzo louis louisa louise luca lucas lucia lucy luis luisa luke lydia lynn mabel
madeline magdalena maja manuel manuela marc marcel marco marcus margaret margarita maria marian mariana marianne marie
marina mario marion marlene marta martha martin martina marvin mary mason mathilda matthew maureen maurice max
maximilian maxine maya megan melanie melissa mercedes mia michael michelle miguel mila milo mina miranda miriam
mohammed molly mona monica morgan moritz nadia nadine nancy naomi natalie natasha nathan neil nelly nelson nicholas
nick nicola nicole nina noah noel nora norman olga oliver olivia omar oscar otto owen pablo pamela pascal patricia
patrick paul paula pauline pedro peggy penelope penny peter petra philip philippa phoebe priya quentin rachel ralph
ramona raphael raquel raymond rebecca regina renata rene ricardo richard rita robert roberta robin rodney roger roland
roman ronald rosa rosalie rose ross ruben ruby rudolf rupert russell ruth ryan sabine sabrina sally sam samantha
samuel sandra sara sarah scott sean sebastian selena serena seth shane shannon sharon sheila shirley sidney silas
silvia simon simone sofia sonia sophia sophie stanley stefan stella stephanie stephen steven stuart susan sven sylvia
tamara tanya tara tatiana teresa terry theo theodor theresa thomas tiffany tim timothy tina tobias todd tom tony tracy
trevor tristan ulrich ursula valentin valentina valerie vanessa vera verena veronica victor victoria vincent viola
violet virginia vivian walter wanda wayne wendy wesley wilhelm william winifred xavier yasmin yolanda yvonne zachary
zara zelda zoe`,
  LEAST: 10,
  MOST: 2000,
  LONGEST: 24,  // letters
  LETTERS: 60,  // different ones
  PLAIN: { "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "’": "'" },

  // Names from any text: cleaned, each once; `said` are sentences about what was left out.
  read(text) {
    const parts = text.split(/[\n,;\t]/.test(text.trim()) ? /[\n,;\t]+/ : /\s+/), seen = new Set(), strange = new Set();
    const said = [], long = [], names = [];
    let twice = 0;
    for (const part of parts) {
      const lower = part.normalize("NFC").toLowerCase();
      for (const letter of lower) if (!/[\p{L}\p{M}'’\-\s]/u.test(letter)) strange.add(letter);
      const name = lower.replaceAll("’", "'").replace(/[^\p{L}\p{M}'\-\s]/gu, "").replace(/\s+/g, " ").trim();
      if (!/\p{L}/u.test(name)) continue;
      if ([...name].length > Names.LONGEST) long.push(name);
      else if (seen.has(name)) twice++;
      else { seen.add(name); names.push(name); }
    }
    const some = set => [...set].slice(0, 5).join(" ") + (set.size > 5 ? " …" : "");
    if (strange.size) said.push(`Left out what is no letter: ${some(strange)}`);
    if (twice) said.push(`${twice === 1 ? "One name came" : `${twice} names came`} more than once: each is kept once`);
    if (long.length) said.push(`Left out ${long.length === 1 ? `“${long[0].slice(0, 12)}…”, which has` : `${long.length} names with`} more than ${Names.LONGEST} letters`);
    if (names.length > Names.MOST) said.push(`Kept the first ${Names.MOST.toLocaleString("en-US")} of ${names.length.toLocaleString("en-US")} names`);
    return { names: names.slice(0, Names.MOST), said };
  },
  // Its names, or ours with the reason why.
  list(text) {
    const ours = Names.LIST.trim().split(/\s+/);
    if (!text.trim()) return { names: ours, said: [], own: false };
    const { names, said } = Names.read(text), letters = new Set(names.join("")).size;
    if (names.length < Names.LEAST) return { names: ours, said: [`A list needs at least ${Names.LEAST} different names, and this one has ${names.length}: these are ours`], own: false };
    if (letters > Names.LETTERS) return { names: ours, said: [`A list may have at most ${Names.LETTERS} different letters, and this one has ${letters}: these are ours`], own: false };
    return { names, said, own: true };
  },
  alphabet(names) { return ["\n", ...[...new Set(names.join(""))].sort((a, b) => a.codePointAt(0) - b.codePointAt(0))]; },
  // As `gpt train --documents lines` splits: shuffled always in the same way, the last tenth is held out.
  split(names) {
    const shuffled = new Chance(42).shuffle([...names]), at = Math.floor(names.length * 9 / 10);
    return { train: shuffled.slice(0, at), held: shuffled.slice(at) };
  },
  // Surprise per letter, ends included, of models that count runs of 1, 2 and 3 letters (gpt/data/ngram.py): each with the
  // best of three numbers added to every count. Names are tokens with their ends, [0, …, 0].
  ladder(train, held, vocab) {
    const found = [{ name: "guessing", loss: Math.log(vocab) }];
    const runs = (names, n, see) => names.forEach(name => {
      const padded = [...Array(n - 1).fill(0), ...name.slice(1)];
      for (let i = n - 1; i < padded.length; i++) see(padded.slice(i - n + 1, i).join(), padded[i]);
    });
    ["letters", "pairs", "triples"].forEach((name, i) => {
      const counts = new Map();
      runs(train, i + 1, (before, letter) => {
        if (!counts.has(before)) counts.set(before, { all: 0, of: new Float64Array(vocab) });
        const row = counts.get(before);
        row.all++;
        row.of[letter]++;
      });
      const losses = [1, 0.1, 0.01].map(alpha => {
        let sum = 0, n = 0;
        runs(held, i + 1, (before, letter) => { const row = counts.get(before); n++; sum -= Math.log(((row?.of[letter] ?? 0) + alpha) / ((row?.all ?? 0) + alpha * vocab)); });
        return sum / n;
      });
      found.push({ name, loss: Math.min(...losses) });
    });
    return found;
  },
  // In nats: cross_entropy of functional.py, on numbers.
  surprise(scores, token) {
    const largest = Math.max(...scores);
    let sum = 0;
    for (const x of scores) sum += Math.exp(x - largest);
    return Math.log(sum) - (scores[token] - largest);
  },
  // The probabilities of the next letter: gpt.sample.distribution.
  distribution(scores, { temperature = 1, topK = null, topP = 1 } = {}) {
    const found = new Float64Array(scores.length), order = Array.from(scores, (_, i) => i).sort((a, b) => scores[b] - scores[a]);
    if (temperature === 0) { found[order[0]] = 1; return found; }
    const powers = order.map(token => Math.exp((scores[token] - scores[order[0]]) / temperature));
    const sum = n => { let total = 0; for (let i = 0; i < n; i++) total += powers[i]; return total; };
    let kept = Math.min(topK ?? order.length, order.length);
    const target = topP * sum(kept);
    for (let i = 0, total = 0; i < kept; i++) { total += powers[i]; if (total >= target) kept = i + 1; }
    const total = sum(kept);
    for (let i = 0; i < kept; i++) found[order[i]] = powers[i] / total;
    return found;
  },
  // gpt.sample.draw.
  draw(probabilities, chance) {
    const point = chance.random();
    let total = 0, last = 0;
    for (let token = 0; token < probabilities.length; token++) {
      if (!(probabilities[token] > 0)) continue;
      total += probabilities[token];
      last = token;
      if (point < total) return token;
    }
    return last;
  },
  // Rows as points of the plane in which they differ most: the first two principal components. `axes` are those of before,
  // so that the map turns no more than it must.
  plane(rows, axes = []) {
    const n = rows.length, d = rows[0].length;
    if (d === 2) return { points: rows, axes };
    const mean = Array.from({ length: d }, (_, j) => rows.reduce((sum, row) => sum + row[j], 0) / n);
    const centered = rows.map(row => Array.from(row, (x, j) => x - mean[j])), found = [];
    for (const k of [0, 1]) {
      let v = axes[k]?.length === d ? axes[k] : Array.from({ length: d }, (_, j) => Math.cos(j * (k + 1)));
      for (let turn = 0; turn < 40; turn++) {
        const along = centered.map(row => row.reduce((sum, x, j) => sum + x * v[j], 0));
        let next = v.map((_, j) => centered.reduce((sum, row, i) => sum + row[j] * along[i], 0));
        for (const u of found) { const share = next.reduce((sum, x, j) => sum + x * u[j], 0); next = next.map((x, j) => x - share * u[j]); }
        const size = Math.hypot(...next);
        if (!(size > 1e-12)) break;
        v = next.map(x => x / size);
      }
      found.push(v);
    }
    return { points: centered.map(row => found.map(v => row.reduce((sum, x, j) => sum + x * v[j], 0))), axes: found };
  },
  windows(tokens, size) {
    const found = [];
    for (let start = 0; start < tokens.length - 1; start += size) found.push(tokens.slice(start, start + size + 1));
    return found;
  },
};

// --- four models; each has scores(t, tokens): a row per token of what may come next, on a tape or in plain numbers -------
// It counts: a step reads names and adds their pairs. Its scores are logarithms of probabilities.
class NameCounts {
  constructor(settings, vocab) {
    Object.assign(this, { vocab, smooth: settings.smooth, counts: new Float64Array(vocab * vocab), sums: new Float64Array(vocab), read: 0 });
  }
  change({ smooth }) { this.smooth = smooth; }
  learn(documents, all) {
    const loss = meanOf(documents.flatMap(tokens => this.surprises(tokens)));
    for (const tokens of documents) {
      if (this.read++ >= all) continue;  // every name is counted once
      for (let i = 0; i + 1 < tokens.length; i++) { this.counts[tokens[i] * this.vocab + tokens[i + 1]]++; this.sums[tokens[i]]++; }
    }
    return loss;
  }
  chance(a, b) { return (this.counts[a * this.vocab + b] + this.smooth) / (this.sums[a] + this.smooth * this.vocab); }
  scores(t, tokens) { return tokens.map(a => Array.from({ length: this.vocab }, (_, b) => Math.log(this.chance(a, b)))); }
  surprises(tokens) { return this.scores(null, tokens.slice(0, -1)).map((row, i) => Names.surprise(row, tokens[i + 1])); }
  vectors() { return this.scores(null, Array.from({ length: this.vocab }, (_, a) => a)); }
  keep() { return { counts: this.counts.slice(), sums: this.sums.slice(), read: this.read }; }
  back({ counts, sums, read }) { Object.assign(this, { counts: counts.slice(), sums: sums.slice(), read }); }
}

// What the three models on a tape share: Adam, one graph for all steps, what undo needs.
class NameScalars {
  constructor(settings, longest) {
    this.tape = new Tape(1 << 16);
    this.plain = new Plain(this.tape);
    this.build(settings, new Chance(settings.seed));
    this.base = this.tape.mark();  // nothing but parameters is before it
    this.adam = new Adam(this.tape, Array.from({ length: this.base }, (_, i) => i), settings.rate, { betas: [0.9, 0.99] });
    this.lay(longest);
    this.end = this.tape.mark();  // the graph of a step is before it
  }
  change({ rate }) { this.adam.lr = rate; }
  windows(tokens) { return [tokens]; }
  // The graph, one letter after the other: that of a shorter name is its first part. Each letter has leaves for its vector,
  // which are filled with the row of `rows` that is its own, and ends in the surprise at the letter after it.
  lay(longest) {
    const t = this.tape, letters = [];
    this.letters = letters;
    this.ends = [];
    while (letters.length < longest) {
      letters.push(this.rows[0].map((_, i) => t.leaf(0, `vector of letter ${letters.length + 1}[${i}]`)));
      this.ends.push(t.crossEntropy(this.scoresAfter(letters), 0));
    }
    this.zeros = this.ends.map(end => t.second[end]);  // the shifted scores of token 0; those of the others follow
  }
  // Computes the surprises of one window: these nodes.
  forward(tokens) {
    const { tape: t, rows, letters, zeros } = this, ends = this.ends.slice(0, tokens.length - 1);
    ends.forEach((end, j) => {
      const [from] = rows[tokens[j]];
      t.data.copyWithin(letters[j][0], from, from + rows[0].length);
      t.second[end] = zeros[j] + tokens[j + 1];
    });
    t.forward(this.base, ends.at(-1) + 1);
    return ends;
  }
  backward(tokens, ends, gradient) {
    const { tape: t, rows, letters } = this;
    t.backwardFrom(ends, gradient, this.base);
    ends.forEach((_, j) => rows[tokens[j]].forEach((node, i) => { t.grad[node] += t.grad[letters[j][i]]; }));
  }
  surprises(tokens) { return this.windows(tokens).flatMap(part => this.forward(part).map(end => this.tape.data[end])); }
  learn(documents) {
    const { tape: t, base } = this, parts = documents.flatMap(tokens => this.windows(tokens)), count = parts.reduce((sum, part) => sum + part.length - 1, 0);
    let total = 0;
    t.grad.fill(0, 0, base);
    for (const part of parts) {
      const ends = this.forward(part);
      for (const end of ends) total += t.data[end];
      if (!Number.isFinite(total)) throw this.trouble(ends.at(-1), `the loss became ${total}`);
      this.backward(part, ends, 1 / count);
    }
    this.adam.step();
    return total / count;
  }
  trouble(end, what) {  // where the first number was that is not finite
    let at = 0;
    while (at < end && Number.isFinite(this.tape.data[at])) at++;
    return new Trouble(`${what}; the first number that is not finite is ${this.tape.name(at)} = ${short(this.tape.data[at])}; go back, and try a smaller learning rate`, { value: at });
  }
  keep() { return { data: this.tape.data.slice(0, this.base), adam: this.adam.state() }; }
  back({ data, adam }) { this.tape.data.set(data); this.adam.load(adam); }
}
// A table of scores, a row per letter. Each step reads all names: what counts is how often each pair occurs.
class NameTable extends NameScalars {
  constructor(settings, vocab, longest, train) {
    const counts = new Map();
    for (const tokens of train) for (let i = 0; i + 1 < tokens.length; i++) { const pair = tokens[i] * vocab + tokens[i + 1]; counts.set(pair, (counts.get(pair) ?? 0) + 1); }
    const pairs = [...counts].sort((a, b) => a[0] - b[0]), total = pairs.reduce((sum, [, count]) => sum + count, 0);
    super({ ...settings, vocab, pairs: pairs.map(([pair, count]) => ({ a: Math.floor(pair / vocab), b: pair % vocab, share: count / total })) });
    const rows = new Float64Array(vocab);
    for (const { a, share } of this.pairs) rows[a] += share;
    this.counted = this.pairs.reduce((sum, { a, share }) => sum - share * Math.log(share / rows[a]), 0);  // what no table can be below
  }
  build({ vocab, pairs }) {
    this.pairs = pairs;
    this.table = Array.from({ length: vocab }, (_, a) => Array.from({ length: vocab }, (_, b) => this.tape.leaf(0, `table.weight[${a}][${b}]`)));
  }
  scores(t, tokens) { return tokens.map(token => (t.leaves ? t.leaves(this.table[token]) : this.table[token])); }
  lay() {
    const t = this.tape, logs = this.table.map(row => t.logSoftmax(row));
    this.ends = [t.neg(t.dot(this.pairs.map(({ share }) => t.number(share)), this.pairs.map(({ a, b }) => logs[a][b])))];
  }
  forward() { this.tape.forward(this.base, this.end); return this.ends; }
  backward(_, ends, gradient) { this.tape.backwardFrom(ends, gradient, this.base); }
  learn() { return super.learn([[0, 0]]); }  // one loss, whatever the names are
  surprises(tokens) { return this.scores(this.plain, tokens.slice(0, -1)).map((row, i) => Names.surprise(row, tokens[i + 1])); }
  vectors() { return this.scores(this.plain, this.table.map((_, i) => i)); }
}
// The last letters, each as a vector, through one hidden layer (Bengio et al. 2003).
class NameWindow extends NameScalars {
  constructor(settings, vocab, longest) { super({ ...settings, vocab }, longest); }
  build({ vocab, window, embedding, hidden }, chance) {
    this.window = window;
    const leaves = (name, rows, columns, draw) => Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => this.tape.leaf(draw(), `${name}[${i}][${j}]`)));
    const bound = (window * embedding) ** -0.5, uniform = () => chance.uniform(-bound, bound);
    this.rows = leaves("embedding.weight", vocab, embedding, () => chance.gauss(0, 1));
    this.hidden = leaves("hidden.weight", hidden, window * embedding, uniform);
    this.hiddenBias = Array.from({ length: hidden }, (_, i) => this.tape.leaf(uniform(), `hidden.bias[${i}]`));
    this.output = leaves("output.weight", vocab, hidden, () => chance.gauss(0, 0.08));
    this.outputBias = Array.from({ length: vocab }, (_, i) => this.tape.leaf(0, `output.bias[${i}]`));
  }
  scoresAfter(letters, t = this.tape) {  // letters as vectors; before the first one, token 0 was read
    const row = nodes => (t.leaves ? t.leaves(nodes) : nodes), before = Array(this.window).fill(row(this.rows[0]));
    const x = [...before, ...letters].slice(-this.window).flat();
    return t.linear(t.linear(x, this.hidden, this.hiddenBias).map(v => t.tanh(v)), this.output, this.outputBias);
  }
  scores(t, tokens) {
    const vectors = tokens.map(token => (t.leaves ? t.leaves(this.rows[token]) : this.rows[token]));
    return tokens.map((_, i) => this.scoresAfter(vectors.slice(0, i + 1), t));
  }
  vectors() { return this.rows.map(row => this.plain.leaves(row)); }
}
class NameGPT extends NameScalars {
  constructor(settings, vocab, longest) { super({ ...settings, vocab }, Math.min(longest, settings.context)); }
  build({ vocab, width, heads, layers, context, positions }, chance) {
    this.gpt = new ScalarGPT(this.tape, { vocab, width, heads, layers, context, positions }, chance);
    this.rows = this.gpt.wte;
    this.memory = this.gpt.memory();
  }
  windows(tokens) { return Names.windows(tokens, this.gpt.context); }
  scoresAfter(letters) { return this.gpt.read(this.tape, letters.at(-1), this.memory); }
  scores(t, tokens, see) { return this.gpt.scores(t, tokens, see); }
  vectors() { return this.rows.map(row => this.plain.leaves(row)); }
}
const meanOf = list => { let sum = 0; for (const x of list) sum += x; return sum / list.length; };

MODELS.names = class {
  static undone = ["rate", "smooth", "temperature", "topK", "topP"];  // settings that undo takes back
  static comesBack = true;  // another width makes another model: undo brings the one before back
  constructor(given) {
    const settings = MODELS.names.numbers(given), { names, said, own } = Names.list(settings.names), { train, held } = Names.split(names);
    this.names = names;
    this.said = said;
    this.own = own;
    this.alphabet = Names.alphabet(names);
    this.token = new Map(this.alphabet.map((letter, i) => [letter, i]));
    this.known = new Set(names);
    const vocab = this.vocab = this.alphabet.length;
    this.train = train.map(name => this.encode(name));
    this.held = held.map(name => this.encode(name));
    this.order = new Chance(settings.seed).shuffle([...this.train]);
    this.ladder = Names.ladder(this.train, this.held, vocab);
    this.pairs = new Float64Array(vocab * vocab);  // counted in all names, to compare with
    for (const tokens of [...this.train, ...this.held]) for (let i = 0; i + 1 < tokens.length; i++) this.pairs[tokens[i] * vocab + tokens[i + 1]]++;
    this.kind = { counting: NameCounts, bigram: NameTable, mlp: NameWindow, gpt: NameGPT }[settings.model];
    const longest = Math.max(...[...this.train, ...this.held].map(tokens => tokens.length - 1));
    this.model = new this.kind(settings, vocab, longest, this.train);
    this.settings = settings;
    this.made = { ...given, run: MODELS.names.runs = (MODELS.names.runs ?? 0) + 1 };  // what the curve of this run is called after
    this.steps = 0;
    this.best = null;  // the lowest loss on held-out names, and its step
    this.beat = null;  // the first step that was better than counting pairs
    this.moved();
    this.write();
  }
  // Choices come as words.
  static numbers(settings) {
    const found = { ...settings };
    for (const key of ["width", "heads", "layers", "context", "window", "embedding", "hidden", "batch", "every"]) found[key] = Number(settings[key]);
    found.seed = Math.trunc(Number(settings.seed)) || 0;
    return found;
  }
  encode(name) { return [0, ...Array.from(name, letter => this.token.get(letter)), 0]; }
  moved() { this.version = (this.version ?? 0) + 1; }

  step() {
    const { batch, every } = this.settings, { order } = this;
    const documents = Array.from({ length: batch }, (_, i) => order[(this.steps * batch + i) % order.length]);
    this.loss = this.model.learn(documents, order.length);
    this.moved();
    this.steps++;
    if (this.steps === 1 || this.steps % 50 === 0 || this.done) this.measure();
    if (this.steps % every === 0 || this.done) this.write();
  }
  get done() { return this.settings.model === "counting" && this.model.read >= this.order.length; }  // all names are counted
  measure() {
    this.val = meanOf(this.held.flatMap(tokens => this.model.surprises(tokens)));
    if (!Number.isFinite(this.val)) throw new Trouble(`the loss on the held-out names became ${this.val}; go back, and try a smaller learning rate`);
    if (this.beat === null && this.val < this.ladder[2].loss) this.beat = this.steps;
    if (!(this.best?.val <= this.val)) this.best = { val: this.val, step: this.steps };
  }
  keep() { return { model: this.model.keep(), steps: this.steps, beat: this.beat, best: this.best, written: this.written }; }
  back({ model, ...rest }) { this.model.back(model); Object.assign(this, rest); this.moved(); }
  change(given) {
    const before = this.settings, settings = this.settings = MODELS.names.numbers(given);
    this.model.change?.(settings);
    if (["temperature", "topK", "topP", "smooth"].some(key => before[key] !== settings[key])) this.write();
    if (before.smooth !== settings.smooth && this.steps && settings.model === "counting") this.measure();
  }

  // --- what the model says about names ------------------------------------------------------------------------------------
  scores(tokens, see) { return this.model.scores(this.model.plain, tokens, see); }
  windows(tokens) { return this.model.windows?.(tokens) ?? [tokens]; }
  sampling() { const { temperature, topK, topP } = this.settings; return { temperature, topP, topK: topK >= this.vocab || topK >= 30 ? null : topK }; }
  // Ten names, the same for the same seed and step.
  write() {
    const chance = new Chance(this.settings.seed * 1000003 + this.steps), names = [];
    while (names.length < 10) {
      const tokens = [0];
      let read = null;
      while (tokens.length <= 15) {
        const token = Names.draw(Names.distribution((read = this.after(tokens, read)).scores, this.sampling()), chance);
        if (token === 0) break;
        tokens.push(token);
      }
      const name = tokens.slice(1).map(token => this.alphabet[token]).join("");
      names.push({ name, known: this.known.has(name) });
    }
    this.written = { step: this.steps, names };
  }
  // The scores after some tokens; a GPT goes on where it stopped as long as the text fits its context.
  after(tokens, before) {
    const { gpt, plain } = this.model;
    if (!gpt) return { scores: this.scores(tokens.slice(-Math.max(1, this.settings.window))).at(-1) };
    const fits = tokens.length <= gpt.context, memory = before?.memory && fits ? before.memory : gpt.memory();
    const rest = before?.memory && fits ? tokens.slice(-1) : tokens.slice(-gpt.context);
    let scores;
    for (const token of rest) scores = gpt.read(plain, token, memory);
    return { scores, memory: fits ? memory : null };
  }
  // The name that the user typed, as far as the alphabet goes: a letter with an accent is read without it if the list has none.
  typed() {
    const letters = [], strange = new Set(), instead = new Map();
    for (const letter of this.settings.name.normalize("NFC").toLowerCase()) {
      const plain = Names.PLAIN[letter] ?? letter.normalize("NFD").replace(/\p{M}/gu, "");
      if (this.token.has(letter)) letters.push(letter);
      else if (plain && [...plain].every(part => this.token.has(part))) { letters.push(...plain); instead.set(letter, plain); }
      else if (letter.trim()) strange.add(letter);
    }
    return { name: letters.slice(0, Names.LONGEST).join(""), strange: [...strange], instead: [...instead] };
  }
  // What follows a letter: of a GPT and of an MLP, a letter with which a name begins.
  table() {
    const { vocab } = this, found = new Float64Array(vocab * vocab);
    for (let a = 0; a < vocab; a++) found.set(Names.distribution(this.scores(a === 0 ? [0] : [0, a]).at(-1)), a * vocab);
    return found;
  }
  frame() {
    const { name, strange, instead } = this.typed(), tokens = this.encode(name), looks = [], { view } = this.settings;
    const rows = this.windows(tokens).flatMap((part, w) => this.scores(part.slice(0, -1), (what, weights, place, layer, head) => {
      if (what === "weights") ((looks[layer] ??= [])[head] ??= []).push({ from: w * (this.model.gpt?.context ?? 0), weights: Float64Array.from(weights) });
    }));
    if (view === "map") { const { points, axes } = Names.plane(this.model.vectors(), this.axes); this.axes = axes; this.points = points; }
    return {
      names: this.names, made: this.made, all: this.done, own: this.own, said: this.said, alphabet: this.alphabet, held: this.held.length, ladder: this.ladder, beat: this.beat, best: this.best,
      parameters: this.model.base ?? 0, counted: this.model.counted, written: this.written, pairs: this.pairs,
      typed: { name, strange, instead, tokens, surprise: rows.map((row, i) => Names.surprise(row, tokens[i + 1])), looks },
      next: rows.map(row => ({ plain: Names.distribution(row), shown: Names.distribution(row, this.sampling()) })),
      table: view === "table" ? this.table() : null, points: view === "map" ? this.points : null,
    };
  }
  ask({ what, ref }) {
    if (what === "explain") return this.explain(ref);
    if (what === "read") return { ...Names.list(ref), given: Names.read(ref).names.length };
    const ranked = this.names.map((name, i) => { const surprises = this.model.surprises(this.encode(name)); return { name, total: surprises.reduce((a, b) => a + b), mean: meanOf(surprises) }; });
    return { step: this.steps, ranked: ranked.sort((a, b) => b.total - a.total) };
  }
  letter(token) { return token === 0 ? "·" : this.alphabet[token]; }

  // --- explanations: "loss", "surprise:PLACE", "score:PLACE:TOKEN", "look:LAYER:HEAD:PLACE:AT" of the typed name, "cell:A:B" of
  // the table, and then from number to number -------------------------------------------------------------------------------
  explain(ref) {
    const [kind, ...at] = ref.split(":"), { name } = this.typed();
    if (!this.model.tape) return this.explainCount(kind, at.map(Number), this.encode(name));
    if (kind === "node") return this.told(at[0], Number(at[1]));
    if (kind === "cell") return this.told(...this.cell(...at.map(Number)));
    const { loss, surprises, scores, looks } = this.graph(name), [i, j, k, l] = at.map(Number);
    const node = { loss: () => loss, surprise: () => surprises[i], score: () => scores[i][j], look: () => looks[i][j][k][l] }[kind]();
    return this.told(name, node);
  }
  cell(a, b) { const name = a === 0 ? "" : this.alphabet[a]; return [name, this.graph(name).scores[a === 0 ? 0 : 1][b]]; }
  // The graph of one name on the tape, forward and backward: until the next step it stays.
  graph(name) {
    if (this.drawn?.name === name && this.drawn.version === this.version) return this.drawn;
    const { model } = this, t = model.tape, tokens = this.encode(name), looks = [], scores = [];
    t.clear(model.end);
    const call = (node, words) => { if (node >= model.end) t.named(node, words); return node; };
    const before = i => tokens.slice(0, i + 1).map(token => this.letter(token)).join("");
    const surprises = model.windows(tokens).flatMap((part, w) => {
      const start = w * (model.gpt?.context ?? 0);
      return model.scores(t, part.slice(0, -1), (what, nodes, place, layer, head) => {
        const letter = `“${this.letter(part[place])}”`, parts = [head !== undefined && `head ${head + 1}`, layer !== undefined && model.gpt.layers > 1 && `layer ${layer + 1}`];
        const at = parts.filter(Boolean).map(part => `, ${part}`).join("");
        if (what === "weights") {
          ((looks[layer] ??= [])[head] ??= []).push(nodes);
          nodes.forEach((node, j) => call(node, `weight of “${this.letter(part[j])}” for ${letter}${at}`));
        } else nodes.forEach((node, k) => call(node, `${what} of ${letter}${at} [${k}]`));
      }).map((row, i) => {
        scores.push(row);
        row.forEach((node, token) => call(node, `score of “${this.letter(token)}” after ${before(start + i)}`));
        return call(t.crossEntropy(row, part[i + 1]), `surprise at “${this.letter(part[i + 1])}” after ${before(start + i)}`);
      });
    });
    const loss = call(t.mean(surprises), `loss of ${name || "the empty name"}`);
    t.root = loss;
    t.backward(loss);
    return this.drawn = { name, version: this.version, loss, surprises, scores, looks };
  }
  told(name, node) {
    this.graph(name);
    const own = row => ({ ...row, ref: `node:${name}:${row.ref}` }), told = this.model.tape.explain(node);
    const unit = /^(surprise|loss) /.test(told.title) ? this.unit(told.value) : undefined;
    return { ...told, unit, ref: `node:${name}:${node}`, rows: told.rows.map(own), uses: told.uses.map(own) };
  }
  unit(nats) { return `nats (${short(nats / Math.LN2)} bits)`; }
  explainCount(kind, [i, j], tokens) {
    const { model, vocab } = this, say = token => `“${this.letter(token)}”`;
    if (kind === "loss") {
      const surprises = this.model.surprises(tokens);
      return { ref: kind, title: "loss of this name", value: meanOf(surprises), unit: this.unit(meanOf(surprises)), formula: "the mean surprise per letter", uses: [],
        rows: surprises.map((value, at) => ({ text: `surprise at ${say(tokens[at + 1])} after ${say(tokens[at])}`, value, ref: `surprise:${at}` })) };
    }
    const [a, b] = kind === "cell" ? [i, j] : [tokens[i], kind === "surprise" ? tokens[i + 1] : j], p = model.chance(a, b);
    if (kind === "surprise") {
      return { ref: `surprise:${i}`, title: `surprise at ${say(b)} after ${say(a)}`, value: -Math.log(p), unit: this.unit(-Math.log(p)), formula: "−ln p", numbers: `−ln ${short(p)} = ${short(-Math.log(p))}`, uses: [],
        rows: [{ text: `p, the probability of ${say(b)} after ${say(a)}`, value: p, ref: `cell:${a}:${b}` }] };
    }
    const count = model.counts[a * vocab + b], all = model.sums[a], { smooth } = model;
    return { ref: `cell:${a}:${b}`, title: `probability of ${say(b)} after ${say(a)}`, value: p, formula: "(count + extra) / (all + extra · letters)", uses: [],
      numbers: `(${short(count)} + ${short(smooth)}) / (${short(all)} + ${short(smooth)} · ${vocab}) = ${short(p)}`,
      rows: [{ text: `count: how often ${say(b)} came after ${say(a)}`, value: count }, { text: "extra, added to every count", value: smooth }, { text: `all that came after ${say(a)}`, value: all }, { text: "letters in the alphabet, with the end", value: vocab }] };
  }
};
