// The authentication of one connection: every mechanism, right and wrong, and again on the same connection.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Caller } from "../../../../src/core/access/caller.ts";
import { ROLES } from "../../../../src/core/access/grants.ts";
import { SASL_MECHANISMS, type SaslMechanism } from "../../../../src/core/access/sasl.ts";
import {
  type Credentials,
  type SaslAnswer,
  SaslLogin,
  type ScramUser,
} from "../../../../src/worker/access/sasl-login.ts";
import { type ScramHash, scramVerifier } from "../../../../src/worker/access/scram.ts";
import { runs } from "../../../support/effort.ts";
import { bareOf, bytes, clientFinal, textOf } from "../../../support/scram-client.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const PASSWORD = "pencil";
/** Also accepted by SCRAM. */
const NEXT_PASSWORD = "pen";
const TOKEN = "token-of-";

function callerOf(name: string, expiresAtMs: number | null = null): Caller {
  return { principal: `User:${name}`, grants: ROLES.read, expiresAtMs, keyId: null };
}

/** All of them have one password. */
const USERS: Readonly<Record<string, Caller>> = {
  alice: callerOf("alice"),
  alias: callerOf("alice"),
  bob: callerOf("bob"),
  "a,b=c": callerOf("a,b=c"),
  brief: callerOf("brief", NOW + HOUR),
  expired: callerOf("expired", NOW),
};

class FakeCredentials implements Credentials {
  readonly saltSecret = "secret of the deployment";
  isDown = false;

  async byPassword(user: string, password: string) {
    const caller = this.#user(user);
    return password === PASSWORD ? caller : null;
  }

  async byToken(token: string) {
    return this.#user(token.startsWith(TOKEN) ? token.slice(TOKEN.length) : "");
  }

  async scram(user: string, hash: ScramHash): Promise<ScramUser | null> {
    const caller = this.#user(user);
    if (caller === null) return null;
    const salt = crypto.getRandomValues(new Uint8Array(16));
    const verifierOf = (password: string) => scramVerifier(password, hash, salt);
    return { verifiers: [await verifierOf(PASSWORD), await verifierOf(NEXT_PASSWORD)], caller };
  }

  #user(name: string): Caller | null {
    if (this.isDown) throw new Error("the cluster is out of reach");
    return USERS[name] ?? null;
  }
}

function plain(user: string, password: string): Uint8Array {
  return bytes(`\0${user}\0${password}`);
}

function bearer(token: string, authzid = ""): Uint8Array {
  return bytes(`n,${authzid && `a=${authzid}`},\x01auth=Bearer ${token}\x01\x01`);
}

function clientFirst(user: string): Uint8Array {
  return bytes(`n,,${bareOf(user)}`);
}

/** Authenticates, from the handshake to the last response. */
async function logIn(
  login: SaslLogin,
  mechanism: SaslMechanism,
  user: string,
  password = PASSWORD,
  nowMs = NOW,
): Promise<SaslAnswer> {
  expect(login.handshake(mechanism, SASL_MECHANISMS).errorCode).toBe(0);
  switch (mechanism) {
    case "PLAIN":
      return login.authenticate(plain(user, password), nowMs);
    case "OAUTHBEARER":
      return login.authenticate(
        bearer(password === PASSWORD ? TOKEN + user : "token-that-is-wrong"),
        nowMs,
      );
    default: {
      const first = await login.authenticate(clientFirst(user), nowMs);
      if (first.type !== "challenge") return first;
      const hash = mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";
      const { message, serverFinal } = await clientFinal(hash, user, password, textOf(first.bytes));
      const last = await login.authenticate(message, nowMs);
      if (last.type === "done") expect(textOf(last.bytes)).toBe(serverFinal);
      return last;
    }
  }
}

function newLogin(maxSessionMs = 0, credentials = new FakeCredentials()): SaslLogin {
  return new SaslLogin(credentials, maxSessionMs);
}

const FAILED = { type: "refused", error: "SASL_AUTHENTICATION_FAILED" };
const ILLEGAL = { type: "refused", error: "ILLEGAL_SASL_STATE" };
const SCRAMS = ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const;

