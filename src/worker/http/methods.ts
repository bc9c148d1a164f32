// Answers other methods on an existing path with 405 and the allowed methods.
import type { Hono } from "hono";
import { BrokerError } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { problemResponse } from "./problem.ts";

/** Answers if no route matches: 405 if another method would match, 404 otherwise. */
export function noRoute(app: Hono<{ Bindings: Env }>, request: Request): Response {
  const { pathname } = new URL(request.url);
  const detail = `there is no ${request.method} ${pathname}`;
  const routes = app.routes.filter(({ method, path }) => method !== "ALL" && fits(path, pathname));
  const allowed = [...new Set(routes.map(({ method }) => method))].sort();
  if (allowed.length === 0)
    return problemResponse(
      new BrokerError("INVALID_REQUEST", `${detail}; /docs/api says what there is`),
      {},
      404,
    );
  const allow = allowed.join(", ");
  const error = new BrokerError("INVALID_REQUEST", `${detail}; it takes ${allow}`);
  const response = problemResponse(error, {}, 405);
  response.headers.set("allow", allow);
  return response;
}

/** True if the path matches the route: `/v1/topics/:topic` matches `/v1/topics/orders`. */
function fits(route: string, pathname: string): boolean {
  const parts = route.split("/");
  const given = pathname.split("/");
  return (
    parts.length === given.length &&
    parts.every((part, i) => (part.startsWith(":") ? given[i] !== "" : part === given[i]))
  );
}
