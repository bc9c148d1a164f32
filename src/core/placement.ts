// The location of objects. The platform creates an object near its first caller, or in the region that this call asks
// for, and never moves it. So topics and groups have a region from the start.
import type { ConfigOverrides, ConfigRule } from "./config-table.ts";
import { type Failure, fail, preview } from "./errors.ts";
import { damaged } from "./platform-errors.ts";

/** The regions of the platform (its location hints). */
export const REGIONS = [
  "wnam",
  "enam",
  "sam",
  "weur",
  "eeur",
  "apac",
  "apac-ne",
  "apac-se",
  "oc",
  "afr",
  "me",
] as const;
export type Region = (typeof REGIONS)[number];

export function isRegion(value: unknown): value is Region {
  return REGIONS.some((region) => region === value);
}

/** The origin of a request, as far as the platform reports it. */
export interface Origin {
  readonly continent?: string | undefined;
  readonly country?: string | undefined;
  /** In degrees, as text. */
  readonly longitude?: string | undefined;
}

const MIDDLE_EAST: ReadonlySet<string> = new Set(
  "AE BH IL IQ IR JO KW LB OM PS QA SA SY TR YE".split(" "),
);
/** The longitude between Germany and Poland. */
const EAST_OF_EUROPE = 15;
/** The longitude of the middle of the United States. */
const WEST_OF_AMERICA = -100;

/** [PLC-2] Returns the region of a request, or null if it is not known. */
export function regionOf({ continent, country = "", longitude = "" }: Origin): Region | null {
  const degrees = Number.parseFloat(longitude); // NaN is neither east nor west.
  if (MIDDLE_EAST.has(country)) return "me";
  switch (continent) {
    case "AF":
      return "afr";
    case "AS":
      return "apac";
    case "EU":
      return degrees > EAST_OF_EUROPE ? "eeur" : "weur";
    case "NA":
      return degrees < WEST_OF_AMERICA ? "wnam" : "enam";
    case "OC":
      return "oc";
    case "SA":
      return "sam";
    default:
      return null;
  }
}

// The jurisdiction of a deployment. It is part of the ids of all objects, so it cannot be changed: another jurisdiction
// would mean other objects, all empty.

/** The platform's jurisdictions. The platform keeps an object's data within its jurisdiction. */
export const JURISDICTIONS = ["eu", "fedramp", "fedramp-high", "us"] as const;
export type Jurisdiction = (typeof JURISDICTIONS)[number];

const VARIABLE = "RIVULET_JURISDICTION";

/** [PLC-1] Returns the jurisdiction that the variable names, or null for none. Throws if it is unknown. */
export function jurisdictionOf(variable = ""): Jurisdiction | null {
  if (variable === "") return null;
  const found = JURISDICTIONS.find((jurisdiction) => jurisdiction === variable);
  if (found !== undefined) return found;
  const known = JURISDICTIONS.join(", ");
  throw damaged(`${VARIABLE} is ${preview(variable)}, it must be ${known} or empty`);
}

/** [PLC-1] Throws if the deployment's data is in another jurisdiction. The empty string means none. */
export function assertJurisdiction(variable: string, recorded: string): void {
  if (variable === recorded) return;
  const place = recorded === "" ? "in no jurisdiction" : `in the jurisdiction ${recorded}`;
  const mend = recorded === "" ? "leave it out" : `set it to ${recorded}`;
  throw damaged(
    `${VARIABLE} is ${preview(variable)}, but this deployment has its data ${place}, and it stays there; ${mend}, or deploy under another name`,
  );
}

// The region as a config key of topics and groups.

/** The key is on disk and on the wire. */
export const REGION_KEY = "rivulet.region";

/** The empty region means the region of the client that creates the topic or group. */
export const regionRule: ConfigRule<string> = {
  key: REGION_KEY,
  default: "",
  parse: (value) => (value === "" || isRegion(value) ? value : null),
  bound: `${REGIONS.join(", ")} or "" (where it is created from)`,
  show: (value) => value,
};

/** Returns the region that is set, or null. */
export function regionSet(overrides: Readonly<Record<string, unknown>>): Region | null {
  const region = overrides[REGION_KEY];
  return isRegion(region) ? region : null;
}

/**
 * [PLC-2] Returns INVALID_CONFIG if the changes would move an existing topic or group. Naming its own region changes
 * nothing.
 * @param region the region where it was created, or null if unknown
 */
export function whyNotRegion(
  what: string,
  region: string | null,
  overrides: ConfigOverrides,
  changes: Readonly<Record<string, unknown>>,
): Failure | null {
  if (!Object.hasOwn(changes, REGION_KEY)) return null;
  const wanted = changes[REGION_KEY] ?? "";
  const isSet = regionSet(overrides) !== null;
  if (wanted === "" ? !isSet : wanted === region) return null;
  const place = region === null ? "where it was created from" : `in ${region}`;
  return fail(
    "INVALID_CONFIG",
    `config ${REGION_KEY} is ${preview(wanted)}, but ${what} is ${place} and stays there; it can only be set when it is created`,
  );
}
