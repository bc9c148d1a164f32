// [DOC-1] [APK-7] Notes the answers of the HTTP API in this runtime that must not be: answers-described.ts asks for them.
import { app } from "../../src/worker/http/app.ts";
import { answersOf, OPERATIONS } from "../../src/worker/http/operations.ts";
import { PROBLEM_TYPE } from "../../src/worker/http/problem.ts";
import { SECRET_SHAPE } from "../support/secret-watch.ts";

/** Answers that operations.ts does not name, and those that contain a secret. A test takes what is there when it ends. */
export const undescribed = new Set<string>();
export const told = new Set<string>();

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
