// The SDK over a service binding, at a broker that is closed, as every deployment is.
import { exports } from "cloudflare:workers";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Env } from "../../src/env.ts";
import { Rivulet, type RivuletService, stringSerde } from "../../src/sdk/index.ts";
import { overBinding } from "../../src/sdk/worker-binding.ts";
import { createKey } from "../../src/worker/access/keys.ts";
import { Rivulet as Entrypoint } from "../../src/worker/rpc/rivulet.ts";
import { createTopic, env, readValues, unique } from "./support.ts";

const { caller: _caller, ...open } = env;
const closed: Env = { ...open, RIVULET_OPEN: "", RIVULET_ROOT_KEY: "the-root-key-of-this-test" };

/** A binding to the closed broker with these props. */
function bindingWith(props: object): RivuletService {
  const context = { waitUntil: () => {}, passThroughOnException: () => {}, props };
  return new Entrypoint(context as never, closed as never) as unknown as RivuletService;
}

beforeAll(() => void vi.spyOn(console, "error").mockImplementation(() => {}));
afterAll(() => void vi.restoreAllMocks());

/** The grants that these tests need on a topic and a group. */
const grantsFor = (topic: string, group: string) => [
  { topics: { exact: topic }, operations: ["READ", "WRITE"] },
  { groups: { exact: group }, operations: ["READ"] },
];

test("[RPC-6] [RPC-7] the SDK produces, consumes and administers as the principal in the props", async () => {
  const [topic, group] = [await createTopic(2), unique("group")];
  const props = { principal: "User:shop", grants: grantsFor(topic.name, group) };
  const rivulet = new Rivulet(overBinding(bindingWith(props)));
  expect(await rivulet.admin.whoami()).toMatchObject({ principal: "User:shop" });
  await rivulet.producer.send(topic.name, [
    { value: "a", partition: 0 },
    { value: "b", partition: 1 },
  ]);
  const values: (string | null)[] = [];
  const consumer = rivulet.consumer({
    groupId: group,
    topics: [topic.name],
    valueSerde: stringSerde,
  });
  for await (const { value } of consumer) {
    values.push(value);
    if (values.length === 2) break;
  }
  expect(values.sort()).toEqual(["a", "b"]);
});

test("[RPC-6] busy producers append over a socket of the binding", async () => {
  const topic = await createTopic(1);
  const service = bindingWith({});
  const upgrades: string[] = [];
  const watched = {
    admin: service.admin,
    fetch: (request: Request) => {
      if (request.headers.get("upgrade") === "websocket")
        upgrades.push(new URL(request.url).pathname);
      return service.fetch(request);
    },
  };
  const producer = new Rivulet(overBinding(watched)).newProducer();
  let count = 0;
  while (upgrades.length === 0 || count < 20)
    await producer.send(topic.name, [{ value: String(count++) }]);
  await producer.close();
  expect(upgrades[0]).toBe(`/v1/topics/${topic.name}/partitions/0/socket`);
  expect(await readValues(topic)).toEqual(Array.from({ length: count }, (_, i) => [i, String(i)]));
});

test("[RPC-7] [RPC-8] a missing grant ends the consumer, and the error names it", async () => {
  const [topic, group] = [await createTopic(1), unique("group")];
  const [toTopic] = grantsFor(topic.name, group);
  const rivulet = new Rivulet(overBinding(bindingWith({ grants: [toTopic] })));
  const consumer = rivulet.consumer({ groupId: group, topics: [topic.name] });
  await expect(consumer.run({ eachRecord: () => {} })).rejects.toMatchObject({
    code: "GROUP_AUTHORIZATION_FAILED",
    message: expect.stringContaining(group),
  });
});

test("[RPC-9] malformed props are the error of every call, without a retry", async () => {
  const bound = exports as unknown as { Rivulet(options: { props: object }): RivuletService };
  const rivulet = new Rivulet(overBinding(bound.Rivulet({ props: { grants: "all" } })));
  const refusal = { name: "BrokerError", code: "INVALID_REQUEST", retriable: false };
  await expect(rivulet.admin.listTopics()).rejects.toMatchObject(refusal);
  await expect(rivulet.producer.send("orders", [{ value: "a" }])).rejects.toMatchObject(refusal);
  const consumer = rivulet.consumer({ groupId: "g", topics: ["orders"] });
  await expect(consumer.run({ eachRecord: () => {} })).rejects.toMatchObject(refusal);
});

test("[RPC-7] with its own token the SDK acts as the principal of the token", async () => {
  const { text } = await createKey(closed, {
    principal: "User:reporting",
    grants: [],
    expiresAtMs: null,
  });
  const rivulet = new Rivulet({ ...overBinding(bindingWith({})), token: text });
  expect(await rivulet.admin.whoami()).toMatchObject({ principal: "User:reporting" });
  const nobody = new Rivulet({ ...overBinding(bindingWith({})), token: "wrong" });
  await expect(nobody.admin.whoami()).rejects.toMatchObject({
    code: "SASL_AUTHENTICATION_FAILED",
  });
});
