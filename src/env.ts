// The bindings and variables of wrangler.toml. Only this file names them and makes stubs.
import { type CallRequest, type ObjectKind, toArguments } from "./calls/calls.ts";
import type { ClusterCalls } from "./calls/cluster-calls.ts";
import type { GroupCalls } from "./calls/group-calls.ts";
import type { MetricsCalls } from "./calls/metrics-calls.ts";
import type { PartitionCalls } from "./calls/partition-calls.ts";
import type { RelayCalls } from "./calls/relay-calls.ts";
import type { RequestFrom } from "./core/access/audit.ts";
import type { Caller } from "./core/access/caller.ts";
import { BrokerError, errorOf, type Failure } from "./core/errors.ts";
import { isRegion, jurisdictionOf, type Origin, type Region, regionOf } from "./core/placement.ts";
import { failureOf, ObjectError, type ObjectPlace } from "./core/platform-errors.ts";
import { noteFailure, noteSuccess } from "./storage-health.ts";

/**
 * The units of work from which the CPU time of a session is estimated.
 * - message: a message on a socket.
 * - request: a request of a Kafka client.
 * - record: a record that is decoded or encoded.
 * - binary: a key, value or header of a record that is not UTF-8.
 * - batch: a batch that is examined.
 * - call: a call to an object.
 * - field: a byte in the fields of a Kafka message.
 * - byte: any other byte.
 */
export type Done =
  | "call"
  | "message"
  | "request"
  | "record"
  | "binary"
  | "batch"
  | "field"
  | "byte";

/** Counts the work of an invocation of the Worker: see worker/edge/invocation.ts. */
export interface Meter {
  did(what: Done, amount?: number): void;
}

export interface Env {
  readonly CLUSTER: DurableObjectNamespace;
  readonly PARTITION: DurableObjectNamespace;
  readonly GROUP: DurableObjectNamespace;
  readonly RELAY: DurableObjectNamespace;
  /** Absent in deployments with a configuration of release 0.2. They have no metrics. */
  readonly METRICS?: DurableObjectNamespace;
  /** "1" logs a line for every wake-up and alarm of an object, to show why it stays awake. */
  readonly RIVULET_TRACE?: string;
  /**
   * The addresses at which Kafka's clients reach this broker over TCP: `host:port`, or a comma-separated list of one
   * for each node.
   */
  readonly KAFKA_ADVERTISE?: string;
  /** "true" creates a topic when a Kafka client asks for it. See worker/kafka/broker-config.ts. */
  readonly AUTO_CREATE_TOPICS_ENABLE?: string;
  /** The number of partitions of a topic that a Kafka client creates without a number. 1 by default. */
  readonly NUM_PARTITIONS?: string;
  /**
   * Set by `npm start`: the path of the objects' databases on this machine's disk, with the placeholders `{object}` and
   * `{id}`. Unlike the platform's storage, a disk may lose data.
   */
  readonly RIVULET_FILES?: string;
  /**
   * [PLC-1] The jurisdiction in which the platform keeps all data: eu, us, fedramp or fedramp-high, or empty for none.
   * It cannot be changed once anything is stored. workerd does not support jurisdictions.
   */
  readonly RIVULET_JURISDICTION?: string;
  /**
   * [MODE-1] "loopback" requires no credentials. Only `npm start` and `npm run dev` set it, when only this machine can
   * reach them. Nothing else opens a broker.
   */
  readonly RIVULET_OPEN?: string;
  /** [MODE-2] The root key. A deployment without it answers no request. */
  readonly RIVULET_ROOT_KEY?: string;
  /** [MODE-2] The next root key, which is valid beside the current one while clients switch to it. */
  readonly RIVULET_ROOT_KEY_NEXT?: string;
  /**
   * [MODE-3] The origins whose pages may call the broker, as a comma-separated list. Without it, pages of any origin
   * may.
   */
  readonly RIVULET_ALLOWED_ORIGINS?: string;
  /** [JWT-2] The trusted token issuers, as JSON. See worker/access/issuers.ts. */
  readonly RIVULET_JWT_ISSUERS?: string;
  /**
   * [JWT-1] The private key that signs this deployment's tokens: a JWK, or PKCS #8 in PEM. Without it, the deployment
   * makes one.
   */
  readonly RIVULET_SIGNING_KEY?: string;
  /** [JWT-1] The name of this deployment in its tokens (`aud`). "rivulet" by default. */
  readonly RIVULET_AUDIENCE?: string;
  /** [QUO-1] The quota of each principal without its own, as JSON. See worker/access/default-quota.ts. */
  readonly RIVULET_QUOTA?: string;
  /** [MET-16] An Analytics Engine dataset for the history of metrics. Without it, only the last day is available. */
  readonly ANALYTICS?: {
    writeDataPoint(point: { indexes: string[]; blobs: string[]; doubles: number[] }): void;
  };
  /** "1" if only this machine can reach Kafka's ports. `npm start` sets it on a loopback HOST. */
  readonly RIVULET_KAFKA_LOOPBACK?: string;
  /** "1" if Kafka's ports use TLS themselves. `npm start` sets it with KAFKA_TLS_CERT and KAFKA_TLS_KEY [MODE-4]. */
  readonly RIVULET_KAFKA_TLS?: string;
  /** "1" if a TLS proxy is in front of Kafka's ports, so clients may send secrets there [SASL-1]. */
  readonly RIVULET_KAFKA_TLS_IN_FRONT?: string;
  /**
   * [SES-14] The CPU time after which a session ends and its client connects again, in milliseconds. It should be 60 %
   * of the platform's bound per invocation. 180000 by default, and unbounded on your own machine.
   */
  readonly RIVULET_SESSION_CPU_MS?: string;
  /** Counts the work of a session. Absent except in sessions and in requests of unbounded length. */
  readonly meter?: Meter;
  /** The caller of the current request. The Worker adds it to each request. Without it, there are no rights. */
  readonly caller?: Caller;
  /** [AUD-1] The origin of the current request, and a way to keep the Worker running for it. */
  readonly from?: RequestFrom & {
    readonly waitUntil?: ((promise: Promise<unknown>) => void) | undefined;
    /** Identifies the request itself. Absent for a connection. */
    readonly request?: symbol;
  };
  /** [PLC-2] The region of the current request's client. The Worker adds it to each request, if it is known. */
  readonly region?: Region;
}

