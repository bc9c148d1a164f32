// The entrypoint for service bindings. Another Worker produces and administers with it, without HTTP.
//
//   [[services]]
//   binding = "RIVULET"
//   service = "rivulet"
//   entrypoint = "Rivulet"
//
//   await env.RIVULET.produce("orders", [{ key: "customer-7", value: { total: 12 } }]);
import { WorkerEntrypoint } from "cloudflare:workers";
import * as z from "zod";
import type {
  AdminService,
  ProduceOptions,
  RivuletService,
  TopicRecords,
} from "../../admin/service.ts";
import { MAX_TOPICS_PER_BATCH } from "../../core/limits.ts";
import { type Env, withCaller, withFrom } from "../../env.ts";
import { fromJsonRecord, type JsonRecordInput } from "../../protocol/json-record.ts";
import { recordList } from "../../protocol/json-record-schema.ts";
import { integer, parse } from "../../protocol/parse.ts";
import { outcomesOfTopics, type RecordOutcome } from "../../protocol/record-outcome.ts";
import { callerOf } from "../access/authenticate.ts";
import { isOpen } from "../access/mode.ts";
import { isRefused, refusalOf } from "../edge/append.ts";
import { assertMayUseTopic } from "../edge/authorize.ts";
import { inside, outsideError } from "../edge/namespace.ts";
import { outcomeOf, produce } from "../edge/produce.ts";
import { assertWithinQuota, countUse } from "../edge/quotas.ts";
import { reportRequests } from "../edge/request-metrics.ts";
import { app } from "../http/app.ts";
import { credentialOf } from "../http/credential.ts";
import { problemResponse } from "../http/problem.ts";
import { RpcAdmin } from "./admin.ts";
import { overRpc, rpcError } from "./errors.ts";
import { callerOfProps } from "./props.ts";

const inputSchema = z.strictObject({
  records: recordList,
  expectedOffset: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  idempotencyKey: z.string().optional(),
});
const BATCH_RULE = `must name 1 to ${MAX_TOPICS_PER_BATCH} topics`;
const batchSchema = z.strictObject({
  batch: z
    .array(z.strictObject({ topic: z.string(), records: recordList }))
    .min(1, BATCH_RULE)
    .max(MAX_TOPICS_PER_BATCH, BATCH_RULE),
});

/** On the other side, `admin` becomes one more promise, as every property does. */
type Service = Omit<RivuletService, "admin"> & { readonly admin: AdminService };

export class Rivulet extends WorkerEntrypoint<Env> implements Service {
  produce(
    topic: string,
    records: readonly JsonRecordInput[],
    options: ProduceOptions = {},
  ): Promise<RecordOutcome[]> {
    return overRpc(() => {
      const input = parse(inputSchema, { ...options, records });
      return this.#produce(topic, input.records, input);
    });
  }

  produceBatch(batch: readonly TopicRecords[]): Promise<RecordOutcome[][]> {
    return overRpc(() => {
      const input = parse(batchSchema, { batch });
      const produced = input.batch.map(({ topic, records }) => this.#produce(topic, records, {}));
      return outcomesOfTopics(input.batch, produced);
    });
  }

  get admin(): RpcAdmin {
    try {
      const own = this.#own;
      return new RpcAdmin(async (request) => app.fetch(request, own, this.ctx));
    } catch (error) {
      throw rpcError(error);
    }
  }

  /**
   * [RPC-5] Authenticates as for a request from outside, because an app may pass on what browsers send. An open
   * broker asks for no credential, and no web page reaches it in this way.
   */
  override async fetch(request: Request): Promise<Response> {
    try {
      const env = isOpen(this.env)
        ? withCaller(this.env, await callerOf(this.env, credentialOf(request)))
        : this.env;
      return await app.fetch(request, env, this.ctx);
    } catch (error) {
      return problemResponse(error);
    }
  }

  /**
   * [RPC-5] The deployer of a Worker with a binding chooses its caller by `props`. Without them the Worker may
   * do everything.
   */
  get #own(): Env {
    const waitUntil = (promise: Promise<unknown>) => this.ctx.waitUntil(promise);
    const env = withFrom(this.env, { way: "rpc", waitUntil });
    return withCaller(env, callerOfProps(this.ctx.props));
  }

  async #produce(
    topic: string,
    records: readonly JsonRecordInput[],
    { expectedOffset, idempotencyKey }: ProduceOptions,
  ): Promise<RecordOutcome[]> {
    const own = this.#own;
    try {
      return await this.#produceAs(own, inside(own, topic), records, {
        expectedOffset,
        idempotencyKey,
      });
    } catch (error) {
      throw outsideError(own, error);
    } finally {
      reportRequests(own);
    }
  }

  async #produceAs(
    own: Env,
    topic: string,
    records: readonly JsonRecordInput[],
    { expectedOffset, idempotencyKey }: ProduceOptions,
  ): Promise<RecordOutcome[]> {
    assertWithinQuota(own, "requestRate");
    countUse(own, "requestRate", 1);
    assertMayUseTopic(own, "WRITE", topic);
    const results = await produce(own, topic, records.map(fromJsonRecord), {
      expectedOffset,
      idempotencyKey,
      random: Math.random,
      nowMs: Date.now(),
    });
    const first = results[0];
    if (first !== undefined && isRefused(first) && results.every((result) => isRefused(result)))
      throw refusalOf(first);
    return results.map(outcomeOf);
  }
}
