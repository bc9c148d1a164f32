// SCRAM against the RFCs' examples, and against a client written here with Node's own functions.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  absentVerifier,
  type ClientFirst,
  finalAnswer,
  isSame,
  newServerNonce,
  readClientFinal,
  readClientFirst,
  SCRAM_ITERATIONS,
  SCRAM_SALT_BYTES,
  type ScramHash,
  type ScramVerifier,
  scramVerifier,
  serverFirst,
} from "../../../../src/worker/access/scram.ts";
import { runs } from "../../../support/effort.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const base64 = (from: Uint8Array) => Buffer.from(from).toString("base64");
const SALT = Uint8Array.from({ length: SCRAM_SALT_BYTES }, (_, i) => i * 15);
const HASHES = ["SHA-256", "SHA-512"] as const;
const BYTES = { "SHA-256": 32, "SHA-512": 64 };

/** A client's computation. */
function clientSide(hash: ScramHash, password: string, salt: Uint8Array, iterations: number) {
  const name = hash === "SHA-256" ? "sha256" : "sha512";
  const hmac = (key: Uint8Array, text: string) => createHmac(name, key).update(text).digest();
  const salted = pbkdf2Sync(password, salt, iterations, BYTES[hash], name);
  const clientKey = hmac(salted, "Client Key");
  const storedKey = createHash(name).update(clientKey).digest();
  const serverKey = hmac(salted, "Server Key");
  return {
    clientKey,
    storedKey,
    serverKey,
    proof(message: string) {
      const signature = hmac(storedKey, message);
      return clientKey.map((byte, i) => byte ^ (signature[i] ?? 0));
    },
    serverFinal: (message: string) => `v=${base64(hmac(serverKey, message))}`,
  };
}

interface Variation {
  password?: string;
  header?: string;
  /** The header that the last message repeats. */
  repeated?: string;
  nonce?: (both: string) => string;
  extension?: string;
  proof?: (proof: Uint8Array) => Uint8Array;
}

/** Authenticates, and returns the server's last message and the one that the client expects. */
async function exchange(hash: ScramHash, verifier: ScramVerifier, variation: Variation = {}) {
  const { header = "n,,", repeated = header, extension = "" } = variation;
  const bare = "n=alice,r=client+nonce/";
  const first = readClientFirst(bytes(header + bare));
  if (first === null) throw new Error("refused at the first message");
  const answer = serverFirst(first, verifier, newServerNonce());
  const [, nonce = "", salt = "", iterations] =
    /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(answer.text) ?? [];
  const { password = "pencil" } = variation;
  const client = clientSide(hash, password, Buffer.from(salt, "base64"), Number(iterations));
  const sent = variation.nonce?.(nonce) ?? nonce;
  const withoutProof = `c=${base64(bytes(repeated))},r=${sent}${extension}`;
  const message = `${bare},${answer.text},${withoutProof}`;
  const proof = client.proof(message);
  const text = `${withoutProof},p=${base64(variation.proof?.(proof) ?? proof)}`;
  const final = readClientFinal(bytes(text), first, answer);
  const serverFinal = final && (await finalAnswer(hash, verifier, first, answer, final));
  return { serverFinal, expected: client.serverFinal(message), isRead: final !== null };
}

