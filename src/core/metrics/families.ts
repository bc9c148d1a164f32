// All metrics of a deployment. Their number is bounded for each scrape [MET-11].
import { OTHER } from "./counters.ts";
import type { Family } from "./family.ts";
import { kafkaFamilies, kafkaPartitionFamilies } from "./kafka-families.ts";
import type { MetricsState } from "./metrics-state.ts";
import { type FamilyOptions, MetricsView } from "./metrics-view.ts";
import {
  clusterFamilies,
  groupFamilies,
  topicFamilies,
  usageFamilies,
  workerFamilies,
} from "./rivulet-families.ts";

/** Returns the families, the most important first. If there are too many series, the last ones are left out. */
export function familiesOf(state: MetricsState, options: FamilyOptions): Family[] {
  const view = new MetricsView(state, options);
  const { maxSeries, partitions, version } = options;
  const summed = [
    ...kafkaFamilies(view),
    ...clusterFamilies(view),
    ...workerFamilies(view),
    ...topicFamilies(view),
    ...groupFamilies(view),
    ...usageFamilies(view),
  ];
  const single = partitions ? kafkaPartitionFamilies(view) : [];
  const build: Family = {
    name: "rivulet_build",
    type: "info",
    help: "The release.",
    samples: version === undefined ? [] : [{ labels: { version }, value: 1 }],
  };
  const room = maxSeries - seriesOf([build, truncated(view, {})]);
  const arePartitionsShown = seriesOf(summed) + seriesOf(single) <= room;
  const isCut = seriesOf(summed) > room;
  return [
    build,
    truncated(view, { partitions: !arePartitionsShown, series: isCut }),
    ...(isCut ? cut(summed, room) : summed),
    ...(arePartitionsShown ? single : []),
  ].filter(({ samples }) => samples.length > 0);
}

function truncated(
  { state }: MetricsView,
  { partitions = false, series = false }: { partitions?: boolean; series?: boolean },
): Family {
  const left = {
    partitions,
    topics: state.topics.other.objects > 0,
    groups: state.groups.other.objects > 0,
    series,
  };
  return {
    name: "rivulet_metrics_truncated",
    type: "gauge",
    help: `1 if something is left out: partitions, series of any kind, or names, which are summed as ${OTHER}.`,
    samples: Object.entries(left).map(([what, isLeft]) => ({
      labels: { what },
      value: isLeft ? 1 : 0,
    })),
  };
}

function seriesOf(families: readonly Family[]): number {
  return families.reduce((sum, family) => sum + family.samples.length * linesOf(family), 0);
}

/** Returns the number of series of one sample. */
function linesOf(family: Family): number {
  return family.type === "histogram" ? family.bounds.length + 3 : 1;
}

function cut(families: readonly Family[], maxSeries: number): Family[] {
  let room = maxSeries;
  return families.map((family) => {
    const count = Math.max(0, Math.min(family.samples.length, Math.floor(room / linesOf(family))));
    room -= count * linesOf(family);
    return { ...family, samples: family.samples.slice(0, count) } as Family;
  });
}