describe("the handshake", () => {
  test.each(SASL_MECHANISMS)("[SASL-1] accepts %s, and lists what is allowed", (mechanism) => {
    expect(newLogin().handshake(mechanism, SASL_MECHANISMS)).toEqual({
      errorCode: 0,
      mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
    });
  });

  test.each(["", "GSSAPI", "plain", "PLAIN ", "SCRAM-SHA-1", "OAUTHBEARER", "toString"])(
    "[SASL-1] refuses %j if it is not allowed, and nobody gets further",
    async (mechanism) => {
      const login = newLogin();
      const allowed = ["SCRAM-SHA-256", "PLAIN"] as const;
      expect(login.handshake(mechanism, allowed)).toEqual({ errorCode: 33, mechanisms: allowed });
      expect(await login.authenticate(bearer(`${TOKEN}alice`), NOW)).toMatchObject(ILLEGAL);
    },
  );

  test("[SASL-1] a refused handshake ends the previous one", async () => {
    const login = newLogin();
    login.handshake("PLAIN", SASL_MECHANISMS);
    login.handshake("GSSAPI", SASL_MECHANISMS);
    expect(await login.authenticate(plain("alice", PASSWORD), NOW)).toMatchObject(ILLEGAL);
  });

  test("[SASL-1] must come first", async () => {
    expect(await newLogin().authenticate(plain("alice", PASSWORD), NOW)).toMatchObject(ILLEGAL);
  });

  test("[SASL-1] is needed again for a second guess, and after authentication", async () => {
    const login = newLogin();
    login.handshake("PLAIN", SASL_MECHANISMS);
    expect(await login.authenticate(plain("alice", "wrong"), NOW)).toMatchObject(FAILED);
    expect(await login.authenticate(plain("alice", PASSWORD), NOW)).toMatchObject(ILLEGAL);
    expect(await logIn(login, "PLAIN", "alice")).toMatchObject({ type: "done" });
    expect(await login.authenticate(plain("alice", PASSWORD), NOW)).toMatchObject(ILLEGAL);
  });

  test("[SASL-1] two messages at a time are not two guesses", async () => {
    const login = newLogin();
    login.handshake("PLAIN", SASL_MECHANISMS);
    const [first, second] = await Promise.all([
      login.authenticate(plain("alice", "wrong"), NOW),
      login.authenticate(plain("alice", PASSWORD), NOW),
    ]);
    expect(first).toMatchObject(FAILED);
    expect(second).toMatchObject(ILLEGAL);
  });

  test("[SASL-1] another one begins again with another mechanism", async () => {
    const login = newLogin();
    login.handshake("SCRAM-SHA-256", SASL_MECHANISMS);
    expect(await login.authenticate(clientFirst("alice"), NOW)).toMatchObject({
      type: "challenge",
    });
    expect(await logIn(login, "SCRAM-SHA-512", "alice")).toMatchObject({ type: "done" });
  });
});

