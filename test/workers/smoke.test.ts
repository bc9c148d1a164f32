import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import { forgetTroubles } from "../../src/storage-health.ts";

test("[SYS-1] the Worker answers", async () => {
  forgetTroubles(); // Other tests make storage fail, in the same isolate.
  const response = await exports.default.fetch("https://rivulet/health");
  expect(response.status).toBe(200);
});
