// Pyodide with the packages that lessons import: in a page (live_worker.js) and, ahead of it, in Node (live_memory.mjs).
import { loadPyodide } from "./pyodide.mjs";
import createPyodideModule from "./pyodide.asm.mjs";

// `files` are the texts by their paths; `settings` are Pyodide's; `memory` is what Python begins with.
export const course = async (files, settings, memory) => {
  const grown = async given => {  // Pyodide itself makes no room for a memory that has grown
    const module = await createPyodideModule(given);
    module.growMemory((await memory).byteLength);
    return module;
  };
  const begun = memory && { _loadSnapshot: memory, createPyodideModule: grown };
  const python = await loadPyodide({ env: { PYTHONHASHSEED: "0", HOME: "/home" }, ...settings, ...begun });
  const folders = new Set();
  for (const [path, text] of Object.entries(await files)) {
    const folder = `/course/${path.slice(0, path.lastIndexOf("/"))}`;
    if (!folders.has(folder)) python.FS.mkdirTree(folder);
    folders.add(folder);
    python.FS.writeFile(`/course/${path}`, text);
  }
  python.runPython("import sys; '/course' in sys.path or sys.path.insert(0, '/course')");
  return python;
};