describe.each([
  ["SASL-2", "PLAIN"],
  ["SASL-3", "SCRAM-SHA-256"],
  ["SASL-3", "SCRAM-SHA-512"],
  ["SASL-4", "OAUTHBEARER"],
] as const)("[%s] by %s", (_, mechanism) => {
  test("[SASL-1] the right credential gives its caller", async () => {
    const answer = await logIn(newLogin(), mechanism, "alice");
    expect(answer).toMatchObject({ type: "done", caller: USERS.alice, sessionLifetimeMs: 0 });
    if (answer.type !== "done") return;
    expect(answer.caller).toBe(USERS.alice);
    expect(textOf(answer.bytes)).toMatch(mechanism.startsWith("SCRAM") ? /^v=/ : /^$/);
  });

  test("[SASL-1] the refusal does not show whether a user exists", async () => {
    const wrong = await logIn(newLogin(), mechanism, "alice", "wrong");
    const unknown = await logIn(newLogin(), mechanism, "nobody", "wrong");
    const unknownToo = await logIn(newLogin(), mechanism, "nobody");
    const expired = await logIn(newLogin(), mechanism, "expired", "wrong");
    expect(wrong).toMatchObject(FAILED);
    for (const other of [unknown, unknownToo, expired]) expect(other).toEqual(wrong);
  });

  test("[SASL-1] a credential that has expired is refused", async () => {
    const refused = await logIn(newLogin(), mechanism, "expired");
    expect(refused).toEqual({ ...FAILED, detail: "the credential has expired" });
    const justInTime = await logIn(newLogin(), mechanism, "expired", PASSWORD, NOW - 1);
    expect(justInTime).toMatchObject({ type: "done", sessionLifetimeMs: 1 });
  });

  test("[SASL-1] nobody is refused if nobody can judge", async () => {
    const credentials = new FakeCredentials();
    const login = newLogin(0, credentials);
    credentials.isDown = true;
    await expect(logIn(login, mechanism, "alice")).rejects.toThrow("out of reach");
    await expect(logIn(login, mechanism, "alice", "wrong")).rejects.toThrow("out of reach");
    expect(await login.authenticate(plain("alice", PASSWORD), NOW)).toMatchObject(ILLEGAL);
    credentials.isDown = false;
    expect(await logIn(login, mechanism, "alice")).toMatchObject({ type: "done" });
  });

  test("[SASL-1] no refusal contains anything that was sent", async () => {
    const login = newLogin();
    for (const [user, password] of [
      ["alice", "hunter2-secret"],
      ["hunter2-secret", "wrong"],
    ] as const)
      expect(JSON.stringify(await logIn(login, mechanism, user, password))).not.toContain("hunter");
    login.handshake(mechanism, SASL_MECHANISMS);
    const malformed = await login.authenticate(bytes("hunter2"), NOW);
    expect(malformed).toMatchObject(FAILED);
    expect(JSON.stringify(malformed)).not.toContain("hunter");
  });

  test("[SASL-1] whatever is sent is answered", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), async (message) => {
        const login = newLogin();
        login.handshake(mechanism, SASL_MECHANISMS);
        expect(await login.authenticate(message, NOW)).toMatchObject(FAILED);
      }),
      runs(200),
    );
  });

  test.each([
    ["alice", 0, 0],
    ["alice", 2 * HOUR, 2 * HOUR],
    ["brief", 0, HOUR],
    ["brief", 2 * HOUR, HOUR],
    ["brief", HOUR / 2, HOUR / 2],
  ])("[SASL-5] the session of %s, bounded by %i, takes %i", async (user, maxMs, lifetimeMs) => {
    expect(await logIn(newLogin(maxMs), mechanism, user)).toMatchObject({
      type: "done",
      sessionLifetimeMs: lifetimeMs,
    });
  });

  test("[SASL-5] the same principal authenticates again, with any credential of its own", async () => {
    const login = newLogin();
    for (const user of ["alice", "alice", "alias", "alice"])
      expect(await logIn(login, mechanism, user)).toMatchObject({ type: "done" });
  });

  test("[SASL-5] the session begins again each time", async () => {
    const login = newLogin(2 * HOUR);
    await logIn(login, mechanism, "brief");
    const again = await logIn(login, mechanism, "brief", PASSWORD, NOW + HOUR - 1000);
    expect(again).toMatchObject({ type: "done", sessionLifetimeMs: 1000 });
    expect(await logIn(login, mechanism, "brief", PASSWORD, NOW + HOUR)).toMatchObject(FAILED);
  });

  test("[SASL-5] another principal is refused, even after it was refused before", async () => {
    const login = newLogin();
    await logIn(login, mechanism, "alice");
    for (let i = 0; i < 2; i++)
      expect(await logIn(login, mechanism, "bob")).toMatchObject({
        ...FAILED,
        detail: expect.stringContaining("another principal"),
      });
    expect(await logIn(login, mechanism, "alice")).toMatchObject({ type: "done" });
  });

  test("[SASL-5] another mechanism is refused, at the message and not at the handshake", async () => {
    for (const other of SASL_MECHANISMS) {
      const login = newLogin();
      await logIn(login, mechanism, "alice");
      const again = await logIn(login, other, "alice");
      if (other === mechanism) expect(again).toMatchObject({ type: "done" });
      else
        expect(again).toEqual({
          ...FAILED,
          detail: `this connection signed in by ${mechanism} and may not use ${other} now`,
        });
    }
  });

  test("[SASL-5] a failed authentication binds nobody", async () => {
    const login = newLogin();
    expect(await logIn(login, mechanism, "alice", "wrong")).toMatchObject(FAILED);
    expect(await logIn(login, "PLAIN", "bob")).toMatchObject({ type: "done" });
  });
});

describe("PLAIN", () => {
  test.each(["", "alice", "alice\0pencil", "bob\0alice\0pencil", "\0alice\0pencil\0"])(
    "[SASL-2] %j is refused, and asks nobody",
    async (text) => {
      const credentials = new FakeCredentials();
      credentials.isDown = true;
      const login = newLogin(0, credentials);
      login.handshake("PLAIN", SASL_MECHANISMS);
      expect(await login.authenticate(bytes(text), NOW)).toMatchObject(FAILED);
    },
  );
});

