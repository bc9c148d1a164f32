// Access to a broker on this machine: everybody, or the holder of a key.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { accessFor } from "../../../src/self-host/access.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rivulet-access-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const HERE = "127.0.0.1";
const ANYWHERE = "0.0.0.0";
const KEY = "a-root-key-that-is-long-enough";
const OTHER = "another-root-key-of-that-length";
const file = (name: string) => join(folder, name);
const rootKeyIn = ({ variables }: ReturnType<typeof accessFor>) => variables.RIVULET_ROOT_KEY;

test("[MODE-1] on a loopback address without a key it is open, and leaves nothing behind", () => {
  for (const host of [HERE, "localhost", "127.0.0.2", "::1"])
    expect(accessFor(host, folder, {})).toMatchObject({ isOpen: true, notice: null });
  expect(existsSync(file("closed"))).toBe(false);
});

test.each(["RIVULET_ROOT_KEY", "RIVULET_ROOT_KEY_NEXT"])(
  "[MODE-2] with %s it is closed",
  (name) => {
    for (const host of [HERE, ANYWHERE])
      expect(accessFor(host, folder, { [name]: KEY })).toMatchObject({
        isOpen: false,
        notice: null,
      });
  },
);

test("[MODE-2] elsewhere it gets a key, which is kept for its owner and printed once", () => {
  const first = accessFor(ANYWHERE, folder, {});
  const key = readFileSync(file("root-key"), "utf8").trim();
  expect(rootKeyIn(first)).toBe(key);
  expect(key).toHaveLength(43);
  expect(first.notice).toContain(key);
  expect(statSync(file("root-key")).mode & 0o777).toBe(0o600);
  const again = accessFor(ANYWHERE, folder, {});
  expect(rootKeyIn(again)).toBe(key);
  expect(again.notice).toBeNull();
});

describe("[MODE-2] data that was behind a key", () => {
  test("[MODE-2] stays behind the key that is kept with it", () => {
    const key = rootKeyIn(accessFor(ANYWHERE, folder, {}));
    const here = accessFor(HERE, folder, {});
    expect(here.isOpen).toBe(false);
    expect(rootKeyIn(here)).toBe(key);
  });

  test("[MODE-2] is not opened by a start without one", () => {
    accessFor(HERE, folder, { RIVULET_ROOT_KEY: KEY });
    expect(() => accessFor(HERE, folder, {})).toThrow(
      `set RIVULET_ROOT_KEY, or delete ${file("closed")}`,
    );
    rmSync(file("closed"));
    expect(accessFor(HERE, folder, {}).isOpen).toBe(true);
  });

  test("[MODE-2] has no old key that comes back", () => {
    const old = rootKeyIn(accessFor(ANYWHERE, folder, {}));
    const next = accessFor(ANYWHERE, folder, { RIVULET_ROOT_KEY_NEXT: OTHER });
    expect(next).toMatchObject({ notice: null, isOpen: false });
    expect(rootKeyIn(next)).toBe(old);
    const changed = accessFor(ANYWHERE, folder, { RIVULET_ROOT_KEY: OTHER });
    expect(changed.notice).toContain("was deleted");
    expect(changed.notice).not.toContain(old);
    expect(rootKeyIn(accessFor(ANYWHERE, folder, {}))).not.toBe(old);
  });
});

test("[MODE-2] a short root key is accepted, and reported as short", () => {
  const { isOpen, notice } = accessFor(HERE, folder, { RIVULET_ROOT_KEY: "abc" });
  expect(isOpen).toBe(false);
  expect(notice).toContain("fewer than 16 characters");
  expect(notice).not.toContain("abc");
});

test("[MODE-2] an empty file of the root key is reported as such", () => {
  writeFileSync(file("root-key"), "\n");
  const here = accessFor(HERE, folder, {});
  expect(here).toMatchObject({ isOpen: false, variables: { RIVULET_ROOT_KEY: "" } });
  expect(here.notice).toMatch(
    /root-key is empty, so there is no root key, .*; set RIVULET_ROOT_KEY$/,
  );
  expect(accessFor(ANYWHERE, folder, {}).notice).toContain("delete the file and start again");
  const next = accessFor(HERE, folder, { RIVULET_ROOT_KEY_NEXT: OTHER });
  expect(next.notice).toContain("RIVULET_ROOT_KEY_NEXT is the only root key");
  rmSync(file("root-key"));
  expect(accessFor(ANYWHERE, folder, {}).notice).toContain("The root key of this broker is");
});

test.each([
  ["notjson", 'RIVULET_QUOTA is not JSON, such as {"requestRate": 50}'],
  ["5", "RIVULET_QUOTA: "],
  ['{"requestrate": 5}', "RIVULET_QUOTA: "],
  ['{"requestRate": 0}', "RIVULET_QUOTA: requestRate: "],
])("[QUO-1] RIVULET_QUOTA=%s does not start", (text, error) => {
  const environment = { RIVULET_ROOT_KEY: KEY, RIVULET_QUOTA: text };
  expect(() => accessFor(HERE, folder, environment)).toThrow(error);
});
