// Kafka's admins' view of API keys, and the responses to attempts to change them.
import { afterEach, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { alterKey, createKey } from "../../src/worker/access/keys.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import { closeSockets, env, unique } from "./support.ts";

afterEach(closeSockets);

interface Described {
  readonly errorCode: number;
  readonly errorMessage: string;
  readonly resources: readonly {
    readonly resourceType: number;
    readonly resourceName: string;
    readonly patternType: number;
    readonly acls: readonly object[];
  }[];
}

const ANY = {
  resourceType: 1,
  resourceName: null,
  patternType: 1,
  principal: null,
  host: null,
  operation: 1,
  permissionType: 1,
};

async function described(filter: object, version = 3): Promise<Described> {
  const kafka = await Kafka.open();
  return kafka.ask<Described>(messages.DESCRIBE_ACLS, version, { ...ANY, ...filter });
}

test.each([1, 2, 3])(
  "[KFK-32] version %i shows the grants of a principal's keys together, each once",
  async (version) => {
    const principal = `User:${unique("shop")}`;
    const orders = { topics: { prefix: "orders." } };
    const once = { ...orders, operations: ["READ"] as const };
    const more = { ...orders, operations: ["READ", "WRITE"] as const };
    for (const grants of [[once], [more, { cluster: ["ALTER"] as const }]])
      await createKey(env, { principal, grants, expiresAtMs: null });
    const entry = (operation: number) => ({ principal, host: "*", operation, permissionType: 3 });
    expect(await described({ principal }, version)).toMatchObject({
      errorCode: KAFKA_ERRORS.NONE,
      resources: [
        { resourceType: 2, resourceName: "orders.", patternType: 4, acls: [entry(3), entry(4)] },
        { resourceType: 4, resourceName: "kafka-cluster", patternType: 3, acls: [entry(7)] },
      ],
    });
    expect((await described({ principal, operation: 4 }, version)).resources).toMatchObject([
      { resourceName: "orders.", acls: [entry(4)] },
    ]);
  },
);

test("[KFK-32] an expired key gives no rights, and none are shown", async () => {
  const principal = `User:${unique("gone")}`;
  const grants = [{ cluster: ["ALL"] as const }];
  const { key } = await createKey(env, { principal, grants, expiresAtMs: Date.now() + 3_600_000 });
  expect((await described({ principal })).resources).toHaveLength(1);
  await alterKey(env, key.id, { grants: undefined, expiresAtMs: Date.now() - 1, quota: undefined });
  expect((await described({ principal })).resources).toEqual([]);
});

test("[KFK-32] a filter with an unknown code is rejected", async () => {
  expect(await described({ operation: 0 })).toEqual({
    throttleTimeMs: 0,
    errorCode: ERRORS.INVALID_REQUEST.code,
    errorMessage: "operation is 0, it must be from 1 to 15",
    resources: [],
  });
});

test("[KFK-33] each change is refused with what to do instead, and nothing changes", async () => {
  const principal = `User:${unique("shop")}`;
  const grants = [{ topics: { exact: "orders" }, operations: ["READ"] as const }];
  await createKey(env, { principal, grants, expiresAtMs: null });
  const before = await described({ principal });
  const kafka = await Kafka.open();
  const refusal = {
    errorCode: ERRORS.UNSUPPORTED_VERSION.code,
    errorMessage: expect.stringContaining("PATCH /v1/keys/ID"),
  };
  const acl = { ...ANY, resourceType: 2, resourceName: "clicks", principal, host: "*" };
  expect(await kafka.ask(messages.CREATE_ACLS, 3, { creations: [acl, acl] })).toMatchObject({
    results: [refusal, refusal],
  });
  expect(await kafka.ask(messages.DELETE_ACLS, 3, { filters: [ANY, ANY] })).toMatchObject({
    filterResults: [
      { ...refusal, matchingAcls: [] },
      { ...refusal, matchingAcls: [] },
    ],
  });
  expect(await described({ principal })).toEqual(before);
});
