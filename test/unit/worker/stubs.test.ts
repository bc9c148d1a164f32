// The place of the called objects: in which region, and in which jurisdiction.
import { describe, expect, test, vi } from "vitest";
import { JURISDICTIONS, REGIONS } from "../../../src/core/placement.ts";
import {
  clusterStub,
  type Env,
  groupStub,
  outerClusterStub,
  partitionStub,
  relayStub,
} from "../../../src/env.ts";
import { Invocation } from "../../../src/worker/edge/invocation.ts";

describe("an object", () => {
  function asked() {
    const getByName = vi.fn((_name: string, _options?: object) => ({}));
    const namespace = { getByName };
    const env = { PARTITION: namespace, GROUP: namespace, RELAY: namespace } as unknown as Env;
    return { env, getByName };
  }

  test.each(REGIONS)("[PLC-2] [RLY-6] is requested in %s", (region) => {
    const { env, getByName } = asked();
    partitionStub(env, "id", 3, region);
    relayStub(env, { topicId: "id", partition: 3, relay: 1 }, region);
    groupStub({ ...env, region }, "g");
    groupStub({ ...env, region: "oc" }, "h", region);
    const options = { locationHint: region };
    expect(getByName.mock.calls).toEqual([
      ["id/3", options],
      ["id/3/1", options],
      ["g", options],
      ["h", options],
    ]);
  });

  test.each([undefined, "", "moon"])(
    "[PLC-2] is requested anywhere, if the region is %j",
    (region) => {
      const { env, getByName } = asked();
      partitionStub(env, "id", 3, region);
      expect(getByName.mock.calls).toEqual([["id/3", undefined]]);
    },
  );
});

describe("a deployment", () => {
  /** Stubs that say where they are. */
  function envIn(jurisdiction?: string): Env {
    const namespace = (place: string) => ({
      getByName: (name: string) => ({ place: `${place}${name}` }),
      jurisdiction: (name: string) => namespace(`${name}: `),
    });
    const [CLUSTER, PARTITION, GROUP, RELAY] = Array.from({ length: 4 }, () => namespace(""));
    const namespaces = { CLUSTER, PARTITION, GROUP, RELAY };
    const variable = jurisdiction === undefined ? {} : { RIVULET_JURISDICTION: jurisdiction };
    return { ...namespaces, ...variable } as unknown as Env;
  }

  const placesOf = (env: Env) =>
    [clusterStub(env), partitionStub(env, "id", 3), groupStub(env, "g"), relayOf(env)].map(
      (stub) => (stub as unknown as { place: string }).place,
    );
  const relayOf = (env: Env) => relayStub(env, { topicId: "id", partition: 3, relay: 1 });

  test.each(JURISDICTIONS)(
    "[PLC-1] [RLY-6] with the jurisdiction %s has all its objects there",
    (name) => {
      const places = [`${name}: cluster`, `${name}: id/3`, `${name}: g`, `${name}: id/3/1`];
      expect(placesOf(envIn(name))).toEqual(places);
      expect(placesOf(new Invocation(envIn(name)).env)).toEqual(places);
      expect(outerClusterStub(envIn(name))).toMatchObject({ place: "cluster" });
    },
  );

  test.each([undefined, ""])("[PLC-1] without one (%j) has them in none", (name) => {
    expect(placesOf(envIn(name))).toEqual(["cluster", "id/3", "g", "id/3/1"]);
  });

  test.each(["EU", "mars", " "])(
    "[PLC-1] with an invalid jurisdiction (%j) calls nothing",
    (name) => {
      const calls = [
        (env: Env) => clusterStub(env),
        (env: Env) => partitionStub(env, "id", 3),
        (env: Env) => groupStub(env, "g"),
        relayOf,
      ];
      for (const call of calls)
        expect(() => call(envIn(name))).toThrow(
          expect.objectContaining({
            code: "KAFKA_STORAGE_ERROR",
            retriable: false,
            message: `RIVULET_JURISDICTION is "${name}", it must be eu, fedramp, fedramp-high, us or empty`,
          }),
        );
    },
  );
});
