// run.mjs - runs a WASI command under Node: node run.mjs PROGRAM.wasm ARGUMENTS... The whole file system is visible.
//
// Its system calls go through functions in JavaScript. Called straight from WebAssembly they take V8's fast path for native functions, on
// which a garbage collection finds a frame that it cannot read: Node 22 then crashes nine runs of ten, Node 20 one of forty.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [program, ...args] = process.argv.slice(2);
const env = {};
for (const name of ['KWAAI_TEST_DATA', 'KWAAI_TEST_LOCAL', 'XDG_CACHE_HOME', 'HOME', 'TMPDIR'])
    if (process.env[name]) env[name] = process.env[name];
const wasi = new WASI({ version: 'preview1', args: [program, ...args], env, preopens: { '/': '/' }, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(program));
const calls = {};
for (const [name, call] of Object.entries(wasi.wasiImport)) calls[name] = (...args) => call(...args);
const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: calls });
process.exit(wasi.start(instance));
