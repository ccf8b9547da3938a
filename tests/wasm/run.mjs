// run.mjs - runs a WASI command under Node: node run.mjs PROGRAM.wasm ARGUMENTS... The whole file system is visible.
//
// Run it with --single-threaded: with V8's background threads, Node 20.20 crashes on some machines in two runs of a hundred, in its own
// code after the program has ended well (20 of 900 runs; none of 800 without those threads).
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [program, ...args] = process.argv.slice(2);
const env = {};
for (const name of ['KWAAI_TEST_DATA', 'KWAAI_TEST_LOCAL', 'XDG_CACHE_HOME', 'HOME', 'TMPDIR'])
    if (process.env[name]) env[name] = process.env[name];
const wasi = new WASI({ version: 'preview1', args: [program, ...args], env, preopens: { '/': '/' }, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exit(wasi.start(instance));
