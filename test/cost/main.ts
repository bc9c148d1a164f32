// npm run cost -- workload.json... [--set FIELD=VALUE]... [--json]
//
// Prints what Cloudflare bills a month for each workload, K2 and Queues beside it. The tests count what operations cost, and
// how often they happen follows from the workload.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { billOf } from "./bill.ts";
import { asJson, printed } from "./print.ts";
import { projectCounts, projectSampling } from "./project.ts";
import { parseWorkload, type Workload, WorkloadError } from "./workload.ts";

const USAGE = "Usage: npm run cost -- workload.json... [--set FIELD=VALUE]... [--json]";

function workloadIn(path: string, changes: object): Workload {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new WorkloadError((error as Error).message);
  }
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  const changed = isObject ? { ...(json as object), ...changes } : json;
  return parseWorkload(changed, projectSampling());
}

/**
 * Returns the fields that are set beside the file's. A value that is not JSON is text, and is rejected as a value of its
 * field.
 */
function changesOf(settings: readonly string[]): object {
  return Object.fromEntries(
    settings.map((setting) => {
      const [field = "", value = ""] = setting.split("=", 2);
      return [field, jsonOrText(value)];
    }),
  );
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Returns null if the arguments are invalid. */
function argumentsOf() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        set: { type: "string", multiple: true, default: [] },
        json: { type: "boolean", default: false },
      },
    });
  } catch {
    return null;
  }
}

function main(): number {
  const asked = argumentsOf();
  if (asked === null || asked.positionals.length === 0) {
    console.error(USAGE);
    return 2;
  }
  const { values, positionals } = asked;
  const counts = projectCounts();
  for (const path of positionals) {
    try {
      const workload = workloadIn(path, changesOf(values.set));
      const bill = billOf(workload, counts);
      console.log(
        values.json ? JSON.stringify(asJson(workload, bill), null, 2) : printed(workload, bill),
      );
    } catch (error) {
      if (!(error instanceof WorkloadError)) throw error;
      console.error(`${path}: ${error.message}`);
      return 1;
    }
  }
  return 0;
}

process.exitCode = main();
