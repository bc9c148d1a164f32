// Grants as Kafka's ACLs, and the filters by which Kafka's clients search for them. The codes are Kafka's wire codes
// (ResourceType, PatternType, AclPermissionType).
import { type Failure, fail } from "../errors.ts";
import { CLUSTER, type NamePattern, type Principal, partsOf } from "./grants.ts";
import { OPERATION_CODES, type ResourceType } from "./operations.ts";

/** In a filter, the code that matches every value. */
export const ANY = 1;
/** The pattern type of a filter that finds every ACL that applies to a name: literal, prefixed or wildcard. */
export const MATCH = 2;
export const LITERAL = 3;
export const PREFIXED = 4;
export const ALLOW = 3;
export const RESOURCE_CODES: Readonly<Record<ResourceType, number>> = {
  topic: 2,
  group: 3,
  cluster: 4,
};

/** Kafka's highest codes. Some codes have no meaning here, and a filter for one of them finds nothing. */
const MAX_CODES = { resourceType: 7, patternType: PREFIXED, operation: 15, permissionType: ALLOW };

/** The literal name that means all names. */
const WILDCARD = "*";

/** One permission, as Kafka's clients know it: an AclBinding. */
export interface Acl {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly patternType: number;
  readonly principal: string;
  readonly host: string;
  readonly operation: number;
  readonly permissionType: number;
}

/** A filter for ACLs. Null and the code ANY match every value. */
export interface AclFilter extends Omit<Acl, "resourceName" | "principal" | "host"> {
  readonly resourceName: string | null;
  readonly principal: string | null;
  readonly host: string | null;
}

/** [KFK-32] Returns the principal's grants as ACLs. */
export function aclsOf({ principal, grants }: Principal): Acl[] {
  return grants.flatMap((grant) => {
    const [type, pattern, operations] = partsOf(grant);
    return operations.map((operation) => ({
      resourceType: RESOURCE_CODES[type],
      ...kafkaPattern(pattern),
      principal,
      host: WILDCARD, // A key is valid from any host.
      operation: OPERATION_CODES[operation],
      permissionType: ALLOW, // There are no deny rules.
    }));
  });
}

function kafkaPattern(pattern: NamePattern | null): Pick<Acl, "resourceName" | "patternType"> {
  if (pattern === null) return { resourceName: CLUSTER.name, patternType: LITERAL };
  if ("prefix" in pattern)
    return pattern.prefix === ""
      ? { resourceName: WILDCARD, patternType: LITERAL }
      : { resourceName: pattern.prefix, patternType: PREFIXED };
  // A group may be named "*". Kafka cannot name just that group: its literal "*" means all groups.
  const patternType = pattern.exact === WILDCARD ? PREFIXED : LITERAL;
  return { resourceName: pattern.exact, patternType };
}

/** [KFK-32] Returns a failure if the filter has a code that Kafka does not define, or null. */
export function whyNotAclFilter(filter: AclFilter): Failure | null {
  for (const [field, max] of Object.entries(MAX_CODES)) {
    const code = filter[field as keyof typeof MAX_CODES];
    if (code < ANY || code > max)
      return fail("INVALID_REQUEST", `${field} is ${code}, it must be from ${ANY} to ${max}`);
  }
  return null;
}

/** [KFK-32] True if the filter matches the ACL, as Kafka's AclBindingFilter does. */
export function isAclMatch(filter: AclFilter, acl: Acl): boolean {
  return (
    isCodeMatch(filter.resourceType, acl.resourceType) &&
    isPatternMatch(filter, acl) &&
    (filter.principal ?? acl.principal) === acl.principal &&
    (filter.host ?? acl.host) === acl.host &&
    isCodeMatch(filter.operation, acl.operation) &&
    isCodeMatch(filter.permissionType, acl.permissionType)
  );
}

function isCodeMatch(wanted: number, code: number): boolean {
  return wanted === ANY || wanted === code;
}

function isPatternMatch(filter: AclFilter, { resourceName, patternType }: Acl): boolean {
  const { resourceName: name, patternType: wanted } = filter;
  if (wanted !== MATCH)
    return isCodeMatch(wanted, patternType) && (name === null || name === resourceName);
  if (name === null) return true;
  return patternType === PREFIXED
    ? name.startsWith(resourceName)
    : name === resourceName || resourceName === WILDCARD;
}
