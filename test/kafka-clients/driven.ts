// A process that drives a client. It gets requests in lines of JSON, and answers each by its id. It reports by itself what
// its group members read.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Header, Read, Sent } from "./client.ts";

export interface WireRecord {
  readonly topic?: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export class Driven<Said extends object> {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #lastId = 0;

  constructor(command: string, args: readonly string[], onSaid: (said: Said) => void) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    void this.#ended.then((code) => {
      for (const [id, answer] of this.#asked) answer({ id, error: `it ended with ${code}` });
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const said = JSON.parse(line) as Answer | Said;
      if ("id" in said) this.#asked.get(said.id)?.(said);
      else onSaid(said);
    });
  }

  /** Runs one of the driver's operations. @throws with the name of the error there */
  async ask<T>(op: string, args: object = {}): Promise<T> {
    const id = ++this.#lastId;
    const { result, error } = await new Promise<Answer>((resolve) => {
      this.#asked.set(id, resolve);
      this.#child.stdin?.write(`${JSON.stringify({ id, op, args })}\n`);
    });
    this.#asked.delete(id);
    if (error !== undefined) throw new Error(error);
    return result as T;
  }

  /** Ends it by ending its input. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}

export function fromWire({ key, value, headers, ...rest }: WireRecord): Read {
  return {
    ...rest,
    key: bytes(key),
    value: bytes(value),
    headers: headers.map(([name, text]): Header => [name, bytes(text)]),
  };
}

export function toWire({ key, value, headers, ...rest }: Sent) {
  return {
    ...rest,
    key: text(key),
    value: text(value),
    headers: headers.map(([name, value]) => [name, text(value)]),
  };
}

const bytes = (base64: string | null) => (base64 === null ? null : Buffer.from(base64, "base64"));
const text = (data: Buffer | null) => data?.toString("base64") ?? null;
