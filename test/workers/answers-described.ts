// [DOC-1] Every response of the HTTP API in any test is one that the operation declares: its status and, for an error, its
// code. [APK-7] No error contains a secret.
import { afterEach, expect } from "vitest";
import { app } from "../../src/worker/http/app.ts";
import { answersOf, OPERATIONS } from "../../src/worker/http/operations.ts";
import { PROBLEM_TYPE } from "../../src/worker/http/problem.ts";
import { SECRET_SHAPE } from "../support/secret-watch.ts";

const undescribed = new Set<string>();
const told = new Set<string>();

const ROUTES = OPERATIONS.map((operation) => ({
  method: operation.method.toUpperCase(),
  pattern: new RegExp(`^${operation.path.replace(/\{\w+\}/g, "[^/]+")}$`),
  operation,
  answers: answersOf(operation),
}));

const { fetch } = app;
app.fetch = async (request, ...rest) => {
  const response = await fetch(request, ...rest);
  await note(request, response);
  return response;
};

async function note({ method, url }: Request, response: Response): Promise<void> {
  const { pathname } = new URL(url);
  const route = ROUTES.find((each) => each.method === method && each.pattern.test(pathname));
  if (route === undefined) return; // There is no such operation: see `noRoute`.
  const isProblem = response.headers.get("content-type") === PROBLEM_TYPE;
  const text = isProblem ? await response.clone().text() : "";
  if (SECRET_SHAPE.test(text)) told.add(`${method} ${pathname} answers ${text}`);
  const code = isProblem ? (JSON.parse(text) as { code: string }).code : null;
  const { status } = response;
  const isDescribed = route.answers.some(
    (each) =>
      each.status === status &&
      (code === null ? each.errors.length === 0 : each.errors.some((name) => name === code)),
  );
  if (isDescribed) return;
  const { operation } = route;
  undescribed.add(`${operation.method} ${operation.path} answers ${status} ${code ?? ""}`.trim());
}

afterEach(() => {
  const found = [...undescribed];
  undescribed.clear();
  expect(found, "answers that operations.ts does not name").toEqual([]);
  const leaks = [...told];
  told.clear();
  expect(leaks, "answers that tell a secret").toEqual([]);
});
