// Workers in JavaScript: what a component of the world `procbox:worker/worker` exports, of functions.
//
//     import { workers } from './procbox.js';
//     export const run = workers({ shout: (text) => text.toUpperCase() });
//
// A worker takes a text, which the input is in UTF-8, and returns one; `{ bytes: true }` as a second
// argument of `workers` has all of them take and return `Uint8Array`, `{ json: true }` any value as JSON.
// What it throws fails its task, with its message. A program with one worker has it under every name.

import { handles, pid } from 'procbox:worker/primitives@1.0.0';
import { log as write } from 'procbox:worker/log@1.0.0';
import { getRandomBytes } from 'wasi:random/random@0.2.12';
import { reseed } from './random.js';
import { decode, encode } from './text.js';

export { Event, Lock, Pipe, Queue, Semaphore } from 'procbox:worker/primitives@1.0.0';
export { decode, encode, handles, pid };

/// Writes a line to the process's standard error: at `trace`, `debug`, `info`, `warn` or `error`.
export function log(text, level = 'info') {
  write(level, String(text));
}

const FORMS = {
  text: { read: decode, write: (value) => encode(String(value ?? '')) },
  bytes: { read: (bytes) => Uint8Array.from(bytes), write: (value) => value ?? new Uint8Array() },
  json: {
    read: (bytes) => JSON.parse(decode(bytes)),
    write: (value) => encode(JSON.stringify(value ?? null)),
  },
};

/// The function `run` of these workers.
export function workers(functions, { bytes = false, json = false } = {}) {
  const form = FORMS[bytes ? 'bytes' : json ? 'json' : 'text'];
  const names = Object.keys(functions);
  let seeded = false;
  return (name, input) => {
    if (!seeded) {
      reseed(getRandomBytes(16));
      seeded = true;
    }
    const own = Object.hasOwn(functions, name) ? name : names.length === 1 && names[0];
    if (own === false) {
      const asked = name === 'run' ? 'say which worker' : `there is no worker ${JSON.stringify(name)}`;
      throw `${asked}: this program has ${names.join(', ')}`;
    }
    try {
      return form.write(functions[own](form.read(input)));
    } catch (error) {
      throw error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
  };
}
