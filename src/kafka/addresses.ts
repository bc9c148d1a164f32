// Finds the addresses at which clients are told to reach the nodes. A connection over a WebSocket states them itself,
// because the carrier (a bridge) knows the address. The operator of a TCP listener states the listener's addresses.
import { BrokerError, preview } from "../core/errors.ts";
import { MAX_KAFKA_NODES } from "../core/limits.ts";
import type { Env } from "../env.ts";
import { Nodes } from "./nodes.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

const DEFAULT_ADDRESS = "127.0.0.1:9092";
const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/;
const HTTPS_PORT = 443;

/** KAFKA_ADVERTISE: `host:port`, or a list of them, one for each node. */
export function listenerNodes(env: Env): Nodes {
  return new Nodes(parseAddresses("KAFKA_ADVERTISE", env.KAFKA_ADVERTISE ?? DEFAULT_ADDRESS), null);
}

/** Reads `?advertise=host:port[,host:port…]&node=N`. Without it, there is one node, at the URL's own address. */
export function nodesOf(url: URL): Nodes {
  const advertise = url.searchParams.get("advertise");
  const addresses =
    advertise === null
      ? [{ host: url.hostname, port: Number(url.port) || HTTPS_PORT }]
      : parseAddresses("advertise", advertise);
  const node = url.searchParams.get("node");
  if (node === null) return new Nodes(addresses, null);
  if (/^\d+$/.test(node) && Number(node) < addresses.length)
    return new Nodes(addresses, Number(node));
  throw new BrokerError(
    "INVALID_REQUEST",
    `node: must be a whole number from 0 to ${addresses.length - 1}; got ${preview(node)}`,
  );
}

function parseAddresses(name: string, text: string): Address[] {
  const list = text.split(",");
  if (list.length > MAX_KAFKA_NODES)
    throw new BrokerError(
      "INVALID_REQUEST",
      `${name}: has ${list.length} addresses, the bound is ${MAX_KAFKA_NODES}`,
    );
  // Clients tell nodes from each other by their addresses.
  const twice = list.find((each, i) => list.indexOf(each) < i);
  if (twice !== undefined)
    throw new BrokerError("INVALID_REQUEST", `${name}: ${preview(twice)} stands there twice`);
  return list.map((each) => {
    const [, host = "", port = ""] = ADDRESS.exec(each.trim()) ?? [];
    if (host !== "" && Number(port) >= 1 && Number(port) <= 65_535)
      return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
    throw new BrokerError(
      "INVALID_REQUEST",
      `${name}: must be host:port, or several with commas between; got ${preview(each)}`,
    );
  });
}
