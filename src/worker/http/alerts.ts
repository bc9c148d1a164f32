// /v1/alerts: rules about lag, groups without members, full partitions and budgets, and their webhooks.
import { Hono } from "hono";
import { CLUSTER } from "../../core/access/grants.ts";
import type { AlertInfo } from "../../core/alerts/alert.ts";
import { BrokerError } from "../../core/errors.ts";
import { type Env, metricsStub } from "../../env.ts";
import { alertNameSchema, alertSchema, ruleIn } from "../../protocol/alerts.ts";
import { parse } from "../../protocol/parse.ts";
import { noteChange } from "../edge/audit.ts";
import { seesCluster } from "../edge/authorize.ts";
import { withJson } from "./in-progress.ts";

/** [ALR-1] */
export const alerts = new Hono<{ Bindings: Env }>()
  .get("/", async ({ env, json }) => {
    const { alerts: all, budgets } = await metricsStub(env).alerts();
    return json({ alerts: all.map((info) => alertJson(env, info)), budgets });
  })
  .put("/:alert", ({ env, req, json }) =>
    withJson(req.raw, alertSchema, async (body) => {
      const name = nameIn(req.param("alert"));
      const rule = ruleIn(name, body);
      const { secret } = await metricsStub(env).setAlert({ rule, newSecret: body.newSecret });
      const { webhook: _, ...told } = rule; // Its path may contain a secret.
      noteChange(env, "setAlert", CLUSTER, JSON.stringify(told));
      const answer = { ...rule, ...(secret === null ? {} : { secret }) };
      return json(answer, 200, { "cache-control": "no-store" });
    }),
  )
  .post("/:alert/test", async ({ env, req, body }) => {
    const name = nameIn(req.param("alert"));
    const { isSent } = await metricsStub(env).testAlert({ name });
    if (!isSent) throw noAlert(`there is no alert ${name} with a webhook`);
    return body(null, 204);
  })
  .delete("/:alert", async ({ env, req, body }) => {
    const name = nameIn(req.param("alert"));
    const { isRemoved } = await metricsStub(env).removeAlert({ name });
    if (!isRemoved) throw noAlert(`there is no alert ${name}`);
    noteChange(env, "removeAlert", CLUSTER, name);
    return body(null, 204);
  });

function nameIn(text: string): string {
  return parse(alertNameSchema, text, "INVALID_REQUEST");
}

function noAlert(detail: string): BrokerError {
  return new BrokerError("RESOURCE_NOT_FOUND", detail);
}

/** The path of a webhook may be its only protection. A caller that may not set alerts sees only its origin. */
function alertJson(env: Env, info: AlertInfo) {
  const { webhook } = info;
  if (webhook === null || seesCluster(env, "ALTER")) return info;
  return { ...info, webhook: `${new URL(webhook).origin}/…` };
}
