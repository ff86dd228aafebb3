// A trained painter, compiled to WebAssembly: a step of this model is one Euler step of all pictures. With guidance it is asked
// twice, told and untold: v = v_u + s · (v_c − v_u) (Ho and Salimans 2022).
//
// The assets: "paint", JSON {count, numbers, pixels, condition: nothing|class|text, nothing, words, longest, latent}, and
// "paint-module", what to_wasm made of the velocity for 2 · count examples (count if it takes no condition), with "decode" if latent.
MODELS.paint = class {
  static async make(settings, assets) {
    const about = JSON.parse(new TextDecoder().decode(await assets("paint")));
    return new this(settings, about, await tinygrad.load(await assets("paint-module")));
  }
  constructor(settings, about, module) {
    Object.assign(this, { about, module, settings, at: 0, way: [], asked: [] });
    const chance = new Chance(settings.seed);
    this.noise = Array.from({ length: about.count }, () => Array.from({ length: about.numbers }, () => chance.gauss()));
    this.change(settings);
  }
  // A text as numbers of words, as image.data.shapes.encode(); null if there is a word that nobody has taught.
  static encoded(text, { words, longest }) {
    const found = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [], numbers = found.map(word => words.indexOf(word));
    return numbers.every(n => n > 0) && numbers.length >= 1 && numbers.length <= longest ? [...numbers, ...Array(longest - numbers.length).fill(0)] : null;
  }
  told() {
    const { condition, nothing, count } = this.about, { digit, prompt } = this.settings;
    if (condition === "class") return Array.from({ length: count }, (_, i) => (digit === "each" ? i % nothing : digit === "none" ? nothing : Number(digit)));
    if (condition === "text") return Array(count).fill(MODELS.paint.encoded(prompt, this.about) ?? nothing);
    return [];
  }
  change(settings) {
    const painted = this.way.length && this.at === this.settings.euler;
    this.settings = settings;
    this.at = painted ? settings.euler : Math.min(this.at, settings.euler);
    this.way = [this.noise];
    this.asked = [];
  }
  get done() { return this.at >= this.settings.euler; }
  step() { this.at++; this.follow(); }
  keep() { return { at: this.at }; }
  back({ at }) { this.at = at; }
  // The way as far as it is asked for; what was computed stays until a setting changes.
  follow() {
    const { way, at, settings: { euler } } = this;
    while (way.length <= at) {
      const { v } = this.velocity(way.length - 1);
      way.push(way.at(-1).map((x, i) => x.map((number, k) => number + v[i][k] / euler)));
    }
    if (!way[at].every(x => x.every(Number.isFinite))) throw new Trouble(`the numbers grew without end at step ${at}: use more Euler steps, or less guidance`);
  }
  velocity(step) {
    if (this.asked[step]) return this.asked[step];
    const { about: { condition, nothing, count }, settings: { guidance, euler }, module } = this, x = this.way[step], told = this.told(), time = step / euler;
    if (condition === "nothing") return this.asked[step] = (v => ({ v, told: v, untold: v }))(module.forward([x, Array(count).fill(time)]).map(row => Array.from(row)));
    const rows = module.forward([[...x, ...x], Array(2 * count).fill(time), [...told, ...Array(count).fill(nothing)]]).map(row => Array.from(row));
    const [with_, without] = [rows.slice(0, count), rows.slice(count)];
    return this.asked[step] = { told: with_, untold: without, v: with_.map((row, i) => row.map((c, k) => (guidance === 1 ? c : without[i][k] + guidance * (c - without[i][k])))) };
  }
  pictures(rows) { return this.about.latent ? rows.map(row => Array.from(this.module.run("decode", [[row]])[0])) : rows; }
  frame() {
    this.follow();
    const { at, way, settings: { euler, nth } } = this, last = at >= euler, { v, told, untold } = this.velocity(Math.min(at, euler - 1)), x = way[at], i = Math.min(Number(nth), x.length - 1);
    const heading = last ? x : x.map((row, n) => row.map((number, k) => number + (1 - at / euler) * v[n][k]));
    return {
      at, euler, now: this.pictures(x), heading: this.pictures(heading), strip: this.pictures(way.slice(0, at + 1).map(rows => rows[i])), nth: i,
      numbers: x[i], v: last ? null : { v: v[i], told: told[i], untold: untold[i] }, known: this.about.condition !== "text" || !this.settings.prompt.trim() || MODELS.paint.encoded(this.settings.prompt, this.about) !== null,
    };
  }
};
