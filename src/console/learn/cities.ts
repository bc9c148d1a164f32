// The keys of the lesson's records: cities with different first letters, two for each partition. Kafka's hash
// puts them there, and a test checks that.
export const CITIES = [
  "Kyoto",
  "Paris",
  "Berlin",
  "Madrid",
  "Cairo",
  "Havana",
  "Lima",
  "Tokyo",
] as const;

/** The city whose orders the reader sends by hand. */
export const OWN_CITY = "Cairo";

export const PARTITIONS = 4;
