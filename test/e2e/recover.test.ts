// `rivulet recover` against a broker on this machine, whose storage keeps no earlier states.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "./broker.ts";
import { runHere } from "./cli-here.ts";

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

const rivulet = (...args: string[]) =>
  runHere(args, "", {
    ...{ XDG_CONFIG_HOME: broker.dataDir, RIVULET_URL: broker.url, RIVULET_TOKEN: "" },
  });

test("[RCV-1] on a machine each recovery says that it is unavailable, and what to use instead", async () => {
  const { admin, producer } = new Rivulet({ url: broker.url });
  await admin.createTopic({ name: "orders" });
  await producer.send("orders", [{ value: "a" }]);
  await producer.close();
  await admin.alterGroup("billing", { config: {} });
  const to = new Date(Date.now() - 60_000).toISOString();
  const targets = [["partition", "orders", "0"], ["group", "billing"], ["cluster"]];
  for (const target of targets) {
    for (const more of ["--yes", "--dry-run"]) {
      const { code, out, err } = await rivulet("recover", ...target, "--to", to, more);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toMatch(
        /^UNSUPPORTED_VERSION: .*only Cloudflare's does, for 30 days.*import an export/,
      );
    }
  }
  expect((await admin.listOffset("orders", 0, "latest")).offset).toBe(1);
});

test("[RCV-2] without a terminal nobody can be asked, and a time or a state must be named", async () => {
  const unasked = await rivulet("recover", "group", "billing", "--to", "1");
  expect(unasked).toMatchObject({ code: 2, err: expect.stringContaining("give --yes") });
  const unnamed = await rivulet("recover", "cluster", "--yes");
  expect(unnamed).toMatchObject({ code: 2, err: expect.stringContaining("--to, or --bookmark") });
  const missing = await rivulet(
    "recover",
    "group",
    "nobody",
    "--to",
    String(Date.now() - 1_000),
    "--yes",
  );
  expect(missing).toMatchObject({ code: 1, err: expect.stringContaining("GROUP_ID_NOT_FOUND") });
});
