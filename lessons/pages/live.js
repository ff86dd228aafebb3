// Cells that run: an editor and buttons at each, and Python in a Worker (live_worker.js). Comes after site.js.
(() => {
  const data = JSON.parse(document.getElementById("live").textContent);
  const make = (tag, settings = {}, ...inside) => {
    const element = Object.assign(document.createElement(tag), settings);
    element.append(...inside);
    return element;
  };
  const button = (text, act, title = "") => make("button", { type: "button", textContent: text, onclick: act, title });
  const span = seconds => seconds < 1 ? `${Math.round(1000 * seconds)} ms`
    : seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;

  // --- the bar at the foot of the page

  const says = make("span", { className: "says" });
  says.setAttribute("role", "status");
  const stopper = button("Stop", () => stop());
  stopper.hidden = true;
  const practicing = button("Fill in lines", () => practice(practicing.ariaPressed !== "true"), "leave out the key lines, and write them yourself");
  practicing.ariaPressed = "false";
  practicing.hidden = !data.blanks.length;
  const bar = make("aside", { id: "python" }, says, stopper, practicing,
    button("Reset page", () => resetPage(), "the page as it was, and a new Python"));
  bar.setAttribute("aria-label", "Python");
  document.body.append(bar);

  if (location.protocol === "file:") {
    says.textContent = `Cells run when this folder is served: ${data.serve}`;
    bar.lastChild.remove();
    practicing.remove();
    return;
  }

  // --- Python

  let worker, ready, interrupt, waiting, running, ratio = 0, since, hurry;

  const launch = () => {
    says.textContent = "Python is starting …";
    interrupt = self.crossOriginIsolated ? new Uint8Array(new SharedArrayBuffer(1)) : undefined;
    const own = worker = new Worker("live/live_worker.js", { type: "module" });
    own.onmessage = ({ data: answer }) => {
      if (own !== worker) return;  // it has been ended
      if (answer.type === "said") running?.said?.(answer.text); else answered(answer);
    };
    own.onerror = event => {
      event.preventDefault();
      if (own === worker) answered({ type: "failed", why: event.message || "a file of the folder live/ is missing, or its server is gone" });
    };
    ready = ask({ type: "start", lesson: data.lesson, fast: data.fast, packed: data.packed, interrupt }).then(answer => {
      if (answer?.type !== "done") {
        says.textContent = `Python does not start in this browser: ${answer?.why}. Reset page tries again.`;
        return false;
      }
      ratio = answer.seconds / data.reference;
      for (const cell of cells) cell.estimate();
      rest();
      return true;
    });
  };
  const ask = message => new Promise(answer => {
    waiting = answer;
    worker.postMessage(message);
  });
  const answered = answer => {
    const asked = waiting;
    waiting = undefined;
    asked?.(answer);
  };
  const rest = () => { says.textContent = "Python is ready. Change any cell, and run it: Shift+Enter."; };

  // One after another: each call waits for those before it; a stop empties the line: undefined is what never began.
  let line = Promise.resolve(), turn = 0;
  const inTurn = work => {
    const own = turn;
    return line = line.then(async () => (await ready) && own === turn ? work() : undefined);
  };
  const execute = async (cell, type, words) => {
    running = cell;
    stopper.hidden = false;
    const start = performance.now();
    const tick = () => {
      const passed = (performance.now() - start) / 1000;
      says.textContent = `Python is running${passed < 1 ? "" : `: ${Math.round(passed)} s${cell.expected > 2 ? ` of about ${span(cell.expected)}` : ""}`} …`;
    };
    tick();
    since = setInterval(tick, 500);
    if (interrupt) interrupt[0] = 0;
    const own = worker, answer = await ask({ type, words });
    running = undefined;
    stopper.hidden = true;
    clearInterval(since);
    clearTimeout(hurry);
    if (own === worker && answer.type === "failed") {  // Python itself has come to its end
      restart();
      return lost(answer.why);
    }
    if (own === worker) rest();
    return answer;
  };
  const stop = () => {
    turn += 1;
    if (!running) return;
    if (interrupt) {
      interrupt[0] = 2;  // Python looks at it between two instructions, and raises KeyboardInterrupt
      clearTimeout(hurry);
      hurry = setTimeout(() => restart(lost("stopped")), 2000);
    } else restart(lost("stopped"));
  };
  const deep = " (calls, or the operations of a graph, one after another, were more than a browser takes: about 1,000)";
  const lost = why => ({ html: "", seconds: 0, error: [
    why.includes("call stack") ? why + deep : why,
    "Python had to be started again: the names of all cells are gone. Press Run all above.",
  ] });
  // `answer` is for what has been running.
  const restart = answer => {
    worker.terminate();
    for (const cell of cells) cell.forget();
    const asked = waiting;
    launch();
    asked?.(answer);
  };
  const resetPage = () => {
    turn += 1;
    practice(false);
    for (const cell of cells) cell.reset();
    restart();
  };

  // --- the editor: a textarea over its own text in color

  const TOKEN = new RegExp("(#[^\\n]*)|((?:\\b[fFrRbBuU]{1,2})?(?:\"\"\"[^]*?(?:\"\"\"|$)|'''[^]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?))|"
    + "\\b(False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield)\\b", "g");
  const colored = text => {
    const parts = new DocumentFragment();
    let done = 0;
    for (const found of text.matchAll(TOKEN)) {
      const tag = found[1] ? "i" : found[2] ? "span" : "b";
      parts.append(text.slice(done, found.index), make(tag, { textContent: found[0] }));
      done = found.index + found[0].length;
    }
    parts.append(text.slice(done) + (text.endsWith("\n") || !text ? " " : ""));
    return parts;
  };
  const memory = {  // what was typed, until it is reset
    name: i => `live ${location.pathname} ${i}`,
    read(i) { try { return JSON.parse(localStorage.getItem(this.name(i))); } catch { return null; } },
    write(i, was, now) {
      try {
        if (was === now) localStorage.removeItem(this.name(i));
        else localStorage.setItem(this.name(i), JSON.stringify([was, now]));
      } catch { /* a browser that keeps nothing */ }
    },
  };

  class Cell {
    constructor(root) {
      this.root = root;
      this.i = Number(root.id.slice(5)) - 1;
      this.kind = root.classList.contains("check") ? "check" : root.classList.contains("solution") ? "solution" : "cell";
      this.expected = 0;
      const block = root.querySelector(".code"), pre = block.querySelector("pre");
      this.code = pre.querySelector("code");
      this.was = this.code.textContent;
      this.html = this.code.innerHTML;
      this.before = [...root.children].filter(child => child !== block && child.tagName !== "SUMMARY");
      this.area = make("textarea", { value: this.was, spellcheck: false, autocapitalize: "off", autocomplete: "off", wrap: "off", rows: 1 });
      this.area.setAttribute("aria-label", "code; Shift+Enter runs it, Escape and then Tab leaves it");
      this.area.setAttribute("autocorrect", "off");
      pre.removeAttribute("tabindex");
      const stack = make("div", { className: "edit" });
      pre.before(stack);
      stack.append(pre, this.area);
      this.area.oninput = () => this.changed();
      this.area.onkeydown = event => this.key(event);
      this.undo = button("Reset", () => this.reset(), "the cell as it was");
      this.state = make("small", { className: "state" });
      const copy = block.querySelector("button");
      this.tools = make("div", { className: "tools" }, button("Run", () => this.run(), "Shift+Enter"),
        button("Run all above", () => runAbove(this), "every cell before this one, in order"), this.undo, copy, this.state);
      this.out = make("div", { className: "live" });
      block.after(this.tools, this.out);
      const kept = memory.read(this.i);
      if (kept?.[0] === this.was) this.area.value = kept[1];
      this.changed();
    }

    changed() {
      const edited = this.area.value !== this.was;
      if (edited) this.code.replaceChildren(colored(this.area.value)); else this.code.innerHTML = this.html;
      this.undo.hidden = !edited;
      memory.write(this.i, this.was, this.area.value);
      this.estimate();
    }

    write(text) {
      this.area.value = text;
      this.changed();
    }

    key(event) {
      const { area } = this, insert = text => document.execCommand("insertText", false, text);  // it can be undone
      if (event.key === "Enter" && (event.shiftKey || event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.run();
        if (event.shiftKey) cells.slice(cells.indexOf(this) + 1).find(cell => cell.kind === "cell")?.focus();
      } else if (event.key === "Enter") {
        event.preventDefault();
        const before = area.value.slice(0, area.selectionStart).split("\n").at(-1);
        insert("\n" + before.match(/^ */)[0] + (/:\s*(#.*)?$/.test(before) ? "    " : ""));
      } else if (event.key === "Tab" && !event.shiftKey && !this.leaving) {
        event.preventDefault();
        insert("    ");
      }
      this.leaving = event.key === "Escape";
    }

    focus() { if (this.area.checkVisibility?.() ?? true) this.area.focus(); }

    estimate() {
      this.expected = ratio * data.seconds[this.i];
      if (data.needs.includes(this.i)) this.state.textContent = "needs numpy, which is not in this page's Python";
      else this.state.textContent = this.ran ?? (this.expected > 2 ? `takes about ${span(this.expected)} here` : "");
    }

    said(text) {
      if (!this.printed) this.out.replaceChildren(this.printed = make("pre", { className: "out" }));
      this.printed.append(text);
    }

    // Whether it ran to its end.
    async run() {
      this.state.textContent = "waits …";
      const ended = await inTurn(async () => {
        for (const child of this.before) child.hidden = true;
        this.printed = undefined;
        this.out.replaceChildren();
        this.state.textContent = "runs …";
        const answer = await execute(this, "run", [this.i, this.area.value]);
        if (answer) this.show(answer);
        return answer?.error.length === 0;
      });
      if (ended === undefined) this.estimate();
      return ended;
    }

    show({ html, error, seconds }) {
      this.out.replaceChildren(document.createRange().createContextualFragment(html));
      for (const frame of this.out.querySelectorAll("iframe"))
        frame.addEventListener("load", () => { if (root.dataset.theme) paint(root.dataset.theme); });
      const failed = error.length > 0;
      if (failed) {
        const above = cells.slice(0, cells.indexOf(this)).some(cell => cell.kind === "cell" && cell.ran === undefined);
        const hint = error[1]?.startsWith("NameError") && above && !error[1].includes("'____'") ? ["Cells above have not run yet: press Run all above."] : [];
        if (error[1]?.includes("'____'")) hint.push("Fill in the line below the cell first.");
        this.out.append(make("pre", { className: "out wrong", textContent: [...error, ...hint].join("\n") }));
      }
      this.ran = this.state.textContent = failed ? "" : this.kind === "check" ? "confirmed" : `took ${span(seconds)}`;
      if (failed && this.root.tagName === "DETAILS") this.root.open = true;
    }

    forget() {
      this.ran = undefined;  // what is said of it once it has run
      this.estimate();
    }

    reset() {
      for (const blank of blanks) if (blank.cell === this) blank.close();
      this.write(this.was);
      this.out.replaceChildren();
      for (const child of this.before) child.hidden = false;
      this.forget();
    }
  }

  // --- lines to fill in, judged by their value

  class Blank {
    constructor(blank, cell) {
      Object.assign(this, { blank, cell });
      this.input = make("input", { spellcheck: false, autocapitalize: "off", autocomplete: "off" });
      this.input.setAttribute("aria-label", blank.hint);
      this.says = make("small", { className: "told" });
      this.says.setAttribute("role", "status");
      const [before] = blank.shown.trimStart().split("____");
      this.form = make("form", { className: "blank", onsubmit: event => { event.preventDefault(); this.check(); } },
        make("label", {}, `${blank.hint}: `, make("code", { textContent: before }), this.input),
        button("Check", () => this.check()), this.says);
    }

    get isOpen() { return this.cell.area.value.split("\n").includes(this.blank.shown); }

    // Leaves the line out of its cell, unless the reader has changed it.
    open() {
      const lines = this.cell.area.value.split("\n").map(line => line === this.blank.code ? this.blank.shown : line);
      this.cell.write(lines.join("\n"));
      if (!this.isOpen || this.form.isConnected) return;
      this.input.value = "";
      this.says.textContent = "";
      this.cell.tools.before(this.form);
    }

    close() {
      if (!this.form.isConnected) return;
      this.form.remove();
      this.fill(this.blank.code);
    }

    fill(code) { this.cell.write(this.cell.area.value.split("\n").map(line => line === this.blank.shown ? code : line).join("\n")); }

    check() {
      const typed = this.input.value;
      this.says.textContent = "checks …";
      this.says.className = "told";
      inTurn(async () => {
        const { cell, line, wanted, shown } = this.blank;
        const answer = await execute(this, "check", [cell, line, typed, wanted]);
        this.says.textContent = answer?.message ?? answer?.error.join(": ") ?? "";
        this.says.classList.toggle("right", answer?.right === true);
        if (answer?.right) this.fill(/^\s*[\w.[\]]+\s*[-+*/]?=[^=]/.test(typed) ? shown.match(/^ */)[0] + typed.trim() : shown.replace("____", typed.trim()));
      });
    }
  }
  const practice = on => {
    practicing.ariaPressed = String(on);
    for (const blank of blanks) if (on) blank.open(); else blank.close();
  };

  // Checks run, too, since later cells may use their names; one that fails is shown, and ends nothing.
  const runAbove = async last => {
    const own = turn += 1;
    for (const cell of cells.slice(0, cells.indexOf(last)).filter(cell => cell.kind !== "solution")) {
      const ended = await cell.run();
      if (own !== turn) return;
      if (!ended && cell.kind === "cell") {
        cell.root.scrollIntoView({ block: "center" });
        return;
      }
    }
  };

  const cells = [...document.querySelectorAll("section.cell, details.check, details.solution")]
    .filter(root => /^cell-\d+$/.test(root.id)).map(root => new Cell(root));
  const blanks = data.blanks.map(blank => new Blank(blank, cells.find(cell => cell.i === blank.cell))).filter(blank => blank.cell);
  if (blanks.some(blank => blank.isOpen)) practice(true);  // left open when the page was loaded before
  launch();
})();
