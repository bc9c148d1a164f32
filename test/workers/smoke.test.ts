import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";

test("[SYS-1] the Worker answers", async () => {
  const response = await exports.default.fetch("https://localhost/health");
  expect(response.status).toBe(200);
});
