// The examples on the page at the broker's address, run as they are shown.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerProcess } from "./broker.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const ROOT_KEY = "the-root-key-of-this-page";
const run = promisify(execFile);

/** Returns the last block of code in a section of the page. */
function exampleOf(page: string, id: string): string {
  const [, section = ""] = page.split(`<h2 id="${id}">`);
  const blocks = [
    ...section.slice(0, section.indexOf("</section>")).matchAll(/<code>([^<]*)<\/code><\/pre>/g),
  ];
  return (blocks.at(-1)?.[1] ?? "")
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&gt;", ">")
    .replaceAll("&lt;", "<")
    .replaceAll("&amp;", "&");
}

describe.each([
  { kind: "an open broker", key: null },
  { kind: "a closed broker", key: ROOT_KEY },
])("of $kind", ({ key }) => {
  let broker: BrokerProcess;
  let page = "";
  beforeAll(async () => {
    const env: Record<string, string> = key === null ? {} : { RIVULET_ROOT_KEY: key };
    broker = await BrokerProcess.start({ env });
    const answer = await fetch(broker.url, { headers: { accept: "text/html" } });
    page = await answer.text();
  });
  afterAll(() => broker.stop());

  const runIt = async (program: string, args: string[]) => {
    const env = { ...process.env, ...(key === null ? {} : { RIVULET_TOKEN: key }) };
    return (await run(program, args, { cwd: ROOT, env })).stdout;
  };

  test("[DOC-7] the one of the command line works as pasted", async () => {
    const example = exampleOf(page, "cli").replace("YOUR_KEY", ROOT_KEY);
    expect(example).toContain(`RIVULET_URL=${broker.url}`);
    expect(await runIt("sh", ["-ec", example])).toContain('{"text":"Hello"}');
  });

  test("[DOC-7] the one of HTTP works as pasted", async () => {
    const output = await runIt("sh", ["-ec", exampleOf(page, "http")]);
    expect(output).toContain('"name":"hello-http"');
    expect(output).toContain('"value":"Hello"');
  });

  test("[DOC-7] the one of the SDK works as pasted", async () => {
    const example = exampleOf(page, "sdk");
    for (let times = 1; times <= 2; times++)
      expect(await runIt(process.execPath, ["--input-type=module", "-e", example])).toBe(
        "0 Hello\n",
      );
  });

  test("[DOC-7] the addresses of Kafka's clients are those that the broker listens on", () => {
    const ready = broker.lines.find((line) => line.includes("Rivulet is ready")) ?? "";
    const [, address = "none"] = /Kafka on ([\d.:]+)/.exec(ready) ?? [];
    expect(exampleOf(page, "kafka")).toContain(`kcat -b ${address} `);
  });
});
