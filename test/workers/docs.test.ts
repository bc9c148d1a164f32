// The documentation as served, and the page at the broker's address.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { ObjectError } from "../../src/core/platform-errors.ts";
import type { Env } from "../../src/env.ts";
import { forgetTroubles, noteFailure } from "../../src/storage-health.ts";
import { app } from "../../src/worker/http/app.ts";

const ORIGIN = "http://localhost";
const BROWSER = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return await exports.default.fetch(`${ORIGIN}${path}`, init);
}

/** Returns the paths of the files that a page names. */
function filesOf(page: string): string[] {
  const named = page.matchAll(/(?:src|href|data-index)="(\/docs\/(?:assets|pictures)\/[^"]+)"/g);
  return [...new Set(Array.from(named, ([, path]) => path ?? ""))];
}

const PAGES = ["/docs", "/docs/", "/docs/api", "/docs/api/", "/docs/protocol", "/docs/spec/"];

describe("the pages", () => {
  test.each(PAGES)("[DOC-3] there is one at %s, which a browser asks for again", async (path) => {
    const response = await ask(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    const text = await response.text();
    expect(text).toMatch(/^<!doctype html>/);
    expect(text).toContain('<main id="content"');
    const etag = response.headers.get("etag") ?? "";
    expect(etag).toMatch(/^W\/"[0-9a-f]{16}"$/);
    const again = await ask(path, { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
    expect(again.headers.get("etag")).toBe(etag);
    expect(await again.text()).toBe("");
    const other = await ask(path, { headers: { "if-none-match": 'W/"0123456789abcdef"' } });
    expect(other.status).toBe(200);
    await other.body?.cancel();
  });

  test.each<[number, (hash: string) => string]>([
    [304, (hash) => `"${hash}"`],
    [304, (hash) => `"a", W/"b,c" ,W/"${hash}"`],
    [304, () => " * "],
    [200, (hash) => `W/"x${hash}"`],
    [200, (hash) => `"a, ${hash}"`],
    [200, (hash) => hash],
    [200, () => '"*"'],
    [200, () => ""],
  ])("[DOC-3] answers %i to a browser that has a list of tags: %s", async (status, tagsOf) => {
    const { headers, body } = await ask("/docs");
    await body?.cancel();
    const [, hash = ""] = /"(.*)"/.exec(headers.get("etag") ?? "") ?? [];
    const answer = await ask("/docs", { headers: { "if-none-match": tagsOf(hash) } });
    expect(answer.status).toBe(status);
    await answer.body?.cancel();
  });

  test.each([...PAGES, "/"])("[DOC-4] %s lets nothing run but its own scripts", async (path) => {
    const response = await ask(path, { headers: BROWSER });
    const text = await response.text();
    const { headers } = response;
    expect(headers.get("content-security-policy")?.split("; ")).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "img-src 'self' data:",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("set-cookie")).toBe(null);
    expect(text).not.toMatch(/<style|\sstyle="|<script(?![^>]* src="\/docs\/assets\/)|\son\w+="/);
  });

  test.each(PAGES)("[DOC-3] %s answers HEAD without a body", async (path) => {
    const response = await ask(path, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(response.headers.get("etag")).toMatch(/^W\/"/);
    expect(await response.text()).toBe("");
  });

  test.each(["POST", "PUT", "PATCH", "DELETE"])("[DOC-3] they take no %s", async (method) => {
    for (const path of ["/docs", "/docs/api"]) {
      const response = await ask(path, { method });
      expect(response.status).toBe(405);
      expect(response.headers.get("allow")).toBe("GET, HEAD");
      await response.body?.cancel();
    }
  });

  test("[DOC-3] a page that is not there is 404: a page to a browser, and a problem to others", async () => {
    const page = await ask("/docs/nowhere", { headers: BROWSER });
    expect(page.status).toBe(404);
    expect(page.headers.get("cache-control")).toBe("no-store");
    expect(page.headers.get("vary")).toMatch(/\baccept\b/);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await page.text()).toContain("There is no such page");
    for (const accept of ["*/*", "text/html;q=0, application/json"]) {
      const problem = await ask("/docs/nowhere", { headers: { accept } });
      expect(problem.status).toBe(404);
      expect(problem.headers.get("cache-control")).toBe("no-store");
      expect(problem.headers.get("vary")).toMatch(/\baccept\b/);
      expect(await problem.json()).toMatchObject({ code: "INVALID_REQUEST" });
    }
  });

  test("[DOC-3] a page that is not there has a body, whatever the browser has", async () => {
    const text = await (await ask("/docs/nowhere", { headers: BROWSER })).text();
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const hash = new Uint8Array(digest).toHex().slice(0, 16); // As the tags of pages are made.
    for (const known of ["*", `W/"${hash}"`]) {
      const answer = await ask("/docs/nowhere", {
        headers: { ...BROWSER, "if-none-match": known },
      });
      expect(answer.status).toBe(404);
      expect(await answer.text()).toBe(text);
    }
  });

  test("[DOC-3] each link of a page to another leads there", async () => {
    for (const path of PAGES) {
      const text = await (await ask(path)).text();
      const linked = new Set(
        Array.from(text.matchAll(/href="(\/docs(?:\/[^"#]*)?)[#"]/g), ([, href]) => href ?? ""),
      );
      expect(linked.size).toBeGreaterThan(3);
      for (const href of linked) {
        const response = await ask(href);
        expect(response.status, `${path} links to ${href}`).toBe(200);
        await response.body?.cancel();
      }
    }
  });
});

describe("their files", async () => {
  const files = filesOf(await (await ask("/docs")).text());

  test.each(files)("[DOC-3] %s is kept for good", async (path) => {
    const response = await ask(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    const etag = response.headers.get("etag") ?? "";
    expect(path).toContain(/^W\/"(\w{8,16})"$/.exec(etag)?.[1] ?? "no hash");
    await response.body?.cancel();
    const again = await ask(path, { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe("");
  });

  test("[DOC-3] have the types that browsers want", async () => {
    const types = await Promise.all(
      files.map(async (path) => {
        const response = await ask(path);
        await response.body?.cancel();
        return [/\.(\w+)$/.exec(path)?.[1], response.headers.get("content-type")];
      }),
    );
    expect(types).toEqual([
      ["txt", "text/plain; charset=utf-8"],
      ["js", "text/javascript; charset=utf-8"],
      ["css", "text/css; charset=utf-8"],
      ["js", "text/javascript; charset=utf-8"],
      ["json", "application/json; charset=utf-8"],
    ]);
  });

  test.each(["main-0123456789abcdef.js", ""])(
    "[DOC-3] %j of another release is 404, whoever asks",
    async (name) => {
      const response = await ask(`/docs/assets/${name}`, { headers: BROWSER });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: "INVALID_REQUEST" });
    },
  );
});

test("[DOC-3] [DOC-4] pictures are SVG, whose own style is all that holds in them", async () => {
  const first = await (await ask("/docs")).text();
  const linked = new Set(
    Array.from(first.matchAll(/href="(\/docs\/[\w-]+)"/g), ([, href]) => href),
  );
  const pages = await Promise.all([...linked].map(async (href) => (await ask(href ?? "")).text()));
  const pictures = pages.flatMap(filesOf).filter((path) => path.includes("/pictures/"));
  expect(pictures.length).toBeGreaterThan(0);
  for (const path of pictures) {
    const response = await ask(path);
    expect(response.status).toBe(200);
    const { headers } = response;
    expect(headers.get("content-type")).toBe("image/svg+xml");
    expect(headers.get("cache-control")).toBe("no-cache");
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    expect(await response.text()).toMatch(/^<svg /);
    const known = { "if-none-match": headers.get("etag") ?? "" };
    expect((await ask(path, { headers: known })).status).toBe(304);
  }
});

const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };

/** Sends a request to a broker with these variables. */
async function asked(
  env: Partial<Env>,
  path: string,
  { origin = ORIGIN, headers = BROWSER }: { origin?: string; headers?: HeadersInit } = {},
): Promise<Response> {
  const request = new Request(`${origin}${path}`, { headers });
  return await app.fetch(request, env as Env, context as never);
}

const OPEN = { RIVULET_OPEN: "loopback" };
const CLOSED = { RIVULET_ROOT_KEY: "k" };
const textOf = async (response: Response) =>
  (await response.text())
    .replace(/<[^>]+>/g, "")
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&");

describe("who gets them", () => {
  test.each(["/docs", "/docs/api", "/"])(
    "[DOC-3] [DOC-7] whoever reaches a broker that asks who calls: %s",
    async (path) => {
      const response = await asked(CLOSED, path, { origin: "https://broker.example" });
      expect(response.status).toBe(200);
      await response.body?.cancel();
    },
  );

  test.each(["/docs", "/"])(
    "[DOC-3] [MODE-1] an open broker answers %s to its own machine only",
    async (path) => {
      const response = await asked(OPEN, path, { origin: "http://broker.example" });
      expect(response.status).toBe(403);
      await response.body?.cancel();
    },
  );
});

describe("the page at the address", () => {
  afterEach(() => forgetTroubles());

  test("[DOC-7] says that the broker runs, its release and its addresses, and where to go on", async () => {
    const env = { ...OPEN, KAFKA_ADVERTISE: "127.0.0.1:9092", AUTO_CREATE_TOPICS_ENABLE: "true" };
    const response = await asked(env, "/", { origin: "http://127.0.0.1:8787" });
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("vary")).toContain("accept");
    const html = await response.clone().text();
    for (const href of ["/console", "/console/learn", "/docs", "/docs/api"])
      expect(html).toContain(`<a href="${href}">`);
    const text = await textOf(response);
    expect(text).toContain("Running and healthy");
    expect(text).toMatch(/Rivulet \d+\.\d+\.\d+/);
    expect(text).toContain("export RIVULET_URL=http://127.0.0.1:8787\n");
    expect(text).toContain('new Rivulet({ url: "http://127.0.0.1:8787" })');
    expect(text).toContain("kcat -b 127.0.0.1:9092 -L");
    expect(text).not.toMatch(/key is needed|RIVULET_TOKEN|kafka-bridge/);
  });

  test("[DOC-7] says how many objects fail", async () => {
    const place = { name: "partition t/0", file: "f" };
    noteFailure(
      new ObjectError(new Error("disk I/O error: SQLITE_IOERR"), place),
      "append",
      undefined,
    );
    const text = await textOf(await asked(OPEN, "/"));
    expect(text).toContain("Storage failures: 1");
    expect(text).not.toContain("partition t/0");
  });

  test("[DOC-7] of a closed broker says that a key is needed, and never shows one", async () => {
    const env = { ...CLOSED, RIVULET_ROOT_KEY: "very-secret", KAFKA_ADVERTISE: "k:9092,l:9093" };
    const text = await textOf(await asked(env, "/", { origin: "https://broker.example" }));
    expect(text).toContain("A key is needed");
    expect(text).toContain("RIVULET_TOKEN=YOUR_KEY");
    expect(text).toContain('curl -H "Authorization: Bearer $RIVULET_TOKEN"');
    expect(text).toContain("token: process.env.RIVULET_TOKEN");
    expect(text).toContain("kcat -b k:9092,l:9093 -X security.protocol=SASL_PLAINTEXT");
    expect(text).not.toContain("very-secret");
  });

  test.each(["RIVULET_KAFKA_TLS", "RIVULET_KAFKA_TLS_IN_FRONT"])(
    "[DOC-7] where Kafka's clients speak TLS (%s), the example does",
    async (name) => {
      const env = { ...CLOSED, KAFKA_ADVERTISE: "k:9092", [name]: "1" };
      const text = await textOf(await asked(env, "/", { origin: "https://broker.example" }));
      expect(text).toContain("security.protocol=SASL_SSL");
    },
  );

  test("[DOC-7] a broker without a root key says how it gets one", async () => {
    const text = await textOf(await asked({}, "/", { origin: "https://broker.example" }));
    expect(text).toContain("npx wrangler secret put RIVULET_ROOT_KEY");
  });

  test("[DOC-7] where no port speaks Kafka's protocol, its clients take the bridge", async () => {
    const text = await textOf(await asked(CLOSED, "/", { origin: "https://broker.example" }));
    expect(text).toContain("npx rivulet --url https://broker.example kafka-bridge");
    expect(text).toContain("kcat -b 127.0.0.1:9092");
  });

  test.each([
    ["https", "https://broker.example"],
    [" HTTPS , http", "https://broker.example"],
    ["http, https", "http://broker.example"],
    ["javascript", "http://broker.example"],
  ])("[DOC-7] behind a proxy that says %j, the shown address is %s", async (proto, shown) => {
    const headers = { ...BROWSER, "x-forwarded-proto": proto };
    const asking = { origin: "http://broker.example", headers };
    const text = await textOf(await asked(CLOSED, "/", asking));
    expect(text).toContain(`export RIVULET_URL=${shown} `);
    expect(text).toContain(`new Rivulet({ url: "${shown}"`);
  });

  test("[DOC-7] no proxy makes an https address one of http", async () => {
    const headers = { ...BROWSER, "x-forwarded-proto": "http" };
    const asking = { origin: "https://broker.example", headers };
    const text = await textOf(await asked(CLOSED, "/", asking));
    expect(text).toContain("export RIVULET_URL=https://broker.example ");
  });

  test("[DOC-7] a name that a shell would read stands in quotes", async () => {
    const response = await asked(CLOSED, "/", { origin: "http://$(touch+x).example" });
    // The address alone is no command.
    const page = (await response.text()).replace(/<div class="code address">.*?<\/div>/g, "");
    const text = await textOf(new Response(page));
    expect(text).toContain("export RIVULET_URL='http://$(touch+x).example'");
    expect(text).not.toMatch(/[^'"`]http:\/\/\$\(touch\+x\)\.example(?!<)[ \n]/);
  });
});
