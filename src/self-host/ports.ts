// The ports that a broker on this machine listens on.
import { createServer } from "node:net";

const DEFAULT_KAFKA_PORT = 9092;

/** Something the person who started the broker can mend. */
export class StartError extends Error {}

/** The port that the variable names, or a free one for 0. Says so where it is none, or taken. */
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

/** As `portOf`; where nobody asked for a port and the usual one is taken, another: two brokers need not be told of it. */
export async function kafkaPortOf(host: string): Promise<number> {
  if (process.env.KAFKA_PORT) return portOf("KAFKA_PORT", host, DEFAULT_KAFKA_PORT);
  return (await freePort(host, DEFAULT_KAFKA_PORT)) ?? ((await freePort(host, 0)) as number);
}

/** The port itself, or a free one for 0; null where it is taken. */
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