/** Returns the environment with the region of this request. */
export function withRegion(env: Env, request: Request): Env {
  const region = regionOf((request.cf ?? {}) as Origin);
  return region === null ? env : { ...env, region };
}

/** Returns the environment with the origin of the request. */
export function withFrom(env: Env, from: NonNullable<Env["from"]>): Env {
  return { ...env, from };
}

/** [MODE-1] True if a caller without a credential may do everything. */
export function isOpen({ RIVULET_OPEN }: Pick<Env, "RIVULET_OPEN">): boolean {
  return RIVULET_OPEN === "loopback";
}

/** Returns the environment with the caller of the request. */
export function withCaller(env: Env, caller: Caller): Env {
  return { ...env, caller };
}

/** An object as its callers see it. */
export type Stub<Calls> = DurableObjectStub & Calls;
export type ClusterStub = Stub<ClusterCalls>;
export type PartitionStub = Stub<PartitionCalls>;
export type GroupStub = Stub<GroupCalls>;
export type RelayStub = Stub<RelayCalls>;
export type MetricsStub = Stub<MetricsCalls>;

/** Returns the object with the metadata of this deployment. There is only one. */
export function clusterStub(env: Env): ClusterStub {
  return noting(env, within(env, env.CLUSTER), "cluster", "cluster");
}

/**
 * [PLC-1] Returns the cluster's object outside any jurisdiction. In a deployment with a jurisdiction, it only stores
 * the name of that jurisdiction.
 */
export function outerClusterStub(env: Env): ClusterStub {
  return noting(env, env.CLUSTER, "cluster", "cluster");
}

/**
 * Returns the namespace within the deployment's jurisdiction. The ids there differ from those of the same names
 * elsewhere.
 */
function within(env: Env, namespace: DurableObjectNamespace): DurableObjectNamespace {
  const jurisdiction = jurisdictionOf(env.RIVULET_JURISDICTION);
  return jurisdiction === null ? namespace : namespace.jurisdiction(jurisdiction);
}

/**
 * Returns a partition. Partitions are named by topic id, so a topic created again never meets the old topic's data.
 * [PLC-2] The region is the topic's: the first call creates the partition there.
 */
export function partitionStub(
  env: Env,
  topicId: string,
  partition: number,
  region?: string,
): PartitionStub {
  return noting(env, within(env, env.PARTITION), "partition", `${topicId}/${partition}`, region);
}

/** The place of a relay: the partition whose records it sends on, and its number. */
export interface RelayPlace {
  readonly topicId: string;
  readonly partition: number;
  readonly relay: number;
}