describe("verifiers", () => {
  test.each(HASHES)("[SASL-3] of %s are as PBKDF2 makes them", async (hash) => {
    for (const [password, iterations] of [
      ["pencil", 4096],
      ["pässword, =\0", 8192],
    ] as const) {
      const { storedKey, serverKey } = clientSide(hash, password, SALT, iterations);
      expect(await scramVerifier(password, hash, SALT, iterations)).toEqual({
        salt: base64(SALT),
        iterations,
        storedKey: base64(storedKey),
        serverKey: base64(serverKey),
      });
    }
  });

  test("[SASL-3] they have the iterations that clients request, and are stored as JSON", async () => {
    const verifier = await scramVerifier("pencil", "SHA-256", SALT);
    expect(verifier.iterations).toBe(4096);
    expect(JSON.parse(JSON.stringify(verifier))).toEqual(verifier);
  });

  test.each(HASHES)("[SASL-3] of absent users look like the others, by %s", async (hash) => {
    const real = await scramVerifier("pencil", hash, SALT);
    const absent = await absentVerifier("alice", hash, "secret");
    const sizes = ({ salt, iterations, storedKey, serverKey }: ScramVerifier) => [
      Buffer.from(salt, "base64").length,
      iterations,
      Buffer.from(storedKey, "base64").length,
      Buffer.from(serverKey, "base64").length,
    ];
    expect(sizes(absent)).toEqual(sizes(real));
    expect(sizes(absent)).toEqual([SCRAM_SALT_BYTES, SCRAM_ITERATIONS, BYTES[hash], BYTES[hash]]);
    expect(await absentVerifier("alice", hash, "secret")).toEqual(absent);
  });

  test("[SASL-3] absent users have salts of their own, for each hash and secret", async () => {
    const verifiers = await Promise.all([
      absentVerifier("alice", "SHA-256", "secret"),
      absentVerifier("alice", "SHA-512", "secret"),
      absentVerifier("bob", "SHA-256", "secret"),
      absentVerifier("alice", "SHA-256", "another secret"),
    ]);
    expect(new Set(verifiers.map(({ salt }) => salt)).size).toBe(4);
    const [first] = verifiers;
    expect(new Set([first?.salt, first?.storedKey, first?.serverKey]).size).toBe(3);
  });
});

