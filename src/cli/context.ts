// The parts that every command needs: the broker, printing, and the reporting of errors.
import { BrokerError, ConnectionError, type ErrorName, Rivulet } from "../sdk/index.ts";
import { plain, plainLines } from "./plain.ts";

export interface GlobalOptions {
  readonly url: string;
  readonly token?: string;
  readonly json?: true;
  readonly quiet?: true;
}

/** Thrown for wrong use of the command line, found after parsing. */
export class UsageError extends Error {}

/** Makes a client. The values of the options were checked before (settings.ts). */
export function connect({ url, token }: GlobalOptions): Rivulet {
  return new Rivulet({ url, ...(token === undefined ? {} : { token }) });
}

/** True if notes for people go to standard error: on a terminal, without --json and --quiet. */
export function wantsNotes({ json, quiet }: GlobalOptions): boolean {
  return process.stderr.isTTY && !json && !quiet;
}

/** Prints `value` as JSON for programs, or as the result of `text` for people, without control characters. */
export function print<T>(options: GlobalOptions, value: T, text: (value: T) => string): void {
  const output = options.json ? JSON.stringify(value) : plainLines(text(value));
  if (output !== "") process.stdout.write(`${output}\n`);
}

/** Returns the text without a byte-order mark, which editors on Windows put at the start. */
export function withoutMark(text: string): string {
  return text.replace(/^\ufeff/, "");
}

/** Parses JSON. `what` is the name of the text in errors. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${what} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

const HINTS: Partial<Record<ErrorName, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION:
    "`rivulet topics list` shows the topics, `rivulet topics create NAME` creates one",
  TOPIC_ALREADY_EXISTS: "`rivulet topics describe NAME` shows it",
  GROUP_ID_NOT_FOUND:
    "`rivulet groups list` shows the groups; a group is created when its first member joins, or by `rivulet groups alter`",
  NON_EMPTY_GROUP: "stop the group's members, or wait for their session timeout, and try again",
  SASL_AUTHENTICATION_FAILED:
    "give an API key or a token with RIVULET_TOKEN, --token or the config file",
  TOPIC_AUTHORIZATION_FAILED: "`rivulet whoami` shows what you may do",
  GROUP_AUTHORIZATION_FAILED: "`rivulet whoami` shows what you may do",
  CLUSTER_AUTHORIZATION_FAILED: "`rivulet whoami` shows what you may do",
  UNRELEASED_INSTANCE_ID:
    "another live consumer uses this instance id; stop it or choose another id",
};

const AFTERWORDS = new WeakMap<object, string>();

/** Returns the error, with a line that is shown after it. */
export function withAfterword(error: unknown, line: string): unknown {
  if (typeof error === "object" && error !== null) AFTERWORDS.set(error, line);
  return error;
}

/** Explains an error in a few lines: the problem, how to solve it, and what was done before. */
export function explain(error: unknown, options: GlobalOptions): string {
  const afterword = AFTERWORDS.get(Object(error));
  return `${problem(error, options)}${afterword === undefined ? "" : `\n${afterword}`}`;
}

function problem(error: unknown, options: GlobalOptions): string {
  if (error instanceof UsageError) return plainLines(error.message);
  if (error instanceof ConnectionError) {
    const [, status] = /^HTTP (401|403)\b/.exec(error.message) ?? [];
    if (status !== undefined)
      return `${options.url} refuses access: HTTP ${status}${status === "401" ? " Unauthorized" : " Forbidden"}\nIt wants ${options.token === undefined ? "a token" : "another token"}: give one with RIVULET_TOKEN, --token or the config file.`;
    return `${plain(error.message)}\nIs the broker running? Start it with \`npm start\` in a clone or with \`rivulet start\`, or give another address with --url or RIVULET_URL (now ${options.url}).`;
  }
  if (error instanceof BrokerError) {
    const isOfPartition =
      error.code === "UNKNOWN_TOPIC_OR_PARTITION" && !/not exist/.test(error.message);
    const hint = isOfPartition ? undefined : HINTS[error.code];
    return `${error.code}: ${plain(error.message)}${hint === undefined ? "" : `\n${hint}`}`;
  }
  return plainLines(error instanceof Error ? error.message : String(error));
}
