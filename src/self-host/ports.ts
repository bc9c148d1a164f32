// Finds the ports that a broker on this machine listens on.
import { createServer } from "node:net";
import { StartError } from "./settings.ts";

const DEFAULT_KAFKA_PORT = 9092;
/** The same number as in src/core/limits.ts. Nothing of the broker is imported here. */
const MAX_NODES = 16;

/**
 * Returns the port that the variable names, or a free one for 0. Reports
 * a value that is not a port, or a port that is taken.
 */
export async function portOf(variable: string, host: string, byDefault: number): Promise<number> {
  const text = process.env[variable] || String(byDefault);
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new StartError(`${variable} is "${text}", it must be a number from 0 to 65535`);
  const free = await freePort(host, port);
  if (free !== null) return free;
  const other = port === byDefault ? byDefault + 1 : byDefault;
  throw new StartError(
    `port ${port} on ${host} is taken; stop what uses it, or choose another: ${variable}=${other} npm start`,
  );
}

/**
 * Returns KAFKA_PORT and the ports after it, one for each of KAFKA_NODES. If nobody asked for a port and the usual one
 * is taken, it finds free ones: two brokers need not be told about each other.
 */
export async function kafkaPortsOf(host: string): Promise<number[]> {
  const count = Number(process.env.KAFKA_NODES || 1);
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES)
    throw new StartError(
      `KAFKA_NODES is "${process.env.KAFKA_NODES}", it must be a number from 1 to ${MAX_NODES}`,
    );
  const first = process.env.KAFKA_PORT
    ? await portOf("KAFKA_PORT", host, DEFAULT_KAFKA_PORT)
    : await freePort(host, DEFAULT_KAFKA_PORT);
  const isAnyPort = first === null || process.env.KAFKA_PORT === "0";
  const ports = [first ?? (await anyPort(host))];
  while (ports.length < count) {
    const next = isAnyPort
      ? await anyPort(host)
      : await freePort(host, (ports.at(-1) as number) + 1);
    if (next === null)
      throw new StartError(
        `KAFKA_NODES is ${count}, but port ${(ports.at(-1) as number) + 1} on ${host} is taken; choose another KAFKA_PORT`,
      );
    ports.push(next);
  }
  return ports;
}

async function anyPort(host: string): Promise<number> {
  return (await freePort(host, 0)) as number;
}

/** Returns the port itself, or a free one for 0. Null if it is taken. */
function freePort(host: string, port: number): Promise<number | null> {
  return new Promise((resolvePort, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolvePort(null);
      else reject(new StartError(`cannot listen on ${host}:${port}: ${error.message}`));
    });
    probe.listen(port, host, () => {
      const address = probe.address();
      probe.close(() =>
        resolvePort(typeof address === "object" && address !== null ? address.port : port),
      );
    });
  });
}