/** [RLY-6] Returns a relay. It is created in its topic's region, near the partition. */
export function relayStub(
  env: Env,
  { topicId, partition, relay }: RelayPlace,
  region?: string,
): RelayStub {
  const name = `${topicId}/${partition}/${relay}`;
  return noting(env, within(env, env.RELAY), "relay", name, region);
}

/** [PLC-2] Returns a group. It is created near its first member, unless its creator names another region. */
export function groupStub(env: Env, groupId: string, region?: string): GroupStub {
  return noting(env, within(env, env.GROUP), "group", groupId, region ?? env.region);
}

/** Returns the object that collects the reports of all others. @throws BrokerError if this deployment has none */
export function metricsStub(env: Env): MetricsStub {
  if (env.METRICS === undefined) throw new BrokerError("INVALID_REQUEST", NO_METRICS);
  return noting(env, within(env, env.METRICS), "metrics", "metrics");
}

const NO_METRICS =
  "this deployment has no metrics: wrangler.toml lacks the binding METRICS of release 0.3";

/** Returns the place of an object: its file on a machine's disk, or its id elsewhere. */
export function placeOf(env: Env, kind: ObjectKind, name: string, id: string): ObjectPlace {
  const file = env.RIVULET_FILES?.replace("{object}", kind).replace("{id}", id) ?? `object ${id}`;
  return { name, file };
}

type Call = (...args: unknown[]) => Promise<unknown>;

/**
 * The sweeper may have a group's file open at the moment when the object opens it, so a call may fail. All calls may be
 * repeated.
 */
const GROUP_TRIES = 3;
const BACKOFF_MS = 20;

/** The methods of every stub that belong to the platform. */
const OF_THE_PLATFORM: ReadonlySet<string | symbol> = new Set(["fetch", "connect"]);

/**
 * [ERR-2] Returns a stub whose calls take an object of named fields (calls/calls.ts). An error of a call carries the
 * called object (ObjectError), and failures and successes are noted [ERR-4]. It stays the platform's own stub, because
 * the platform accepts no other. Only its calls come from its prototype: the platform looks them up after all inherited
 * properties.
 */
function noting<Calls>(
  env: Env,
  namespace: DurableObjectNamespace,
  kind: ObjectKind,
  name: string,
  region?: string,
): Stub<Calls> {
  // A newer release may know more regions. Only the first call in an object's life needs one.
  const options = isRegion(region) ? { locationHint: region } : undefined;
  const stub = namespace.getByName(name, options);
  if (typeof stub.id !== "object") return stub as Stub<Calls>; // The simulation has its own platform.
  const inherited = Object.getPrototypeOf(stub) as object;
  const title = kind === name ? kind : `${kind} ${name}`;
  const id = String(stub.id);
  const calls = new Proxy(inherited, {
    get(_, method) {
      const value: unknown = Reflect.get(stub, method);
      if (typeof value !== "function" || typeof method !== "string" || method === "constructor")
        return value;
      const call: Call = OF_THE_PLATFORM.has(method)
        ? (...args) => Reflect.apply(value, stub, args)
        : (request) =>
            Reflect.apply(
              value,
              stub,
              toArguments(kind, method, request as CallRequest | undefined, env.from?.requestId),
            );
      const place = placeOf(env, kind, title, id);
      return noted(call, place, method, triesOf(env, kind), env.from?.requestId);
    },
  });
  return Object.setPrototypeOf(namespace.getByName(name, options), calls);
}

function triesOf(env: Env, kind: ObjectKind): number {
  return kind === "group" && env.RIVULET_FILES !== undefined ? GROUP_TRIES : 1;
}

function noted(
  call: Call,
  place: ObjectPlace,
  method: string,
  tries: number,
  requestId: string | undefined,
): Call {
  return async (...args) => {
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await call(...args);
        if (result instanceof Response && result.status >= 400) return result; // The answer has its own error text.
        if (isStorageError(result))
          noteFailure(new ObjectError(errorOf(result), place), method, requestId);
        else noteSuccess(place, method);
        return result;
      } catch (error) {
        if (attempt === tries || failureOf(error) !== "storage") {
          const failed = new ObjectError(error, place);
          noteFailure(failed, method, requestId);
          throw failed;
        }
        await new Promise((resolve) => setTimeout(resolve, BACKOFF_MS * attempt));
      }
    }
  };
}

function isStorageError(result: unknown): result is Failure {
  return (result as Partial<Failure> | undefined)?.error === "KAFKA_STORAGE_ERROR";
}