test("[SASL-3] the example of RFC 7677 is answered as it says", async () => {
  const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
  const verifier = await scramVerifier("pencil", "SHA-256", salt, 4096);
  const first = readClientFirst(bytes("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")) as ClientFirst;
  expect(first).toEqual({
    user: "user",
    nonce: "rOprNGfwEbeRWgbNEkqO",
    header: "n,,",
    bare: "n=user,r=rOprNGfwEbeRWgbNEkqO",
  });
  const answer = serverFirst(first, verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  expect(answer.text).toBe(
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  );
  const last =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  const final = readClientFinal(bytes(last), first, answer);
  expect(final && (await finalAnswer("SHA-256", verifier, first, answer, final))).toBe(
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
  );
});

describe.each(HASHES)("an exchange by %s", (hash) => {
  const verifier = () => scramVerifier("pencil", hash, SALT);

  test.each<[string, Variation]>([
    ["as everybody does it", {}],
    ["as one who could bind the channel", { header: "y,," }],
    ["by the user's own name", { header: "n,a=alice," }],
    ["with an extension", { extension: ",x=yz" }],
    ["with its own nonce twice", { nonce: (both) => `client+nonce/${both}` }],
  ])("[SASL-3] succeeds %s", async (_, variation) => {
    const { serverFinal, expected } = await exchange(hash, await verifier(), variation);
    expect(serverFinal).toBe(expected);
  });

  test.each<[string, Variation]>([
    ["another header", { header: "n,,", repeated: "y,," }],
    ["a header that hides that it could bind", { header: "y,,", repeated: "n,," }],
    ["the name left out", { header: "n,a=alice,", repeated: "n,," }],
    ["a nonce that is another's", { nonce: () => "client+nonce/AAAA" }],
    ["the client's nonce only", { nonce: () => "client+nonce/" }],
    ["a longer nonce", { nonce: (both) => `${both}A` }],
    ["the server's nonce only", { nonce: (both) => both.slice("client+nonce/".length) }],
    ["no nonce", { nonce: () => "" }],
    ["a mandatory extension", { extension: ",m=x" }],
    ["two proofs", { extension: ",p=AAAA" }],
  ])("[SASL-3] is refused before its proof with %s", async (_, variation) => {
    const { isRead } = await exchange(hash, await verifier(), variation);
    expect(isRead).toBe(false);
  });

  test.each<[string, Variation]>([
    ["another password", { password: "Pencil" }],
    ["a proof that differs in its first bit", { proof: (p) => p.map((b, i) => (i ? b : b ^ 128)) }],
    [
      "a proof that differs in its last bit",
      { proof: (p) => p.map((b, i) => (i < p.length - 1 ? b : b ^ 1)) },
    ],
    ["a shorter proof", { proof: (p) => p.subarray(1) }],
    ["a longer proof", { proof: (p) => Uint8Array.of(...p, 0) }],
    ["an empty proof", { proof: () => new Uint8Array() }],
    ["a proof of nothing", { proof: (p) => p.map(() => 0) }],
  ])("[SASL-3] is refused with %s", async (_, variation) => {
    const { serverFinal, isRead } = await exchange(hash, await verifier(), variation);
    expect(isRead).toBe(true);
    expect(serverFinal).toBe(null);
  });

  test("[SASL-3] cannot be done with the stored data", async () => {
    // A holder of the verifier knows the StoredKey, and not the ClientKey that it is the hash of.
    const { clientKey, storedKey } = clientSide(hash, "pencil", SALT, SCRAM_ITERATIONS);
    const variation: Variation = {
      proof: (p) => p.map((byte, i) => byte ^ (clientKey[i] ?? 0) ^ (storedKey[i] ?? 0)),
    };
    expect((await exchange(hash, await verifier(), variation)).serverFinal).toBe(null);
  });

  test("[SASL-3] fails for an absent user, whatever the password", async () => {
    const absent = await absentVerifier("alice", hash, "secret");
    for (const password of ["pencil", "", "secret", "alice"])
      expect((await exchange(hash, absent, { password })).serverFinal).toBe(null);
  });
});

describe("a first message", () => {
  test.each([
    ["n,,n=alice,r=abc", "alice"],
    ["y,,n=alice,r=abc", "alice"],
    ["n,a=alice,n=alice,r=abc", "alice"],
    ["n,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=abc", "a,b=c"],
    ["n,,n=älice,r=!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", "älice"],
    ["n,,n=alice,r=abc,x=y,tokenauth=false", "alice"],
    ["n,,n=\uFEFFalice,r=abc", "\uFEFFalice"],
  ])("[SASL-3] %j is read", (text, user) => {
    const first = readClientFirst(bytes(text));
    expect(first?.user).toBe(user);
    expect(`${first?.header}${first?.bare}`).toBe(text);
    expect(text).toContain(`r=${first?.nonce}`);
  });

  test.each([
    "",
    ",,",
    "n",
    "n,,",
    "n,,n=alice",
    "n,,n=alice,",
    "n,,n=alice,r=",
    "n,,r=abc,n=alice",
    "n,,n=,r=abc",
    "n,,u=alice,r=abc",
    "n,n=alice,r=abc",
    "n=alice,r=abc",
    "N,,n=alice,r=abc",
    " n,,n=alice,r=abc",
    "p=tls-unique,,n=alice,r=abc",
    "p=tls-exporter,,n=alice,r=abc",
    "p,,n=alice,r=abc",
    "y=x,,n=alice,r=abc",
    "n,a=bob,n=alice,r=abc",
    "n,a=,n=alice,r=abc",
    "n,alice,n=alice,r=abc",
    "n,,m=x,n=alice,r=abc",
    "n,,n=alice,r=abc,m=x",
    "n,,n=alice,r=abc,tokenauth=true",
    "n,,n=alice,r=abc,x=y,tokenauth=TRUE",
    "n,,n=alice,r=abc,x",
    "n,,n=alice,r=abc,=x",
    "n,,n=alice,r=abc,",
    "n,,n=al=ice,r=abc",
    "n,,n=al=2cice,r=abc",
    "n,,n=alice=,r=abc",
    "n,,n=al\0ice,r=abc",
    "n,,n=alice,r=ab c",
    "n,,n=alice,r=abc\n",
    "n,,n=alice,r=äbc",
    "n,,n=alice,r=abc,x=\0",
    "\0alice\0secret",
  ])("[SASL-3] %j is refused", (text) => {
    expect(readClientFirst(bytes(text))).toBe(null);
  });

  test("[SASL-3] has 4096 bytes at most", () => {
    const message = (size: number) => bytes("n,,n=alice,r=".padEnd(size, "a"));
    expect(readClientFirst(message(4096))?.user).toBe("alice");
    expect(readClientFirst(message(4097))).toBe(null);
  });

  test("[SASL-3] that is not UTF-8 is refused", () => {
    const message = Buffer.concat([bytes("n,,n="), Uint8Array.of(0xff), bytes(",r=abc")]);
    expect(readClientFirst(message)).toBe(null);
  });
});

describe("a last message", () => {
  const first = readClientFirst(bytes("n,,n=alice,r=abc")) as ClientFirst;
  const answer = serverFirst(first, { salt: base64(SALT), iterations: 4096 }, "def");

  test("[SASL-3] is read", () => {
    expect(readClientFinal(bytes("c=biws,r=abcdef,x=y,p=AAEC"), first, answer)).toEqual({
      proof: Uint8Array.of(0, 1, 2),
      withoutProof: "c=biws,r=abcdef,x=y",
    });
  });

  test.each([
    "",
    "c=biws",
    "c=biws,r=abcdef",
    "c=biws,r=abcdef,p",
    "c=biws,r=abcdef,x=y",
    "c=biws,r=abcdef,p=AAEC,",
    "c=biws,r=abcdef,p=AAEC,x=y",
    "c=biws,r=abcdef,p=*",
    "c=biws,r=abcdef,p=AAEC\0",
    "c=biws,p=AAEC",
    "c=biws,p=AAEC,r=abcdef",
    "r=abcdef,c=biws,p=AAEC",
    "c=biws=,r=abcdef,p=AAEC",
    "c=eSws,r=abcdef,p=AAEC",
    "c=,r=abcdef,p=AAEC",
    "c=biws,r=abc,p=AAEC",
    "c=biws,r=def,p=AAEC",
    "c=biws,r=abcdeg,p=AAEC",
    "n,,n=alice,r=abc",
  ])("[SASL-3] %j is refused", (text) => {
    expect(readClientFinal(bytes(text), first, answer)).toBe(null);
  });

  test("[SASL-3] has 4096 bytes at most", () => {
    const message = (size: number) => bytes(`${"c=biws,r=abcdef,x=".padEnd(size - 7, "y")},p=AAEC`);
    expect(readClientFinal(message(4096), first, answer)?.proof.length).toBe(3);
    expect(readClientFinal(message(4097), first, answer)).toBe(null);
  });

  test("[SASL-3] any last message is refused, and throws nothing", async () => {
    const PIECES = ["c=", "biws", ",", "r=", "abcdef", "p=", "AAEC", "=", "m=", "\0", "ä", "x=y"];
    const like = fc.array(fc.constantFrom(...PIECES)).map((pieces) => bytes(pieces.join("")));
    const proofs = fc.uint8Array().map((proof) => bytes(`c=biws,r=abcdef,p=${base64(proof)}`));
    const verifier = await scramVerifier("pencil", "SHA-256", SALT);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), like, proofs), async (message) => {
        const final = readClientFinal(message, first, answer);
        if (final === null) return;
        expect(await finalAnswer("SHA-256", verifier, first, answer, final)).toBe(null);
      }),
      runs(1000),
    );
  });
});

