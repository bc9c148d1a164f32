// Where the objects are that are called: in which region.
import { describe, expect, test, vi } from "vitest";
import { REGIONS } from "../../../src/core/placement.ts";
import { type Env, groupStub, partitionStub } from "../../../src/env.ts";

describe("an object", () => {
  function asked() {
    const getByName = vi.fn((_name: string, _options?: object) => ({}));
    const env = { PARTITION: { getByName }, GROUP: { getByName } } as unknown as Env;
    return { env, getByName };
  }

  test.each(REGIONS)("[PLC-2] is asked for in %s", (region) => {
    const { env, getByName } = asked();
    partitionStub(env, "id", 3, region);
    groupStub({ ...env, region }, "g");
    groupStub({ ...env, region: "oc" }, "h", region);
    const options = { locationHint: region };
    expect(getByName.mock.calls).toEqual([
      ["id/3", options],
      ["g", options],
      ["h", options],
    ]);
  });

  test.each([undefined, "", "moon"])(
    "[PLC-2] is asked for anywhere, where the region is %j",
    (region) => {
      const { env, getByName } = asked();
      partitionStub(env, "id", 3, region);
      expect(getByName.mock.calls).toEqual([["id/3", undefined]]);
    },
  );
});
