// run.mjs - runs a WASI command under Node: node run.mjs PROGRAM.wasm ARGUMENTS... The whole file system is visible.
//
// Its system calls go through functions in JavaScript. Called straight from WebAssembly they take V8's fast path for native functions, on
// which a garbage collection finds a frame that it cannot read: Node 22 then crashes nine runs of ten, Node 20 one of forty.
//
// An engine that does not know relaxed SIMD refuses a module with it, so PROGRAM_relaxed.wasm gives way to PROGRAM.wasm there. One
// that knows it may still compute it wrongly, as Node 20 does behind its flag: that the program finds out itself (cpu/relaxed_test.c).
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { WASI } from 'node:wasi';

// (func (result v128) i32x4.relaxed_dot_i8x16_i7x16_add of three i8x16.splat)
const splat = [0x41, 0, 0xfd, 0x0f];
const body = [0, ...splat, ...splat, ...splat, 0xfd, 0x93, 0x02, 0x0b];
const probe = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 10, body.length + 2, 1, body.length,
    ...body]);

function chosen(name) {
    if (!name.endsWith('_relaxed.wasm')) return name;
    if (Number(process.versions.node.split('.')[0]) < 21) setFlagsFromString('--experimental-wasm-relaxed-simd');
    return WebAssembly.validate(probe) ? name : name.replace('_relaxed.wasm', '.wasm');
}

const [program, ...args] = process.argv.slice(2);
const env = {};
for (const name of ['KWAAI_TEST_DATA', 'KWAAI_TEST_LOCAL', 'XDG_CACHE_HOME', 'HOME', 'TMPDIR'])
    if (process.env[name]) env[name] = process.env[name];
const wasi = new WASI({ version: 'preview1', args: [program, ...args], env, preopens: { '/': '/' }, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(chosen(program)));
const calls = {};
for (const [name, call] of Object.entries(wasi.wasiImport)) calls[name] = (...args) => call(...args);
const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: calls });
const code = wasi.start(instance);
if (process.env.KWAAI_WASM_MEMORY) console.log(`${instance.exports.memory.buffer.byteLength} bytes of memory`);
process.exit(code);
