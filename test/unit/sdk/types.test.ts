// The SDK's types as another project sees them: none of this repository's compiler options apply there.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeDeclarations } from "../../../src/self-host/declarations.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const TSC = join(ROOT, "node_modules/.bin/tsc");

function tsc(cwd: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    // More threads would check the same types more than once.
    execFile(TSC, ["--singleThreaded", ...args], { cwd }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

const PROGRAM = `
import { BrokerError, jsonSerde, Rivulet, type RivuletService, stringSerde } from "rivulet";
import { overBinding } from "rivulet/worker";

const rivulet = new Rivulet({ url: "http://127.0.0.1:8787" });
const valueSerde = jsonSerde<{ total: number }>();
const producer = rivulet.newProducer({ keySerde: stringSerde, valueSerde });
export async function work(env: { RIVULET: RivuletService }) {
  await producer.send("orders", [{ key: "k", value: { total: 1 } }]);
  // @ts-expect-error: a total is a number.
  await producer.send("orders", [{ value: { total: "1" } }]);
  for await (const { value } of rivulet.consumer({ groupId: "g", topics: ["orders"], valueSerde })) {
    const total: number | undefined = value?.total;
    if (total === 1) break;
  }
  const { partitions }: { partitions: number } = await env.RIVULET.admin.createTopic({ name: "t" });
  const admin = await env.RIVULET.admin;
  const topics: readonly { name: string }[] = await admin.listTopics();
  const bound = new Rivulet(overBinding(env.RIVULET));
  return [partitions, topics, bound, BrokerError];
}
`;

/** The declaration files in the package. An added one becomes public. */
const PUBLISHED = [
  "admin/admin.d.ts",
  "admin/http.d.ts",
  "admin/service.d.ts",
  "core/access-info.d.ts",
  "core/access/grants.d.ts",
  "core/access/operations.d.ts",
  "core/access/quota.d.ts",
  "core/errors.d.ts",
  "core/group-info.d.ts",
  "core/record.d.ts",
  "core/topic-info.d.ts",
  "kafkajs/socket-factory.d.ts",
  "member/places.d.ts",
  "member/transport.d.ts",
  "protocol/json-record.d.ts",
  "protocol/record-outcome.d.ts",
  "sdk/consumer.d.ts",
  "sdk/consumer/consumer-options.d.ts",
  "sdk/consumer/record-loop.d.ts",
  "sdk/index.d.ts",
  "sdk/producer.d.ts",
  "sdk/producer/options.d.ts",
  "sdk/rivulet.d.ts",
  "sdk/serde.d.ts",
  "sdk/share/share-consumer.d.ts",
  "sdk/share/share-options.d.ts",
  "sdk/share/share-record.d.ts",
  "sdk/token.d.ts",
  "sdk/transport/binding-socket.d.ts",
  "sdk/transport/network.d.ts",
  "sdk/worker-binding.d.ts",
];

let published: readonly string[];
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "rivulet-types-"));
  await mkdir(join(folder, "node_modules/@cloudflare"), { recursive: true });
  symlinkSync(ROOT, join(folder, "node_modules/rivulet"));
  const types = "node_modules/@cloudflare/workers-types";
  symlinkSync(join(ROOT, types), join(folder, types));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "program.ts"), PROGRAM);
  for (const project of ["src/sdk", "src/kafkajs"])
    expect(await tsc(ROOT, "-p", project)).not.toContain("error");
  published = await writeDeclarations();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("[PKG-5] the published types are the SDK's own", () => {
  expect(published).toEqual(PUBLISHED);
});

test("[PKG-5] they import no package except Node's, which KafkaJS needs too", () => {
  const imported = published.flatMap((path) => {
    const text = readFileSync(join(ROOT, "dist/types", path), "utf8");
    return [...text.matchAll(/\b(?:from|import) ?\(?"([@\w][\w@/:.-]*)"/g)].map(([, name]) => name);
  });
  expect(imported).toEqual(["node:net"]);
});

test.each([
  ["a browser's", ["--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom"]],
  [
    "a Worker's",
    ["--module", "nodenext", "--lib", "es2024", "--types", "@cloudflare/workers-types"],
  ],
])("[PKG-3] the types compile in %s strict project", async (_whose, options) => {
  const args = [
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--target",
    "es2022",
    ...options,
    "program.ts",
  ];
  expect(await tsc(folder, ...args)).toBe("");
});