test("[SASL-3] any first message is read or refused, and throws nothing", () => {
  const PIECES = ["n,", "y,", "p=x", ",", "a=", "n=", "r=", "alice", "abc", "=2C", "m=", "\0", "ä"];
  const like = fc.array(fc.constantFrom(...PIECES)).map((pieces) => bytes(pieces.join("")));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), like), (message) => {
      const first = readClientFirst(message);
      if (first === null) return;
      expect(first.user).not.toBe("");
      expect(bytes(first.header + first.bare)).toEqual(message);
    }),
    runs(2000),
  );
});

test("[SASL-3] the server's nonces differ, and every client can read them", () => {
  const nonces = Array.from({ length: 100 }, newServerNonce);
  expect(new Set(nonces).size).toBe(100);
  for (const nonce of nonces) expect(nonce).toMatch(/^[A-Za-z0-9+/]{24}$/);
});

test("[SASL-3] two are the same if all their bytes are", () => {
  const value = new Uint8Array(randomBytes(32));
  expect(isSame(value, value.slice())).toBe(true);
  for (let i = 0; i < 256; i++) {
    const other = value.slice();
    other[i >> 3] = (other[i >> 3] ?? 0) ^ (1 << (i & 7));
    expect(isSame(value, other)).toBe(false);
  }
  expect(isSame(value, value.subarray(1))).toBe(false);
  expect(isSame(value.subarray(0, 31), value)).toBe(false);
  expect(isSame(new Uint8Array(), new Uint8Array())).toBe(true);
  expect(isSame("ä", bytes("ä"))).toBe(true);
  expect(isSame("abc", "abd")).toBe(false);
  expect(isSame("abc", "")).toBe(false);
});
