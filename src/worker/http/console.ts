/// <reference path="./console-module.d.ts" />
// /console: the web console, and /console/learn: the lesson. Their files hold no data, so whoever reaches the broker gets
// them. What they show comes from the HTTP API, which asks who calls.

import { FILES } from "rivulet:console";
import type { MiddlewareHandler } from "hono";
import { CONSOLE_PATH } from "../../protocol/paths.ts";
import { byName, fileAnswer, noFile, wrongMethod } from "./site-files.ts";

type ConsoleFile = (typeof FILES)[number];

const ASSETS = `${CONSOLE_PATH}/assets/`;
const isPage = ({ type }: ConsoleFile) => type.startsWith("text/html");
const PAGES = byName(FILES.filter(isPage));
const OTHERS = byName(FILES.filter((file) => !isPage(file)));

/** [CON-1] [LRN-1] Serves the files. Each path below /console that is none of theirs is a page of the console, which shows it. */
export const consoleFiles: MiddlewareHandler = async (context) => {
  const { path } = context.req;
  const refusal = wrongMethod(context);
  if (refusal !== null) return refusal;
  const file = path.startsWith(ASSETS)
    ? OTHERS.get(path.slice(ASSETS.length))
    : (PAGES.get(path.slice(CONSOLE_PATH.length + 1)) ?? PAGES.get(""));
  if (file === undefined) return noFile(context, CONSOLE_PATH);
  return fileAnswer(context, file, isPage(file) ? "not" : "for-good");
};
