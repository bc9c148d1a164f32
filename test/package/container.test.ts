// The Containerfile, without an engine: its build steps are run in a temporary folder, and its command is started there.
// The parts that only an image has (its base, its user, apt-get and npm ci) are read as text.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { ROOT } from "./run.ts";

interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** Returns the instructions of each stage, FROM first. */
function stagesOf(file: string): Instruction[][] {
  const lines = file
    .replace(/^\s*#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const stages: Instruction[][] = [];
  for (const line of lines) {
    const [, name = "", text = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (name === "FROM") stages.push([]);
    stages.at(-1)?.push({ name, text });
  }
  return stages;
}

const [building = [], running = []] = stagesOf(readFileSync(join(ROOT, "Containerfile"), "utf8"));

const textsOf = (stage: readonly Instruction[], name: string) =>
  stage.filter((each) => each.name === name).map(({ text }) => text);
const textOf = (name: string) => textsOf(running, name)[0] ?? "";

const variables = Object.fromEntries(
  textOf("ENV")
    .split(" ")
    .map((each) => each.split("=") as [string, string]),
);

test("[SYS-9] the image is small, and its broker has a user without rights, a volume, ports and a stop signal", () => {
  expect([...textsOf(building, "FROM"), ...textsOf(running, "FROM")]).toEqual([
    "docker.io/library/node:24-bookworm-slim AS build",
    "docker.io/library/node:24-bookworm-slim",
  ]);
  expect(variables).toEqual({
    NODE_ENV: "production",
    HOST: "0.0.0.0", // With which a broker makes a root key: MODE-2.
    PORT: "8787",
    KAFKA_PORT: "9092",
    DATA_DIR: "/data",
  });
  expect(textOf("USER")).toBe("node");
  expect(textOf("VOLUME")).toBe(variables.DATA_DIR);
  expect(textOf("EXPOSE")).toBe(`${variables.PORT} ${variables.KAFKA_PORT}`);
  expect(textOf("STOPSIGNAL")).toBe("SIGTERM");
  // Everything that needs root comes before it is given up.
  const names = running.map(({ name }) => name);
  expect(names.lastIndexOf("RUN")).toBeLessThan(names.indexOf("USER"));
  expect(textsOf(running, "RUN").join()).toContain(`chown node:node ${variables.DATA_DIR}`);
});

let image: string;
beforeAll(async () => {
  image = mkdtempSync(join(realpathSync(tmpdir()), "rivulet-image-"));
  for (const { name, text } of building) await runStep(name, text);
});
afterAll(() => rmSync(image, { recursive: true, force: true }));

/** Runs a step of the build, with /build and /rivulet in the temporary folder. */
async function runStep(name: string, text: string): Promise<void> {
  const build = join(image, "build");
  if (name === "WORKDIR") mkdirSync(join(image, text));
  else if (text.startsWith("npm ci "))
    symlinkSync(join(ROOT, "node_modules"), join(build, "node_modules"), "junction");
  else if (name === "COPY") {
    const [to = "", ...from] = text.split(" ").reverse();
    for (const each of from)
      cpSync(join(ROOT, each), join(build, to, from.length > 1 ? each : ""), {
        recursive: true,
        filter: isInContext,
      });
  } else if (name === "RUN") {
    const command = text.replaceAll(/(?<= )\/rivulet\b/g, join(image, "rivulet"));
    await promisify(execFile)("/bin/sh", ["-c", command], { cwd: build });
  }
}

const PATTERNS: Record<string, string> = { "**/": "(?:.*/)?", "*": "[^/]*", ".": "\\." };

const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((pattern) => {
    const source = pattern.replaceAll(/\*\*\/|\*|\./g, (each) => PATTERNS[each] ?? each);
    return new RegExp(`^${source}(?:/|$)`);
  });

/** True if a path of this tree is sent to the engine. */
function isInContext(path: string): boolean {
  const name = path.slice(ROOT.length).replaceAll("\\", "/");
  return !ignored.some((pattern) => pattern.test(name));
}

test("[SYS-9] the build's context has the sources only", () => {
  const names = readdirSync(join(image, "build"));
  expect(names).toEqual(expect.arrayContaining(["src", "durable-objects", "docs", "package.json"]));
  for (const name of [".git", "test", "examples"]) expect(names).not.toContain(name);
  expect(readdirSync(join(image, "rivulet/node_modules"))).toEqual(["@cloudflare", "workerd"]);
});

test("[SYS-9] the copied files suffice for a broker: it gets healthy, and stops at the signal", async () => {
  const [from = "", to = ""] = textOf("COPY").replace("--from=build ", "").split(" ");
  expect([from, to, textOf("WORKDIR")]).toEqual(["/rivulet", "/rivulet", "/rivulet"]);
  const [command = "", ...args] = JSON.parse(textOf("CMD")) as string[];
  expect(command).toBe("node");
  // The folder is as the image has it: nothing of this tree is above it.
  const cwd = join(image, "rivulet");
  const settings = { HOST: "127.0.0.1", PORT: "0", KAFKA_PORT: "0", DATA_DIR: join(image, "data") };
  const env = { ...process.env, ...variables, ...settings };
  const broker = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [broker.stdout, broker.stderr])
    stream.on("data", (data: Buffer) => {
      printed += data;
    });
  const exited = once(broker, "close");
  const url = await until("the broker is ready", () => {
    if (broker.exitCode !== null) throw new Error(`it ended: ${printed}`);
    return /Rivulet is ready on (\S+)/.exec(printed)?.[1];
  });
  const [, check = ""] = /^--.* CMD (\[.*\])$/.exec(textOf("HEALTHCHECK")) ?? [];
  const [program = "", ...checkArgs] = JSON.parse(check) as string[];
  expect(program).toBe("node");
  const health = async () => {
    const checked = spawn(process.execPath, checkArgs, {
      env: { ...env, PORT: new URL(url).port },
      stdio: "inherit",
    });
    const [code] = await once(checked, "close");
    return code;
  };
  expect(await health()).toBe(0);
  broker.kill(textOf("STOPSIGNAL") as NodeJS.Signals);
  expect(await exited).toEqual([0, null]);
  expect(await health()).toBe(1);
});
