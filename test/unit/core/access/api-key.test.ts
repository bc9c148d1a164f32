import fc from "fast-check";
import { expect, test } from "vitest";
import {
  API_KEY_BYTES,
  apiKeyOf,
  apiKeyText,
  parseApiKey,
} from "../../../../src/core/access/api-key.ts";

const bytes = fc.uint8Array({ minLength: API_KEY_BYTES, maxLength: API_KEY_BYTES });

test("[APK-1] a key is read back as it was made", () => {
  fc.assert(
    fc.property(bytes, (random) => {
      const key = apiKeyOf(random);
      const text = apiKeyText(key);
      expect(text).toMatch(/^rvk_[a-z2-7]{16}_[A-Za-z0-9_-]{49}$/);
      expect(parseApiKey(text)).toEqual(key);
    }),
  );
});

test("[APK-1] different bytes make different keys", () => {
  const keys = Array.from({ length: API_KEY_BYTES * 8 }, (_, bit) => {
    const random = new Uint8Array(API_KEY_BYTES);
    random[bit >> 3] = 1 << (bit & 7);
    return apiKeyText(apiKeyOf(random));
  });
  expect(new Set(keys).size).toBe(keys.length);
});

test("[APK-1] a key with one wrong character is invalid", () => {
  fc.assert(
    fc.property(
      bytes,
      fc.nat(),
      fc.constantFrom("a", "B", "7", "_", " ", "é"),
      (random, at, character) => {
        const text = apiKeyText(apiKeyOf(random));
        const place = at % text.length;
        fc.pre(text[place] !== character);
        expect(parseApiKey(text.slice(0, place) + character + text.slice(place + 1))).toBeNull();
      },
    ),
  );
});

test.each(["", "rvk_", "rvk_abc_def", "x".repeat(5_000)])("[APK-1] %j is not a key", (text) => {
  expect(parseApiKey(text)).toBeNull();
});
