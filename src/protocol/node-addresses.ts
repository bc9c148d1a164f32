// The addresses of the nodes for Kafka's clients, in the operator's form: host:port, separated by commas.
import { BrokerError, preview } from "../core/errors.ts";
import { MAX_KAFKA_NODES } from "../core/limits.ts";

export { MAX_KAFKA_NODES };

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/;
export const MAX_PORT = 65_535;

/** Parses a list of addresses. `name` is used in the error. @throws BrokerError INVALID_REQUEST */
export function parseAddresses(name: string, text: string): NodeAddress[] {
  const list = text.split(",");
  if (list.length > MAX_KAFKA_NODES)
    throw new BrokerError(
      "INVALID_REQUEST",
      `${name}: has ${list.length} addresses, the bound is ${MAX_KAFKA_NODES}`,
    );
  const seen = new Set<string>();
  return list.map((each) => {
    const [, host = "", port = ""] = ADDRESS.exec(each.trim()) ?? [];
    if (host === "" || Number(port) < 1 || Number(port) > MAX_PORT)
      throw new BrokerError(
        "INVALID_REQUEST",
        `${name}: must be host:port, or a comma-separated list of these; got ${preview(each)}`,
      );
    // Clients distinguish nodes by their addresses.
    const address = `${host}:${Number(port)}`;
    if (seen.has(address))
      throw new BrokerError("INVALID_REQUEST", `${name}: ${preview(address)} is listed twice`);
    seen.add(address);
    return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
  });
}
