// The half of "A flow" in the page: noise, pictures, the field of arrows, the particles on their way, one Euler step by hand.
const FLOW_OWN = "dso4dep3cmp3c8o4cmn5den5nso4nep3mmp3m8o4mmn5nen57xdv8ecz8yc49kbca9alb09xbt9ccp8tdl8dej80fi7qgi7khi7gii7gji7kki7qlh80mf8dnb8to79cp09xpralqgbcr2c4rmczs3dv";  // a face, as painted points
const FLOW_ONE = "i0i0";  // what "clear" leaves
const flowText = points => points.map(point => point.map(t => Math.round(t * 400 + 648).toString(36).padStart(2, "0")).join("")).join("");
const FLOW_SECONDS = 2.5;  // from noise to picture

screen("flow", {
  title: "A flow", valName: "held-out",
  lead: "Noise becomes a picture: here a picture is a point of the plane. Press “Let it flow”, then ▶ to train, and let it flow again.",
  settings: {
    data: choice("pictures", "moons", { moons: "moons", spiral: "spiral", dots: "two dots", dot: "one dot", own: "paint your own" }),
    hidden: whole("width", 32, { min: 2, max: 64, help: "neurons in each of the two hidden layers" }),
    batch: whole("batch", 64, { min: 1, max: 128, help: "how many examples one step looks at: noise, a picture and a time" }),
    rate: slider("learning rate", 0.01, { min: 0.0001, max: 1, log: true, live: true }),
    euler: whole("Euler steps", 20, { min: 1, max: 50, live: true, help: "in how many straight steps a particle goes from noise to picture" }),
    t: slider("time t", 0, { min: 0, max: 1, step: 0.01, live: true }),
    arrows: tick("arrows", true, { live: true }),
    start: pattern("-1,1", /^-?[0-2](\.\d{1,3})?,-?[0-2](\.\d{1,3})?$/, { live: true }),
    own: pattern(FLOW_OWN, /^([0-9a-z]{4}){1,300}$/),
    seed: hidden("1"),
  },
  tasks: [
    "Let it flow before you train: where do the particles go? Train 500 steps, and let it flow again. Which number on the right says that it got better?",
    "One Euler step: where do all particles land? Why there? (At t = 0 a point is only noise. Which picture will it be?) And with 2, 5, 20?",
    "Put your particle where it lands on the other half moon. Then find two starts near each other whose ends are far apart.",
    "Choose “one dot”. Why can the loss go to 0 now, and not with two dots?",
    "Paint a letter of your own, and train. Which part comes last? “Show the Python”: it makes the same steps.",
  ],
  build(place, play) {
    let frame = null, clock = null, stroke = null, moving = false;
    const t = () => clock ?? play.settings.t, painting = () => play.settings.data === "own";

    // --- the plane -------------------------------------------------------------------------------------------------------
    const under = element("p", { class: "note under" }), box = element("section", { class: "card plane", "aria-label": "the plane" });
    const plane = canvas(box, paint, { label: "the plane" }), { element: surface } = plane;
    give(surface, { tabindex: "0", role: "application", class: "keys" });
    const X = x => surface.clientWidth / 2 * (1 + x / frame.reach), Y = y => surface.clientHeight / 2 * (1 - y / frame.reach);
    const where = event => [2 * event.offsetX / surface.clientWidth - 1, 1 - 2 * event.offsetY / surface.clientHeight].map(z => frame.reach * Math.max(-0.96, Math.min(0.96, z)));
    // Between two stations of Euler's a particle moves evenly.
    function placeOf(ways, i, n) {
      const along = t() * frame.euler, s = Math.min(frame.euler - 1, Math.floor(along + 1e-9)), part = along - s, at = k => ways[2 * (n * s + i) + k] + part * (ways[2 * (n * (s + 1) + i) + k] - ways[2 * (n * s + i) + k]);
      return [at(0), at(1)];
    }
    function arrowAt(cell) {
      const along = t() * (frame.times - 1), s = Math.min(frame.times - 2, Math.floor(along)), part = along - s, cells = frame.grid ** 2, at = k => (1 - part) * frame.field[2 * (cells * s + cell) + k] + part * frame.field[2 * (cells * (s + 1) + cell) + k];
      return [at(0), at(1)];
    }
    const dot = (context, x, y, size) => { context.beginPath(); context.arc(x, y, size, 0, 2 * Math.PI); };
    function paint(context, width) {
      if (!frame) return;
      const { grid: n, reach, ways, mine, euler } = frame, unit = width / 2 / reach;
      if (play.settings.arrows) {
        context.strokeStyle = context.fillStyle = color("faint");
        context.lineWidth = 1.5;
        for (let cell = 0; cell < n * n; cell++) {
          const [vx, vy] = arrowAt(cell), size = Math.hypot(vx, vy), long = Math.min(0.19 * size, 0.36) * unit, x = X(reach * (2 * (cell % n) / (n - 1) - 1)), y = Y(-reach * (2 * Math.floor(cell / n) / (n - 1) - 1));
          if (long < 1.5) continue;
          const [dx, dy] = [vx / size, -vy / size], tip = [x + dx * long, y + dy * long], head = Math.min(6, 2 + long / 3);
          line(context, x, y, ...tip);
          context.beginPath();
          context.moveTo(...tip);
          context.lineTo(tip[0] - head * (dx + dy / 2), tip[1] - head * (dy - dx / 2));
          context.lineTo(tip[0] - head * (dx - dy / 2), tip[1] - head * (dy + dx / 2));
          context.fill();
        }
      }
      context.strokeStyle = color("negative");
      context.lineWidth = 1.5;
      for (const [x, y] of frame.pictures) { dot(context, X(x), Y(y), 3.5); context.stroke(); }
      context.fillStyle = color("positive");
      const count = ways.length / 2 / (euler + 1);
      for (let i = 0; i < count; i++) { const [x, y] = placeOf(ways, i, count); dot(context, X(x), Y(y), 3); context.fill(); }
      context.strokeStyle = context.fillStyle = color("ink");
      context.lineWidth = 2.5;
      context.beginPath();
      for (let s = 0; s <= euler; s++) s ? context.lineTo(X(mine[2 * s]), Y(mine[2 * s + 1])) : context.moveTo(X(mine[0]), Y(mine[1]));
      context.stroke();
      for (let s = 0; s <= euler; s++) { dot(context, X(mine[2 * s]), Y(mine[2 * s + 1]), 2.5); context.fill(); }
      const [x, y] = placeOf(mine, 0, 1);
      dot(context, X(x), Y(y), 8);
      context.fillStyle = color("leaf-tab");
      context.fill();
      context.stroke();
    }

    // --- the pointer: your particle, or a picture that is painted ----------------------------------------------------------
    const put = point => play.set({ start: point.map(z => Number(z.toFixed(2))).join(","), t: 0 });
    const isMine = event => { const [x, y] = [frame.mine[0], frame.mine[1]]; return Math.hypot(event.offsetX - X(x), event.offsetY - Y(y)) < 22; };
    surface.addEventListener("pointerdown", event => {
      if (!frame || event.button) return;
      stop();
      surface.setPointerCapture(event.pointerId);
      if (painting() && !isMine(event)) { stroke = { points: [], last: null }; stain(event); } else { moving = true; put(where(event)); }
    });
    function stain(event) {
      const [x, y] = where(event).map(z => Math.max(-1.6, Math.min(1.6, z)));
      if (stroke.last && Math.hypot(x - stroke.last[0], y - stroke.last[1]) < 0.06) return;
      stroke.last = [x, y];
      stroke.points.push([x, y]);
      frame.pictures = [...frame.pictures, [x, y]];
      plane.redraw();
    }
    surface.addEventListener("pointermove", event => {
      if (!frame) return;
      if (stroke) return stain(event);
      if (moving) return put(where(event));
      const [x, y] = where(event), n = frame.grid, cell = z => Math.round((z / frame.reach + 1) / 2 * (n - 1)), [vx, vy] = arrowAt(cell(-y) * n + cell(x));
      under.textContent = `At t = ${t().toFixed(2)} the network says here: ${short(vx, 2)} across, ${short(vy, 2)} up.`;
    });
    function finish() {
      moving = false;
      if (!stroke) return;
      const fresh = flowText(stroke.points);
      stroke = null;
      play.set({ own: (play.settings.own + fresh).slice(-1200) });  // 300 points
    }
    surface.addEventListener("pointerup", finish);
    surface.addEventListener("pointercancel", finish);
    surface.addEventListener("pointerleave", () => { if (frame) caption(); });
    surface.addEventListener("keydown", event => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way || !frame) return;
      event.preventDefault();
      const [x, y] = play.settings.start.split(",").map(Number), most = 0.96 * frame.reach;
      put([x + 0.1 * way[0], y + 0.1 * way[1]].map(z => Math.max(-most, Math.min(most, z))));
    });

    // --- time ----------------------------------------------------------------------------------------------------------------
    const go = element("button", { type: "button", id: "flow-go", onclick: () => (clock === null ? begin() : stop()) }, "Let it flow");
    const slide = play.control("t"), range = slide.querySelector("input[type=range]"), exact = slide.querySelector(".exact");
    function begin() {
      let since = null;
      clock = 0;
      go.textContent = "Stop";
      const next = now => {
        if (clock === null) return;
        if (!surface.isConnected) { clock = null; return; }
        since ??= now;
        clock = Math.min(1, (now - since) / 1000 / FLOW_SECONDS);
        [range.value, exact.value] = [clock, clock.toFixed(2)];
        plane.redraw();
        byHand();
        clock < 1 ? requestAnimationFrame(next) : stop();
      };
      requestAnimationFrame(next);
    }
    function stop() {
      if (clock === null) return;
      const at = Number(clock.toFixed(2));
      clock = null;
      go.textContent = "Let it flow";
      play.set({ t: at });
      [range.value, exact.value] = [at, at];
    }

    // --- what stands beside it --------------------------------------------------------------------------------------------
    const fresh = element("button", { type: "button", id: "flow-clear", title: "leave one point", onclick: () => play.set({ own: FLOW_ONE }) }, "clear");
    const tools = element("div", { class: "tools" }, element("span", {}, "Paint pictures in the plane; ◀ takes them back."), fresh);
    const chartPlace = element("section", { class: "card" }, element("h2", {}, "Squared error of the velocity")), chart = lossChart(chartPlace, { label: "loss by step" });
    const facts = element("p", { class: "facts", role: "status" });
    const title = element("h2", {}), formulas = ["across", "up"].map(() => element("p", { class: "formula" }));
    const open = element("button", { type: "button", id: "flow-open", onclick: () => play.explain(frame.refs[0]) }, "Open its scalars");
    const hand = element("section", { class: "card hand", "aria-label": "one Euler step of your particle" }, title, ...formulas, open);
    function byHand() {
      if (!frame) return;
      const { mine, euler } = frame, s = Math.min(euler - 1, Math.floor(t() * euler + 1e-9));
      title.textContent = `Your particle: step ${s + 1} of ${euler}, t = ${short(s / euler, 2)}`;
      formulas.forEach((shown, k) => {
        const x = mine[2 * s + k], next = mine[2 * s + 2 + k], v = (next - x) * euler;
        shown.textContent = `${k ? "y" : "x"}: ${short(x, 3)} + ${euler === 1 ? "1" : `1/${euler}`}·${v < 0 ? `(${short(v, 3)})` : short(v, 3)} = ${short(next, 3)}`;
      });
    }
    function caption() {
      under.textContent = painting() ? "Orange rings are your pictures, blue dots particles. Drag the large dot: where your particle starts."
        : "Orange rings are pictures, blue dots particles. Click anywhere: there your particle starts.";
    }
    function words() {
      const { off, missed, euler, pictures, ways } = frame, mean = [0, 1].map(k => pictures.reduce((sum, p) => sum + p[k], 0) / pictures.length), ends = ways.subarray(ways.length * euler / (euler + 1));
      const spread = ends.reduce((sum, z, i) => sum + Math.abs(z - mean[i % 2]), 0) / ends.length;  // 0 if all are in the middle
      facts.textContent = `After ${plural(euler, "Euler step")} a particle is ${short(off, 2)} from the nearest picture, a picture ${short(missed, 2)} from the nearest particle, on average.${
        euler === 1 && pictures.length > 1 && spread < 0.3 ? ` In one step they all go to the middle of the pictures, near (${mean.map(x => short(x, 2)).join(", ")}): at t = 0 noise does not say which picture it will be, and the best answer is their mean.` : ""}`;
    }
    place.append(
      element("div", { class: "left" }, element("section", { class: "card controls" }, ["data", "hidden", "batch", "rate", "euler", "arrows"].map(play.control)), tools, hand),
      element("div", { class: "middle" }, box, element("div", { class: "time" }, go, slide), under),
      element("div", { class: "right" }, chartPlace, facts));
    return {
      *draw(given) {
        frame = given;
        tools.hidden = !painting();
        plane.label(`${plural(frame.pictures.length, "picture")} and ${frame.ways.length / 2 / (frame.euler + 1)} particles at t = ${t().toFixed(2)}; your particle starts at ${frame.start} and ends at ${short(frame.mine.at(-2), 2)}, ${short(frame.mine.at(-1), 2)}. Arrow keys move its start`);
        plane.redraw();
        caption();
        byHand();
        yield;
        const { steps, losses, vals } = frame.history, at = steps.map((_, i) => i).filter(i => Number.isFinite(vals[i]) && vals[i] !== vals[i - 1]);
        chart.draw({ series: [{ name: "batch", color: "mixed", thin: true, xs: steps, ys: losses }, { name: "held-out", color: "negative", xs: at.map(i => steps[i]), ys: at.map(i => vals[i]) }], lines: [{ name: "saying 0", y: frame.guess }], from: 0 });
        words();
      },
      python: flowProgram,
    };
  },
});

