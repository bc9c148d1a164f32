// The files with which Kafka's ports speak TLS, and the messages about unusable ones.
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, expect, test } from "vitest";
import { assertNoKafkaTls, kafkaTlsOf } from "../../../src/self-host/kafka-tls.ts";
import { StartError } from "../../../src/self-host/settings.ts";
import { workerdConfig } from "../../../src/self-host/workerd-config.ts";
import { CERT_PATH, KEY_PATH } from "../../support/tls-files.ts";

const folder = mkdtempSync(join(tmpdir(), "rivulet-tls-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A file with a key, with a passphrase if one is given. */
function keyFile(name: string, key: KeyObject, passphrase?: string): string {
  const options = { type: "pkcs8", format: "pem" } as const;
  const secret = passphrase === undefined ? {} : { cipher: "aes-128-cbc", passphrase };
  return file(name, key.export({ ...options, ...secret }) as string);
}

const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve }).privateKey;
const rsa = (modulusLength: number) => generateKeyPairSync("rsa", { modulusLength }).privateKey;

const EMPTY = file("empty.pem", "");
const OTHER = keyFile("other.pem", ec("P-256"));
const UNUSABLE = "whose key workerd cannot use";

test("[MODE-4] both files or none make TLS", () => {
  expect(kafkaTlsOf({})).toBeNull();
  expect(kafkaTlsOf({ KAFKA_TLS_CERT: "", KAFKA_TLS_KEY: "" })).toBeNull();
  const found = { certPath: CERT_PATH, keyPath: KEY_PATH };
  expect(kafkaTlsOf({ KAFKA_TLS_CERT: CERT_PATH, KAFKA_TLS_KEY: KEY_PATH })).toEqual(found);
  const asTyped = (path: string) => relative(process.cwd(), path);
  expect(
    kafkaTlsOf({ KAFKA_TLS_CERT: asTyped(CERT_PATH), KAFKA_TLS_KEY: asTyped(KEY_PATH) }),
  ).toEqual(found);
});

test.each([
  ["", KEY_PATH, "KAFKA_TLS_KEY is set and KAFKA_TLS_CERT is not"],
  [CERT_PATH, "", "KAFKA_TLS_CERT is set and KAFKA_TLS_KEY is not"],
  ["/nowhere/cert.pem", KEY_PATH, 'KAFKA_TLS_CERT is "/nowhere/cert.pem", which cannot be read'],
  [CERT_PATH, folder, `KAFKA_TLS_KEY is "${folder}", which cannot be read`],
  [EMPTY, KEY_PATH, `KAFKA_TLS_CERT is "${EMPTY}", which is not a certificate in PEM`],
  [KEY_PATH, KEY_PATH, `KAFKA_TLS_CERT is "${KEY_PATH}", which is not a certificate in PEM`],
  [CERT_PATH, CERT_PATH, `KAFKA_TLS_KEY is "${CERT_PATH}", which is not a private key in PEM`],
  [CERT_PATH, keyFile("secret.pem", ec("P-256"), "abcd"), "without a passphrase"],
  [CERT_PATH, keyFile("p521.pem", ec("P-521")), UNUSABLE],
  [CERT_PATH, keyFile("rsa.pem", rsa(1024)), UNUSABLE],
  [CERT_PATH, keyFile("ed448.pem", generateKeyPairSync("ed448").privateKey), UNUSABLE],
  [CERT_PATH, OTHER, `KAFKA_TLS_KEY is "${OTHER}", which is not the key of KAFKA_TLS_CERT`],
  [CERT_PATH, keyFile("rsa2.pem", rsa(2048)), "which is not the key of KAFKA_TLS_CERT"],
])("[MODE-4] an unusable setting is reported by its variable: %#", (cert, key, message) => {
  const read = () => kafkaTlsOf({ KAFKA_TLS_CERT: cert, KAFKA_TLS_KEY: key });
  expect(read).toThrow(StartError);
  expect(read).toThrow(message);
});

test("[MODE-4] a broker of npm run dev has no TLS, and says so on request", () => {
  assertNoKafkaTls({});
  expect(() => assertNoKafkaTls({ KAFKA_TLS_CERT: CERT_PATH })).toThrow(StartError);
  expect(() => assertNoKafkaTls({ KAFKA_TLS_KEY: KEY_PATH })).toThrow("KAFKA_TLS_KEY is set");
});

test("[MODE-4] every Kafka port speaks TLS, and the Worker knows it", () => {
  const config = (kafkaTls: { certPath: string; keyPath: string } | null) =>
    workerdConfig({
      bundlePath: "worker.js",
      storagePath: "/data",
      host: "127.0.0.1",
      port: 1,
      kafkaPorts: [2, 3],
      kafkaTls,
      kafkaAdvertise: "b:1,b:2",
      autoCreateTopics: true,
      numPartitions: 1,
      trace: undefined,
      isOpen: false,
      variables: {},
    });
  const secured = config({ certPath: '../a "cert".pem', keyPath: "../key.pem" });
  expect(secured.split('certificateChain = embed "../a \\"cert\\".pem"')).toHaveLength(3);
  expect(secured).toContain('privateKey = embed "../key.pem"');
  expect(secured).not.toContain("tcp = ()");
  expect(secured).toContain('(name = "RIVULET_KAFKA_TLS", text = "1")');
  expect(config(null)).not.toContain("RIVULET_KAFKA_TLS");
});
