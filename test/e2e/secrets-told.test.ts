// Every file is watched for revealed secrets (secrets-told.ts). Here brokers and responses reveal some, to be found.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { SecretWatch, secretWatch } from "../support/secret-watch.ts";
import { launch, temporaryFolder } from "./broker.ts";

const SECRET = "a".repeat(43);
const KEY = `rvk_${"b".repeat(16)}_${SECRET}cccccc`;
const TOKEN = "eyJh.eyJi.c";
const ROOT_KEY = "the-root-key-that-is-told";

/** A broker that prints this, as part of what is wrong with its settings. */
async function printing(text: string, env: Record<string, string> = {}): Promise<void> {
  const { exited } = launch({ DATA_DIR: temporaryFolder(), PORT: text, ...env });
  await exited;
}

test("[APK-7] a secret that a broker prints is found", async () => {
  await printing("nothing");
  expect(secretWatch.takeLeaks()).toEqual([]);
  await Promise.all([
    printing(`a ${KEY}`),
    printing(`${TOKEN} b`),
    printing(`<${ROOT_KEY}>`, { RIVULET_ROOT_KEY: ROOT_KEY }),
  ]);
  expect(secretWatch.takeLeaks().toSorted()).toEqual([
    expect.stringContaining(`"<${ROOT_KEY}>"`),
    expect.stringContaining(`"a ${KEY}"`),
    expect.stringContaining(`"${TOKEN} b"`),
  ]);
  expect(secretWatch.takeLeaks()).toEqual([]);
});

test("[APK-7] a secret in a response is found, and a new one is known from then on", async () => {
  const server = createServer((_, response) => {
    const text = JSON.stringify({ key: KEY });
    response.writeHead(200, { "content-type": "application/json", "content-length": text.length });
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await (await fetch(`${url}/v1/keys`, { method: "POST" })).json();
  expect(secretWatch.takeLeaks()).toEqual([]);
  await (await fetch(`${url}/v1/keys`)).json();
  await expect
    .poll(() => secretWatch.takeLeaks())
    .toEqual([`GET /v1/keys answered {"key":"${KEY}"}`]);
  server.close();
  await printing(`password=${SECRET}`);
  expect(secretWatch.takeLeaks()).toEqual([expect.stringContaining(SECRET)]);
});

test("[APK-7] a new root key is printed once, and not again", () => {
  const watch = new SecretWatch();
  const said = `The root key of this broker is ${ROOT_KEY} (kept in a file; it is not shown again)`;
  watch.watchOutput([said, "Rivulet is ready"]);
  expect(watch.takeLeaks()).toEqual([]);
  watch.watchOutput(["Rivulet is ready", said]);
  expect(watch.takeLeaks()).toEqual([said]);
  watch.watchOutput([`a guest came with ${ROOT_KEY}`]);
  expect(watch.takeLeaks()).toEqual([`a guest came with ${ROOT_KEY}`]);
});
