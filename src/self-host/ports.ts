// Finds the ports that a broker on this machine listens on.
import { createServer } from "node:net";
import { StartError } from "./settings.ts";

const DEFAULT_KAFKA_PORT = 9092;
const MAX_PORT = 65_535;
/** The same number as in src/core/limits.ts, which is not imported here. */
const MAX_NODES = 16;

/** The ports that the Fetch standard blocks, because servers of other protocols may listen there. */
const BLOCKED = new Set([
  ...[1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101],
  ...[102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389],
  ...[427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636],
  ...[989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665],
  ...[6666, 6667, 6668, 6669, 6679, 6697, 10080],
]);

/** @throws StartError if the variable names a port at which no browser and no fetch would reach the broker */
export function assertFetchable(variable: string): void {
  const port = Number(process.env[variable]);
  if (BLOCKED.has(port))
    throw new StartError(
      `${variable} is ${port}, which browsers and fetch refuse; choose another, such as ${variable}=8787`,
    );
}

/**
 * Returns the port that the variable names, or a free one for 0.
 * @throws StartError for a value that is not a port, or a port that is taken
 */
export async function portOf(variable: string, host: string, byDefault: number): Promise<number> {
  const text = process.env[variable] || String(byDefault);
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > MAX_PORT)
    throw new StartError(`${variable} is "${text}", it must be a number from 0 to ${MAX_PORT}`);
  const free = await freePort(host, port);
  if (free !== null) return free;
  const other = await freePortAfter(host, port);
  throw new StartError(
    `port ${port} on ${host} is taken; stop what uses it, or choose another, such as ${variable}=${other}`,
  );
}

/**
 * Returns KAFKA_PORT and the ports after it, one for each of KAFKA_NODES. If KAFKA_PORT is not set and the usual port is
 * taken, it returns free ones, so that two brokers start side by side. `httpPort` is never among them.
 * @throws StartError
 */
export async function kafkaPortsOf(host: string, httpPort: number | null): Promise<number[]> {
  const count = Number(process.env.KAFKA_NODES || 1);
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES)
    throw new StartError(
      `KAFKA_NODES is "${process.env.KAFKA_NODES}", it must be a number from 1 to ${MAX_NODES}`,
    );
  const first = process.env.KAFKA_PORT
    ? await portOf("KAFKA_PORT", host, DEFAULT_KAFKA_PORT)
    : httpPort === DEFAULT_KAFKA_PORT
      ? null
      : await freePort(host, DEFAULT_KAFKA_PORT);
  if (first === null || process.env.KAFKA_PORT === "0") return anyPorts(host, count, httpPort);
  const last = first + count - 1;
  if (last > MAX_PORT)
    throw new StartError(
      `KAFKA_NODES is ${count} and the first port ${first}, so the last would be ${last}, and the highest is ${MAX_PORT}; choose another KAFKA_PORT`,
    );
  if (httpPort !== null && httpPort >= first && httpPort <= last)
    throw new StartError(
      `PORT is ${httpPort}, and Kafka's clients are served on ${portsText(first, last)}; choose another PORT or KAFKA_PORT`,
    );
  for (let port = first + 1; port <= last; port++)
    if ((await freePort(host, port)) === null)
      throw new StartError(
        `KAFKA_NODES is ${count}, but port ${port} on ${host} is taken; choose another KAFKA_PORT`,
      );
  return Array.from({ length: count }, (_, node) => first + node);
}

/** Returns the next port that is free, to suggest it. */
async function freePortAfter(host: string, taken: number): Promise<number> {
  for (let port = taken + 1; port <= Math.min(taken + 100, MAX_PORT); port++)
    if (!BLOCKED.has(port) && (await freePort(host, port)) !== null) return port;
  return 0;
}

function portsText(first: number, last: number): string {
  return first === last ? `port ${first}` : `the ports ${first} to ${last}`;
}

/** Returns different free ports. A port found free is not taken yet, and may be found again. */
async function anyPorts(host: string, count: number, httpPort: number | null): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = (await freePort(host, 0)) as number;
    if (port !== httpPort) ports.add(port);
  }
  return [...ports];
}

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/;

/**
 * Returns KAFKA_ADVERTISE: `host:port` of each node, which commas separate. If it is not set, clients find the nodes at
 * `listening`, the addresses on which they listen.
 * @throws StartError
 */
export function advertisedOf(listening: readonly string[]): string {
  const text = process.env.KAFKA_ADVERTISE;
  if (!text) return listening.join(",");
  const wrong = (why: string) => new StartError(`KAFKA_ADVERTISE is "${text}", ${why}`);
  const addresses = text.split(",").map((address) => {
    const [, host, port] = ADDRESS.exec(address.trim()) ?? [];
    if (host === undefined || Number(port) < 1 || Number(port) > MAX_PORT)
      throw wrong(
        `it must be host:port, or several with commas between, with ports from 1 to ${MAX_PORT}`,
      );
    return `${host}:${Number(port)}`;
  });
  const twice = addresses.find((address, i) => addresses.indexOf(address) < i);
  if (twice !== undefined) throw wrong(`it must name ${twice} once: clients tell nodes by address`);
  if (addresses.length > MAX_NODES)
    throw wrong(`it must have at most ${MAX_NODES} addresses, and has ${addresses.length}`);
  if (addresses.length < listening.length)
    throw wrong(
      `it must have an address for each of KAFKA_NODES, which is ${listening.length}, and has ${addresses.length}`,
    );
  return addresses.join(",");
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
