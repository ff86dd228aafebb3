// Python in a Worker: Pyodide, the course and Graphviz. Answers each order of live.js in turn.
import { loadPyodide } from "./pyodide.mjs";
import { Graphviz } from "./graphviz.js";
import { machine } from "./live_compiled.js";

let kernel, calibrate, graphviz, drawing, stopped;  // stopped: shared memory that the page writes 2 into

// The first picture needs modules that the lesson itself does not. A stop that comes now is meant for what waits.
const warmUp = async () => {
  try {
    await drawing;
    kernel.warm_up();
  } catch {
    if (stopped) stopped[0] = 2;
  }
};

const start = async ({ lesson, fast, interrupt, packed }) => {
  const [python, packages, programs] = await Promise.all([
    loadPyodide({ indexURL: new URL(".", import.meta.url).href, env: { PYTHONHASHSEED: "0", HOME: "/home" } }),
    fetch("packages.zip").then(answer => answer.arrayBuffer()),
    packed ? fetch(packed).then(answer => answer.arrayBuffer()) : new ArrayBuffer(0),
  ]);
  drawing = Graphviz.load().then(made => { graphviz = made; });  // after Python: the page is ready without it
  python.unpackArchive(packages, "zip", { extractDir: "/course" });
  python.runPython("import sys; sys.path.insert(0, '/course')");
  const library = python.pyimport("lessons.kernel");
  let said = "", last = 0;
  const say = text => {  // a message for each word would be slower than the cell
    said += text;
    if (performance.now() - last < 50) return;
    postMessage({ type: "said", text: said });
    said = "";
    last = performance.now();
  };
  const layout = (source, format, engine) => graphviz.layout(source, format, engine, engine === "neato" ? { nop: 2 } : {});
  const { Machine } = python.pyimport("lessons.compiled");
  const toJs = python.pyimport("pyodide.ffi").to_js;
  kernel = library.Kernel(lesson, fast, say, layout, Machine(python.toPy(new Uint8Array(programs)), machine, toJs));
  calibrate = library.calibrate;
  stopped = interrupt;
  if (stopped) python.setInterruptBuffer(stopped);
};

onmessage = async ({ data }) => {
  try {
    let answer = {};
    if (data.type === "start") {
      await start(data);
      answer = { seconds: calibrate() };
      setTimeout(warmUp, 50);
    } else if (data.type === "reset") kernel.reset();
    else if (stopped?.[0]) {
      stopped[0] = 0;
      answer = { html: "", error: ["stopped"], seconds: 0 };
    }
    else {
      await drawing;
      answer = JSON.parse(kernel[data.type](...data.words));
    }
    postMessage({ ...answer, type: "done" });
  } catch (error) {
    postMessage({ type: "failed", why: String(error.message ?? error).trim().split("\n").at(-1) });
  }
};
