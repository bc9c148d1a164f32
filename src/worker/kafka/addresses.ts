// Determines the addresses at which clients reach the nodes. A connection over a WebSocket states them itself,
// because its carrier (a bridge) knows the address. The operator of a TCP listener states the listener's
// addresses.
import { BrokerError, preview } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { parseAddresses } from "../../protocol/node-addresses.ts";
import { Nodes } from "./nodes.ts";

const DEFAULT_ADDRESS = "127.0.0.1:9092";
const HTTPS_PORT = 443;

/** KAFKA_ADVERTISE: `host:port`, or a list of them, one for each node. */
export function listenerNodes(env: Env): Nodes {
  return new Nodes(parseAddresses("KAFKA_ADVERTISE", env.KAFKA_ADVERTISE ?? DEFAULT_ADDRESS), null);
}

/** Reads `?advertise=host:port[,host:port…]&node=N`. Without it there is one node, at the URL's own address. */
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
