// JavaScript as a command: a program for `procbox run` and `procbox map`, one for every script.
//
//     js.wasm -e CODE [ARG]...   runs the code
//     js.wasm                    runs what it reads from standard input
//
// `print(...)` and `console.log(...)` write to standard output, `console.error(...)` to standard error;
// `readStdin()` is standard input as a text, `args` what comes behind the code, and `exit(status)` ends.
// An exception that nothing catches is printed, and the status is 1.

import { getArguments } from 'wasi:cli/environment@0.2.12';
import { exitWithCode } from 'wasi:cli/exit@0.2.12';
import { getStdin } from 'wasi:cli/stdin@0.2.12';
import { getStdout } from 'wasi:cli/stdout@0.2.12';
import { getStderr } from 'wasi:cli/stderr@0.2.12';
import { getRandomBytes } from 'wasi:random/random@0.2.12';
import { reseed } from './random.js';
import { decode, encode } from './text.js';

/// The most that one call writes.
const PIECE = 4096;

function write(stream, text) {
  const bytes = encode(text);
  for (let at = 0; at < bytes.length; at += PIECE) {
    stream.blockingWriteAndFlush(bytes.slice(at, at + PIECE));
  }
}

function readStdin() {
  const stream = getStdin();
  const all = [];
  for (;;) {
    try {
      const part = stream.blockingRead(65536);
      for (const byte of part) all.push(byte);
    } catch (_) {
      return decode(all);
    }
  }
}

function shown(value) {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return `${value}\n${value.stack ?? ''}`.trimEnd();
  try {
    return JSON.stringify(value) ?? String(value);
  } catch (_) {
    return String(value);
  }
}

export const run = {
  run() {
    reseed(getRandomBytes(16));
    const out = getStdout();
    const err = getStderr();
    const line = (stream) => (...values) => write(stream, values.map(shown).join(' ') + '\n');
    const words = getArguments().slice(1);
    let code;
    if (words[0] === '-e') [, code] = words.splice(0, 2);
    else code = readStdin();
    const scope = {
      print: line(out),
      console: { log: line(out), info: line(out), warn: line(err), error: line(err) },
      args: words,
      readStdin,
      exit: (status = 0) => exitWithCode(status & 255),
    };
    Object.assign(globalThis, scope);
    try {
      (0, eval)(code);
    } catch (error) {
      write(err, shown(error) + '\n');
      exitWithCode(1);
    }
  },
};
