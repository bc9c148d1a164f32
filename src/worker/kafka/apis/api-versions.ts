// ApiVersions (API key 18), versions 0 to 4: lists the APIs that are served.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 makes fields flexible (KIP-482), but not the header of the answer. It adds the client's software (KIP-511) and,
//   to the answer, the cluster's features as tagged fields (KIP-584).
// v4 lets a feature have 0 as its lowest version (KAFKA-17011).
//
// Unlike Kafka:
// - The answer lists no features, because there are none to turn on.
// - The client's name and version are ignored.

import { ERRORS } from "../../../core/errors.ts";
import { api } from "../api.ts";
import { type Service, service } from "../context.ts";
import { NO_ERROR } from "../errors.ts";
import { array, int16, int32, since, string, struct } from "../schema.ts";

export const API_VERSIONS = api({
  key: 18,
  name: "ApiVersions",
  versions: [0, 4],
  flexibleFrom: 3,
  request: struct({
    clientSoftwareName: since(3, string),
    clientSoftwareVersion: since(3, string),
  }),
  response: struct({
    errorCode: int16,
    apiKeys: array(struct({ apiKey: int16, minVersion: int16, maxVersion: int16 })),
    throttleTimeMs: since(1, int32),
  }),
});

/**
 * Serves ApiVersions. An unknown version is answered as version 0, with the error and the list of APIs, so that the
 * client can choose a version (KIP-511). `served` returns the services by key, in order.
 */
export function apiVersions(served: () => readonly Service[]): Service {
  const [, latest] = API_VERSIONS.versions;
  return service(API_VERSIONS, async (_request, { version }) => ({
    errorCode: version > latest ? ERRORS.UNSUPPORTED_VERSION.code : NO_ERROR.errorCode,
    apiKeys: served().map(({ api }) => {
      const [minVersion, maxVersion] = api.versions;
      return { apiKey: api.key, minVersion, maxVersion };
    }),
  }));
}
