// The origin of a request, and the stored region of a topic.
import { describe, expect, test } from "vitest";
import { storedTopic } from "../../../durable-objects/shared/stored-topic.ts";
import {
  changeTopicConfig,
  resolveTopic,
  type TopicDescription,
} from "../../../src/core/cluster/topics.ts";
import { REGIONS, regionOf } from "../../../src/core/placement.ts";

test.each([
  ["Lagos", { continent: "AF", country: "NG", longitude: "3.4" }, "afr"],
  ["Tokyo", { continent: "AS", country: "JP", longitude: "139.7" }, "apac"],
  ["Dubai", { continent: "AS", country: "AE", longitude: "55.3" }, "me"],
  ["Tel Aviv", { continent: "AS", country: "IL", longitude: "34.8" }, "me"],
  ["Lisbon", { continent: "EU", country: "PT", longitude: "-9.1" }, "weur"],
  ["Berlin", { continent: "EU", country: "DE", longitude: "13.4" }, "weur"],
  ["Warsaw", { continent: "EU", country: "PL", longitude: "21.0" }, "eeur"],
  ["somewhere in Europe", { continent: "EU" }, "weur"],
  ["San Francisco", { continent: "NA", country: "US", longitude: "-122.4" }, "wnam"],
  ["New York", { continent: "NA", country: "US", longitude: "-74.0" }, "enam"],
  ["somewhere in North America", { continent: "NA", longitude: "" }, "enam"],
  ["Lima", { continent: "SA", country: "PE", longitude: "-77.0" }, "sam"],
  ["Perth", { continent: "OC", country: "AU", longitude: "115.9" }, "oc"],
  ["Antarctica", { continent: "AN", country: "AQ" }, null],
  ["the Tor network", { country: "T1" }, null],
  ["nobody knows where", {}, null],
])("[PLC-2] a request from %s", (_, origin, region) => {
  expect(regionOf(origin)).toBe(region);
});

describe("a topic", () => {
  const described: TopicDescription = {
    name: "t",
    topicId: "id",
    partitions: 1,
    initialPartitions: 1,
    overrides: {},
  };
  const stored = (fields: object) =>
    storedTopic.parse(JSON.parse(JSON.stringify({ ...described, ...fields })));

  test.each([
    ["has the region that is stored", { region: "weur" }, "weur"],
    ["from before there were regions has none", {}, undefined],
    [
      "that an older release stored again has the one that was set",
      { overrides: { "rivulet.region": "oc" } },
      "oc",
    ],
    ["has the region that a newer release knows", { region: "moon" }, "moon"],
  ])("[PLC-2] %s, however often it is stored", (_, fields, region) => {
    const topic = stored(fields);
    expect(topic).toMatchObject({ region, config: { region: region ?? "" } });
    expect(stored(topic)).toEqual(topic);
  });

  test("[PLC-2] without a region gets none", () => {
    const topic = resolveTopic(described);
    for (const value of REGIONS)
      expect(changeTopicConfig(topic, { "rivulet.region": value })).toMatchObject({
        error: "INVALID_CONFIG",
        detail: `config rivulet.region is "${value}", but topic t is where it was created from and stays there; it can only be set when it is created`,
      });
  });
});
