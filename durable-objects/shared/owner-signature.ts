// The signature of an owner token. For each partition that a group assigns to a member, it signs that this
// member may attach as the owner. The partition admits nobody else as an owner. So nobody can forge a token and
// fence off the members of a group.
//
//
// Objects notify members and admit owners within one turn, so this cannot wait for the platform's own
// cryptography.
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import { isSame } from "../../src/core/constant-time.ts";
import { clusterStub, type Env } from "../../src/env.ts";
import type { Notes } from "./notes.ts";

/** The statement that a group signs: this member owns this partition. */
export interface SignedOwner {
  readonly group: string;
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
  readonly topicId: string;
  readonly partition: number;
}

/** The name of the deployment's secret, at the cluster and in notes. It is stored. */
export const OWNER_SECRET = "owner-tokens";
const SECRET_BYTES = 32;
/** The length of the signature, which is the beginning of the HMAC. 128 bits are beyond guessing. */
const SIGNATURE_BYTES = 16;

export class OwnerSigner {
  readonly #env: Env;
  readonly #notes: Notes;
  #secret: Uint8Array | null = null;

  constructor(env: Env, notes: Notes) {
    this.#env = env;
    this.#notes = notes;
  }

  /**
   * Loads the secret from the notes, or else from the cluster. If the cluster is out of reach, nothing is
   * signed yet. The secret is noted, so the cluster is not asked again in each life of an object.
   */
  async load(): Promise<void> {
    if (this.isLoaded) return;
    const secret = await this.#asked();
    if (secret !== null) this.learn(secret);
  }

  /** True if the secret is known. */
  get isLoaded(): boolean {
    const noted = this.#secret === null ? this.#notes.get(OWNER_SECRET) : null;
    if (noted !== null) this.#secret = fromBase64(noted);
    return this.#secret !== null;
  }

  /** Stores the secret that the cluster has sent along with another answer. */
  learn(secret: string): void {
    this.#secret = fromBase64(secret);
    this.#notes.set(OWNER_SECRET, secret);
  }

  async #asked(): Promise<string | null> {
    try {
      return (await clusterStub(this.#env).secret({ name: OWNER_SECRET, proposal: newSecret() }))
        .value;
    } catch {
      return null; // The stub has logged why. A partition asks the group about an owner without a signature.
    }
  }

  /** Returns the signature, or null if the secret is not known here. */
  sign(owner: SignedOwner): string | null {
    if (this.#secret === null) return null;
    // A group that has just been created could not note it earlier.
    this.#notes.set(OWNER_SECRET, toBase64(this.#secret));
    return signatureOf(this.#secret, owner);
  }

  /** True if the group has signed this. */
  isSigned(owner: SignedOwner, signature: string): boolean {
    const expected = this.sign(owner);
    return expected !== null && isSame(expected, signature);
  }
}

/** Returns a secret for a deployment that has none yet. */
export function newSecret(): string {
  return toBase64(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

function signatureOf(secret: Uint8Array, owner: SignedOwner): string {
  const { group, incarnation, memberEpoch, memberNumber, topicId, partition } = owner;
  const fields = ["owner", group, incarnation, memberEpoch, memberNumber, topicId, partition];
  const message = new TextEncoder().encode(JSON.stringify(fields));
  return toBase64(hmac(sha256, secret, message).subarray(0, SIGNATURE_BYTES));
}
