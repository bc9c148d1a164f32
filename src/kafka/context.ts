// What a request is served with.
import type { Env } from "../env.ts";
import type { Feeds } from "./feeds.ts";
import type { Api } from "./messages.ts";
import type { Nodes } from "./nodes.ts";

export interface RequestContext {
  readonly env: Env;
  readonly nodes: Nodes;
  /** What this connection reads. */
  readonly feeds: Feeds;
  readonly clientId: string | null;
  readonly version: number;
}

export interface Service {
  readonly api: Api;
  /** Null where the client waits for no answer. */
  readonly serve: (request: unknown, context: RequestContext) => Promise<unknown>;
}

/** Whoever calls it hands over what `api` has read. */
export function service<Request, Response>(
  api: Api<Request, Response>,
  serve: (request: Request, context: RequestContext) => Promise<Response | null>,
): Service {
  return { api, serve: serve as Service["serve"] };
}

export const CLUSTER_ID = "rivulet";
/** Nothing is ever taken over by another leader here. */
export const LEADER_EPOCH = 0;
