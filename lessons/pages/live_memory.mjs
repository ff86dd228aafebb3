// For Node: writes memory.bin, what Python has in memory when it has imported all that lessons import. Pages begin with
// that, and need not import anything.
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { course } from "./live_python.mjs";

const near = name => new URL(name, import.meta.url);
const python = await course(JSON.parse(gunzipSync(readFileSync(near("packages.bin")))), { _makeSnapshot: true });
python.runPython("from lessons.kernel import prepare; prepare()");
writeFileSync(near("memory.bin"), gzipSync(python.makeMemorySnapshot()));
