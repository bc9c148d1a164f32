// The remaining budget of a Worker's invocation, and when it must end.
import { describe, expect, test } from "vitest";
import { DEFAULT_SESSION_CPU_MS, MAX_INVOCATION_CALLS } from "../../../../src/core/limits.ts";
import type { Done, Env } from "../../../../src/env.ts";
import { Invocation } from "../../../../src/worker/edge/invocation.ts";

const namespace = {
  getByName: (name: string) => name,
  jurisdiction: () => namespace,
};

function invocation(variables: Partial<Env> = {}): Invocation {
  const env = { CLUSTER: namespace, PARTITION: namespace, GROUP: namespace, ...variables };
  return new Invocation(env as unknown as Env);
}

describe("an invocation", () => {
  test("[SES-14] is spent when its estimated CPU has reached the bound", () => {
    const [small, large] = [1, 2].map((ms) => invocation({ RIVULET_SESSION_CPU_MS: `${ms}` }));
    let records = 0;
    for (; !small?.isSpent; records++) small?.did("record");
    expect(records).toBeGreaterThan(10);
    large?.did("record", 2 * records - 1);
    expect(large?.isSpent).toBe(false);
    large?.did("record");
    expect(large?.isSpent).toBe(true);
  });

  test.each<Done>(["call", "message", "request", "record", "binary", "batch", "field", "byte"])(
    "[SES-14] counts each %s",
    (what) => {
      const own = invocation({ RIVULET_SESSION_CPU_MS: "1" });
      expect(own.isSpent).toBe(false);
      own.did(what, 1_000_000);
      expect(own.isSpent).toBe(true);
    },
  );

  test("[SES-14] says so once the current work is done", async () => {
    const own = invocation({ RIVULET_SESSION_CPU_MS: "1" });
    const steps: string[] = [];
    void own.spent.then(() => steps.push("spent"));
    own.did("record", 1_000_000);
    steps.push("done");
    await own.spent;
    expect(steps).toEqual(["done", "spent"]);
  });

  test("[SES-14] counts records with their bytes, and calls over the bindings in any jurisdiction", () => {
    const byRecords = invocation({ RIVULET_SESSION_CPU_MS: "1" });
    const value = new Uint8Array(1_000_000);
    byRecords.didRecords([{ offset: 0, timestamp: 0, key: null, value, headers: [] }]);
    expect(byRecords.isSpent).toBe(true);
    const byCalls = invocation({ RIVULET_SESSION_CPU_MS: "1" });
    for (let i = 0; i < 100; i++) {
      const place = byCalls.env.PARTITION.jurisdiction("eu") as unknown as typeof namespace;
      expect(place.getByName("p")).toBe("p");
    }
    expect(byCalls.isSpent).toBe(true);
    expect(byCalls.env.meter).toBe(byCalls);
  });

  test.each([
    ["nothing", {}, DEFAULT_SESSION_CPU_MS],
    ["an empty text", { RIVULET_SESSION_CPU_MS: "" }, DEFAULT_SESSION_CPU_MS],
    ["no number", { RIVULET_SESSION_CPU_MS: "much" }, DEFAULT_SESSION_CPU_MS],
    ["a negative one", { RIVULET_SESSION_CPU_MS: "-1" }, DEFAULT_SESSION_CPU_MS],
    ["zero", { RIVULET_SESSION_CPU_MS: "0" }, DEFAULT_SESSION_CPU_MS],
    ["more than there is", { RIVULET_SESSION_CPU_MS: "300001" }, DEFAULT_SESSION_CPU_MS],
    ["a number", { RIVULET_SESSION_CPU_MS: "18000" }, 18_000],
    ["a number on a machine", { RIVULET_SESSION_CPU_MS: "18000", RIVULET_FILES: "f" }, 18_000],
  ])("[SES-14] has the CPU that %s says", (_, variables, cpuMs) => {
    const own = invocation(variables);
    const nsOfByte = 5;
    own.did("byte", (cpuMs * 1_000_000) / nsOfByte - 1);
    expect(own.isSpent).toBe(false);
    own.did("byte", 1);
    expect(own.isSpent).toBe(true);
  });

  test("[SES-14] has no bound on CPU on one's own machine, and one on calls", () => {
    const own = invocation({ RIVULET_FILES: "f" });
    own.did("byte", 1e15);
    expect(own.isSpent).toBe(false);
    for (let i = 1; i < MAX_INVOCATION_CALLS; i++) own.env.GROUP.getByName("g");
    expect(own.isSpent).toBe(false);
    own.env.GROUP.getByName("g");
    expect(own.isSpent).toBe(true);
  });
});
