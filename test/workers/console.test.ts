// The console as served.
import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { Env } from "../../src/env.ts";
import { app } from "../../src/worker/http/app.ts";

const ORIGIN = "http://localhost";

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return await exports.default.fetch(`${ORIGIN}${path}`, init);
}

async function filesOf(page: string): Promise<string[]> {
  const named = [...page.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g)];
  return named.map(([, path]) => path ?? "");
}

/** Returns the scripts that the scripts among these files load later. */
async function importedBy(paths: readonly string[]): Promise<string[]> {
  const imported = paths
    .filter((path) => path.endsWith(".js"))
    .map(async (path) => {
      const text = await (await ask(path)).text();
      return [...text.matchAll(/import\("\.\/([^"]+)"\)/g)].map(([, name]) => name ?? "");
    });
  return (await Promise.all(imported)).flat().map((name) => `/console/assets/${name}`);
}

describe("the page", () => {
  test.each([
    "/console",
    "/console/",
    "/console/groups/a%2Fb/history",
    "/console/topics/t/records/0/42",
    "/console/nowhere",
    "/console/learn",
  ])("[CON-1] [LRN-1] is at %s, and never cached", async (path) => {
    const response = await ask(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.text()).toMatch(/^<!doctype html>/);
  });

  test("[CON-2] runs nothing but its own script", async () => {
    const { headers } = await ask("/console");
    const policy = headers.get("content-security-policy")?.split("; ") ?? [];
    expect(policy).toEqual([
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
  });

  test("[CON-1] answers HEAD without a body", async () => {
    const response = await ask("/console", { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(response.headers.get("etag")).toMatch(/^W\/"[0-9a-f]{16}"$/);
    expect(await response.text()).toBe("");
  });

  test.each(["POST", "PUT", "PATCH", "DELETE"])("[CON-1] does not support %s", async (method) => {
    const response = await ask("/console", { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    await response.body?.cancel();
  });
});

describe("its files", async () => {
  const named = await filesOf(await (await ask("/console")).text());
  const files = [...named, ...(await importedBy(named))];
  const ofLesson = await filesOf(await (await ask("/console/learn")).text());
  const lesson = [...ofLesson, ...(await importedBy(ofLesson))];

  test("[LRN-1] the lesson has a script and a style of its own, beside the console's style", () => {
    const own = ofLesson.filter((path) => !named.includes(path));
    expect(own).toHaveLength(2);
    for (const path of own) expect(path).toMatch(/^\/console\/assets\/learn-[\w-]+\.(css|js)$/);
    expect(ofLesson.filter((path) => named.includes(path))).toHaveLength(2); // And the licenses.
  });

  test.each([...new Set([...files, ...lesson])])(
    "[CON-1] [LRN-1] %s is cached for good",
    async (path) => {
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
    },
  );

  test("[CON-1] have the types that browsers want", async () => {
    expect(files.length).toBeGreaterThan(5);
    const types = await Promise.all(
      files.map(async (path) => {
        const response = await ask(path);
        await response.body?.cancel();
        return response.headers.get("content-type");
      }),
    );
    expect(types).toEqual([
      "text/plain; charset=utf-8",
      "text/css; charset=utf-8",
      ...files.slice(2).map(() => "text/javascript; charset=utf-8"),
    ]);
  });

  test.each(["console-0123456789abcdef.js", "learn", ""])(
    "[CON-1] %j of another release, or a page among them, is 404",
    async (name) => {
      const response = await ask(`/console/assets/${name}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: "INVALID_REQUEST" });
    },
  );
});

describe("who gets it", () => {
  const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };
  const asked = async (url: string, env: Partial<Env>, headers: Record<string, string> = {}) =>
    await app.fetch(new Request(url, { headers }), env as Env, context as never);

  test("[CON-1] anyone who reaches a broker that asks for credentials", async () => {
    const response = await asked("https://broker.example/console", { RIVULET_ROOT_KEY: "k" });
    expect(response.status).toBe(200);
    await response.body?.cancel();
  });

  test.each([
    ["http://broker.example/console", {}],
    ["http://localhost/console", { origin: "https://elsewhere.example" }],
  ])("[CON-1] [MODE-1] an open broker does not answer %s", async (url, headers) => {
    const response = await asked(url, { RIVULET_OPEN: "loopback" }, headers);
    expect(response.status).toBe(403);
    await response.body?.cancel();
  });
});
