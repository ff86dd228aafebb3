"""Compiled programs as WebAssembly modules, which run in browsers and in Node."""
