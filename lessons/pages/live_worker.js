// Python in a Worker: Pyodide, the course and Graphviz. Answers each order of live.js in turn.
import { Graphviz } from "./graphviz.js";
import { machine } from "./live_compiled.js";
import { course } from "./live_python.mjs";

let kernel, stopped;  // stopped: shared memory that the page writes 2 into
const STOPPED = { html: "", error: ["stopped"], seconds: 0 };

const unpacked = async name => new Response((await fetch(name)).body.pipeThrough(new DecompressionStream("gzip")));

// Begins with the memory that live_memory.mjs has left; where there is none, or it does not fit, imports the lesson's.
const begin = async lesson => {
  const files = unpacked("packages.bin").then(answer => answer.json()), indexURL = new URL(".", import.meta.url).href;
  try {
    return await course(files, { indexURL }, unpacked("memory.bin").then(answer => answer.arrayBuffer()));
  } catch {
    const python = await course(files, { indexURL });
    python.pyimport("lessons.kernel").prepare(lesson);
    return python;
  }
};

const start = async ({ lesson, fast, interrupt, packed }) => {
  const [python, graphviz, programs] = await Promise.all([
    begin(lesson),
    Graphviz.load(),
    packed ? fetch(packed).then(answer => answer.arrayBuffer()) : new ArrayBuffer(0),
  ]);
  const library = python.pyimport("lessons.kernel");
  const say = text => postMessage({ type: "said", text });
  const layout = (source, format, engine) => graphviz.layout(source, format, engine, engine === "neato" ? { nop: 2 } : {});
  const { Machine } = python.pyimport("lessons.compiled");
  const toJs = python.pyimport("pyodide.ffi").to_js;
  kernel = library.Kernel(lesson, fast, say, layout, Machine(python.toPy(new Uint8Array(programs)), machine, toJs));
  stopped = interrupt;
  if (stopped) python.setInterruptBuffer(stopped);
  return { seconds: library.calibrate() };
};

onmessage = async ({ data }) => {
  try {
    let answer = {};
    if (data.type === "start") answer = await start(data);
    else if (stopped?.[0]) {
      stopped[0] = 0;
      answer = STOPPED;
    }
    else answer = JSON.parse(kernel[data.type](...data.words));
    postMessage({ ...answer, type: "done" });
  } catch (error) {
    if (error.type === "KeyboardInterrupt") postMessage({ ...STOPPED, type: "done" });  // when the cell had just ended
    else postMessage({ type: "failed", why: String(error.message ?? error).trim().split("\n").at(-1) });
  }
};
