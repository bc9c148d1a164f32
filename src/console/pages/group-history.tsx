// A group's history as a timeline: what happened, and why.

import { useState } from "preact/hooks";
import type { HistoryInfo } from "../../core/group-info.ts";
import { groupPath } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { timeText } from "../format.ts";
import { type Episode, episodesOf } from "../history-text.ts";
import { useLoad } from "../load.ts";
import { Empty, Loaded } from "../ui/states.tsx";
import { Time } from "../ui/time.tsx";

/** The number of entries that are loaded at first. */
const STEP = 200;
const MOST = 10_000;

/** The history is loaded again when the group's epoch changes. */
export function GroupHistory({ groupId, epoch }: { groupId: string; epoch: number }) {
  const [limit, setLimit] = useState(STEP);
  const loading = useLoad(
    (aborted) =>
      get<{ history: HistoryInfo[] }>(`${groupPath(groupId)}/history?limit=${limit}`, aborted),
    [groupId, epoch, limit],
  );
  return (
    <section aria-labelledby="history">
      <div class="row">
        <h2 id="history">History, newest first</h2>
        <button type="button" onClick={loading.reload}>
          Reload
        </button>
      </div>
      <Loaded what="the history" loading={loading}>
        {({ history }) =>
          history.length === 0 ? (
            <Empty>Nothing has happened yet.</Empty>
          ) : (
            <>
              <ol class="timeline">
                {episodesOf(history).map((episode, i, { length }) => (
                  <EpisodeItem key={length - i} episode={episode} />
                ))}
              </ol>
              {history.length >= limit && limit < MOST && (
                <button type="button" onClick={() => setLimit(Math.min(MOST, limit * 5))}>
                  Show earlier events
                </button>
              )}
            </>
          )
        }
      </Loaded>
    </section>
  );
}

function EpisodeItem({ episode }: { episode: Episode }) {
  const { atMs, title, isRebalance, epoch, steps } = episode;
  return (
    <li class={isRebalance ? "rebalance" : ""}>
      <p class="when">
        <Time ms={atMs} />
        {isRebalance && <span class="badge">Rebalance{epoch === null ? "" : ` ${epoch}`}</span>}
      </p>
      <p class="data">{title}</p>
      {steps.length > 1 && (
        <details>
          <summary>{steps.length} steps</summary>
          <ol class="plain">
            {steps.map(({ atMs: stepMs, text }, i) => (
              <li key={i}>
                <span class="muted">{timeText(stepMs).slice(11, 23)}</span>{" "}
                <span class="data">{text}</span>
              </li>
            ))}
          </ol>
        </details>
      )}
    </li>
  );
}
