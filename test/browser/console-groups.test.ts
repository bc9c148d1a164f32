// The console's view of groups at work, and the alerts that a user sets there.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { violationsIn } from "./axe.ts";
import { launchChromium } from "./chromium.ts";
import { ConsoleWorld, openWindow, SCREENSHOTS, signIn } from "./console-world.ts";

let world: ConsoleWorld;
let browser: Browser;
let receiver: Server;
const received: { type: string; signature: string }[] = [];
beforeAll(async () => {
  world = await ConsoleWorld.start();
  browser = await launchChromium();
  receiver = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const signature = String(request.headers["webhook-signature"]);
    received.push({ type: JSON.parse(body).type, signature });
    response.end();
  }).listen(0, "127.0.0.1");
});
afterAll(async () => {
  receiver?.close();
  await browser?.close();
  await world?.stop();
});

async function opened(path: string) {
  const { url } = world.broker;
  const window = await openWindow(browser, url);
  await signIn(window.page, url);
  await window.page.goto(`${url}/console${path}`);
  return window;
}

test("[CON-20] records flow to the member that reads them, and the lag is shown over time, until the user pauses it", async () => {
  const { rivulet } = world;
  await rivulet.admin.createTopic({ name: "orders", partitions: 3 });
  const consumer = rivulet.consumer({
    ...{ groupId: "billing", topics: ["orders"], from: "earliest", clientId: "biller" },
    commitIntervalMs: 200,
  });
  consumer.run({ eachRecord: async () => {} }).catch(() => {}); // The broker stops first.
  let isSending = true;
  const sending = (async () => {
    for (let i = 0; isSending; i++) {
      await rivulet.producer.send("orders", [{ key: `k${i}`, value: "v" }]);
      await new Promise((resolve) => setTimeout(resolve, 10)); // A steady stream.
    }
  })();
  const { context, page, faults } = await opened("/groups/billing");
  await page.locator("svg .member path.flow").first().waitFor({ state: "attached" });
  const told = await page.locator("svg .member path.flow title").first().textContent();
  expect(told).toMatch(/^orders\/\d: [\d,]+ records a second$/);
  await page.locator(".trend polyline").waitFor();
  const text = await page.locator(".trend figcaption").textContent();
  expect(text).toMatch(
    /^Lag over .+: (steady|growing|shrinking), from [\d,]+ to [\d,]+, at most [\d,]+\./,
  );
  await page.getByText("The numbers").click();
  expect(await page.locator(".trend tbody tr").count()).toBeGreaterThanOrEqual(2);
  expect(await violationsIn(page)).toEqual([]);
  await page.screenshot({ path: `${SCREENSHOTS}/group-flowing.png`, fullPage: true });
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("svg .member path.flow").first().waitFor({ state: "detached" });
  isSending = false;
  await sending;
  await consumer.close();
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-21] an alert is set, tried, changed and removed, and its secret is shown once", async () => {
  const { context, page, faults } = await opened("/alerts");
  await page.getByText("There are no alerts.").waitFor();
  await page.getByRole("button", { name: "Create an alert…" }).click();
  await page.getByLabel("Name").fill("late");
  await page.getByLabel("For these groups").fill("bill*");
  await page.getByLabel("Seconds behind").fill("0");
  const { port } = receiver.address() as AddressInfo;
  await page.getByLabel("Webhook").fill(`http://127.0.0.1:${port}/hook`);
  await page.getByLabel("Seconds behind").fill("86400");
  await page.getByRole("button", { name: "Set the alert" }).click();
  const secret = await page.locator("dialog code").textContent();
  expect(secret).toMatch(/^whsec_/);
  expect(await violationsIn(page)).toEqual([]);
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByText("Any of the groups bill* is 1 d behind.").waitFor();
  await page.getByRole("button", { name: "Test" }).click();
  await until("the webhook is told", () => received.length === 1);
  expect(received[0]).toMatchObject({
    type: "alert.test",
    signature: expect.stringMatching(/^v1,/),
  });
  await until("the page says that it was taken", async () => {
    await page.getByRole("button", { name: "Reload" }).click();
    return (await page.locator("tbody").first().textContent())?.includes("Delivered") ?? false;
  });
  await page.getByRole("button", { name: "Edit…" }).click();
  await page.getByLabel("Seconds behind").fill("120");
  await page.getByRole("button", { name: "Set the alert" }).click();
  await page.getByText("Any of the groups bill* is 2 min behind.").waitFor();
  expect(await page.locator("dialog").count(), "its secret is not shown again").toBe(0);
  await page.getByRole("button", { name: "Remove…" }).click();
  await page.getByLabel("Type late to confirm").fill("late");
  await page.getByRole("button", { name: "Remove the alert" }).click();
  await page.getByText("There are no alerts.").waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-22] all groups are listed by lag, and those of a topic at the topic", async () => {
  const { rivulet } = world;
  const stand = async (groupId: string, offset: number) => {
    await rivulet.admin.alterGroup(groupId, { config: { "group.max.size": 9 } });
    const offsets = [{ topic: "orders", partition: 0, offset }];
    await rivulet.admin.resetGroup(groupId, { offsets });
  };
  await stand("slow", 0);
  await stand("slower", 1);
  const { context, page, faults } = await opened("/lags");
  const names = async () => (await page.locator("tbody th").allTextContents()).join();
  await until("both have told", async () => {
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByLabel("Order", { exact: true }).selectOption("lag");
    return (await names()).startsWith("slow,slower");
  });
  await page.getByLabel("State").selectOption("Stable");
  await until("only those remain", async () => !(await names()).includes("slow"));
  await page.goto(`${world.broker.url}/console/topics/orders/groups`);
  await page.getByRole("link", { name: "slower" }).waitFor();
  await page.goto(`${world.broker.url}/console`);
  await page.getByRole("heading", { name: "Furthest behind" }).waitFor();
  await page.getByRole("link", { name: "slower" }).click();
  await page.getByRole("heading", { name: "slower" }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});
