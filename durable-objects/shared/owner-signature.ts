// The signature of an owner token. A group signs, for each partition that it assigns to a member, who may attach there as
// its owner; the partition admits nobody else as one. So nobody can make a token up and fence the members of a group out.
//
// Objects tell members and admit owners within one turn, so this cannot wait for the platform's own cryptography.
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import { isSame } from "../../src/core/constant-time.ts";
import { clusterStub, type Env } from "../../src/env.ts";

/** The statement that a group signs: this member owns this partition. */
export interface SignedOwner {
  readonly group: string;
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
  readonly topicId: string;
  readonly partition: number;
}

/** The name of the deployment's secret at the cluster. It is on disk. */
const SECRET = "owner-tokens";
const SECRET_BYTES = 32;
/** The first bytes of the HMAC. 128 bits are beyond guessing. */
const SIGNATURE_BYTES = 16;

export class OwnerSigner {
  readonly #env: Env;
  #secret: Uint8Array | null = null;

  constructor(env: Env) {
    this.#env = env;
  }

  /** Asks the cluster for the secret, once in a life. If the cluster is out of reach, nothing is signed yet. */
  async load(): Promise<void> {
    if (this.#secret !== null) return;
    try {
      const cluster = clusterStub(this.#env);
      const proposal = () => toBase64(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
      const known = await cluster.secret({ name: SECRET });
      const { value } =
        known.value === null ? await cluster.secret({ name: SECRET, proposal: proposal() }) : known;
      if (value !== null) this.#secret = fromBase64(value);
    } catch {
      // The stub has noted why. A partition asks the group about an owner without a signature.
    }
  }

  /** Returns the signature, or null if the secret is not known here. */
  sign(owner: SignedOwner): string | null {
    return this.#secret === null ? null : signatureOf(this.#secret, owner);
  }

  /** True if the group has signed this. */
  isSigned(owner: SignedOwner, signature: string): boolean {
    const expected = this.sign(owner);
    return expected !== null && isSame(expected, signature);
  }
}

function signatureOf(secret: Uint8Array, owner: SignedOwner): string {
  const { group, incarnation, memberEpoch, memberNumber, topicId, partition } = owner;
  const fields = ["owner", group, incarnation, memberEpoch, memberNumber, topicId, partition];
  const message = new TextEncoder().encode(JSON.stringify(fields));
  return toBase64(hmac(sha256, secret, message).subarray(0, SIGNATURE_BYTES));
}
