// Python's random.Random: the same numbers from the same seed, bit for bit (gauss to the last digits of log, cos and sin).
class Chance {
  constructor(seed = 0) { this.seed(seed); }
  seed(seed) {  // a whole number
    let left = BigInt(seed);
    if (left < 0n) left = -left;
    const key = [];
    do { key.push(Number(left & 0xffffffffn)); left >>= 32n; } while (left);
    const words = this.words = new Uint32Array(624);
    words[0] = 19650218;
    for (let i = 1; i < 624; i++) words[i] = Math.imul(1812433253, words[i - 1] ^ words[i - 1] >>> 30) + i;
    let i = 1, j = 0;
    const next = () => { if (++i >= 624) { words[0] = words[623]; i = 1; } };
    for (let k = Math.max(624, key.length); k; k--) {
      words[i] = (words[i] ^ Math.imul(words[i - 1] ^ words[i - 1] >>> 30, 1664525)) + key[j] + j;
      next();
      if (++j >= key.length) j = 0;
    }
    for (let k = 623; k; k--) { words[i] = (words[i] ^ Math.imul(words[i - 1] ^ words[i - 1] >>> 30, 1566083941)) - i; next(); }
    words[0] = 0x80000000;
    this.at = 624;
    this.spare = null;  // the second of two normal numbers
  }
  // Words are never changed once they are made: a state is a few references.
  state() { return { words: this.words, at: this.at, spare: this.spare }; }
  load({ words, at, spare }) { this.words = words; this.at = at; this.spare = spare; }
  renew() {
    const words = this.words.slice(), mixed = (i, next, far) => {
      const y = words[i] & 0x80000000 | words[next] & 0x7fffffff;
      words[i] = words[far] ^ y >>> 1 ^ (y & 1 ? 0x9908b0df : 0);
    };
    for (let i = 0; i < 227; i++) mixed(i, i + 1, i + 397);
    for (let i = 227; i < 623; i++) mixed(i, i + 1, i - 227);
    mixed(623, 0, 396);
    this.words = words;
    this.at = 0;
  }
  word() {  // 32 bits (Matsumoto and Nishimura 1998)
    if (this.at === 624) this.renew();
    let y = this.words[this.at++];
    y ^= y >>> 11;
    y ^= y << 7 & 0x9d2c5680;
    y ^= y << 15 & 0xefc60000;
    return (y ^ y >>> 18) >>> 0;
  }
  random() { const high = this.word() >>> 5, low = this.word() >>> 6; return (high * 67108864 + low) / 9007199254740992; }
  getrandbits(bits) {  // up to 53
    if (bits <= 32) return bits ? this.word() >>> 32 - bits : 0;
    const low = this.word();
    return (this.word() >>> 64 - bits) * 4294967296 + low;
  }
  below(n) {
    let found;
    if (n < 4294967296) { const rest = Math.clz32(n); do found = this.word() >>> rest; while (found >= n); }
    else { const bits = Math.floor(Math.log2(n)) + 1; do found = this.getrandbits(bits); while (found >= n); }
    return found;
  }
  randrange(start, stop) { return stop === undefined ? this.below(start) : start + this.below(stop - start); }
  randint(low, high) { return this.randrange(low, high + 1); }
  choice(list) { return list[this.below(list.length)]; }
  uniform(low, high) { return low + (high - low) * this.random(); }
  gauss(mean = 0, deviation = 1) {
    let z = this.spare;
    this.spare = null;
    if (z === null) {
      const angle = this.random() * 2 * Math.PI, radius = Math.sqrt(-2 * Math.log(1 - this.random()));
      z = Math.cos(angle) * radius;
      this.spare = Math.sin(angle) * radius;
    }
    return mean + z * deviation;
  }
  shuffle(list) {
    for (let i = list.length - 1; i > 0; i--) { const j = this.below(i + 1), one = list[i]; list[i] = list[j]; list[j] = one; }
    return list;
  }
  sample(list, k) {
    const n = list.length, result = [], size = 21 + (k > 5 ? 4 ** Math.ceil(Math.log(k * 3) / Math.log(4)) : 0);
    if (n <= size) {
      const pool = [...list];
      for (let i = 0; i < k; i++) { const j = this.below(n - i); result.push(pool[j]); pool[j] = pool[n - i - 1]; }
    } else {
      const chosen = new Set();
      for (let i = 0; i < k; i++) { let j; do j = this.below(n); while (chosen.has(j)); chosen.add(j); result.push(list[j]); }
    }
    return result;
  }
  choices(list, weights) {  // one of them; its chance is its weight
    let sum = 0;
    const sums = weights.map(weight => sum += weight), point = this.random() * sum;
    const found = sums.findIndex(each => point < each);
    return list[found < 0 ? list.length - 1 : found];
  }
}