describe("OAUTHBEARER", () => {
  test.each([
    ["", true],
    ["alice", true],
    ["User:alice", true],
    ["Alice", false],
    ["bob", false],
    ["User:bob", false],
    ["User:User:alice", false],
    ["Group:alice", false],
    ["lice", false],
  ])("[SASL-4] acting by the name %j with alice's token: %s", async (authzid, isTaken) => {
    const login = newLogin();
    login.handshake("OAUTHBEARER", SASL_MECHANISMS);
    const answer = await login.authenticate(bearer(`${TOKEN}alice`, authzid), NOW);
    expect(answer).toMatchObject(isTaken ? { type: "done" } : FAILED);
  });

  test("[SASL-4] a bad token is refused at once, without the round of JSON", async () => {
    const answer = await logIn(newLogin(), "OAUTHBEARER", "alice", "wrong");
    expect(answer).toEqual({ ...FAILED, detail: "the token is not valid" });
  });
});

describe.each(SCRAMS)("%s", (mechanism) => {
  const hash = mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";

  async function challengeOf(login: SaslLogin, user: string): Promise<string> {
    login.handshake(mechanism, SASL_MECHANISMS);
    const answer = await login.authenticate(clientFirst(user), NOW);
    return answer.type === "challenge" ? textOf(answer.bytes) : answer.type;
  }

  test("[SASL-3] names may have commas and equals signs", async () => {
    const answer = await logIn(newLogin(), mechanism, "a,b=c");
    expect(answer).toMatchObject({ type: "done", caller: USERS["a,b=c"] });
  });

  test("[SASL-3] either password is valid, and the response is signed by the one that was shown", async () => {
    for (const password of [NEXT_PASSWORD, PASSWORD])
      expect(await logIn(newLogin(), mechanism, "alice", password)).toMatchObject({
        type: "done",
        caller: USERS.alice,
      });
    const other = await logIn(newLogin(), mechanism, "alice", "penc");
    expect(other).toEqual(await logIn(newLogin(), mechanism, "nobody", NEXT_PASSWORD));
  });

  test("[SASL-3] a user who does not exist is challenged like the others, and with one salt", async () => {
    const login = newLogin();
    const FORM = /^r=client([A-Za-z0-9+/]{24}),s=([A-Za-z0-9+/]{22}==),i=4096$/;
    expect(await challengeOf(login, "alice")).toMatch(FORM);
    const [, nonce, salt] = FORM.exec(await challengeOf(login, "nobody")) ?? [];
    const [, nextNonce, nextSalt] = FORM.exec(await challengeOf(newLogin(), "nobody")) ?? [];
    expect(salt).toBeDefined();
    expect(nextSalt).toBe(salt);
    expect(nextNonce).not.toBe(nonce);
  });

  test("[SASL-3] a response to an older challenge is refused", async () => {
    const login = newLogin();
    const { message } = await clientFinal(
      hash,
      "alice",
      PASSWORD,
      await challengeOf(login, "alice"),
    );
    await challengeOf(login, "alice");
    expect(await login.authenticate(message, NOW)).toMatchObject(FAILED);
    expect(await login.authenticate(message, NOW)).toMatchObject(ILLEGAL);
  });

  test("[SASL-3] the last message cannot be the first", async () => {
    const login = newLogin();
    const { message } = await clientFinal(
      hash,
      "alice",
      PASSWORD,
      await challengeOf(login, "alice"),
    );
    login.handshake(mechanism, SASL_MECHANISMS);
    expect(await login.authenticate(message, NOW)).toMatchObject(FAILED);
  });

  test("[SASL-3] a credential that expires between the two messages is refused", async () => {
    const login = newLogin();
    const { message } = await clientFinal(
      hash,
      "brief",
      PASSWORD,
      await challengeOf(login, "brief"),
    );
    expect(await login.authenticate(message, NOW + HOUR)).toMatchObject(FAILED);
  });

  test("[SASL-3] a malformed last message reveals nothing either", async () => {
    const answers = [];
    for (const user of ["alice", "nobody"]) {
      const login = newLogin();
      await challengeOf(login, user);
      answers.push(await login.authenticate(bytes("c=biws,r=x,p=AAAA"), NOW));
    }
    expect(answers[0]).toMatchObject(FAILED);
    expect(answers[1]).toEqual(answers[0]);
  });
});