// The same run as a program: the pictures as they are, the same seeds, and other rates on the way.
function flowProgram({ hidden, batch, seed, rate }, { pictures, made, events }) {
  const changes = events.filter(one => one.step < made).flatMap(one => [`    if step == ${one.step}:`, `        optimizer.lr = ${one.rate}`]);
  return `import random

from tinygrad_edu import functional as F
from tinygrad_edu.nn import Linear, Module
from tinygrad_edu.optim import Adam

pictures = [
${pictures.map(([x, y]) => `    (${x}, ${y}),`).join("\n")}
]


class Field(Module):
    """How fast a point of the plane should move, at a time from 0 (noise) to 1 (picture)."""

    def __init__(self, rng):
        self.enter = Linear(3, ${hidden}, rng=rng)
        self.middle = Linear(${hidden}, ${hidden}, rng=rng)
        self.leave = Linear(${hidden}, 2, rng=rng)

    def forward(self, point, time):
        h = [z.relu() for z in self.enter([*point, time])]
        h = [z.relu() for z in self.middle(h)]
        return self.leave(h)


def loss_of(noise, picture, time):
    point = [(1 - time) * a + time * b for a, b in zip(noise, picture)]
    return F.mse(field(point, time), [b - a for a, b in zip(noise, picture)])


field, draw = Field(random.Random(${seed})), random.Random(${Number(seed) + 1})
optimizer = Adam(field.parameters(), lr=${events.length ? events[0].before : rate})
for step in range(${made}):
${changes.map(one => `${one}\n`).join("")}    batch = [([draw.gauss(0, 1), draw.gauss(0, 1)], draw.choice(pictures), draw.random()) for _ in range(${batch})]
    loss = F.mean([loss_of(*example) for example in batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step + 1, loss.data)
`;
}
