import { KAFKA_ERRORS } from "../../core/errors.ts";
import { type Service, service } from "../context.ts";
import { NO_ERROR } from "../errors.ts";
import { API_VERSIONS, type Api } from "../messages.ts";

/**
 * Serves ApiVersions. An unknown version is answered as version 0, with the error and the list of APIs, so that the
 * client can choose a version (KIP-511). The service ignores what the client says about itself.
 */
export function apiVersions(served: readonly Api[]): Service {
  const apiKeys = [...served, API_VERSIONS]
    .map(({ key, versions: [minVersion, maxVersion] }) => ({ apiKey: key, minVersion, maxVersion }))
    .sort((a, b) => a.apiKey - b.apiKey);
  const [, latest] = API_VERSIONS.versions;
  return service(API_VERSIONS, async (_request, { version }) => ({
    errorCode: version > latest ? KAFKA_ERRORS.UNSUPPORTED_VERSION : NO_ERROR.errorCode,
    apiKeys,
  }));
}
