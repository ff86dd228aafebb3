// Models as .safetensors files: written as `gpt export` does (gpt/runs/convert.py), and read, those of `gpt train` too.
const Safetensors = (() => {
const NANOGPT = ["n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout"];
const NANOGPT_IS = { positions: "learned", norm: "layernorm", norm_weight: true, mlp_ratio: 4, activation: "gelu", tied_head: true };
const MOST = 10e6;  // parameters: a page reads with every key that is typed
const BYTES = { F64: 8, F32: 4, F16: 2 };
const utf8 = text => new TextEncoder().encode(text);

// A model as Run.reading() tells it, how it was trained, and on what.
function write({ config, alphabet, weights, end, step }, { engine, device, threads, ...train }, source) {
  const model_args = Object.fromEntries(Object.entries(config).filter(([name, value]) => NANOGPT.includes(name) || (name in NANOGPT_IS && value !== NANOGPT_IS[name])));
  const own = { alphabet, dataset: source.dataset ?? null, text_sha256: source.sha256 ?? null, normalize: [], ...(end === null ? {} : { documents: "lines" }), train };
  const about = { model_args, iter_num: step, config: { dataset: source.dataset ?? "page" }, tinygrad_edu: own };
  const header = { __metadata__: { tinygrad_edu: JSON.stringify(about) } };
  let at = 0;
  for (const [name, numbers] of Object.entries(weights)) header[name] = { dtype: "F32", shape: Reader.shape(name, numbers.length, config), data_offsets: [at, at += 4 * numbers.length] };
  let text = utf8(JSON.stringify(header));
  text = Uint8Array.from([...text, ...Array(-text.length & 7).fill(32)]);
  const file = new Uint8Array(8 + text.length + at);
  new DataView(file.buffer).setUint32(0, text.length, true);
  file.set(text, 8);
  let place = 8 + text.length;
  for (const numbers of Object.values(weights)) { file.set(new Uint8Array(numbers.buffer, 0, 4 * numbers.length), place); place += 4 * numbers.length; }
  return file;
}

// --- reading: one file of the page or of `gpt export`, or the three of a run -------------------------------------------------
// `files`: [{name, bytes}]. Returns {name, file, step, config, alphabet, end, bits, numbers}, the numbers of all tables in
// the order of Reader.tables(), little-endian. What cannot be read is a Trouble: expected, got, what to do.
function read(files) {
  const models = files.filter(({ name }) => name.endsWith(".safetensors")), names = files.map(({ name }) => name).join(", ");
  if (!models.length) throw new Trouble(`expected a .safetensors file, got ${names}: “python3 run.py gpt export RUN FILE.safetensors” writes one of a run`);
  if (models.length > 1) throw new Trouble(`expected one .safetensors file, got ${models.map(({ name }) => name).join(", ")}: choose one of them, and for a run its config.json and tokenizer.json`);
  const [{ name, bytes }] = models, { header, about } = opened(name, bytes);
  const json = part => { const file = files.find(one => one.name === part); return file && parsed(part, new TextDecoder().decode(file.bytes)); };
  const run = json("config.json"), tokenizer = json("tokenizer.json");
  if (!about.model_args && !(run?.model && tokenizer)) {
    const missing = ["config.json", "tokenizer.json"].filter((_, i) => ![run?.model, tokenizer][i]).join(" and ");
    throw new Trouble(`${name} has no settings of a model and no alphabet: a run keeps them in other files of its folder, so choose ${missing} together with it, or export the run: python3 run.py gpt export RUN FILE.safetensors`);
  }
  const own = about.tinygrad_edu ?? {}, config = about.model_args ? { ...NANOGPT_IS, ...about.model_args } : run.model;
  const alphabet = about.model_args ? own.alphabet : tokenizer.alphabet;
  if (typeof alphabet !== "string") throw new Trouble(`${name} does not say which characters its model knows, and no program can guess them: import it where its text is (gpt import), and export it again`);
  check(name, config, [...alphabet].length);
  const tables = Reader.tables(config), count = tables.reduce((sum, [, n]) => sum + n, 0);
  if (count > MOST) throw new Trouble(`${name} has ${count.toLocaleString("en-US")} parameters, and this page reads models of up to ${MOST.toLocaleString("en-US")}: choose a smaller model`);
  const unknown = Object.keys(header).find(table => !tables.some(([one]) => one === table));
  if (unknown) throw new Trouble(`${name} is of another kind of model: it has a table ${unknown.slice(0, 60)}, which such a GPT has not`);
  const kinds = [...new Set(Object.values(header).map(({ dtype }) => dtype))];
  if (kinds.length !== 1 || !BYTES[kinds[0]]) throw new Trouble(`${name} holds numbers of type ${kinds.join(", ")}, and this page reads F64, F32 and F16, one type for all: save it as one of them`);
  const size = BYTES[kinds[0]], numbers = new Uint8Array(size * count), begin = bytes.length - Math.max(...Object.values(header).map(({ data_offsets: [, stop] }) => stop));
  let at = 0;
  for (const [table, n] of tables) {
    const { shape = [], data_offsets: [from, to] = [0, 0] } = header[table] ?? {}, expected = Reader.shape(table, n, config);
    if (shape.join() !== expected.join() || to - from !== size * n) throw new Trouble(`${name} does not hold the model that its settings describe: ${table} should be ${expected.join(" × ")} numbers, got ${header[table] ? shape.join(" × ") : "none"}; choose files of one and the same run`);
    numbers.set(bytes.subarray(begin + from, begin + to), at);
    at += to - from;
  }
  const end = (about.model_args ? own.documents : run.documents) ? "\n" : null;
  if (end && !alphabet.includes(end)) throw new Trouble(`${name} is a model of lines, and its alphabet has no end of a line: the file is damaged`);
  return { name: name.replace(/\.safetensors$/, ""), file: name, run: !about.model_args, step: about.iter_num ?? about.step ?? 0, config, alphabet, end, bits: 8 * size, numbers };
}
function parsed(name, text) {
  try { return JSON.parse(text); } catch { throw new Trouble(`${name} is not JSON, or damaged: choose the file that belongs to the model`); }
}
function opened(name, bytes) {
  const broken = got => new Trouble(`${name} is no .safetensors file, or only a part of one: ${got}; get it again, and open that`);
  if (bytes.length < 10) throw broken(`expected at least 10 bytes, got ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset), length = view.getUint32(0, true), start = 8 + length;
  if (view.getUint32(4, true) || start > bytes.length) throw broken("its header is longer than the file");
  let header;
  try { header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start))); } catch { throw broken("its header is not JSON"); }
  const { __metadata__: metadata = {}, ...tables } = header, list = Object.values(tables);
  const fits = one => Array.isArray(one?.shape) && Array.isArray(one.data_offsets) && one.data_offsets.every(x => Number.isInteger(x) && x >= 0);
  if (!list.length || !list.every(fits)) throw broken("its header names no tables");
  const stop = Math.max(...list.map(one => one.data_offsets[1]));
  if (start + stop !== bytes.length) throw broken(`expected ${(start + stop).toLocaleString("en-US")} bytes, got ${bytes.length.toLocaleString("en-US")}`);
  return { header: tables, about: parsed(name, metadata.tinygrad_edu ?? "{}") };
}
function check(name, config, characters) {
  const wrong = (field, expected) => new Trouble(`${name}: expected ${field} to be ${expected}, got ${String(config[field]).slice(0, 40)}: this page cannot read such a model`);
  for (const field of ["vocab_size", "block_size", "n_layer", "n_head", "n_embd", "mlp_ratio"]) if (!Number.isInteger(config[field]) || config[field] < 1 || config[field] > 65536) throw wrong(field, "a whole number from 1 to 65,536");
  const choices = { positions: ["learned", "rotary"], norm: ["rmsnorm", "layernorm"], activation: Reader.ACTIVATIONS };
  for (const [field, list] of Object.entries(choices)) if (!list.includes(config[field])) throw wrong(field, `one of ${list.join(", ")}`);
  if (config.n_embd % config.n_head || (config.positions === "rotary" && config.n_embd / config.n_head % 2)) throw wrong("n_head", `a divisor of n_embd ${config.n_embd}`);
  if (characters !== config.vocab_size) throw wrong("vocab_size", `${characters}, the number of its characters`);
}
return { write, read };
})();
