// A full disk: the runtime is started so that its files cannot grow beyond a bound.
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

/** Blocks of 512 bytes, as `ulimit -f` counts. */
const BOUND_BLOCKS = 10_000;

/**
 * workerd itself on the folder of a stopped broker, under the bound. The bound's signal is ignored: then writes fail.
 */
function startBounded(dataDir: string): ChildProcess {
  const require = createRequire(import.meta.url);
  const workerd = join(dirname(require.resolve("workerd/package.json")), "bin/workerd");
  const script = `trap '' XFSZ; ulimit -f ${BOUND_BLOCKS}; exec "$0" serve "$1/workerd.capnp"`;
  return spawn("/bin/sh", ["-c", script, workerd, dataDir], { stdio: "ignore" });
}

test("[LOG-12] a full disk refuses with a retriable error, loses nothing acknowledged, and reads continue", async () => {
  const first = await BrokerProcess.start();
  const { url, port, dataDir } = first;
  await fetch(`${url}/v1/topics`, { method: "POST", body: '{"name":"full"}' });
  await first.signal("SIGTERM");

  const bounded = startBounded(dataDir);
  const exited = new Promise((resolve) => bounded.once("exit", resolve));
  await until("the bounded broker answers", () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  const acknowledged: number[] = [];
  const refused: { status: number; retriable: boolean; detail: string }[] = [];
  const filler = "x".repeat(100_000);
  while (refused.length < 2) {
    const value = `${acknowledged.length} ${filler}`;
    const response = await fetch(`${url}/v1/topics/full/records`, {
      method: "POST",
      body: JSON.stringify({ records: [{ value }] }),
    });
    const body = (await response.json()) as {
      results: { offset: number }[];
      retriable: boolean;
      detail: string;
    };
    if (response.ok) acknowledged.push(body.results[0]?.offset ?? -1);
    else refused.push({ ...body, status: response.status });
    expect(acknowledged.length).toBeLessThan(1_000);
  }
  for (const { status, retriable, detail } of refused) {
    expect([503, 504]).toContain(status);
    expect(retriable).toBe(true);
    expect(detail).toMatch(/disk|full|I\/O/);
  }
  expect(acknowledged.length).toBeGreaterThan(10);
  const read = async () => {
    const values: string[] = [];
    for (;;) {
      const path = `/v1/topics/full/partitions/0/records?offset=${values.length}&maxBytes=8000000`;
      const response = await fetch(`${url}${path}`);
      const { records } = (await response.json()) as { records: { value: string }[] };
      if (records.length === 0) return values;
      values.push(...records.map(({ value }) => value.split(" ")[0] ?? ""));
    }
  };
  const all = acknowledged.map((_, i) => String(i));
  expect(await read()).toEqual(all);
  bounded.kill("SIGKILL");
  await exited;

  // With room again everything acknowledged is there, and it continues.
  const again = await BrokerProcess.start({ dataDir, port });
  const kept = await read();
  expect(kept.slice(0, all.length)).toEqual(all);
  const more = await fetch(`${url}/v1/topics/full/records`, {
    method: "POST",
    body: '{"records":[{"value":"more"}]}',
  });
  expect(await more.json()).toMatchObject({ results: [{ offset: kept.length }] });
  await again.stop();
});
