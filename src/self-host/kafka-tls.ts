// TLS on Kafka's ports. workerd does it, but reports little about a file that it cannot use. So both files are checked
// before it starts.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { StartError } from "./settings.ts";

const CERT = "KAFKA_TLS_CERT";
const KEY = "KAFKA_TLS_KEY";

/** The files for TLS. They stay where they are, and workerd reads them once, when it starts. */
export interface KafkaTls {
  /** The path of the certificate in PEM, followed by those of its issuers. */
  readonly certPath: string;
  /** The path of its private key in PEM. */
  readonly keyPath: string;
}

/**
 * [MODE-4] Returns the files with which Kafka's ports speak TLS, or null if they do not.
 * @throws StartError that names the variable
 */
export function kafkaTlsOf(environment: NodeJS.ProcessEnv = process.env): KafkaTls | null {
  const [cert, key] = [environment[CERT], environment[KEY]];
  if (!cert && !key) return null;
  if (!cert || !key) {
    const [set, unset] = cert ? [CERT, KEY] : [KEY, CERT];
    throw new StartError(`${set} is set and ${unset} is not; set both for TLS, or none`);
  }
  const tls = { certPath: resolve(cert), keyPath: resolve(key) };
  const certificate = parsed(CERT, tls.certPath, "a certificate in PEM", (pem) => {
    return new X509Certificate(pem);
  });
  const privateKey = parsed(KEY, tls.keyPath, "a private key in PEM without a passphrase", (pem) =>
    createPrivateKey(pem),
  );
  if (!isTakenByWorkerd(privateKey))
    throw new StartError(
      `${KEY} is "${tls.keyPath}", whose key workerd cannot use; it takes RSA of 2048 bits or more, ECDSA with P-256 or P-384, and Ed25519`,
    );
  if (!certificate.checkPrivateKey(privateKey))
    throw new StartError(`${KEY} is "${tls.keyPath}", which is not the key of ${CERT}`);
  return tls;
}

/** [MODE-4] Wrangler's port has no TLS, and nobody may believe that it has. @throws StartError */
export function assertNoKafkaTls(environment: NodeJS.ProcessEnv = process.env): void {
  const set = [CERT, KEY].find((name) => environment[name]);
  if (set === undefined) return;
  throw new StartError(
    `${set} is set, but \`npm run dev\` has no TLS; leave it out, or use \`npm start\``,
  );
}

function parsed<T>(variable: string, path: string, wanted: string, parse: (pem: string) => T): T {
  const wrong = (why: string) => new StartError(`${variable} is "${path}", ${why}`);
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw wrong(`which cannot be read (${reason})`);
  }
  try {
    return parse(pem);
  } catch {
    throw wrong(`which is not ${wanted}`);
  }
}

function isTakenByWorkerd({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType === "rsa") return (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
  if (asymmetricKeyType === "ec")
    return ["prime256v1", "secp384r1"].includes(asymmetricKeyDetails?.namedCurve ?? "");
  return asymmetricKeyType === "ed25519";
}
