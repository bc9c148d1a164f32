// The SDK in Node, over the network.
import { afterAll, beforeAll } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { sdkSuite } from "../support/sdk-suite.ts";
import { BrokerProcess } from "./broker.ts";

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start();
});
afterAll(() => broker.stop());

sdkSuite(() => new Rivulet({ url: broker.url }));
